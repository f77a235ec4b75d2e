"""Whether Chromium's microphone delivered a recording whole.

That microphone is a thread that plays a file by the clock, into a buffer of 0.1 s. Where a machine
stands still for so long now and then, as a virtual one may whose cores are all taken, some of the
recording is lost or silence is put in. A test that expects each word is void then, and is repeated.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pytest

from engine.messages import SAMPLE_RATE, Audio, Pcm, as_audio
from gateway.audio import decode_file
from tests.speech import speech

Test = TypeVar("Test", bound=Callable[..., Awaitable[None]])

PIECE, EVERY = SAMPLE_RATE // 5, SAMPLE_RATE // 10
"""Looked for in what was heard: pieces of so many samples, one every so many."""
QUIET, ALIKE = 0.01, 0.9
"""RMS below which a piece is not looked for, and the correlation with which it is found."""
SHIFT_MS = 5
"""A piece that comes this much earlier or later than the one before: audio was lost, or put in."""


class MicrophoneFailedError(Exception):
    """The message says what became of the recording, and when."""


TRIES, TRY_WITHIN_S = 3, 100


def needs_microphone(test: Test) -> Test:
    """Marks a test that has something in `whole_recording`."""
    void = pytest.mark.flaky(reruns=TRIES - 1, only_rerun=[MicrophoneFailedError])
    in_time = pytest.mark.timeout(TRY_WITHIN_S, func_only=True)  # else it is of the first try alone
    marked: Test = void(in_time(test))
    return marked


@asynccontextmanager
async def whole_recording(name: str, heard: Callable[[], Awaitable[Pcm]]) -> AsyncIterator[None]:
    """What fails in it is nobody's fault if the recording did not come whole.

    Only for what depends on it: a page that shows other words than there are in what it captured is
    at fault, whatever that is.

    Args:
        heard: what came of it, 16 kHz, shape ``(n,)``.

    Raises:
        MicrophoneFailedError: it did not, and something failed.
    """
    try:
        yield
    except AssertionError as error:
        if damage := shifts(decode_file(speech(name)), as_audio(await heard())):
            told = ", ".join(f"{ms:+d} ms at {at:.1f} s" for at, ms in damage)
            raise MicrophoneFailedError(f"Chromium shifted {name} by {told}") from error
        raise


def shifts(recording: Audio, heard: Audio) -> list[tuple[float, int]]:
    """Where the delay of a recording changed: in which second of it, and by how many ms.

    Negative: so much was lost; positive: so much was put in.
    """
    changes = (
        (at, round(after - before))
        for (_, before), (at, after) in pairwise(_delays(recording, heard))
    )
    return [(at, ms) for at, ms in changes if abs(ms) >= SHIFT_MS]


def _delays(recording: Audio, heard: Audio) -> Iterator[tuple[float, float]]:
    """In which second each piece of a recording is, and by how many ms it came later."""
    for at in range(0, len(recording) - PIECE, EVERY):
        piece = recording[at : at + PIECE]
        if np.sqrt(np.mean(piece**2)) < QUIET:
            continue
        first = max(0, at - SAMPLE_RATE)
        around = heard[first : at + PIECE + 2 * SAMPLE_RATE]
        if len(around) < PIECE:
            return
        energy = np.convolve(around**2, np.ones(PIECE, np.float32), "valid")
        found = np.correlate(around, piece, "valid") / np.sqrt(energy * np.sum(piece**2) + 1e-9)
        best = int(found.argmax())
        if found[best] > ALIKE:
            yield at / SAMPLE_RATE, (first + best - at) * 1000 / SAMPLE_RATE
