"""``stream_tokens``: unstable text grows within a step; all that lasts is as without it."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.messages import Progress, Step, StepResult
from engine.segment import Due, StreamOptions
from engine.transcript import Event, Final, Partial
from tests.engine.scripted import INFO, Playback, Scene, ScriptedModel

S = 16_000
WITHOUT = StreamOptions(rollback_tokens=2, cold_chunks=0)
WITH = replace(WITHOUT, stream_tokens=True)
SCENE = Scene("one two three four five six seven eight nine ten eleven twelve thirteen", 900, "end")


class TellingModel(ScriptedModel):
    """Tells after each token, or only when its answer has one of ``lengths``."""

    def __init__(
        self, scene: Scene, mishears: int = 0, confidence: float = 0.9,
        lengths: frozenset[int] = frozenset(range(999)),
    ) -> None:  # fmt: skip
        super().__init__(scene, mishears)
        self.play: Playback
        self.told = 0
        self._confidence, self._lengths = confidence, lengths

    def answer(self, due: Due, step: Step) -> StepResult:
        result = super().answer(due, step)
        for length in range(len(step.forced), len(result.pieces) + 1):
            if step.progress and length in self._lengths:
                text = b"".join(result.pieces[:length])
                self.told += 1
                self.play.stream.progress(due, Progress(step.key, text, "en", self._confidence))
        return result


def played(model: TellingModel, scene: Scene = SCENE, options: StreamOptions = WITH) -> Playback:
    model.play = Playback(scene, options, model.answer, info=replace(INFO, least_confidence=0.3))
    model.play.play()
    model.play.stop()
    return model.play


def lasting(events: list[Event]) -> list[object]:
    """Finals, and stable text where it grows; there may be more partials without any."""
    found: list[object] = []
    for event in events:
        if (
            isinstance(event, Partial)
            and event.stable
            and (event.segment, event.stable) not in found
        ):
            found.append((event.segment, event.stable))
        elif isinstance(event, Final):
            found.append(event)
    return found


def test_unstable_text_grows_token_by_token_within_a_step() -> None:
    play = played(TellingModel(SCENE))

    told = [partial for partial in play.partials if partial.end == play.partials[0].end][:-1]
    assert len(told) > 6
    for before, after in pairwise(told):
        assert after.stable == before.stable == ""
        assert after.unstable.startswith(before.unstable)
        assert len(after.unstable) > len(before.unstable)
        assert after.revision == before.revision + 1


def test_nobody_who_did_not_ask_is_told() -> None:
    model = TellingModel(SCENE)

    played(model, options=WITHOUT)

    assert model.told == 0


def test_a_step_that_hears_again_what_is_shown_shows_nothing_until_there_is_more() -> None:
    play = played(TellingModel(SCENE, mishears=2))

    for before, after in pairwise(play.partials):
        if before.segment == after.segment and after.end > before.end:
            assert len(after.stable + after.unstable) > len(before.stable + before.unstable)


def test_text_without_evidence_is_not_shown_on_the_way() -> None:
    doubtful = played(TellingModel(SCENE, confidence=0.2))
    without = played(TellingModel(SCENE), options=WITHOUT)

    assert doubtful.events == without.events


def test_a_segment_that_closed_meanwhile_shows_nothing_more() -> None:
    model = TellingModel(SCENE)
    model.play = play = Playback(SCENE, WITH, model.answer)
    play.play(3000)
    [due] = [taken.due for taken in play.taken][-1:]
    play.stop()
    events = list(play.events)

    play.stream.progress(due, Progress(("session", 1), b" all that was said and more", "en", 0.9))

    assert play.events == events


def test_an_unfinished_character_is_not_shown() -> None:
    play = Playback(SCENE, WITH)
    play.play(2900)
    due = Due(play.taken[-1].due.kind, play.taken[-1].due.segment, play.heard)
    shown = play.partials[-1]

    text = (shown.stable + shown.unstable).encode() + " 咖啡".encode()[:-1]
    play.stream.progress(due, Progress(("session", 1), text, "zh", 0.9))

    assert play.partials[-1].unstable == shown.unstable + " 咖"


@settings(max_examples=60)
@given(
    lengths=st.frozensets(st.integers(0, 40)),
    mishears=st.integers(0, 3),
    rollback=st.sampled_from([None, 0, 2, 5]),
    chunk=st.sampled_from([None, S, 2 * S]),
    pauses=st.lists(st.integers(100, 1500), min_size=1, max_size=3),
)
def test_finals_and_stable_text_are_as_without(
    lengths: frozenset[int], mishears: int, rollback: int | None, chunk: int | None,
    pauses: list[int],
) -> None:  # fmt: skip
    scene = Scene(*(part for pause in pauses for part in ("one two three four five six", pause)))
    options = replace(WITHOUT, rollback_tokens=rollback, chunk=chunk)
    model = TellingModel(scene, mishears, lengths=lengths)

    without = played(TellingModel(scene, mishears), scene, options)
    told = played(model, scene, replace(options, stream_tokens=True))

    assert lasting(told.events) == lasting(without.events)
