"""A run's report in the terminal."""

from collections.abc import Sequence
from typing import Any

from rich import markup
from rich.console import Console
from rich.table import Table

from gateway.bench.figures import DESCRIPTIONS
from gateway.bench.told import (
    KIND_HEADINGS,
    TREND_HEADINGS,
    growth_sentence,
    held_sentence,
    kind_cells,
    trend_rows,
)


def print_summary(console: Console, result: dict[str, Any]) -> None:
    """A table of the latencies, and a line each of what else matters."""
    sessions = result["counts"]["sessions"]
    table = Table(title=f"{sessions} session(s), {result['counts']['audio_s']} s of audio, in ms")
    for heading in ("", "p50", "p95", "p99", "max", "count"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in DESCRIPTIONS:
        if result[name]["count"]:
            cells = (result[name][key] for key in ("p50", "p95", "p99", "max"))
            table.add_row(name, *(f"{each:.0f}" for each in cells), str(result[name]["count"]))
    console.print(table)
    _print_pairs(console, "counts", result["counts"])
    if result["words"]["spoken"]:
        _print_pairs(console, "words", result["words"])
    if result["wer"] is not None:
        console.print(f"word error rate: {result['wer']:.1%}")
    if len(result["kinds"]) > 1:
        print_kinds(console, result["kinds"])
    if result["held"]:
        console.print(f"[bold]{markup.escape(held_sentence(result['held']))}[/bold]")
    if result["trend"]:
        _print_trend(console, result["trend"])
    if result["usage"]:
        _print_pairs(console, "usage (means; memory: peaks)", result["usage"])
    for reason in result["void"]:
        console.print(f"[bold red]This run is void:[/bold red] {reason}.")


def _print_pairs(console: Console, title: str, pairs: dict[str, Any]) -> None:
    console.print(f"{title}: " + ", ".join(f"{k} {v}" for k, v in pairs.items() if v))


def print_probes(console: Console, probes: Sequence[dict[str, Any]]) -> None:
    """A row for each probe of a search."""
    table = Table(title="Probes; p95 in ms")
    for heading in ("sessions", "without wait", "with wait", "cadence", "gateway cores",
                    "model cores", "others' cores", "verdict"):  # fmt: skip
        table.add_column(heading, justify="right" if heading != "verdict" else "left")
    for probe in probes:
        usage = probe["report"]["usage"] or {}
        table.add_row(
            str(probe["sessions"]),
            *(str(probe["report"][name]["p95"]) for name in
              ("chunk_to_partial_ms", "chunk_to_text_with_wait_ms", "cadence_ms")),
            *(str(usage.get(name, "")) for name in
              ("gateway_cores", "model_cores", "others_cores")),
            "; ".join(probe["reasons"]) or "fits",
        )  # fmt: skip
    console.print(table)


def print_kinds(console: Console, kinds: Sequence[dict[str, Any]]) -> None:
    """A row for each kind of session."""
    table = Table(title="Kinds of sessions; p50 / p95 in ms")
    for heading in KIND_HEADINGS:
        table.add_column(heading, justify="left" if not heading else "right")
    for kind in kinds:
        table.add_row(*map(markup.escape, kind_cells(kind)))
    console.print(table)


def _print_trend(console: Console, trend: dict[str, Any]) -> None:
    table = Table(title="The first and the last tenth; ms")
    for heading in TREND_HEADINGS:
        table.add_column(heading, justify="left" if not heading else "right")
    for row in trend_rows(trend):
        table.add_row(*row)
    console.print(table)
    console.print(growth_sentence(trend))
