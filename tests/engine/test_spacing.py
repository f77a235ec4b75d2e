"""Where text may be parted and how it joins again."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from engine.spacing import decode, is_safe_cut, joiner

ALL_SORTS = "a9.# \r\n\t\x1f\u00a0é\u0301\u0600ेนี日👍🏽\u200d\ufe0f🇩"
"""Of each way in which characters join with their neighbours, one or two."""


@given(st.text(), st.data())
def test_decoding_the_head_of_a_text_gives_its_whole_characters(
    text: str, data: st.DataObject
) -> None:
    encoded = text.encode()
    cut = data.draw(st.integers(0, len(encoded)))

    head, whole = decode(encoded[:cut])

    assert text.startswith(head)
    assert whole is (head.encode() == encoded[:cut])
    assert cut - len(head.encode()) < 4


def test_bytes_that_are_no_text_are_replaced_not_raised() -> None:
    assert decode(b"a\xffb") == ("a\ufffdb", True)


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("hello", " world"), ("hello ", " world"), ("hello", "\n"), ("", "hello"),
        ("日", "本"), ("東京は", "すごい"), ("コ", "ー"), ("日本", "abc"), ("abc", "日本"),
        ("。", "“"),
        ("ที่", "นี่"), ("ສະ", "ບາຍ"), ("ស្រី", "ល្អ"), ("မြန်", "မာ"), ("ㄅ", "ㄆ"),
        ("안녕", " 하세요"), ("مرحبا", " بك"), ("ok", "👍"), ("👍", "ok"), ("👍🏽", "👍🏽"),
        ("🇩🇪", " 🇫🇷"), ("👨‍👩‍👧", "👨‍👩‍👧"), ("é", " è"),
    ],
)  # fmt: skip
def test_text_may_be_cut_between_words_and_between_characters_that_are_words(
    head: str, tail: str
) -> None:
    assert is_safe_cut(head.encode(), tail.encode())


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ("hel", "lo"), ("don", "'t"), ("3", ".5"), ("well", ","), ("안녕", "하세요"), ("مر", "حبا"),
        ("при", "вет"), ("e", "\u0301"), ("日", "\ufe00"), ("か", "\u3099"), ("ท", "ี่"), ("न", "ि"),
        ("👍", "🏽"), ("👨", "\u200d👩"), ("👨\u200d", "👩"), ("🇩", "🇪"), ("❤", "\ufe0f"),
        ("1", "\ufe0f\u20e3"),
        ("\r", "\n"), ("ᄒ", "ᅡ"), ("hello ", "world"),
    ],
)  # fmt: skip
def test_text_may_not_be_cut_inside_a_word_or_a_grapheme(head: str, tail: str) -> None:
    assert not is_safe_cut(head.encode(), tail.encode())


@pytest.mark.parametrize("character", ["é", "日", "👍", "ก", "ب"])
def test_no_character_is_cut(character: str) -> None:
    encoded = character.encode()
    for at in range(1, len(encoded)):
        assert not is_safe_cut(b"a " + encoded[:at], encoded[at:] + b" b")


@given(st.text(st.sampled_from(ALL_SORTS)), st.text(st.sampled_from(ALL_SORTS), min_size=1))
def test_white_space_may_be_cut_off_unless_a_grapheme_goes_on_into_it(head: str, tail: str) -> None:
    begins = {grapheme.start() for grapheme in regex.finditer(r"\X", head + tail)}
    safe = is_safe_cut(head.encode(), tail.encode())

    if len(head) not in begins:
        assert not safe
    elif head == "" or tail[0].isspace():
        assert safe


def test_what_may_follow_the_last_word_is_not_known() -> None:
    assert not is_safe_cut(b"hello", b"")
    assert not is_safe_cut("日".encode(), b"")
    assert not is_safe_cut("日".encode(), "本".encode()[:2])


@pytest.mark.parametrize(
    ("earlier", "text", "between"),
    [
        ("", "Hello", ""), ("Hello.", "", ""), ("", "", ""),
        ("Hello.", "World.", " "), ("Hello. ", "World.", ""), ("a\n", "b", ""),
        ("你好。", "再见。", ""), ("你好", "hello", ""), ("hello", "你好", ""),
        ("です。", "はい", ""),
        ("สวัสดี", "ครับ", ""), ("안녕하세요.", "반갑습니다.", " "), ("مرحبا", "بك", " "),
        ("Привет", "мир", " "), ("नमस्ते", "दुनिया", " "), ("Ok 👍", "yes", ""),
    ],
)  # fmt: skip
def test_segments_join_as_their_scripts_do(earlier: str, text: str, between: str) -> None:
    assert joiner(earlier, text) == between
