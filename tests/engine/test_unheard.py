"""For how long audio has been waiting to be heard, by a clock that the test moves."""

import pytest

from engine.messages import SAMPLE_RATE, ModelInfo
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.stream import Stream
from engine.unheard import Unheard
from tests.clock import ClockDouble
from tests.engine.scripted import INFO


def session(name: str, model: ModelInfo = INFO) -> SpeechSession:
    return SpeechSession(Stream(name, StreamOptions(), model), None, None)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble(100.0)


@pytest.fixture
def unheard(clock: ClockDouble) -> Unheard:
    return Unheard(clock)


def test_turns_are_taken_in_the_order_of_coming(unheard: Unheard, clock: ClockDouble) -> None:
    first, second = session("first"), session("second")
    unheard.arrived(first)
    clock.now += 1
    unheard.arrived(second)
    unheard.arrived(first)  # more of it

    assert [unheard.next(), unheard.next()] == [(first, 100.0), (second, 101.0)]
    assert not unheard


def test_where_nothing_waits_there_is_no_wait(unheard: Unheard, clock: ClockDouble) -> None:
    clock.now += 5
    assert unheard.waited_s == 0

    gone = session("gone")
    unheard.arrived(gone)
    clock.now += 5
    assert unheard.waited_s == 5

    unheard.leave(gone)
    assert unheard.waited_s == 0


def test_who_is_heard_more_slowly_than_it_speaks_waits_ever_longer(
    unheard: Unheard, clock: ClockDouble
) -> None:
    unheard.arrived(session("speaks on and on"))
    waited = []
    for _ in range(4):
        clock.now += 0.4
        waited.append(unheard.waited_s)
        of, since = unheard.next()
        unheard.heard_part(of, since, SAMPLE_RATE // 4)

    assert waited == pytest.approx([0.4, 0.55, 0.7, 0.85])


def test_who_sends_faster_than_real_time_does_not_seem_to_wait(
    unheard: Unheard, clock: ClockDouble
) -> None:
    unheard.arrived(session("a recording"))
    for _ in range(4):
        clock.now += 0.01
        of, since = unheard.next()
        unheard.heard_part(of, since, SAMPLE_RATE // 4)
        assert unheard.waited_s == 0
