"""SVG plots are well-formed and say what they show."""

from xml.etree import ElementTree

import pytest

from gateway.bench.charts import Point, Series, chart, thinned


@pytest.mark.parametrize(
    "points", [[(0.0, 0.0)], [(1.0, 1e6), (2.0, 3.0)], [(0.001, 0.002)], [(7.0, 99.0), (9.0, 100)]]
)
@pytest.mark.parametrize("dots", [False, True])
def test_a_chart_is_well_formed_and_inside_its_frame(points: list[Point], dots: bool) -> None:
    text = chart([Series("a < b", points, dots)], "x & y", "z")

    root = ElementTree.fromstring(f"<div>{text}</div>")
    assert "a < b" in "".join(root.itertext())
    drawn = [e.get("d", "") for e in root.iter("path") if "s0" in e.get("class", "")]
    numbers = [float(n) for d in drawn for n in d.replace("h0", "").replace("M", " ")
               .replace("L", " ").split()]  # fmt: skip
    assert all(0 <= n <= 640 for n in numbers)


def test_no_points_are_said_in_words() -> None:
    assert chart([Series("a", [])], "x", "y") == "<p>Nothing was measured.</p>"


def test_a_mark_is_a_line_inside_the_frame() -> None:
    text = chart([Series("a", [(0.0, 1.0), (40.0, 2.0)])], "x", "y", mark=50)

    assert 'class="mark" d="M628.0 12V204"' in text


def test_many_points_are_thinned_evenly() -> None:
    points = [(float(i), 0.0) for i in range(10_000)]

    assert len(thinned(points)) <= 1500
    assert thinned(points[:10]) == points[:10]
