"""Text to tokens as SentencePiece has it."""

import soundfile
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import SegmentKey, Step
from engine.models.byte_pairs import BytePairs
from engine.models.moonshine import Moonshine, assets, read_vocabulary
from tests.speech import speech

VOCABULARY = read_vocabulary((assets() / "tokenizer.bin").read_bytes())
BYTE_PAIRS = BytePairs(VOCABULARY)


def pieces(text: str) -> list[bytes]:
    return [VOCABULARY[token] for token in BYTE_PAIRS.encode(text)]


def test_words_are_as_long_as_the_vocabulary_has_them() -> None:
    assert pieces(" Ever tried, ever") == [b" Ever", b" tried", b",", b" ever"]


def test_what_the_model_writes_is_read_back_token_for_token() -> None:
    audio, _ = soundfile.read(speech("beckett.wav"), dtype="float32")
    [result] = Moonshine(lanes=1).step([Step(SegmentKey("s", 1), audio)])

    assert BYTE_PAIRS.encode(b"".join(result.pieces).decode()) == result.tokens


def test_marks_are_spelt_out() -> None:
    assert b"<s>" not in pieces("<s></s>")
    assert b"<<ST_763>>" not in pieces("<<ST_763>>")


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    assert b"".join(pieces(text)) == text.encode()
