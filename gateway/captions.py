"""Captions of a session as plain text, JSON, SRT or WebVTT."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from gateway.caption_lines import Cut, columns, cut

_ARROW = re.compile("-{2,}>")


@dataclass(frozen=True, slots=True)
class Caption:
    """One segment's final text, with its own leading space, and the audio it covers."""

    text: str
    start_ms: int
    end_ms: int


def to_text(captions: Sequence[Caption]) -> str:
    """All text, concatenated exactly as it is: segments carry the spaces that part them."""
    return "".join(caption.text for caption in captions)


def to_document(captions: Sequence[Caption]) -> dict[str, Any]:
    """``{"text": …, "segments": [{"text", "start_ms", "end_ms"}, …]}``, without empty segments."""
    segments = [asdict(caption) for caption in captions if caption.text]
    return {"text": to_text(captions), "segments": segments}


def to_json(captions: Sequence[Caption]) -> str:
    """`to_document` on one line of JSON, in its own script rather than in escapes."""
    return json.dumps(to_document(captions), ensure_ascii=False)


def to_srt(captions: Sequence[Caption]) -> str:
    """SubRip: numbered cues with a decimal comma; captions without text are left out."""
    return _srt(_cues(captions))


def to_vtt(captions: Sequence[Caption]) -> str:
    """WebVTT (W3C): escaped text; captions without text are left out."""
    return to_cues_vtt(_cues(captions))


def to_broken_srt(captions: Sequence[Caption]) -> str:
    """`to_srt` of cues as they are read: two lines of 42 columns at most, broken by phrase."""
    return _srt(broken(captions))


def to_broken_vtt(captions: Sequence[Caption]) -> str:
    """`to_vtt`, likewise."""
    return to_cues_vtt(broken(captions))


def to_cues_vtt(cues: Sequence[Caption], header: str = "") -> str:
    """WebVTT of cues that are `broken` already.

    Args:
        header: lines that follow ``WEBVTT``.
    """
    return f"WEBVTT\n{header}" + "".join(
        f"\n{_timing(cue, '.')}\n{_escaped(cue.text)}\n" for cue in cues
    )


def broken(captions: Sequence[Caption]) -> list[Caption]:
    """Cues of short lines. A part of a caption has a part of its time, by its share of columns."""
    return [
        Caption("\n".join(part.lines), cue.start_ms + start, cue.start_ms + max(end, start + 1))
        for cue in _cues(captions)
        for part, start, end in _timed(cue)
    ]


def _srt(cues: Sequence[Caption]) -> str:
    return "\n".join(
        f"{number}\n{_timing(cue, ',')}\n{_ARROW.sub('->', cue.text)}\n"
        for number, cue in enumerate(cues, start=1)
    )


def _timed(cue: Caption) -> Iterator[tuple[Cut, int, int]]:
    parts = cut(cue.text)
    widths = [sum(map(columns, part.lines)) for part in parts]
    length_ms, total = cue.end_ms - cue.start_ms, max(sum(widths), 1)
    ends = [length_ms * each // total for each in accumulate(widths)]
    yield from zip(parts, [0, *ends], ends, strict=False)


def _cues(captions: Sequence[Caption]) -> list[Caption]:
    """Captions that can be shown: text on one line, and an end after the start.

    A blank line ends a cue in both formats, and SRT has no escapes, so text gets no line breaks.
    """
    cues = []
    for caption in captions:
        lines = (line.strip() for line in caption.text.splitlines())
        text = " ".join(line for line in lines if line)
        start_ms = max(caption.start_ms, 0)
        if text:
            cues.append(Caption(text, start_ms, max(caption.end_ms, start_ms + 1)))
    return cues


def _timing(cue: Caption, decimal: str) -> str:
    return f"{_timestamp(cue.start_ms, decimal)} --> {_timestamp(cue.end_ms, decimal)}"


def _timestamp(ms: int, decimal: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal}{ms:03}"


def _escaped(text: str) -> str:
    # With ">" escaped no "-->" is left, which would end the cue's text.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
