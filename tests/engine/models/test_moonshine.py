"""The embedded model itself, on real speech."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from engine.messages import Audio, Progress, SegmentKey, Step, StepResult
from engine.models import progress
from engine.models.base import ModelUnavailableError
from engine.models.catalog import load_model
from engine.models.moonshine import Moonshine, assets, read_vocabulary
from tests.speech import speech

KEY = SegmentKey("session", 1)


@pytest.fixture(scope="module")
def model() -> Moonshine:
    return Moonshine(lanes=2)


@pytest.fixture(scope="module")
def beckett() -> Audio:
    audio, _ = soundfile.read(speech("beckett.wav"), dtype="float32")
    return audio


def text(result: StepResult) -> str:
    return b"".join(result.pieces).decode()


def test_it_hears_what_was_said(model: Moonshine, beckett: Audio) -> None:
    result = model.step([Step(KEY, beckett[: 16_000 * 3])])[0]

    assert text(result).strip().lower().startswith("ever tried")
    assert result.stop == "eos"
    assert result.language == "en"
    assert result.confidence > 0.5
    assert result.decode_steps == len(result.tokens) + 1


def test_forced_tokens_stay_and_are_continued(model: Moonshine, beckett: Audio) -> None:
    free = model.step([Step(KEY, beckett)])[0]
    kept = free.tokens[:6]

    forced = model.step([Step(KEY, beckett, forced=kept)])[0]

    assert forced.tokens[:6] == kept
    assert len(forced.tokens) > 6


def test_a_right_draft_takes_one_pass(model: Moonshine, beckett: Audio) -> None:
    free = model.step([Step(KEY, beckett)])[0]

    drafted = model.step([Step(KEY, beckett, draft=free.tokens)])[0]

    assert drafted.tokens == free.tokens
    assert drafted.decode_steps == 1
    assert drafted.accepted == len(free.tokens)


@pytest.mark.parametrize("kind", ["substitution", "insertion", "deletion", "wrong throughout"])
def test_a_wrong_draft_costs_passes_but_is_not_believed(
    model: Moonshine, beckett: Audio, kind: str
) -> None:
    free = model.step([Step(KEY, beckett)])[0]
    tokens, middle = free.tokens, len(free.tokens) // 2
    draft = {
        "substitution": (*tokens[:middle], 77, *tokens[middle + 1 :]),
        "insertion": (*tokens[:middle], 77, 78, *tokens[middle:]),
        "deletion": (*tokens[:middle], *tokens[middle + 2 :]),
        "wrong throughout": (77,) * len(tokens),
    }[kind]

    drafted = model.step([Step(KEY, beckett, draft=draft)])[0]

    # int8 arithmetic depends a little on the pass (see the module): words, not every token.
    assert text(drafted).lower().split()[:4] == text(free).lower().split()[:4]
    assert drafted.decode_steps <= free.decode_steps + 1


def test_a_batch_says_what_its_segments_say_alone(model: Moonshine, beckett: Audio) -> None:
    """P2, to the last bit: in lanes side by side, and on another number of cores."""
    steps = [Step(KEY, beckett[: int(16_000 * s)]) for s in (0.4, 1.5, 3.0, 6.0, 9.9)]

    with ThreadPoolExecutor(model.info.lanes) as lanes:
        together = [result for [result] in lanes.map(lambda step: model.step([step]), steps)]
    alone = [Moonshine(lanes=1).step([step])[0] for step in steps]

    assert [r.tokens for r in together] == [r.tokens for r in alone]
    assert [r.confidence for r in together] == [r.confidence for r in alone]


@pytest.mark.parametrize("samples", [1, 100, 1600, 8000])
def test_the_shortest_audio_is_safe(model: Moonshine, samples: int) -> None:
    result = model.step([Step(KEY, np.zeros(samples, np.float32))])[0]

    assert result.stop in ("eos", "budget")


def test_what_it_writes_is_bounded_by_the_length_of_the_audio(model: Moonshine) -> None:
    noise = np.random.default_rng(3).standard_normal(16_000 * 4).astype(np.float32) * 0.1

    result = model.step([Step(KEY, noise, forced=(5, 6, 7))])[0]

    assert len(result.tokens) <= 4 * 6.5 + 8


def test_it_tells_what_it_has_decoded_if_asked(
    model: Moonshine, beckett: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    monkeypatch.setattr(progress, "TELL_EVERY_S", 0.0)
    monkeypatch.setattr(model, "tell", told.append)
    forced = model.step([Step(KEY, beckett)])[0].tokens[:4]
    assert not told, "nobody asked"

    result = model.step([Step(KEY, beckett, forced=forced, progress=True)])[0]

    whole = b"".join(result.pieces)
    assert [each.text for each in told] == [
        b"".join(result.pieces[:count]) for count in range(5, len(result.tokens) + 1)
    ]
    assert whole.startswith(told[-1].text)
    assert all(each.confidence > 0.3 and each.key == KEY for each in told)


def test_the_vocabulary_covers_all_bytes() -> None:
    vocabulary = read_vocabulary((assets() / "tokenizer.bin").read_bytes())

    assert len(vocabulary) == 32_768
    assert {bytes([byte]) for byte in range(256)} <= set(vocabulary)
    assert vocabulary[3 + 0x41] == b"A"


def test_a_model_of_ones_own_is_loaded_by_its_import_path() -> None:
    model = load_model("tests.engine.models.doubles:OneWordASecondModel")

    assert model.info.name == "double"


@pytest.mark.parametrize("name", ["no.such.module:Model", "engine.messages:NoSuchModel", ":", "a:"])
def test_a_wrong_import_path_is_refused(name: str) -> None:
    with pytest.raises(ModelUnavailableError, match="importable"):
        load_model(name)


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    with pytest.raises(ModelUnavailableError, match="moonshine-tiny-en"):
        load_model("whisper-enormous")
