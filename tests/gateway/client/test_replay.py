"""What is said again after a loss: all that was not taken, in order, each once."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.replay import Replay, Said

said = st.lists(st.integers(1, 5) | st.none(), max_size=30)
"""Samples of audio; None: a `finalize`."""


class Talk:
    """Speaks into a replay; each sample of audio is two bytes that name it."""

    def __init__(self, said: list[int | None]) -> None:
        self.replay, self.samples, self.finalizes = Replay(), 0, 0
        self.all: list[Said] = []
        for samples in said:
            if samples is None:
                self.finalizes += 1
                self.all.append({"type": "finalize", "id": str(self.finalizes)})
                self.replay.finalize(self.all[-1])
            else:
                numbers = range(self.samples, self.samples + samples)
                each = [number.to_bytes(2, "little") for number in numbers]
                self.all += each
                self.replay.audio(b"".join(each), samples)
                self.samples += samples

    def next(self, most: int = 1000) -> list[Said]:
        """What is sent now, audio sample by sample."""
        result: list[Said] = []
        while most and (said := self.replay.next()) is not None:
            most -= 1
            if isinstance(said, bytes):
                result += [said[at : at + 2] for at in range(0, len(said), 2)]
            else:
                result.append(said)
        return result


def counted(said: list[Said]) -> tuple[int, int]:
    """Samples and `finalize` messages."""
    samples = sum(isinstance(each, bytes) for each in said)
    return samples, len(said) - samples


@given(said, st.integers(0, 40), st.integers(0, 200), st.integers(0, 200))
def test_the_server_hears_all_of_it_once(
    said: list[int | None], sent: int, taken: int, confirmed: int
) -> None:
    """It took some of what was sent, and confirmed some of that."""
    talk = Talk(said)
    heard = talk.next(sent)[:taken]
    talk.replay.confirm(*counted(heard[:confirmed]))

    talk.replay.rewind(*counted(heard))

    assert heard + talk.next() == talk.all


@given(said, st.integers(0, 200), st.integers(0, 10))
def test_another_server_hears_more_audio_again_but_no_finalize(
    said: list[int | None], taken: int, lead: int
) -> None:
    """Where audio is resampled, some that comes before what is confirmed is asked for again."""
    talk = Talk(said)
    heard = talk.next()[:taken]
    samples, finalizes = counted(heard)
    begin = max(0, samples - lead)

    talk.replay.rewind(begin, finalizes)

    audio = [each for each in talk.all if isinstance(each, bytes)]
    again = talk.next()
    assert [each for each in again if isinstance(each, bytes)] == audio[begin:]
    assert counted(again)[1] == talk.finalizes - finalizes


def test_what_is_confirmed_is_not_kept() -> None:
    talk = Talk([100] * 20)
    talk.next()
    talk.replay.confirm(1950, 0)

    assert talk.replay.held == 50
    assert len(talk.replay._entries) == 1
    assert talk.replay.pending

    talk.replay.confirm(2000, 0)
    assert not talk.replay.pending


def test_stop_is_said_on_each_connection() -> None:
    talk = Talk([10])
    talk.replay.control({"type": "stop"})
    talk.next()

    talk.replay.rewind(10, 0)
    assert talk.next() == [{"type": "stop"}]
