"""Small SVG plots as text; colours and fonts are the page's. Pure."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 36
TICKS = 5

Point = tuple[float, float]


class Series(NamedTuple):
    """One line, or one cloud of dots."""

    name: str
    points: Sequence[Point]
    dots: bool = False


def chart(series: Sequence[Series], x_label: str, y_label: str, mark: float | None = None) -> str:
    """An ``<svg>``; both axes begin at 0. Series are told apart by ``class="s0"``, ``s1`` …

    Args:
        mark: an x at which a line goes up.
    """
    points = [point for each in series for point in each.points]
    if not points:
        return "<p>Nothing was measured.</p>"
    x_step = _step(max(x for x, _ in points))
    y_step = _step(max(y for _, y in points))
    x_most = _top(max(x for x, _ in points), x_step)
    y_most = _top(max(y for _, y in points), y_step)

    def x_of(x: float) -> float:
        return round(LEFT + x / x_most * (WIDTH - LEFT - RIGHT), 1)

    def y_of(y: float) -> float:
        return round(HEIGHT - BOTTOM - y / y_most * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    for y in _ticks(y_most, y_step):
        parts.append(f'<path class="grid" d="M{LEFT} {y_of(y)}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y_of(y) + 4}" text-anchor="end">{y:g}</text>')
    for x in _ticks(x_most, x_step):
        anchor = "end" if x_of(x) > WIDTH - 2 * RIGHT else "middle"  # not cut off by the frame
        parts.append(
            f'<text x="{x_of(x)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{x:g}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>'
    )
    if mark is not None:
        parts.append(f'<path class="mark" d="M{x_of(min(mark, x_most))} {TOP}V{HEIGHT - BOTTOM}"/>')
    for i, each in enumerate(series):
        at = [(x_of(x), y_of(y)) for x, y in each.points]
        parts.append(_dots(i, at) if each.dots else _line(i, at))
    return "".join(parts) + "</svg>" + _legend(series)


def thinned(points: Sequence[Point], most: int = 1500) -> list[Point]:
    """Evenly so many of them, so that a page stays small."""
    stride = max(1, -(-len(points) // most))
    return list(points[::stride])


def _line(i: int, at: list[Point]) -> str:
    path = "".join(f"{'L' if n else 'M'}{x} {y}" for n, (x, y) in enumerate(at))
    return f'<path class="line s{i}" d="{path}"/>'


def _dots(i: int, at: list[Point]) -> str:
    # A line of no length with round ends is a dot: one element for all of them.
    return f'<path class="dots s{i}" d="{"".join(f"M{x} {y}h0" for x, y in at)}"/>'


def _legend(series: Sequence[Series]) -> str:
    names = "".join(f'<span class="s{i}">{escape(s.name)}</span>' for i, s in enumerate(series))
    return f'<p class="legend">{names}</p>'


def _step(most: float) -> float:
    """A round distance between ticks."""
    rough = max(most, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough), 10 * power)


def _top(most: float, step: float) -> float:
    return max(step, -(-most // step) * step)


def _ticks(most: float, step: float) -> list[float]:
    return [i * step for i in range(round(most / step) + 1)]
