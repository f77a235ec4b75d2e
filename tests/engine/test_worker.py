"""The async worker around streams: batches, isolation, failures, cadence."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np

from engine.messages import Audio, Pcm, as_audio
from engine.runner import ThreadRunner
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.transcript import Event, Final, Finished, Overloaded, Partial, SegmentFailed
from engine.vad import FRAME, VadState, VoiceDetector
from engine.worker import FRAMES_A_PASS, BatchReport, Observers, Worker
from tests.engine.models.doubles import (
    HeldModel,
    LanesModel,
    OneWordASecondModel,
    RaisingModel,
    SlowModel,
    TellingModel,
)
from tests.waiting import until


class LoudnessDetector(VoiceDetector):
    """Takes for speech what is loud, so that tests can say what is."""

    def __init__(self) -> None:
        pass

    def listen(self, audio: list[Pcm], states: list[VadState]) -> list[list[float]]:
        return [
            [float(np.abs(pcm[at : at + FRAME]).max() > 0.1) for at in range(0, len(pcm), FRAME)]
            for pcm in map(as_audio, audio)
        ]


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self, fails_on: type | None = None) -> None:
        self.events: list[Event] = []
        self.finished, self.is_broken = asyncio.Event(), asyncio.Event()
        self._fails_on = fails_on

    def hear(self, events: Sequence[Event]) -> None:
        self.events += events
        if any(isinstance(event, Finished) for event in events):
            self.finished.set()
        if self._fails_on and any(isinstance(event, self._fails_on) for event in events):
            raise ValueError("the listener is at fault")

    def broken(self) -> None:
        self.is_broken.set()

    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Final)]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def speech(seconds: float) -> Audio:
    return np.full(int(16_000 * seconds), 0.5, np.float32)


def speech_16_bit(seconds: float) -> Pcm:
    return np.full(int(16_000 * seconds), 16_384, np.int16)


def silence(seconds: float) -> Audio:
    return np.zeros(int(16_000 * seconds), np.float32)


@asynccontextmanager
async def running(
    model: OneWordASecondModel, observers: Observers | None = None
) -> AsyncIterator[Worker]:
    worker = Worker(ThreadRunner(model), LoudnessDetector(), observers)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.close()


async def speak(session: SpeechSession, *audio: Audio) -> None:
    for each in audio:
        for at in range(0, len(each), 1600):
            session.push(each[at : at + 1600])
            await asyncio.sleep(0)


async def test_speech_becomes_finals_in_order_and_the_session_ends() -> None:
    model = OneWordASecondModel()
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", StreamOptions(), recorder)
        await speak(session, speech(2.2), silence(1), speech(1.2), silence(1))
        session.close_segment("stop")
        await asyncio.wait_for(recorder.finished.wait(), 10)

    assert recorder.texts() == ["word0 word1", " word0"]
    assert [key.segment for key in model.forgotten] == [1, 2]
    assert session.stream.nbytes == 0, "its audio does not wait for the garbage collector"


async def test_models_get_float32_however_the_audio_came() -> None:
    model = OneWordASecondModel()
    async with running(model) as worker:
        recorders = [Recorder() for _ in range(2)]
        for recorder, audio in zip(recorders, (speech(1.2), speech_16_bit(1.2)), strict=True):
            session = worker.open(str(audio.dtype), StreamOptions(), recorder)
            session.push(audio)
            session.close_segment("stop")
        await asyncio.wait_for(asyncio.gather(*(each.finished.wait() for each in recorders)), 10)

    assert {step.key.session for step in model.steps} == {"float32", "int16"}
    assert {str(step.audio.dtype) for step in model.steps} == {"float32"}
    assert all((step.audio == 0.5).all() for step in model.steps)


async def test_all_are_heard_when_there_are_more_than_a_pass_takes() -> None:
    async with running(OneWordASecondModel()) as worker:
        recorders = [Recorder() for _ in range(FRAMES_A_PASS // 2)]
        for i, recorder in enumerate(recorders):
            session = worker.open(f"s{i}", StreamOptions(), recorder)
            session.push(speech(1.2))
            session.close_segment("stop")
        async with asyncio.timeout(20):
            await asyncio.gather(*(recorder.finished.wait() for recorder in recorders))

    assert all(recorder.texts() == ["word0"] for recorder in recorders)


class LaboriousDetector(LoudnessDetector):
    """Holds everybody up for as long as a pass with many frames would."""

    def listen(self, audio: list[Pcm], states: list[VadState]) -> list[list[float]]:
        time.sleep(0.02)
        return super().listen(audio, states)


async def test_it_is_known_for_how_long_audio_waits_to_be_heard() -> None:
    worker = Worker(ThreadRunner(OneWordASecondModel()), LaboriousDetector())
    await worker.start()
    try:
        sessions = [worker.open(f"s{i}", StreamOptions(), Recorder()) for i in range(500)]
        assert worker.unheard_s == 0
        for session in sessions:
            session.push(silence(0.1))
        waited = 0.0
        while worker.unheard_s:
            waited = max(waited, worker.unheard_s)
            await asyncio.sleep(0.005)
        assert waited > 3 * 0.02, "a pass takes a part of them"
    finally:
        await worker.close()


async def test_while_audio_waits_to_be_heard_partials_come_less_often() -> None:
    """And when it waits no more, who has said enough has one, whether more audio comes or not."""
    worker = Worker(ThreadRunner(OneWordASecondModel()), LaboriousDetector())
    await worker.start()
    try:
        recorder = Recorder()
        speaking = worker.open("speaking", StreamOptions(), recorder)
        for i in range(1000):
            worker.open(f"s{i}", StreamOptions(), Recorder()).push(silence(1.2))
        await until(lambda: worker.cadence_in_force > speaking.stream.options.cadence)
        speaking.push(speech(2.1))

        await until(lambda: recorder.count(Partial), within_s=30)
        await until(lambda: worker.cadence_in_force <= speaking.stream.options.cadence)
    finally:
        await worker.close()


async def test_segments_that_are_due_together_share_a_batch() -> None:
    model = SlowModel(0.05)
    reports: list[BatchReport] = []
    async with running(model, Observers(batch=reports.append)) as worker:
        recorders = [Recorder() for _ in range(8)]
        for i, recorder in enumerate(recorders):
            session = worker.open(f"s{i}", StreamOptions(), recorder)
            session.push(speech(3))
            session.close_segment("stop")
        for recorder in recorders:
            await asyncio.wait_for(recorder.finished.wait(), 10)

    assert max(model.batches) == model.info.max_batch
    assert sum(len(report.results) for report in reports) == len(model.steps)
    assert all(recorder.texts() == ["word0 word1 word2"] for recorder in recorders)


async def test_how_long_each_step_waited_for_its_batch_is_told() -> None:
    """From the moment that its segment was due, also while nobody could take it."""
    model, reports = HeldModel(), list[BatchReport]()
    async with running(model, Observers(batch=reports.append)) as worker:
        recorders = [Recorder(), Recorder()]
        first, second = (worker.open(f"s{i}", StreamOptions(), recorders[i]) for i in range(2))
        first.push(speech(2.1))
        await until(lambda: model.waiting == 1)
        assert worker.queue_depth == 0
        second.push(speech(2.1))
        await until(lambda: worker.queue_depth == 1)
        began = time.perf_counter()
        await asyncio.sleep(0.2)
        held_s = time.perf_counter() - began
        model.permit(10)
        await until(lambda: len(reports) == 2)
        assert worker.queue_depth == 0

    assert [report.keys for report in reports] == [[("s0", 1)], [("s1", 1)]]
    assert reports[0].waited_s[0] < 0.1
    assert held_s <= reports[1].waited_s[0] < held_s + 1
    assert reports[1].busy_s > 0


async def test_who_is_discarded_waits_for_nothing() -> None:
    model = HeldModel()
    async with running(model) as worker:
        first, second = (worker.open(f"s{i}", StreamOptions(), Recorder()) for i in range(2))
        first.push(speech(2.1))
        await until(lambda: model.waiting == 1)
        second.push(speech(2.1))
        await until(lambda: worker.queue_depth == 1)
        second.discard()

        assert worker.queue_depth == 0
        model.permit(1)


async def test_a_model_with_lanes_takes_batches_side_by_side() -> None:
    model = LanesModel(2, seconds=0.2)
    async with running(model) as worker:
        recorders = [Recorder() for _ in range(4)]
        for i, recorder in enumerate(recorders):
            session = worker.open(f"s{i}", StreamOptions(), recorder)
            session.push(speech(3))
            session.close_segment("stop")
        for recorder in recorders:
            await asyncio.wait_for(recorder.finished.wait(), 10)

    assert model.most_at_once == 2
    assert all(recorder.texts() == ["word0 word1 word2"] for recorder in recorders)


async def test_a_step_that_failed_before_has_all_lanes_for_itself() -> None:
    model = LanesModel(2, seconds=0.05, poison="poison")
    async with running(model) as worker:
        recorders = [Recorder() for _ in range(6)]
        for i, recorder in enumerate(recorders):
            name = "poison" if i == 2 else f"s{i}"
            session = worker.open(name, StreamOptions(), recorder)
            session.push(speech(3))
            session.close_segment("stop")
        for recorder in recorders:
            await asyncio.wait_for(recorder.finished.wait(), 10)

    assert model.poisoned_with[1:] == [0, 0]  # how many others ran when it was tried again
    assert [recorder.texts() for recorder in recorders if recorder is not recorders[2]] == [
        ["word0 word1 word2"]
    ] * 5


async def test_a_segment_is_in_one_step_at_a_time_and_the_next_takes_all_audio() -> None:
    """P6: no backlog, however slow the model."""
    model = SlowModel(0.2)
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", StreamOptions(chunk=8000), recorder)
        for _ in range(20):
            await speak(session, speech(0.5))
            await asyncio.sleep(0.02)
        session.close_segment("stop")
        await asyncio.wait_for(recorder.finished.wait(), 10)

    lengths = [len(step.audio) for step in model.steps]
    assert lengths == sorted(lengths)
    assert len(lengths) < 10  # twenty chunks came; steps were too slow for one each
    assert lengths[-1] == 160_000


async def test_silence_costs_no_step() -> None:
    """P9."""
    model = OneWordASecondModel()
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", StreamOptions(), recorder)
        await speak(session, silence(30))
        session.close_segment("stop")
        await asyncio.wait_for(recorder.finished.wait(), 10)

    assert model.steps == []


async def test_a_model_that_raises_fails_its_segment_only() -> None:
    async with running(RaisingModel()) as worker:
        poison, healthy = Recorder(), Recorder()
        for name, recorder in (("poison", poison), ("healthy", healthy)):
            session = worker.open(name, StreamOptions(), recorder)
            await speak(session, speech(3), silence(1), speech(2), silence(1))
            session.close_segment("stop")
        await asyncio.wait_for(poison.finished.wait(), 10)
        await asyncio.wait_for(healthy.finished.wait(), 10)

    assert healthy.texts() == ["word0 word1 word2", " word0 word1"]
    assert healthy.count(SegmentFailed) == 0
    assert poison.count(SegmentFailed) == 2
    assert poison.texts() == ["", ""]


async def test_a_listener_that_fails_breaks_its_session_only() -> None:
    async with running(OneWordASecondModel()) as worker:
        bad, good = Recorder(fails_on=Partial), Recorder()
        sessions = [
            worker.open(f"{i}", StreamOptions(), each) for i, each in enumerate((bad, good))
        ]
        for session in sessions:
            await speak(session, speech(3))
        await asyncio.wait_for(bad.is_broken.wait(), 10)
        sessions[1].close_segment("stop")
        await asyncio.wait_for(good.finished.wait(), 10)
        assert worker.ready

    assert good.texts() == ["word0 word1 word2"]
    assert bad.texts() == []


async def test_a_discarded_session_says_nothing_more() -> None:
    model = SlowModel(0.1)
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", StreamOptions(), recorder)
        await speak(session, speech(3))
        await until(lambda: bool(model.steps))
        session.discard()
        heard = len(recorder.events)
        await asyncio.sleep(0.3)

    assert len(recorder.events) == heard
    assert model.forgotten
    assert session.stream.nbytes == 0


async def test_under_overload_the_cadence_stretches_evenly_and_is_said() -> None:
    """P6. A step takes 0.25 s; four sessions want one per 0.5 s of audio, sent at 4 × its pace."""
    model = SlowModel(0.25)
    async with running(model) as worker:
        recorders = [Recorder() for _ in range(4)]
        sessions = [
            worker.open(f"s{i}", StreamOptions(chunk=8000, endpoint=0), recorder)
            for i, recorder in enumerate(recorders)
        ]
        for _ in range(60):
            for session in sessions:
                session.push(speech(0.2))
            await asyncio.sleep(0.05)
        for session in sessions:
            session.close_segment("stop")
        for recorder in recorders:
            await asyncio.wait_for(recorder.finished.wait(), 20)

    told = [e.cadence_ms for r in recorders for e in r.events if isinstance(e, Overloaded)]
    assert told
    assert min(told) > 750
    partials = [recorder.count(Partial) for recorder in recorders]
    assert max(partials) - min(partials) <= 1
    assert all(recorder.texts() == [recorders[0].texts()[0]] for recorder in recorders)


async def test_partials_come_every_half_second_on_auto_while_there_is_capacity() -> None:
    async with running(OneWordASecondModel()) as worker:
        recorder = Recorder()
        session = worker.open("one", StreamOptions(chunk=None), recorder)
        for _ in range(80):
            session.push(speech(0.1))
            await asyncio.sleep(0.005)
        session.close_segment("stop")
        await asyncio.wait_for(recorder.finished.wait(), 10)

    ends = [event.end for event in recorder.events if isinstance(event, Partial)]
    gaps = [b - a for a, b in pairwise(ends)]
    assert len(ends) >= 12
    assert sorted(gaps)[len(gaps) // 2] <= 16_000 * 0.6


async def test_text_grows_while_a_step_is_on_its_way() -> None:
    async with running(TellingModel(seconds=0.01)) as worker:
        listener = Recorder()
        session = worker.open("a", StreamOptions(stream_tokens=True), listener)
        await speak(session, speech(2.1))
        await until(lambda: listener.count(Partial) == 3)
        session.close_segment("stop")
        await listener.finished.wait()

    partials = [event for event in listener.events if isinstance(event, Partial)]
    assert [partial.unstable for partial in partials] == ["word0", "word0 word1", "word0 word1"]
    assert listener.texts() == ["word0 word1"]
