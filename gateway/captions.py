"""Captions of a session as plain text, JSON, SRT or WebVTT."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
    return "\n".join(
        f"{number}\n{_timing(cue, ',')}\n{_ARROW.sub('->', cue.text)}\n"
        for number, cue in enumerate(_cues(captions), start=1)
    )


def to_vtt(captions: Sequence[Caption]) -> str:
    """WebVTT (W3C): escaped text; captions without text are left out."""
    cues = [f"\n{_timing(cue, '.')}\n{_escaped(cue.text)}\n" for cue in _cues(captions)]
    return "WEBVTT\n" + "".join(cues)


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
