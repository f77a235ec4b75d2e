"""What Chromium's microphone made of a recording is told from what the page did."""

import numpy as np
import pytest

from engine.messages import SAMPLE_RATE, Audio
from gateway.audio import decode_file
from tests.page.microphone import MicrophoneFailedError, shifts, whole_recording
from tests.speech import speech

RECORDING = "beckett.wav"
AT = 5 * SAMPLE_RATE
"""In the recording: amid speech."""


def recording() -> Audio:
    return decode_file(speech(RECORDING))


def damaged(lost_ms: int, put_in_ms: int) -> Audio:
    whole = recording()
    silence = np.zeros(put_in_ms * SAMPLE_RATE // 1000, np.float32)
    return np.concatenate((whole[:AT], silence, whole[AT + lost_ms * SAMPLE_RATE // 1000 :]))


@pytest.mark.parametrize("late_ms", [0, 3, 700])
@pytest.mark.parametrize("gain", [0.5, 1.0])
def test_a_recording_that_came_late_or_less_loud_is_whole(late_ms: int, gain: float) -> None:
    late = np.zeros(late_ms * SAMPLE_RATE // 1000, np.float32)
    assert shifts(recording(), np.concatenate((late, gain * recording()))) == []


@pytest.mark.parametrize(("lost_ms", "put_in_ms"), [(10, 0), (60, 0), (0, 10), (0, 90)])
def test_what_was_lost_or_put_in_is_found(lost_ms: int, put_in_ms: int) -> None:
    found = shifts(recording(), damaged(lost_ms, put_in_ms))
    assert sum(ms for _, ms in found) == put_in_ms - lost_ms
    assert all(abs(at - AT / SAMPLE_RATE) < 1 for at, _ in found)


@pytest.mark.parametrize("lost_ms", [0, 50])
@pytest.mark.parametrize("fails", [False, True])
async def test_only_what_fails_with_a_damaged_recording_is_void(lost_ms: int, fails: bool) -> None:
    async def heard() -> Audio:
        return damaged(lost_ms, 0)

    async def run() -> None:
        async with whole_recording(RECORDING, heard):
            assert not fails, "the page's fault"

    if not fails:
        await run()
    elif lost_ms:
        with pytest.raises(MicrophoneFailedError, match=r"by -50 ms at [45]\.\d s"):
            await run()
    else:
        with pytest.raises(AssertionError, match="the page's fault"):
            await run()
