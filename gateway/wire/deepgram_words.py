"""A transcript's words with times, as Deepgram's clients want them on every result. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.spacing import words

Word = dict[str, Any]


def timed_words(text: str, start_ms: int, end_ms: int, confidence: float) -> list[Word]:
    """Words spread over the speech that they are in, each by its length: an estimate.

    In scripts without spaces each character is a word.
    """
    spoken = _spoken(text)
    lengths = [len(word) + 1 for word in spoken]
    whole, at = sum(lengths), 0
    result = []
    for word, length in zip(spoken, lengths, strict=True):
        bounds = [start_ms + (end_ms - start_ms) * part / whole for part in (at, at + length)]
        at += length
        result.append(_word(word, bounds[0], bounds[1], confidence))
    return result


def aligned_words(text: str, aligned: Sequence[Mapping[str, Any]], confidence: float) -> list[Word]:
    """Words with the times that an aligner found; it knows no punctuation."""
    spoken = _spoken(text)
    if len(spoken) != len(aligned):
        spoken = [each["text"] for each in aligned]
    return [
        _word(word, each["start_ms"], each["end_ms"], confidence)
        for word, each in zip(spoken, aligned, strict=True)
    ]


def _spoken(text: str) -> list[str]:
    """The words of a text with their punctuation, without spaces."""
    result: list[str] = []
    waiting = ""
    for piece in map(str.strip, words(text)):
        if any(map(str.isalnum, piece)):
            result.append(waiting + piece)
            waiting = ""
        elif result:
            result[-1] += piece
        else:
            waiting += piece
    return result


def _word(punctuated: str, start_ms: float, end_ms: float, confidence: float) -> Word:
    letters = [i for i, character in enumerate(punctuated) if character.isalnum()]
    return {
        "word": punctuated[letters[0] : letters[-1] + 1].lower() if letters else punctuated,
        "start": round(start_ms / 1000, 3),
        "end": round(end_ms / 1000, 3),
        "confidence": confidence,
        "punctuated_word": punctuated,
    }
