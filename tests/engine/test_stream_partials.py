"""What is shown of a segment while it is open, and what of it is forced from then on."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.messages import SAMPLE_RATE, Step, StepResult, ms_to_samples
from engine.segment import Due, StepKind, StreamOptions
from engine.segmenter import SPECULATE_AFTER
from engine.vad import FRAME
from tests.engine.scripted import AppendOnlyClient, Playback, Scene, ScriptedModel

OPTIONS = StreamOptions()
AUTO = replace(OPTIONS, chunk=None)
S = 16_000


def kinds(play: Playback) -> Counter[str]:
    return Counter(taken.due.kind.name for taken in play.taken)


def test_without_partials_there_are_finals() -> None:
    play = Playback(Scene("w " * 40, 1000, "w " * 5, 1000), replace(OPTIONS, partials=False))
    play.play()

    assert play.partials == []
    assert not play.stream.speaking
    assert set(kinds(play)) == {"SPECULATIVE"}
    assert [len(final.text.split()) for final in play.finals] == [40, 5]


def test_a_final_revises_nothing_that_was_not_shown() -> None:
    scene = Scene("a b c d e f g h i j k l m n", 400, "o", 1000)
    honest = ScriptedModel(scene)

    def answer(due: Due, step: Step) -> StepResult:
        result = honest.answer(due, step)
        if due.end < 5 * S:  # in the pause it says something else
            return honest.result(result.tokens[::-1])
        return result

    play = Playback(scene, replace(OPTIONS, partials=False, cold_chunks=0), answer)
    play.play()
    play.stop()

    assert kinds(play) == {"SPECULATIVE": 2}
    assert [(f.text, f.revised) for f in play.finals] == [(scene.text, False)]


def test_all_text_is_unstable_when_everything_is_rolled_back() -> None:
    play = Playback(Scene("w " * 60, 1000), replace(AUTO, rollback_tokens=None))
    play.play()

    assert len(play.partials) > 20
    assert {partial.stable for partial in play.partials} == {""}
    assert all(taken.step.forced == () for taken in play.taken)


@pytest.mark.parametrize("cold", [0, 1, 2])
@pytest.mark.parametrize("options", [OPTIONS, AUTO, replace(AUTO, rollback_tokens=0)])
def test_only_what_is_a_chunk_old_and_past_the_cold_start_is_forced(
    cold: int, options: StreamOptions
) -> None:
    scene = Scene(" ".join(f"word{i}" for i in range(60)))
    model = ScriptedModel(scene, mishears=2)
    said: list[tuple[int, tuple[int, ...]]] = []
    first_forced = []

    def answer(due: Due, step: Step) -> StepResult:
        old = [tokens for end, tokens in said if due.end - end >= 2 * S and end >= cold * 2 * S]
        if step.forced:
            first_forced.append(due.end)
            assert any(tokens[: len(step.forced)] == step.forced for tokens in old)
        result = model.answer(due, step)
        said.append((due.end, result.tokens))
        return result

    Playback(scene, replace(options, cold_chunks=cold), answer).play()

    earliest = max(cold * 2 * S, options.cadence) + 2 * S
    assert earliest <= first_forced[0] <= earliest + 1.5 * S


def test_auto_chunks_step_with_the_first_message_that_makes_a_quarter_second() -> None:
    scene = Scene("w " * 30)
    play = Playback(scene, AUTO)
    play.play()  # in messages of 100 ms

    assert len(play.taken) == pytest.approx(len(scene.audio) / (0.3 * SAMPLE_RATE), abs=2)


def test_no_partial_is_begun_when_a_final_is_about_to_be() -> None:
    scene = Scene("one two three", 500, "four", 700, "five six seven eight", 900, "nine ten")
    play = Playback(scene, AUTO)
    play.play()

    partials = [taken.due for taken in play.taken if taken.due.kind is StepKind.PARTIAL]
    assert len(partials) > 8
    for due in partials:
        silence = due.end - max(word.end for word in scene.words if word.start < due.end)
        assert not SPECULATE_AFTER / 2 + FRAME <= silence < SPECULATE_AFTER - FRAME


def test_speech_that_stopped_is_not_stepped_again() -> None:
    play = Playback(Scene("one two", 15_000), replace(AUTO, endpoint=0))
    play.play()

    # 0.64 s of speech; the detector's verdict may lag by one more.
    assert len(play.taken) <= 3


def test_a_cut_for_length_repeats_no_word_to_a_client_that_can_only_append() -> None:
    """What lies behind a possible cut is not stable yet: it may belong to the next segment."""
    scene = Scene(" ".join(f"w{i}" for i in range(150)))
    pause = slice(ms_to_samples(23_500), ms_to_samples(23_700))
    scene.audio[pause] *= 0.05
    play = Playback(scene)
    play.play()
    play.stop()
    first = play.finals[0]

    assert (first.reason, pause.start < first.end < pause.stop) == ("length", True)
    client = AppendOnlyClient().hear(play.events)
    assert client.text.split() == scene.text.split()
    assert client.revised == 0


def test_options_may_change_while_speaking() -> None:
    play = Playback(Scene("w " * 20, 1500, "w " * 10))
    play.play(until_ms=4500)
    changed = replace(
        OPTIONS, language="en", partials=False, endpoint=0, chunk=S, max_segment=S, cold_chunks=9
    )
    play.stream.update(changed)
    play.play()

    assert play.stream.options == replace(OPTIONS, language="en", partials=False, endpoint=0)
    assert play.finals == []
    assert len(play.partials) == 2


def test_a_longer_cadence_is_kept_when_there_is_no_capacity() -> None:
    play = Playback(Scene("w " * 30))
    play.stream.push(play.scene.audio)
    dues = []
    while len(frames := play.stream.frames()):
        play.stream.hear([0.9] * (len(frames) // FRAME), len(frames))
        dues += play.stream.due(5 * S)

    assert dues[0].end >= 5 * S
    assert dues[0].new == dues[0].end


def test_a_segment_is_in_one_step_at_a_time_and_the_next_takes_all_that_came_meanwhile() -> None:
    play = Playback(Scene("w " * 60), delay=lambda: 60)
    play.play()

    starts = [taken.heard for taken in play.taken]
    assert len(starts) > 1
    assert all(b - a > 5 * S for a, b in pairwise(starts)), "none while one is in flight"
    assert all(taken.due.end == taken.heard for taken in play.taken)
