"""Carries out what `gateway.bench.command` was asked for."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.bench.capacity import (
    Objective,
    Probe,
    capacity,
    objectives,
    read_objective,
    search,
    shortfalls,
)
from gateway.bench.compare import (
    Row,
    comparison_page,
    print_comparison,
    read_rival,
)
from gateway.bench.load import LoadError, playing
from gateway.bench.mix import kinds_of
from gateway.bench.page import page
from gateway.bench.plan import Kind, Load
from gateway.bench.printed import print_probes, print_summary
from gateway.bench.report import Run, report
from gateway.bench.server import Server, private_server
from gateway.bench.tally import Tally
from gateway.bench.usage import EVERY_S, Sampler, wait_until_idle
from gateway.bench.visits import visits
from gateway.bench.wish import Wish
from gateway.errors import GatewayError

SESSIONS_A_PROCESS = 1000
"""A fifth of a core, with 100 ms frames (`tests.measure_generator`)."""
MOST_SAMPLES = 5000
"""Of CPU and memory in a run."""


class Bench:
    """Runs against one server."""

    def __init__(
        self, wish: Wish, server: Server, kinds: Sequence[Kind], promised: Sequence[Objective]
    ) -> None:  # fmt: skip
        self._wish, self._server, self._kinds = wish, server, tuple(kinds)
        self._promised = promised

    def run(self, sessions: int) -> Run:
        """Plays one load to its end and measures it.

        Raises:
            LoadError: it could not be played.
        """
        wish, load = self._wish, self._load(sessions)
        processes = wish.processes or -(-load.peak // SESSIONS_A_PROCESS)
        every_s = max(EVERY_S, load.ends_s / MOST_SAMPLES)
        with Sampler(self._server.pid, every_s) as sampler, playing(load, processes) as played:
            began, logs = played
            tally = Tally(load, wish.endpoint_ms, began, began + wish.measured_from_s)
            for log in logs:
                tally.take(log)
        options = {
            name: [str(each) for each in value] if isinstance(value, tuple) else
            str(value) if isinstance(value, Path) else value
            for name, value in asdict(wish).items()
            if name != "api_key"  # reports are shown around
        }  # fmt: skip
        asked = {"sessions": sessions, "processes": processes,
                 "shape": asdict(wish.shape(sessions, self._kinds))}  # fmt: skip
        return Run(
            options | asked, tally, sampler.samples,
            promised=self._promised if wish.ramp_s is not None else None,
            soaked=wish.soak_h is not None,
        )  # fmt: skip

    def _load(self, sessions: int) -> Load:
        wish = self._wish
        coming = visits(wish.shape(sessions, self._kinds), self._kinds, wish.frame_ms)
        if not coming:
            raise LoadError("nobody comes: let it go on for longer, or let more come")
        return Load(
            url=self._server.url,
            options={"chunk_ms": wish.chunk_ms, "endpoint_ms": str(wish.endpoint_ms)},
            kinds=self._kinds,
            visits=coming,
            frame_ms=wish.frame_ms,
            together=not wish.kept_up,
            api_key=wish.api_key,
        )


def carry_out(wish: Wish, console: Console) -> int:
    """All of it; the exit code: 1 if it could not be done, 3 if a run is void."""
    try:
        kinds = kinds_of(wish)
        promised = objectives(
            wish.limit_ms, wish.fixed_chunk_ms, wish.max_stretch,
            [read_objective(each) for each in wish.slo],
        )  # fmt: skip
        if wish.compare:
            return _compare(wish, kinds, promised, console)
        with _server(wish) as server:
            bench = Bench(wish, server, kinds, promised)
            if wish.find_capacity:
                return _find_capacity(wish, bench, promised, console)
            run = bench.run(wish.sessions)
            result = report(run)
            print_summary(console, result)
            _write(wish, run, result, [])
            return 3 if result["void"] else 0
    except (LoadError, OSError, ValueError) as error:
        console.print(f"scribewire: {error}", markup=False, style="red")
    except GatewayError as error:
        console.print(f"scribewire: {error.message}", markup=False, style="red")
    return 1


def _compare(
    wish: Wish, kinds: Sequence[Kind], promised: Sequence[Objective], console: Console
) -> int:
    """All servers with so many sessions, then with the next number: noise hits all alike."""
    rivals = [read_rival(each) for each in wish.compare]
    rows: list[Row] = []
    for sessions in wish.steps or (wish.sessions,):
        for rival in rivals:
            console.print(f"{sessions} sessions on {rival.name} …", markup=False)
            bench = Bench(wish, rival.server, rival.kinds(kinds), promised)
            if not wait_until_idle([each.server.pid for each in rivals]):
                console.print("A server is still busy with what was before: this run is beside it.")
            try:
                run = bench.run(sessions)
            except LoadError as error:
                rows.append(Row(rival.name, sessions, None, str(error)))
            else:
                rows.append(Row(rival.name, sessions, report(run), ""))
    print_comparison(console, rows)
    if wish.json is not None:
        wish.json.write_text(json.dumps({"rows": [row._asdict() for row in rows]}, indent=2) + "\n")
    if wish.html is not None:
        wish.html.write_text(comparison_page(rows))
    return 0


def _find_capacity(
    wish: Wish, bench: Bench, promised: Sequence[Objective], console: Console
) -> int:
    tried: list[tuple[Probe, Run]] = []

    def probe(sessions: int) -> Probe:
        for _ in range(wish.tries):
            run = bench.run(sessions)
            result = report(run)
            reasons = shortfalls(result, promised)
            tried.append((Probe(sessions, reasons, result), run))
            console.print(f"{sessions} sessions: {'; '.join(reasons) or 'fits'}", markup=False)
            if not reasons:
                break
        return tried[-1][0]

    most = capacity(
        search(probe, start=min(wish.sessions, wish.max_sessions), most=wish.max_sessions)
    )
    best, run = next(
        each for each in tried if each[0].passed == (most > 0) and each[0].sessions == (most or 1)
    )
    rows = [{"sessions": p.sessions, "reasons": p.reasons, "report": p.report} for p, _ in tried]
    print_summary(console, best.report)
    print_probes(console, rows)
    console.print(f"[bold]capacity: {most} sessions[/bold]")
    found = {"sessions": most, "limit_ms": wish.limit_ms, "max_stretch": wish.max_stretch,
             "slo": list(wish.slo), "tried_up_to": wish.max_sessions}  # fmt: skip
    _write(wish, run, best.report | {"capacity": found}, rows)
    return 0


def _write(wish: Wish, run: Run, result: dict[str, Any], probes: list[dict[str, Any]]) -> None:
    if wish.json is not None:
        full = result | ({"probes": probes} if probes else {})
        wish.json.write_text(json.dumps(full | {"at": time.strftime("%FT%T%z")}, indent=2) + "\n")
    if wish.html is not None:
        wish.html.write_text(page(run, result, probes))


@contextmanager
def _server(wish: Wish) -> Iterator[Server]:
    if wish.url is not None:
        yield Server(wish.url, wish.server_pid)
        return
    with private_server(wish.model, wish.workers) as server:
        yield server
