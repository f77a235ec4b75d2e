"""Text cut into cues as captions are read: at most two lines of 42 columns, broken by phrase. Pure.

The figures are the usual ones for subtitles (Netflix' and the BBC's guides: 42 and 37 Latin
characters, two lines); a wide character, as of Chinese, counts as two (Unicode UAX #11).
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import regex

MAX_COLUMNS = 42
MAX_LINES = 2

_ATOM = regex.compile(r"\s+|[^\s]+")
_GRAPHEME = regex.compile(r"\X")
_SENTENCE_END = regex.compile(r"[.?!…。？！｡؟۔।][\p{Pe}\p{Pf}\"']*$")
_CLAUSE_END = regex.compile(r"[,;:–—、，；：،؛][\p{Pe}\p{Pf}\"']*$")
_NOT_FIRST = regex.compile(r"[\p{Pe}\p{Pf}\p{Po}\p{Lm}ぁぃぅぇぉっゃゅょァィゥェォッャュョ]")
"""What no line begins with where there are no spaces (after JIS X 4051)."""
_NOT_LAST = regex.compile(r"[\p{Ps}\p{Pi}]")
_SHORT_COLUMNS = 3
"""A word of so few columns (an article, a preposition) belongs with the next one."""

# What a break costs after the end of a sentence, of a clause, elsewhere, and behind a short word.
_LINE_COSTS = (0.2, 0.0, 2.0, 3.0)
_CUE_COSTS = (0.0, 0.6, 3.0, 5.0)
_EACH_LINE, _EACH_CUE, _UNEVEN = 0.3, 0.6, 1.5


@dataclass(frozen=True, slots=True)
class Cut:
    """A cue's text and where in the whole it comes from."""

    start: int
    end: int
    lines: tuple[str, ...]


def columns(text: str) -> int:
    """How wide a text is: what is wide counts twice, marks that combine not at all."""
    return sum(max(map(_width, grapheme)) for grapheme in _GRAPHEME.findall(text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


@lru_cache(maxsize=1024)  # who fetches captions again and again fetches mostly the same
def cut(text: str) -> tuple[Cut, ...]:
    """The cues of a text that is on one line, in order; all of it but spaces at breaks."""
    measured = _Measured(text)
    best: dict[_State, tuple[float, _State | None]] = {(0, 0): (0.0, None)}
    for end in range(1, len(measured.borders)):
        for start in range(end - 1, -1, -1):
            width = measured.width(start, end)
            if width > MAX_COLUMNS and end - start > 1:
                break
            _end_line(best, start, end, measured.kinds[end], width)
    return tuple(_cues(measured, best))


_State = tuple[int, int]
"""A border that has been reached, and how many lines the cue there has already; 0: it is over."""


class _Measured:
    """A text's borders, where lines may end, and what is known of each."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.borders = _borders(text)
        pieces = [text[a:b] for a, b in pairwise(self.borders)]
        self._up_to = [0, *accumulate(map(columns, pieces))]
        self._spaces = [0, *(columns(each) - columns(each.rstrip()) for each in pieces)]
        self.kinds = [2, *map(_kind, pieces)]

    def width(self, start: int, end: int) -> int:
        """Columns of the line between two borders."""
        return self._up_to[end] - self._spaces[end] - self._up_to[start]

    def line(self, start: int, end: int) -> str:
        """The line between two borders."""
        return self.text[self.borders[start] : self.borders[end]].strip()


def _end_line(
    best: dict[_State, tuple[float, _State | None]], start: int, end: int, kind: int, width: int
) -> None:
    """Takes note of what it costs to have a line here, wherever in a cue it can be."""
    uneven = _UNEVEN * (1 - min(width, MAX_COLUMNS) / MAX_COLUMNS) ** 2
    for used in range(MAX_LINES):
        if (start, used) not in best:
            continue
        cost = best[start, used][0] + _EACH_LINE + uneven + (0 if used else _EACH_CUE)
        reached = {(end, 0): cost + _CUE_COSTS[kind]}
        if used + 1 < MAX_LINES:
            reached[end, used + 1] = cost + _LINE_COSTS[kind]
        for state, least in reached.items():
            if state not in best or least < best[state][0]:
                best[state] = (least, (start, used))


def _cues(measured: _Measured, best: dict[_State, tuple[float, _State | None]]) -> list[Cut]:
    """The cheapest way to the text's end."""
    path: list[_State] = []
    state: _State | None = (len(measured.borders) - 1, 0)
    while state is not None:
        path.append(state)
        state = best[state][1]
    cues: list[Cut] = []
    lines: list[str] = []
    for (start, used), (end, after) in pairwise(reversed(path)):
        if used == 0:
            lines, began = [], measured.borders[start]
        lines.append(measured.line(start, end))
        if after == 0 and any(lines):
            cues.append(Cut(began, measured.borders[end], tuple(filter(None, lines))))
    return cues


def _kind(piece: str) -> int:
    """What a line ends with, as an index of the costs."""
    word = piece.rstrip()
    if _SENTENCE_END.search(word):
        return 0
    if _CLAUSE_END.search(word):
        return 1
    return 3 if word != piece and columns(word) <= _SHORT_COLUMNS else 2


def _borders(text: str) -> list[int]:
    """Where a line may end, with 0 and the text's length."""
    borders = {0, len(text)}
    for match in _ATOM.finditer(text):
        if match[0].isspace():
            borders.add(match.end())
        else:
            borders.update(_within(match[0], match.start()))
    return sorted(borders)


def _within(word: str, at: int) -> list[int]:
    """Borders within a word: beside wide characters, and wherever a line would be too long."""
    found: list[int] = []
    width = 0
    for before, after in pairwise(_GRAPHEME.findall(word)):
        at += len(before)
        width += columns(before)
        beside_wide = columns(before) == 2 or columns(after) == 2
        allowed = beside_wide and not _NOT_FIRST.match(after) and not _NOT_LAST.match(before)
        if allowed or width + columns(after) > MAX_COLUMNS:
            found.append(at)
            width = 0
    return found
