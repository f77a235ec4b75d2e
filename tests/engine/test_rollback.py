"""Rollback: what is forced, what is drafted. No cut hurts a character, a grapheme or a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rollback import (
    Draft,
    common_length,
    kept_after_rollback,
    next_prefix_length,
    safe_length,
)


@dataclass(frozen=True)
class Unit:
    """What no cut may enter. ``free``: whether a cut is allowed before and behind it."""

    text: str
    free: tuple[bool, bool] = (False, False)


FREE = (True, True)
SPACE = Unit(" ", (True, False))
WORDS = [
    Unit(word)
    for word in ("hello", "don't", "3.5", "naïve", "cafe\u0301", "안녕하세요", "각", "مرحبا",
                 "שלום", "привет", "नमस्ते", "Việt", "1\ufe0f\u20e3")
]  # fmt: skip
_CHARACTERS = "日 本 語 カ が 。 ที่ นี่ ก 👍 👨‍👩‍👧 🇩🇪 🇯🇵 ສິ 我"
ALONE = [Unit(character, FREE) for character in _CHARACTERS.split()] + [
    Unit(joined, (True, False)) for joined in ("👍🏽", "❤️", "か\u3099")
]


@st.composite
def units(draw: st.DrawFn) -> list[Unit]:
    """Text of many scripts: words always have a space or a character of its own beside them."""
    text: list[Unit] = []
    for unit in draw(st.lists(st.sampled_from(WORDS + ALONE), min_size=1, max_size=12)):
        if (text and not text[-1].free[1] and not unit.free[0]) or draw(st.booleans()):
            text.append(SPACE)
        text.append(unit)
    return text


@st.composite
def tokens_of(draw: st.DrawFn, text: list[Unit]) -> list[bytes]:
    """Its bytes, split anywhere."""
    encoded = "".join(unit.text for unit in text).encode()
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(encoded) - 1)), max_size=len(encoded))))
    edges = [0, *(cut for cut in cuts if cut < len(encoded)), len(encoded)]
    return [encoded[a:b] for a, b in pairwise(edges)]


def allowed_cuts(text: list[Unit]) -> set[int]:
    """Byte offsets between units where one may cut."""
    ends = list(accumulate(len(unit.text.encode()) for unit in text))
    return {
        end
        for end, unit, following in zip(ends, text, text[1:], strict=False)
        if unit.free[1] or following.free[0]
    }


@given(st.data(), units(), st.integers(0, 60))
def test_a_rollback_moves_left_to_the_nearest_place_where_text_may_be_cut(
    data: st.DataObject, text: list[Unit], rollback: int
) -> None:
    pieces = data.draw(tokens_of(text))
    cuts = allowed_cuts(text)

    kept = kept_after_rollback(pieces, rollback)

    ends = [0, *accumulate(len(piece) for piece in pieces)]
    latest = max(len(pieces) - rollback, 0)
    assert kept == max((n for n in range(1, latest + 1) if ends[n] in cuts), default=0)
    stable, unstable = b"".join(pieces[:kept]), b"".join(pieces[kept:])
    assert stable.decode() + unstable.decode() == "".join(unit.text for unit in text)


@given(st.data(), units())
def test_rolling_back_all_keeps_nothing(data: st.DataObject, text: list[Unit]) -> None:
    assert kept_after_rollback(data.draw(tokens_of(text)), None) == 0


@given(st.lists(st.binary(max_size=4), max_size=8), st.integers(-2, 12))
def test_bytes_that_are_no_text_do_no_harm(pieces: list[bytes], length: int) -> None:
    assert 0 <= safe_length(pieces, length) <= max(min(length, len(pieces)), 0)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_length_is_where_two_part(a: list[int], b: list[int]) -> None:
    n = common_length(a, b)

    assert a[:n] == b[:n]
    assert n in (len(a), len(b)) or a[n] != b[n]


WORDS_OF = {i: f" w{i}".encode() for i in range(100)}


def hypothesis(*tokens: int) -> tuple[Sequence[int], Sequence[bytes]]:
    return tokens, [WORDS_OF[token] for token in tokens]


def test_at_one_step_a_chunk_the_prefix_is_the_hypothesis_less_its_last_tokens() -> None:
    latest = hypothesis(1, 2, 3, 4, 5, 6, 7, 8)

    assert next_prefix_length(0, latest, latest, 5) == 3


def test_only_what_both_hypotheses_agree_on_is_forced() -> None:
    settled, latest = hypothesis(1, 2, 3, 4, 5, 6, 7, 8), hypothesis(1, 2, 9, 4, 5, 6, 7, 8, 10)

    assert next_prefix_length(0, latest, settled, 2) == 2


def test_a_newer_hypothesis_alone_forces_nothing_more() -> None:
    settled, latest = hypothesis(1, 2, 3), hypothesis(*range(1, 20))

    assert next_prefix_length(0, latest, settled, 1) == 2


def test_the_prefix_never_shrinks() -> None:
    shorter = hypothesis(1, 2, 3, 4)

    assert next_prefix_length(3, shorter, shorter, 5) == 3
    assert next_prefix_length(3, shorter, shorter, None) == 3


def passes(target: list[int], draft: list[int]) -> int:
    """Forward passes until a model that writes ``target`` has written it with help of ``draft``."""
    end, helper = -1, Draft(draft)
    written: list[int] = []
    for count in range(1, len(target) + 2):
        proposal = helper.proposal()
        assert proposal == draft[len(draft) - len(proposal) :], "a proposal is a draft's end"
        wanted = [*target[len(written) :], end]
        accepted = common_length(proposal, wanted)
        written += [*proposal[:accepted], wanted[accepted]]
        if written[-1] == end:
            assert written[:-1] == target
            return count
        helper.decided(accepted, wanted[accepted])
    raise AssertionError("a pass made no progress")


few_tokens = st.lists(st.integers(0, 5), max_size=30)


@given(few_tokens, few_tokens)
def test_any_draft_gives_the_same_text_and_every_pass_makes_progress(
    target: list[int], draft: list[int]
) -> None:
    assert passes(target, draft) <= len(target) + 1


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_perfect_draft_takes_one_pass(target: list[int]) -> None:
    assert passes(target, target) == 1


@given(st.integers(1, 40), st.data())
def test_a_draft_with_one_wrong_token_takes_a_pass_or_two_more(
    length: int, data: st.DataObject
) -> None:
    target = list(range(length))
    at = data.draw(st.integers(0, length - 1))
    head, tail = target[:at], target[at + 1 :]

    assert passes(target, [*head, 99, *tail]) <= 2, "a substitution"
    assert passes(target, [*head, 99, target[at], *tail]) <= 2, "a word too many"
    assert passes(target, [*head, *tail]) <= 3, "a word too few"


@pytest.mark.parametrize("words", [1, 2, 3])
def test_a_few_words_too_few_cost_a_pass_each_and_too_many_cost_one(words: int) -> None:
    longer = list(range(30))
    shorter = longer[:10] + longer[10 + words :]

    assert passes(longer, shorter) <= words + 2
    assert passes(shorter, longer) == 2


def test_corrections_far_apart_cost_their_own_passes_only() -> None:
    target = list(range(60))
    draft = [t + 100 if t in (10, 25, 40) else t for t in target if t != 50]

    assert passes(target, draft) <= 1 + 3 + 2
