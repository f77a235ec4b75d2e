"""Words with the times at which they were spoken, and the times of two shipped recordings."""

import json
import re
from pathlib import Path
from typing import NamedTuple

_NOT_A_WORD = re.compile(r"[^\w']+", re.UNICODE)
_WORD_OF_ITS_OWN = re.compile(r"([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
"""A character of a script without spaces: Thai, Japanese, Chinese."""


class TimedWord(NamedTuple):
    """A word of a recording; times are ms since its first sample."""

    word: str
    start_ms: int
    end_ms: int


def normalised(text: str) -> str:
    """Lower case, punctuation taken out, single spaces: what two transcripts are compared by. In
    scripts without spaces each character is a word."""
    words = _NOT_A_WORD.sub(" ", text.casefold().replace("’", "'"))
    return " ".join(_WORD_OF_ITS_OWN.sub(r" \1 ", words).split())


def read_words(path: Path) -> list[TimedWord]:
    """The words of a JSON list of ``{word, start_ms, end_ms}``, in the order they were spoken.

    Raises:
        ValueError: not such a list, or out of order.
        OSError: the file cannot be read.
    """
    try:
        words = [
            TimedWord(str(row["word"]), int(row["start_ms"]), int(row["end_ms"]))
            for row in json.loads(path.read_text())
        ]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} must be a list of {{word, start_ms, end_ms}}") from error
    if any(word.end_ms < word.start_ms for word in words) or words != sorted(
        words, key=lambda word: word.start_ms
    ):
        raise ValueError(f"the words of {path} must be in the order they were spoken")
    return words


def shipped(name: str) -> Path:
    """Where the words of the shipped recording ``name`` (without .wav) are, if they are."""
    return Path(__file__).parent / f"{name}.json"
