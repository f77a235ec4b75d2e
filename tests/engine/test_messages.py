"""What crosses between worker and model comes out as it went in."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import (
    HeldAudio,
    ModelInfo,
    SegmentKey,
    Step,
    StepResult,
    TimedWord,
    dumps,
    joined_audio,
    loads,
    ms_to_samples,
    pack_result,
    pack_step,
    samples_to_ms,
    unpack_result,
    unpack_step,
)
from tests.engine.scripted import INFO

AUDIO = np.arange(1000, dtype=np.float32) / 1000
STEP = Step(
    SegmentKey("s-1", 7),
    AUDIO,
    (1, 2),
    (3,),
    "de",
    "Grüße, 日本",
    final=True,
    words=True,
    prefix="so far",
)
RESULT = StepResult(
    (1, 2, 3), (b" a", b"\xe6\x97", b"\xa5"), "repetition", "de", 0.25, 2, 9, 0.5, 0.125,
    words=(TimedWord("a", 80, 400), TimedWord("日", 400, 1040)),
)  # fmt: skip

token_ids = st.lists(st.integers(0, 200_000), max_size=8).map(tuple)


def same(one: Step, other: Step) -> bool:
    nothing = np.zeros(0, np.float32)
    return np.array_equal(one.audio, other.audio) and (
        replace(one, audio=nothing).__repr__() == replace(other, audio=nothing).__repr__()
    )


def across(step: Step, audio_from: int, held: int) -> Step:
    """A step sent to a process that holds the first ``held`` samples of its segment."""
    there = HeldAudio()
    there.whole(0, AUDIO[:held])
    return unpack_step(loads(dumps(pack_step(step, audio_from))), there)


@given(
    length=st.integers(0, 1000),
    data=st.data(),
    forced=token_ids,
    draft=token_ids,
    language=st.none() | st.text(max_size=5),
    context=st.text(max_size=20),
    final=st.booleans(),
    words=st.booleans(),
)
def test_a_step_arrives_whole_wherever_its_new_audio_begins(
    length: int,
    data: st.DataObject,
    forced: tuple[int, ...],
    draft: tuple[int, ...],
    language: str | None,
    context: str,
    final: bool,
    words: bool,
) -> None:
    step = Step(SegmentKey("s", 1), AUDIO[:length], forced, draft, language, context, final, words)
    audio_from = data.draw(st.integers(0, length))
    held = data.draw(st.integers(audio_from, 1000))

    arrived = across(step, audio_from, held)

    assert same(arrived, step)
    assert arrived.audio.dtype == np.float32


def test_only_new_audio_travels() -> None:
    assert len(pack_step(STEP, 990)["audio"]) == 10 * 4
    assert len(dumps(pack_step(STEP, 1000))) < 200


samples_16_bit = st.lists(st.integers(-32_768, 32_767), max_size=300)


@given(samples_16_bit, st.data())
def test_audio_of_16_bits_travels_in_half_the_bytes_and_arrives_the_same(
    samples: list[int], data: st.DataObject
) -> None:
    audio = np.array(samples, np.int16)
    audio_from = data.draw(st.integers(0, len(samples)))
    there = HeldAudio()
    there.whole(0, audio[:audio_from])

    packed = pack_step(replace(STEP, audio=audio), audio_from)

    assert len(packed["audio"]) == 2 * (len(samples) - audio_from)
    arrived = unpack_step(loads(dumps(packed)), there)
    assert arrived.audio.dtype == np.float32
    assert np.array_equal(arrived.audio * 32_768, audio)


def test_what_is_held_has_no_other_value_while_it_is_sent_again() -> None:
    """Models read it in other threads."""
    sent = np.full(200_000, 16_384, np.int16)
    held = HeldAudio()
    seen, over = held.whole(0, sent), threading.Event()
    wrong: list[float] = []

    def read() -> None:
        while not over.is_set():
            wrong.extend(each for each in (seen.max(), seen.min()) if each != 0.5)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        held.whole(0, sent)
    over.set()
    reader.join()

    assert wrong == []


def test_beside_other_audio_it_travels_as_such() -> None:
    beside = joined_audio([np.array([16_384, -32_768], np.int16), AUDIO[:30]])

    assert beside.dtype == np.float32
    assert np.array_equal(beside, [0.5, -1, *AUDIO[:30]])


def test_a_final_may_be_shorter_than_what_is_held() -> None:
    final = replace(STEP, audio=AUDIO[:600])

    assert same(across(final, audio_from=600, held=1000), final)


def test_more_may_be_held_than_was_said_to_be() -> None:
    assert same(across(STEP, audio_from=300, held=900), STEP)


def test_what_was_unpacked_before_stays_as_it_is() -> None:
    held = HeldAudio()
    parts = [held.whole(at, AUDIO[at : at + 100]) for at in range(0, 1000, 100)]

    for i, part in enumerate(parts):
        assert np.array_equal(part, AUDIO[: 100 * (i + 1)])


def test_audio_missing_between_held_and_sent_is_noticed() -> None:
    with pytest.raises(AssertionError):
        across(STEP, audio_from=300, held=299)


def test_a_result_arrives_whole() -> None:
    arrived = unpack_result(loads(dumps(pack_result(RESULT))))

    assert arrived == RESULT
    assert [type(word) for word in arrived.words] == [TimedWord] * 2


@given(st.binary(max_size=40))
def test_bytes_are_a_map_or_a_value_error(data: bytes) -> None:
    try:
        message = loads(data)
    except ValueError:
        return
    assert isinstance(message, dict)


@pytest.mark.parametrize("data", [b"", dumps({})[:0], b"\x93\x01\x02\x03", dumps({"a": 1}) * 2])
def test_what_is_not_one_whole_map_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        loads(data)


@given(st.integers(0, 10**9))
def test_whole_milliseconds_are_exact(ms: int) -> None:
    assert samples_to_ms(ms_to_samples(ms)) == ms


def test_samples_are_rounded_to_the_nearest_millisecond() -> None:
    assert [samples_to_ms(n) for n in (0, 7, 9, 16, 512)] == [0, 0, 1, 1, 32]


@pytest.mark.parametrize(
    ("said", "code"),
    [("de", "de"), ("DE", "de"), ("german", "de"), ("GERMAN", "de"), ("English", "en"),
     ("", None), ("ger", None), ("fr", None)],
)  # fmt: skip
def test_languages_are_known_by_code_and_english_name(said: str, code: str | None) -> None:
    model: ModelInfo = replace(INFO, languages={"en": "English", "de": "German"})

    assert model.language_code(said) == code
