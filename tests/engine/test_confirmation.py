"""From where a replay would have to begin: never later than what the client lacks."""

from engine.confirmation import CONFIRM_EVERY, Confirmation
from engine.segment import StreamOptions
from engine.segmenter import Segmenter
from engine.vad import FRAME
from tests.engine.scripted import Scene

TALK = Scene(2500, "one two", 1500, "three four", 1500)


class Confirming:
    """Checkpoints are taken behind each frame of a scene, and passed on when asked for."""

    def __init__(self) -> None:
        self.cut = Segmenter(StreamOptions())
        self.it = Confirmation(self.cut)

    def hear(self, until: int | None = None) -> None:
        for at in range(self.cut.pcm.end, until or len(TALK.audio), FRAME):
            self.cut.pcm.append(TALK.audio[at : at + FRAME])
            while len(frames := self.cut.frames()):
                clock = self.cut.clock
                self.cut.hear(TALK.probabilities(clock, clock + len(frames)), len(frames))
            self.it.take()

    def passed_on(self, segments: int, tail: str = "") -> list[int]:
        return [news.checkpoint.closed for news in self.it.pass_on(segments, tail)]


def test_silence_is_confirmed_now_and_then() -> None:
    talk = Confirming()

    talk.hear(CONFIRM_EVERY - FRAME)
    assert talk.it.pass_on(0, "") == []
    talk.hear(CONFIRM_EVERY + FRAME)
    [news] = talk.it.pass_on(0, "")

    assert 0 < news.upto == news.checkpoint.start <= talk.cut.clock
    assert talk.it.pass_on(0, "") == [], "it is news once"


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
    talk.it.pass_on(0, "")

    [news] = talk.it.pass_on(1, "o")

    assert news.checkpoint.tail == "o"


def test_amid_a_segment_there_is_one_behind_all_others() -> None:
    talk = Confirming()
    while talk.cut.open is None:
        talk.hear(talk.cut.pcm.end + FRAME)

    talk.it.take()

    assert talk.it.taken_before_open
    assert talk.cut.segments == 1
