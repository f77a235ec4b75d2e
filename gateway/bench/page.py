"""One self-contained HTML file: figures as tables, plots as inline SVG, light and dark."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from gateway.bench.figures import DESCRIPTIONS
from gateway.bench.plots import plots
from gateway.bench.report import Run
from gateway.bench.told import (
    KIND_HEADINGS,
    TREND_HEADINGS,
    capitalised,
    growth_sentence,
    held_sentence,
    kind_cells,
    trend_rows,
)

STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--dim:#5c5c66;--rule:#dcdce2;
--s0:#0b63c4;--s1:#b3400a;--s2:#1c7a3d;--s3:#7a3fb0;--bad:#b00020}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--paper:#16161a;--dim:#a6a6b2;--rule:#3a3a44;
--s0:#6cb2ff;--s1:#ff9d66;--s2:#6fd394;--s3:#c79bff;--bad:#ff8095}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}
th:first-child,td:first-child,td.what{text-align:left}td.what{color:var(--dim);min-width:18rem}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font-size:11px}
.mark{stroke:var(--bad);stroke-dasharray:4 4}
.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2}.dots{stroke-width:4;stroke-linecap:round;
stroke-opacity:.55}
path.s0{stroke:var(--s0)}path.s1{stroke:var(--s1)}path.s2{stroke:var(--s2)}path.s3{stroke:var(--s3)}
.legend span{margin-right:1.2rem;font-size:.85rem}.legend span::before{content:"■ "}
span.s0::before{color:var(--s0)}span.s1::before{color:var(--s1)}span.s2::before{color:var(--s2)}
span.s3::before{color:var(--s3)}
.void{border:2px solid var(--bad);padding:.6rem 1rem}pre{overflow-x:auto;font-size:.8rem}
"""


def page(run: Run, result: dict[str, Any], probes: Sequence[dict[str, Any]] = ()) -> str:
    """The report of a run; ``probes`` of a search, of which the run is the best."""
    sessions = result["counts"]["sessions"]
    body = [
        f"<h1>Scribewire bench: {sessions} session{'s' * (sessions != 1)}</h1>",
        f"<p>{escape(_subtitle(result))}</p>",
        *(f'<p class="void">This run is void: {escape(each)}.</p>' for each in result["void"]),
        *([_probes(probes)] if probes else []),
        *([_held(result["held"])] if result["held"] else []),
        *([_trend(result["trend"])] if result["trend"] else []),
        "<h2>Latencies, in ms</h2>",
        _latencies(result),
        *([_kinds(result["kinds"])] if len(result["kinds"]) > 1 else []),
        *plots(run, result),
        "<h2>Counts</h2>",
        _pairs(result["counts"] | {"word_error_rate": result["wer"]} | _flat("words", result)),
        "<h2>Server and load generator</h2>",
        _pairs(result["usage"] or {"usage": "the server runs elsewhere"}),
        "<h2>Options, machine, versions</h2>",
        f"<pre>{escape(json.dumps(_circumstances(result), indent=2))}</pre>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Scribewire bench</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _subtitle(result: dict[str, Any]) -> str:
    machine, options = result["machine"], result["options"]
    kinds = ", ".join(kind["name"] for kind in result["kinds"])
    return (
        f"chunk_ms={options.get('chunk_ms')}, {kinds}, {machine['cores']} cores of {machine['cpu']}"
    )


def _circumstances(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("options", "machine", "versions")}


def _flat(name: str, result: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_{key}": value for key, value in result[name].items()}


def _latencies(result: dict[str, Any]) -> str:
    keys = ("p50", "p95", "p99", "max", "count")
    rows = [
        [name, *("–" if result[name][key] is None else f"{result[name][key]:.0f}" for key in keys)]
        for name in DESCRIPTIONS
    ]
    return _table(["", *keys, "what"], rows, list(DESCRIPTIONS.values()))


def _probes(probes: Sequence[dict[str, Any]]) -> str:
    names = ("chunk_to_partial_ms", "chunk_to_text_with_wait_ms", "cadence_ms")
    rows = [
        [str(probe["sessions"]), *(str(probe["report"][name]["p95"]) for name in names)]
        for probe in probes
    ]
    verdicts = ["; ".join(probe["reasons"]) or "fits" for probe in probes]
    head = ["sessions", *(f"{name} p95" for name in names), "verdict"]
    return f"<h2>Probes, in order</h2>{_table(head, rows, verdicts)}"


def _held(held: dict[str, Any]) -> str:
    return f"<h2>How many it held</h2><p>{escape(capitalised(held_sentence(held)))}.</p>"


def _trend(trend: dict[str, Any]) -> str:
    rows = trend_rows(trend)
    return (
        "<h2>The first and the last tenth</h2>"
        f"<p>{escape(capitalised(growth_sentence(trend)))}.</p>"
        f"{_table(TREND_HEADINGS, rows)}"
    )


def _kinds(kinds: Sequence[dict[str, Any]]) -> str:
    rows = [kind_cells(kind) for kind in kinds]
    return f"<h2>Kinds of sessions; p50 / p95 in ms</h2>{_table(KIND_HEADINGS, rows)}"


def _table(head: Sequence[str], rows: list[list[str]], notes: Sequence[str] = ()) -> str:
    """Notes, if there are any, are a last column."""
    lines = [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + (f'<td class="what">{escape(note)}</td></tr>' if notes else "</tr>")
        for row, note in zip(rows, notes or [""] * len(rows), strict=True)
    ]  # fmt: skip
    heads = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(lines)}</table></div>'


def _pairs(pairs: dict[str, Any]) -> str:
    lines = (
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in pairs.items()
    )
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'
