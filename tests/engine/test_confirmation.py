"""From where a replay would have to begin: never later than what the client lacks."""

from engine.confirmation import CONFIRM_EVERY, Confirmation
from engine.messages import samples_to_ms
from engine.vad import FRAME
from tests.engine.cutting import Cutting
from tests.engine.scripted import Scene

FRAME_MS = samples_to_ms(FRAME)
CONFIRM_EVERY_MS = samples_to_ms(CONFIRM_EVERY)


class Confirming(Cutting):
    """Checkpoints are taken behind each frame of a scene, and passed on when asked for."""

    def __init__(self) -> None:
        super().__init__(Scene(2500, "one two", 1500, "three four", 1500))
        self.confirmation = Confirmation(self.it)

    def hear(self, until_ms: int | None = None) -> None:
        self.play(until_ms, FRAME)

    def listen(self) -> Cutting:
        super().listen()
        self.confirmation.take()
        return self

    def passed_on(self, segments: int, tail: str = "") -> list[int]:
        return [news.checkpoint.closed for news in self.confirmation.pass_on(segments, tail)]


def test_silence_is_confirmed_now_and_then() -> None:
    talk = Confirming()

    talk.hear(CONFIRM_EVERY_MS - FRAME_MS)
    assert talk.confirmation.pass_on(0, "") == []
    talk.hear(CONFIRM_EVERY_MS + FRAME_MS)
    [news] = talk.confirmation.pass_on(0, "")

    assert 0 < news.upto == news.checkpoint.start <= talk.it.clock
    assert talk.confirmation.pass_on(0, "") == [], "it is news once"


def test_what_is_behind_a_segment_waits_for_its_final() -> None:
    talk = Confirming()
    talk.hear()

    assert talk.passed_on(0) == [0]
    assert talk.passed_on(1) == [1]
    assert talk.passed_on(2) == [2]


def test_finals_that_come_late_confirm_all_up_to_them_at_once() -> None:
    talk = Confirming()
    talk.hear()

    assert talk.passed_on(2) == [0, 1, 2]


def test_it_tells_the_transcripts_last_character() -> None:
    talk = Confirming()
    talk.hear()
    talk.confirmation.pass_on(0, "")

    [news] = talk.confirmation.pass_on(1, "o")

    assert news.checkpoint.tail == "o"


def test_amid_a_segment_there_is_one_behind_all_others() -> None:
    talk = Confirming()
    while talk.it.open is None:
        talk.hear(samples_to_ms(talk.it.pcm.end) + FRAME_MS)

    talk.confirmation.take()

    assert talk.confirmation.taken_before_open
    assert talk.it.segments == 1
