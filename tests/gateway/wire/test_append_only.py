"""What a client that can only append gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spacing import words
from gateway.wire.append_only import missing

speech = st.lists(st.sampled_from(["no", "matter", "try", "again", "fail."]), max_size=12)
at_most_one = st.lists(st.sampled_from(["no", "delta"]), max_size=1)


@given(st.text(), st.text())
def test_text_that_goes_on_is_completed_exactly(sent: str, more: str) -> None:
    assert sent + missing(sent, sent + more) == sent + more


@given(st.text(), st.text())
def test_what_is_appended_is_an_end_of_the_final(sent: str, final: str) -> None:
    assert final.endswith(missing(sent, final))


@pytest.mark.parametrize(
    ("sent", "final", "tail"),
    [
        ("Ever tried. Ever", "Ever tried ever failed.", " failed."),  # other punctuation
        ("some of its noisy historieties insisted", "some of its noisiest authorities insisted on",
         " on"),
        ("It was. It was the worst", "It was the worst of times", " of times"),
        ("a b c", "x y z", ""),  # as many words, all others: nothing is said twice
        ("你好世", "你好是界吗", "界吗"),
        ("", "all of it", "all of it"),
        ("too much", "", ""),
    ],
)  # fmt: skip
def test_after_a_contradiction_only_the_words_behind_it_follow(
    sent: str, final: str, tail: str
) -> None:
    assert missing(sent, final) == tail


@given(at_most_one, at_most_one, speech)
def test_a_word_that_was_heard_otherwise_costs_no_word_behind_it(
    before: list[str], after: list[str], tail: list[str]
) -> None:
    anchor = ["alpha", "beta", "gamma"]
    sent, final = [*before, *anchor], [*after, *anchor, *tail]
    assert missing(" ".join(sent), " ".join(final)).split() == tail


@given(st.text())
def test_words_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text
    assert all(words(text))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("no matter,  try", ["no", " matter,", "  try"]),
        (" Leading", [" Leading"]),
        ("你好 world吗", ["你", "好", " world", "吗"]),
        ("안녕 하세요", ["안녕", " 하세요"]),
        ("", []),
    ],
)
def test_words_keep_the_space_before_them(text: str, pieces: list[str]) -> None:
    assert words(text) == pieces
