"""One session from audio to events: which steps are taken when, and what is said of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.messages import Step, StepResult, TimedWord, ms_to_samples, samples_to_ms
from engine.segment import Due, StepKind, StreamOptions
from engine.transcript import (
    Confirmed,
    Final,
    Finished,
    SegmentFailed,
    SpeechEnded,
    SpeechStarted,
    Suppressed,
)
from tests.engine.scripted import INFO, Playback, Scene, ScriptedModel, confirmed, finished

OPTIONS = StreamOptions()
AUTO = replace(OPTIONS, chunk=None)
S = 16_000


def kinds(play: Playback) -> Counter[str]:
    return Counter(taken.due.kind.name for taken in play.taken)


# Silence


def test_silence_gives_no_segment_no_step_and_is_confirmed() -> None:
    play = Playback(Scene(10_000))
    play.play()

    assert play.taken == []
    assert {type(event) for event in play.events} == {Confirmed}
    assert confirmed(play.events) >= 8 * S
    assert play.stream.unfinished == []


def test_stop_with_nothing_said_is_just_finished() -> None:
    play = Playback(Scene())
    play.stop()

    assert play.events == [Finished(0, 0)]


def test_a_finalize_is_answered_with_its_id_also_when_there_was_no_speech() -> None:
    play = Playback(Scene(500))
    play.play()
    play.close("finalize", "a")
    play.close("finalize", "b")

    said = [type(e) for e in play.events if not isinstance(e, Confirmed)]
    assert said == [Suppressed, Final, Suppressed, Final]
    assert [(f.id, f.text, f.segment, f.reason, f.revised) for f in play.finals] == [
        ("a", "", 1, "finalize", False),
        ("b", "", 2, "finalize", False),
    ]
    assert [e.reason for e in play.events if isinstance(e, Suppressed)] == ["silence"] * 2
    assert play.taken == []


# The course of a segment


def test_an_utterance_from_onset_to_finished() -> None:
    scene = Scene(1000, "the quick brown fox jumps over the dog", 1000)
    play = Playback(scene)
    play.play()
    play.stop()

    said = [type(event).__name__ for event in play.events if not isinstance(event, Confirmed)]
    assert said == ["SpeechStarted", "Partial", "Partial", "SpeechEnded", "Final", "Finished"]
    [final] = play.finals
    assert final.text == scene.text
    assert (final.revised, final.reason, final.language, final.confidence) == (
        False, "endpoint", "en", 0.9,
    )  # fmt: skip
    assert play.events[-1] == Finished(len(scene.audio), 1)
    assert confirmed(play.events) == len(scene.audio)


def test_a_step_is_due_with_each_chunk_of_speech() -> None:
    play = Playback(Scene("w " * 30))
    play.play()

    ends = [taken.due.end for taken in play.taken]
    assert kinds(play) == {"PARTIAL": 4}
    assert all(2 * S <= b - a <= 2 * S + 1600 + 512 for a, b in pairwise([0, *ends]))


def test_nothing_is_due_while_a_step_is_in_flight_and_then_the_final_is() -> None:
    play = Playback(Scene("w " * 30, 5000), delay=lambda: 10**9)
    for until_ms in (9000, None):  # still open, closed
        play.play(until_ms)
        assert play.stream.unfinished == [1]
        assert play.stream.due(0) == []
    [taken] = play.taken

    play.stream.commit(taken.due, ScriptedModel(play.scene).answer(taken.due, taken.step))
    [due] = play.stream.due(0)
    assert due.kind is StepKind.FINAL


def test_a_partial_waits_for_the_finals_before_it() -> None:
    play = Playback(Scene("w " * 5, 1000, "w " * 30), delay=lambda: 10**9)
    play.play()
    [taken] = play.taken

    assert play.stream.unfinished == [1, 2]
    assert play.stream.due(0) == []
    play.stream.commit(taken.due, ScriptedModel(play.scene).answer(taken.due, taken.step))
    assert [(due.kind.name, due.segment.index) for due in play.stream.due(0)] == [("PARTIAL", 2)]


def test_a_step_carries_what_the_session_asked_for() -> None:
    options = replace(OPTIONS, language="en", context="Scribewire")
    play = Playback(Scene("w " * 10, 1000), options)
    play.play()

    assert {(t.step.language, t.step.context) for t in play.taken} == {("en", "Scribewire")}


def test_another_language_begins_with_the_next_segment() -> None:
    play = Playback(Scene("w " * 30, 1000, "w " * 10, 1000), replace(OPTIONS, language="en"))
    play.play(3000)
    play.stream.update(replace(OPTIONS, language="de", context="Scribewire"))
    play.play()

    asked = [(t.due.segment.index, t.step.language, t.step.context) for t in play.taken]
    assert set(asked) == {(1, "en", ""), (2, "de", "Scribewire")}
    assert [final.text for final in play.finals] == [("w " * 30).strip(), (" w" * 10)]


# Words


def timed(scene: Scene) -> Callable[[Due, Step], StepResult]:
    """What a model with an aligner says: each word with its place in the step's audio."""
    model = ScriptedModel(scene)

    def answer(due: Due, step: Step) -> StepResult:
        result = model.answer(due, step)
        if not step.words:
            return result
        said = [w for w in scene.words if due.segment.start <= (w.start + w.end) // 2 < due.end]
        at = [samples_to_ms(w.start - due.segment.start) for w in said]
        words = [TimedWord(w.text.strip(), ms, ms + 320) for w, ms in zip(said, at, strict=True)]
        return replace(result, words=tuple(words))

    return answer


def test_only_whole_steps_want_words_and_only_if_the_session_does() -> None:
    for wanted in (False, True):
        play = Playback(Scene("w " * 20, 1000), replace(OPTIONS, words=wanted))
        play.play()
        play.stop()

        assert {(t.due.kind.name, t.step.words) for t in play.taken} >= {("PARTIAL", False)}
        assert all(t.step.words is (wanted and t.step.final) for t in play.taken)
        assert [final.words for final in play.finals] == [() if wanted else None]


def test_words_have_the_sessions_time() -> None:
    scene = Scene(1500, "one two three", 1000, "four five", 3000, "six")
    play = Playback(scene, replace(OPTIONS, words=True), timed(scene))
    play.play()
    play.stop()

    assert len(play.finals) == 3
    words = [word for final in play.finals for word in final.words or ()]
    assert [word.text for word in words] == scene.text.split()
    for word, spoken in zip(words, scene.words, strict=True):
        assert abs(word.start_ms - samples_to_ms(spoken.start)) <= 1
    for final in play.finals:
        start_ms, end_ms = samples_to_ms(final.start), samples_to_ms(final.end)
        assert all(start_ms <= w.start_ms <= w.end_ms <= end_ms for w in final.words or ())


def test_text_that_is_withdrawn_takes_its_words_along() -> None:
    scene = Scene("one", 1000)
    say = timed(scene)
    play = Playback(
        scene, replace(OPTIONS, words=True),
        lambda due, step: replace(say(due, step), confidence=0.1),
        info=replace(INFO, least_confidence=0.5),
    )  # fmt: skip
    play.play()
    play.close("finalize")

    assert [(final.text, final.words) for final in play.finals] == [("", ()), ("", ())]


# Speculation


def test_silence_that_lasts_finds_its_final_ready() -> None:
    play = Playback(Scene("one two three", 1000))
    play.play()

    assert kinds(play) == {"SPECULATIVE": 1}
    [taken], [final] = play.taken, play.finals
    assert taken.heard < final.end + ms_to_samples(300), "begun long before the endpoint"
    assert final.text == "one two three"
    assert final.end == taken.due.end


def test_a_final_begun_in_a_pause_is_thrown_away_when_speech_goes_on() -> None:
    play = Playback(Scene("one two", 400, "three", 1000))
    play.play()

    assert kinds(play) == {"SPECULATIVE": 2}
    assert [final.text for final in play.finals] == ["one two three"]


def test_a_step_in_flight_at_the_endpoint_becomes_the_final() -> None:
    play = Playback(Scene("one two", 1000), delay=lambda: 3)
    play.play()
    play.stop()

    assert kinds(play) == {"SPECULATIVE": 1}
    assert [final.text for final in play.finals] == ["one two"]


def test_a_late_result_of_a_pause_is_not_taken_for_the_final() -> None:
    # In flight from the pause until after the endpoint of what followed it.
    play = Playback(Scene("one two", 400, "three", 1000), delay=lambda: 10**9)
    play.play()
    [taken] = play.taken
    play.stream.commit(taken.due, ScriptedModel(play.scene).answer(taken.due, taken.step))

    assert play.finals == []
    [due] = play.stream.due(0)
    assert (due.kind, due.end > taken.due.end) == (StepKind.FINAL, True)


def test_a_stop_in_the_pause_uses_what_is_ready() -> None:
    play = Playback(Scene("one two", 400))
    play.play()
    play.stop()

    assert kinds(play) == {"SPECULATIVE": 1}
    assert [(f.text, f.reason) for f in play.finals] == [("one two", "stop")]


@pytest.mark.parametrize("exact", [True, False])
def test_finals_force_nothing_and_draft_only_where_a_draft_is_exact(exact: bool) -> None:
    info = replace(INFO, exact_drafts=exact)
    play = Playback(Scene("w " * 30, 1000), info=info)
    play.play()
    *partial, final = (taken.step for taken in play.taken)

    assert partial[-1].forced
    assert final.final
    assert final.forced == ()
    assert bool(final.draft) is exact
    assert play.finals[0].text == play.scene.text


# What is not believed


def test_text_without_confidence_is_suppressed() -> None:
    scene = Scene("w " * 10, 1000)
    model = ScriptedModel(scene)
    play = Playback(
        scene,
        answer=lambda due, step: replace(model.answer(due, step), confidence=0.1),
        info=replace(INFO, least_confidence=0.3),
    )
    play.play()

    assert play.partials == []
    assert [final.text for final in play.finals] == [""]
    assert [e.reason for e in play.events if isinstance(e, Suppressed)] == ["low_evidence"]


def test_a_runaway_is_reported_once_a_segment() -> None:
    scene = Scene("w " * 20, 1000, "w " * 20, 1000)
    model = ScriptedModel(scene)
    play = Playback(scene, answer=lambda d, s: replace(model.answer(d, s), stop="repetition"))
    play.play()

    assert [(e.segment, e.reason) for e in play.events if isinstance(e, Suppressed)] == [
        (1, "repetition"),
        (2, "repetition"),
    ]
    assert len(play.finals) == 2


# Failures


def test_a_step_that_fails_is_tried_again_with_all_audio() -> None:
    scene = Scene("w " * 10, 1000)
    model, failing = ScriptedModel(scene), [True, True, False]
    play = Playback(
        scene, answer=lambda d, s: None if failing and failing.pop(0) else model.answer(d, s)
    )
    play.play()

    assert SegmentFailed not in {type(event) for event in play.events}
    assert [final.text for final in play.finals] == [scene.text]


def test_three_failures_give_the_segment_up_with_what_was_shown() -> None:
    scene = Scene("w " * 20, 1000, "next one", 1000)
    model = ScriptedModel(scene)

    def answer(due: Due, step: Step) -> StepResult | None:
        failing = due.segment.index == 1 and due.end > 3 * S
        return None if failing else model.answer(due, step)

    play = Playback(scene, answer=answer)
    play.play()
    play.stop()

    assert [e for e in play.events if isinstance(e, SegmentFailed)] == [SegmentFailed(1)]
    first, second = play.finals
    assert first.text == play.partials[0].stable + play.partials[0].unstable != ""
    assert (first.revised, first.confidence) == (False, None)
    assert second.text == " next one"
    assert Counter(t.due.segment.index for t in play.taken)[1] == 1 + 3
    assert finished(play.events)


def test_a_model_that_always_fails_ends_every_session_all_the_same() -> None:
    play = Playback(Scene("w " * 5, 1000, "w " * 5), answer=lambda due, step: None)
    play.play()
    play.stop()

    assert [f.text for f in play.finals] == ["", ""]
    assert len(play.taken) == 2 * 3
    assert finished(play.events)


def test_events_of_speech_frame_those_of_its_segment() -> None:
    play = Playback(Scene("w " * 10, 1000, "w " * 10))
    play.play()
    play.stop()

    order = [e for e in play.events if isinstance(e, SpeechStarted | SpeechEnded | Final)]
    assert [type(e).__name__ for e in order] == ["SpeechStarted", "SpeechEnded", "Final"] * 2
    assert [t.due.kind for t in play.taken][-1] is StepKind.FINAL
