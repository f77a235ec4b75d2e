"""What the bench measured: as rows, as a table of text and as one plot. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import NamedTuple

WAYS = {
    "a": "everything again, one request at a time",
    "b": "windows of the encoder kept",
    "c": "and keys and values kept",
    "d": "and drafts",
}
INK, GRID = "#556", "#ccd"
COLOURS = {"a": "#8a8f98", "b": "#4c8bd6", "c": "#2fa084", "d": "#d9822b"}


@dataclass(frozen=True, slots=True)
class Row:
    """One mode's figures. Unless said otherwise: the mean over a segment's chunks, per segment."""

    mode: str
    batch: int
    segment_s: float
    chunk_s: float
    flops: float
    seconds: float | None
    """None where only counted. With a batch: of the batch's step, by the segments in it."""
    decode_steps: float
    """Passes of the decoder one after the other that a segment goes through, prefill included."""
    prefill_tokens: float
    encoder_frames: float
    flops_largest_chunk: float
    """The costliest chunk; of staggered segments, the costliest moment by the segments in it."""
    seconds_largest_chunk: float | None
    tokens_checksum: int
    """Of all hypotheses: the same in all modes."""
    choices_equal: float
    """Share of the decisions in which the weights chose the same token as in the first mode."""
    log_probability_error: float
    """The largest difference to the first mode in the chosen tokens' log probabilities."""
    accepted: float
    """Draft tokens kept."""
    step_s_p50: float | None
    """Latency: all segments of the batch, from their audio to their last token."""
    step_s_p95: float | None
    passes: float
    """Of the model, per step of the whole batch."""
    measured_segments: int
    """Of the batch; those of mode (a) do not see each other, a few stand for all."""
    evictions: int
    peak_memory_bytes: int | None
    matrix_share: float | None
    """FLOPs per second as a share of the measured matrix rate."""
    realtime: bool | None
    """Whether the 95th percentile of the steps is shorter than a chunk."""
    chunk_flops: tuple[float, ...]
    """Of each chunk, or moment, in order."""
    chunk_seconds: tuple[float, ...]


class Column(NamedTuple):
    """A figure of a row, and by what it is divided to be read."""

    title: str
    name: str
    unit: float
    compared: bool
    """With the first mode's, as a ratio beside it."""


COLUMNS = (
    Column("GFLOP", "flops", 1e9, True),
    Column("ms", "seconds", 1e-3, True),
    Column("steps", "decode_steps", 1, True),
    Column("prefilled", "prefill_tokens", 1, True),
    Column("frames", "encoder_frames", 1, True),
    Column("most GFLOP", "flops_largest_chunk", 1e9, True),
    Column("most ms", "seconds_largest_chunk", 1e-3, True),
    Column("accepted", "accepted", 1, False),
    Column("p50 ms", "step_s_p50", 1e-3, False),
    Column("p95 ms", "step_s_p95", 1e-3, False),
    Column("passes", "passes", 1, False),
    Column("peak GiB", "peak_memory_bytes", 1 << 30, False),
    Column("of matrix rate", "matrix_share", 1, False),
)


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that compare: the same batch, segment and chunk."""
    return [
        list(group)
        for _, group in groupby(rows, key=lambda row: (row.batch, row.segment_s, row.chunk_s))
    ]


def _title(row: Row) -> str:
    return f"batch {row.batch}, segments of {row.segment_s:g} s, chunks of {row.chunk_s:g} s"


def ratio(row: Row, first: Row, name: str) -> float | None:
    """A figure relative to the first mode's; None where either was not measured or is nothing."""
    value, base = getattr(row, name), getattr(first, name)
    return None if value is None or not base else float(value / base)


def table(rows: Sequence[Row]) -> str:
    """Markdown: one line a mode, ratios to the first mode in parentheses."""
    lines: list[str] = []
    for group in _groups(rows):
        used = [c for c in COLUMNS if any(getattr(row, c.name) is not None for row in group)]
        lines += [_title(group[0]), "", "| mode | " + " | ".join(c.title for c in used) + " |"]
        lines.append("| --- |" + " ---: |" * len(used))
        for row in group:
            cells = [_cell(row, group[0], column) for column in used]
            lines.append(f"| {row.mode} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(row: Row, first: Row, column: Column) -> str:
    value = getattr(row, column.name)
    if value is None:
        return "–"
    scaled = value / column.unit
    text = f"{scaled:.0f}" if scaled >= 100 else f"{scaled:.2f}"
    share = ratio(row, first, column.name)
    return f"{text} ({share:.2f})" if column.compared and share is not None else text


def plot(rows: Sequence[Row], note: str) -> str:
    """One SVG: a panel for each group, in it a block of bars for each figure, a bar a mode."""
    width, height, left, top = 900, 210, 40, 44
    groups = _groups(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} '
        f'{70 + len(groups) * height}" font-family="sans-serif" font-size="12" fill="{INK}">'
        f'<text x="{left}" y="20">{escape(note)}</text>'
    ]
    x = float(left)
    for mode in dict.fromkeys(row.mode for row in rows):
        label = f"({mode}) {WAYS[mode]}"
        parts.append(f'<rect x="{x:g}" y="31" width="10" height="10" fill="{COLOURS[mode]}"/>')
        parts.append(f'<text x="{x + 14:g}" y="40">{escape(label)}</text>')
        x += 26 + 6.2 * len(label)
    for i, group in enumerate(groups):
        parts += _panel(group, 56 + i * height, (width, height, left, top))
    return "".join(parts) + "</svg>"


def _panel(group: Sequence[Row], at: float, size: tuple[int, int, int, int]) -> list[str]:
    width, height, left, top = size
    used = [c for c in COLUMNS if c.compared and ratio(group[0], group[0], c.name)]
    tall = max(ratio(row, group[0], c.name) or 0.0 for row in group for c in used)
    floor, room = at + height - 28, height - top - 28
    parts = [
        f'<text x="{left}" y="{at + 16:g}">{escape(_title(group[0]))}: '
        f"relative to ({group[0].mode})</text>",
        f'<path stroke="{GRID}" d="M{left} {floor:g}H{width - 12}"/>',
    ]
    block = (width - left - 12) / len(used)
    bar = 0.8 * block / len(group)
    for i, column in enumerate(used):
        x = left + i * block + 0.1 * block
        middle = x + 0.4 * block
        parts.append(
            f'<text x="{middle:.1f}" y="{floor + 16:g}" text-anchor="middle">{column.title}</text>'
        )
        for row in group:
            share = ratio(row, group[0], column.name) or 0.0
            tallness = room * share / tall
            parts.append(
                f'<rect x="{x:.1f}" y="{floor - tallness:.1f}" width="{bar - 2:.1f}" '
                f'height="{tallness:.1f}" fill="{COLOURS[row.mode]}"/>'
                f'<text x="{x + bar / 2:.1f}" y="{floor - tallness - 3:.1f}" font-size="10" '
                f'text-anchor="middle">{share:.2f}</text>'
            )
            x += bar
    return parts
