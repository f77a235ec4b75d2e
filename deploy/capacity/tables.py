"""The tables of CAPACITY.md."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from deploy.capacity import inputs, scenarios, sizing
from deploy.capacity.copies import OnGpu
from deploy.capacity.inputs import HIGH, LARGE, LOW, SMALL
from deploy.capacity.sizing import Assumptions
from engine.segment import StepKind

CELLS = (100, 500, 5_000, 25_000)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; all columns but the first to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _few(number: float) -> str:
    """Two or three figures that mean something."""
    if number >= 100:
        return f"{round(number, 2 - math.floor(math.log10(number))):,.0f}"
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}" if number >= 1 else f"{number:.2g}"


def _range(low: float, high: float) -> str:
    return f"{_few(low)} – {_few(high)}"


def _percentiles(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    if not values:
        return "–"
    found = np.percentile(np.array(values) * scale, (50, 95, 99))
    return " / ".join(f"{value:.{digits}f}" for value in found)


def speakers(given: Assumptions) -> str:
    """What so many speakers take."""
    rows = []
    for sessions in given.speakers:
        gates = sizing.gateways(sessions, given)
        pcm, opus = (sizing.up_gbit(sessions, given.wire, opus) for opus in (False, True))
        cells = [f"{gates.processes:,}", _few(gates.gib), f"{_few(pcm)} ({_few(opus)})",
                 _few(sizing.down_gbit(sessions, given.wire))]  # fmt: skip
        cores = sizing.model_cores(sessions, given.traffic)
        bill = sizing.speaker_dollars(sessions, cores * given.prices.cpu_hour, given)
        rows.append([f"{sessions:,}", "embedded", f"{cores:,} cores", *cells, _few(bill),
                     f"{bill / sessions:.4f}"])  # fmt: skip
        for model in (SMALL, LARGE):
            most, least = (
                sizing.gpus(sessions, OnGpu(gpu, model), given.traffic) for gpu in (LOW, HIGH)
            )
            bills = [
                sizing.speaker_dollars(sessions, many * given.prices.gpu_hour, given)
                for many in (least, most)
            ]
            rows.append(["", model.name, f"{least:,} – {most:,} GPUs", *[""] * 4, _range(*bills),
                         " – ".join(f"{each / sessions:.4f}" for each in bills)])  # fmt: skip
    return markdown(
        ["speakers", "model", "for the model", "gateway processes", "their GiB",
         "Gbit/s in: PCM (Opus)", "Gbit/s out", "$ an hour", "$ a speaker-hour"], rows,
    )  # fmt: skip


def viewers(given: Assumptions) -> str:
    """What so many viewers take."""
    rows = []
    for many in given.viewers:
        near, far = sizing.over_sockets(many, given), sizing.over_cdn(many, given)
        rows.append([f"{many:,}", "WebSocket, many rooms", f"{near.processes:,}", _few(near.cores),
                     _few(near.gib), _few(near.gbit), "–", _few(near.dollars)])  # fmt: skip
        rows.append(["", "HLS through a CDN, one room or many", "–", "–", "–", _few(far.gbit),
                     _few(far.requests_s), _few(far.dollars)])  # fmt: skip
    return markdown(
        ["viewers", "over", "gateway processes", "cores at work", "GiB", "Gbit/s out",
         "requests/s", "$ an hour"], rows,
    )  # fmt: skip


def gpu_capacity(given: Assumptions) -> str:
    """What one GPU is believed to do."""
    rows = []
    for model in (SMALL, LARGE):
        for gpu in (LOW, HIGH):
            copy = OnGpu(gpu, model)
            rows.append(
                [f"{model.name}, {gpu.name}", f"{1000 * copy.fixed_s:.0f}",
                 f"{1000 * copy.row_s:.2f}", _few(copy.steps_per_s(sizing.BATCH_WITHIN_S)),
                 f"{copy.open_segments:,}", _few(sizing.sessions_per_gpu(copy, given.traffic))]
            )  # fmt: skip
    return markdown(
        ["one H100, derived", "ms a batch", "ms a step more",
         "steps/s in batches of 0.5 s", "open segments in memory", "sessions"], rows,
    )  # fmt: skip


def validation(given: Assumptions) -> str:
    """The simulation beside what was measured."""
    rows = []
    for run in inputs.BENCH:
        outcome = scenarios.replayed(run.sessions)
        steps = outcome.steps
        rows.append([
            f"{run.sessions}, measured",
            *(" / ".join(f"{ms / 1000:.2f}" for ms in each)
              for each in (run.partial_ms, run.final_ms, run.cadence_ms)),
            f"{run.partials}, {run.begun}, {run.finals}", f"{run.busy_s:.0f}",
        ])  # fmt: skip
        counts = (steps[StepKind.PARTIAL], steps[StepKind.SPECULATIVE], steps[StepKind.FINAL])
        rows.append([
            "simulated", _percentiles(outcome.partial), _percentiles(outcome.final),
            _percentiles(outcome.cadence), ", ".join(map(str, counts)), f"{outcome.busy_s:.0f}",
        ])  # fmt: skip
    return markdown(
        ["sessions", "chunk → partial", "endpoint → final", "cadence",
         "steps: partial, begun, final", "busy s"], rows,
    )  # fmt: skip


def batches(given: Assumptions) -> str:
    """The same of a double that batches as a GPU does."""
    rows = []
    for run in inputs.BATCHED:
        outcome, cadence = scenarios.batched(run.sessions)
        steps = sum(outcome.steps.values())
        simulated = inputs.Batched(
            run.sessions, steps / scenarios.BATCHED_S, outcome.batch,
            outcome.busy_s / scenarios.BATCHED_S, outcome.needed_s / scenarios.BATCHED_S,
            float(np.mean(cadence)),
        )  # fmt: skip
        for who, each in ((f"{run.sessions}, measured", run), ("simulated", simulated)):
            rows.append([who, f"{each.steps_per_s:.0f}", f"{each.batch:.1f}", f"{each.busy:.2f}",
                         f"{each.needed:.2f}", f"{each.cadence_s:.2f}"])  # fmt: skip
    return markdown(
        ["sessions", "steps/s", "steps a batch", "share of time busy", "needed", "mean cadence, s"],
        rows,
    )


def load(given: Assumptions) -> str:
    """The embedded model under more and more sessions."""
    rows = []
    for sessions in (8, 16, 24, 32, 48):
        outcome = scenarios.embedded_load(sessions, given.traffic)
        beyond = [np.mean(np.array(outcome.cadence) > limit) for limit in (2.5, 4.0)]
        rows.append([
            str(sessions), _percentiles(outcome.partial), _percentiles(outcome.waited),
            _percentiles(outcome.final), *(f"{100 * share:.0f} %" for share in beyond),
        ])  # fmt: skip
    return markdown(
        ["sessions on two cores", "chunk → partial", "due → partial", "endpoint → final",
         "partials later than 2.5 s", "than 4 s"], rows,
    )  # fmt: skip


def failures(given: Assumptions) -> str:
    """What a cell of four GPUs notices of what may happen to it."""
    copy = OnGpu(LOW, SMALL)
    sessions = int(4 * sizing.sessions_per_gpu(copy, given.traffic) * given.traffic.reserve)
    rows = []
    for event in scenarios.befallen(sessions, given.traffic):
        outcome, stretched = event.outcome, np.array(event.stretched)
        rows.append([
            event.name, _percentiles(outcome.waited), f"{max(outcome.waited):.1f}",
            _percentiles(outcome.final), f"{max(outcome.final):.1f}",
            *(f"{100 * np.mean(stretched > limit):.0f} %" for limit in (2.0, 4.0)),
            str(outcome.moved), f"{outcome.batch:.0f}",
        ])  # fmt: skip
    return markdown(
        [f"{sessions:,} sessions, 4 GPUs", "due → partial", "most", "endpoint → final", "most",
         "time stretched beyond 2 s", "4 s", "segments moved", "steps a batch"], rows,
    )  # fmt: skip


def days(given: Assumptions) -> str:
    """A day of a cell under several plans."""
    rows = []
    for plan in scenarios.days(given.traffic, 2 * given.prices.cpu_hour, given.prices.gpu_hour):
        day = plan.day
        hours = [np.mean(day.copies[h * 3600 : (h + 1) * 3600]) for h in (3, 8, 9, 12, 14, 20)]
        bill = day.copy_hours * plan.price_hour
        rows.append([
            plan.name, f"{max(day.sessions):,}", " ".join(f"{each:.0f}" for each in hours),
            f"{day.copy_hours:.0f}", *(f"{100 * day.stretched(s):.1f} %" for s in (2.0, 4.0)),
            f"{day.refused:,} of {day.arrived:,}",
            _few(bill), f"{bill * 3600 / sum(day.sessions):.4f}",
        ])  # fmt: skip
    return markdown(
        ["plan", "sessions at most", "copies at 3, 8, 9, 12, 14, 20 h", "copy-hours",
         "speech stretched beyond 2 s", "4 s", "refused", "$", "$ a speaker-hour"], rows,
    )  # fmt: skip


def cells(given: Assumptions) -> str:
    """How full cells may be, by their size."""
    rows = [
        [f"{size:,}", _few(sizing.load_for(size)), f"{100 * sizing.load_for(size) / size:.1f} %"]
        for size in CELLS
    ]
    return markdown(["a cell's places", "erlang for 1 in 1,000 refused", "of its places"], rows)


def reconnecting(given: Assumptions) -> str:
    """What a herd of clients costs that comes back, and what a restart takes."""
    gateway, rows = given.gateway, []
    for sessions in given.speakers:
        gates = sizing.gateways(sessions, given)
        third = gates.processes / 3
        each = sessions / gates.processes
        herd = each / 2 * gateway.resume_elsewhere_ms / 1000  # one of three zones is lost
        surge = max(1, gates.processes // 20)
        rounds = math.ceil(gates.processes / surge)
        rows.append([
            f"{sessions:,}", f"{gates.processes:,}", _few(each), _few(third * each), f"{herd:.1f}",
            _few(each * gateway.resume_elsewhere_ms / 1000 / max(1, gates.processes - 1) * 1000),
            f"{gates.processes * RESTART_S / 3600:.1f}", f"{rounds * RESTART_S / 60:.0f}",
        ])  # fmt: skip
    return markdown(
        ["speakers", "gateway processes", "cut by one lost", "by one of three zones lost",
         "s of each other's core for that", "ms, for one lost", "h to restart one by one",
         "min, 5 % at a time"], rows,
    )  # fmt: skip


RESTART_S = 50.0
"""Of a pod: start and readiness 15 s, 10 s of sleep, 20 s of drain, 5 s to spare."""

TABLES: dict[str, Callable[[Assumptions], str]] = {
    "speakers": speakers,
    "viewers": viewers,
    "gpu": gpu_capacity,
    "validation": validation,
    "batches": batches,
    "load": load,
    "failures": failures,
    "days": days,
    "cells": cells,
    "reconnecting": reconnecting,
}
"""By the names that CAPACITY.md has for them."""
