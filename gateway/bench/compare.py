"""Several servers side by side: who they are, and one table and page of what came out."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from rich import markup
from rich.console import Console
from rich.table import Table

from gateway.bench.charts import Series, chart
from gateway.bench.page import STYLE
from gateway.bench.plan import Kind
from gateway.bench.protocols import PROTOCOLS
from gateway.bench.server import Server
from gateway.bench.told import held_sentence

HEADINGS = (
    "sessions", "server", "word p50", "word p95", "stable p95", "words missed", "WER",
    "failed", "cores", "others", "peak MB", "",
)  # fmt: skip
WHAT = (
    "Word latency: a word's end spoken → first shown rightly (“stable”: not to change any more), "
    "in ms; it needs no position in the audio, so it means the same for every protocol. "
    "Cores and memory: of the server's process and its children; “others”: cores that neither it "
    "nor the load generator used. Where that is much, the row says little."
)


class Rival(NamedTuple):
    """A server to compare."""

    name: str
    server: Server
    protocol: str | None
    """None: as the load has it."""

    def kinds(self, kinds: Sequence[Kind]) -> list[Kind]:
        """Those of a load, as this server is spoken to."""
        return [kind.spoken_by(self.protocol or kind.protocol) for kind in kinds]


class Row(NamedTuple):
    """One run; without a report, the error says why."""

    name: str
    sessions: int
    report: dict[str, Any] | None
    error: str

    def cells(self) -> list[str]:
        """As in `HEADINGS`."""
        if self.report is None:
            return [str(self.sessions), self.name, *[""] * 9, self.error]
        result, words, usage = self.report, self.report["words"], self.report["usage"]
        held = [held_sentence(result["held"])] if result["held"] else []
        measured = usage and usage["gateway_peak_mb"]
        cores = usage["gateway_cores"] + usage["model_cores"] if measured else 0
        peak = usage["gateway_peak_mb"] + usage["model_peak_mb"] if measured else 0
        return [
            str(self.sessions), self.name,
            *(_ms(result[name][key]) for name, key in
              (("word_shown_ms", "p50"), ("word_shown_ms", "p95"), ("word_stable_ms", "p95"))),
            f"{words['missed']} of {words['spoken']}",
            "–" if result["wer"] is None else f"{result['wer']:.1%}",
            str(result["counts"]["sessions_failed"]),
            f"{cores:.2f}" if measured else "–",
            f"{max(0.0, usage['others_cores']):.2f}" if measured else "–",
            f"{peak:.0f}" if measured else "–",
            "; ".join(result["void"] + result["counts"]["failures"] + held),
        ]  # fmt: skip


def read_rival(text: str) -> Rival:
    """``NAME=URL[,protocol=P][,pid=N]``.

    Raises:
        ValueError: it is not that.
    """
    name, found, rest = text.partition("=")
    url, *options = rest.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    protocol, pid = given.pop("protocol", None), given.pop("pid", "")
    wrong = given or not (found and name and url) or (pid and not pid.isdecimal())
    if wrong or protocol not in (None, *PROTOCOLS):
        raise ValueError(
            f"--compare takes NAME=URL[,protocol=P][,pid=N] with a protocol of "
            f"{', '.join(PROTOCOLS)}; got {text!r}"
        )
    return Rival(name, Server(url, int(pid) if pid else None), protocol)


def print_comparison(console: Console, rows: Sequence[Row]) -> None:
    """A row for each run."""
    table = Table(title="Comparison; word latencies in ms")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("server", "") else "right")
    for row in rows:
        table.add_row(*map(markup.escape, row.cells()))
    console.print(table)


def comparison_page(rows: Sequence[Row]) -> str:
    """One self-contained HTML file: the table, and latency and CPU by sessions."""
    heads = "".join(f'<th scope="col">{each}</th>' for each in HEADINGS)
    lines = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row.cells()) + "</tr>"
        for row in rows
    )
    plots = [
        f"<h2>{title}</h2>{chart(_lines(rows, name, key), 'sessions', title)}"
        for title, name, key in (
            ("Word latency p50 (ms)", "word_shown_ms", "p50"),
            ("Word latency p95 (ms)", "word_shown_ms", "p95"),
        )
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Scribewire bench: comparison</title><style>{STYLE}</style></head><body>"
        f'<h1>Comparison</h1><p>{WHAT}</p><div class="wide"><table><tr>{heads}</tr>'
        f"{''.join(lines)}</table></div>{''.join(plots)}</body></html>\n"
    )


def _lines(rows: Sequence[Row], name: str, key: str) -> list[Series]:
    servers = dict.fromkeys(row.name for row in rows)
    points: dict[str, list[tuple[float, float]]] = {server: [] for server in servers}
    for row in rows:
        if row.report is not None and row.report[name][key] is not None:
            points[row.name].append((row.sessions, row.report[name][key]))
    return [Series(server, each) for server, each in points.items()]


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
