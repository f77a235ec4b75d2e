"""Recordings beside live sessions: they get what is left over, and their own pace."""

import asyncio
from dataclasses import replace
from itertools import pairwise

from engine.segment import StreamOptions
from engine.transcript import Final, Overloaded, Partial
from tests.engine.models.doubles import INFO, HeldModel
from tests.engine.test_worker import Recorder, running, silence, speech
from tests.waiting import until

BACKGROUND = StreamOptions(background=True)


async def test_live_steps_go_first_and_share_no_batch_with_a_recordings() -> None:
    model = HeldModel()
    async with running(model) as worker:
        recorders = [Recorder() for _ in range(3)]
        for i in (0, 1):
            recording = worker.open(f"recording {i}", BACKGROUND, recorders[i])
            recording.push(speech(3))
            recording.close_segment("stop")
        await until(lambda: bool(model.waiting))  # one batch of recordings is being computed
        late = worker.open("recording 2", BACKGROUND, recorders[2])
        late.push(speech(25))
        late.close_segment("stop")
        live = Recorder()
        session = worker.open("live", StreamOptions(), live)
        session.push(speech(1))
        session.close_segment("stop")
        await until(lambda: all(not each.waiting for each in (late.stream, session.stream)))
        model.permit(100)
        for recorder in (*recorders, live):
            await asyncio.wait_for(recorder.finished.wait(), 10)

    names = [{step.key.session for step in batch} for batch in model.taken]
    assert {"live"} in names
    assert names.index({"live"}) < next(i for i, each in enumerate(names) if "recording 2" in each)


async def test_a_lane_is_kept_for_live_sessions_while_there_are_any() -> None:
    model = HeldModel()
    model.info = replace(INFO, max_batch=1, lanes=2)
    async with running(model) as worker:
        live = worker.open("live", StreamOptions(), Recorder())
        recorders = [Recorder() for _ in range(3)]
        for i, recorder in enumerate(recorders):
            recording = worker.open(f"recording {i}", BACKGROUND, recorder)
            recording.push(speech(3))
            recording.close_segment("stop")
        await until(lambda: model.waiting == 1)
        live.push(speech(1))
        live.close_segment("stop")
        await until(lambda: model.waiting == 2)
        assert [batch[0].key.session for batch in model.taken][1] == "live"
        model.permit(100)
        for recorder in recorders:
            await asyncio.wait_for(recorder.finished.wait(), 10)


async def test_without_live_sessions_recordings_have_all_lanes() -> None:
    model = HeldModel()
    model.info = replace(INFO, max_batch=1, lanes=2)
    async with running(model) as worker:
        for i in range(3):
            recording = worker.open(f"recording {i}", BACKGROUND, Recorder())
            recording.push(speech(3))
            recording.close_segment("stop")
        await until(lambda: model.waiting == 2)
        model.permit(100)


async def test_a_session_that_gets_audio_when_it_is_idle_is_stepped_chunk_by_chunk() -> None:
    model = HeldModel()
    model.permit(100)
    async with running(model) as worker:
        recorder, moved = Recorder(), asyncio.Event()
        session = worker.open("one", BACKGROUND, recorder)
        session.on_progress = moved.set
        for block in [speech(2)] * 6 + [silence(2)] * 2:
            session.push(block)
            assert not session.idle
            async with asyncio.timeout(10):
                while not session.idle:
                    moved.clear()
                    await moved.wait()

    ends = [event.end for event in recorder.events if isinstance(event, Partial)]
    gaps = [end - earlier for earlier, end in pairwise([0, *ends])]
    assert len(gaps) == 5
    assert all(2.0 <= gap / 16_000 < 2.4 for gap in gaps)
    assert recorder.count(Final) == 1
    assert len(model.steps) == 6  # the final was not begun before the silence was long enough
    assert recorder.count(Overloaded) == 0


async def test_what_is_stable_was_said_by_two_chunks() -> None:
    model = HeldModel()
    model.permit(100)
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", replace(BACKGROUND, cold_chunks=1), recorder)
        for _ in range(6):
            session.push(speech(2))
            await until(lambda: session.idle)

    partials = [event for event in recorder.events if isinstance(event, Partial)]
    # Two chunks are a cold start; then all but five tokens of what the chunk before had.
    assert [len(partial.stable.split()) for partial in partials] == [0, 0, 0, 1, 3]


async def test_the_clients_prefix_is_for_its_first_segment() -> None:
    model = HeldModel()
    model.permit(100)
    async with running(model) as worker:
        recorder = Recorder()
        session = worker.open("one", replace(BACKGROUND, prefix="so far"), recorder)
        session.push(speech(3))
        session.push(silence(1))
        session.push(speech(3))
        session.close_segment("stop")
        await asyncio.wait_for(recorder.finished.wait(), 10)

    assert {(step.key.segment, step.prefix) for step in model.steps} == {(1, "so far"), (2, "")}
