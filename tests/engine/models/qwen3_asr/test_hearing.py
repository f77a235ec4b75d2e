"""Audio that grows gives the embeddings that transformers' encoder gives of all of it at once."""

from typing import Any

import numpy as np
import pytest
import torch

from engine.messages import Audio
from engine.models.qwen3_asr.cost import Cost, CostMeter
from engine.models.qwen3_asr.hearing import Heard, Hearing, Renewed
from tests.engine.models.qwen3_asr.reference import Pair, random_pair, sounds, two_cities

SOUNDS = sounds(two_cities())


@pytest.fixture(scope="module")
def pair() -> Pair:
    return random_pair()


class Ear:
    """One segment's."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._meter = CostMeter(pair.ours.config)
        self._hearing = Hearing(pair.ours, pair.extractor, self._meter)
        self._heard: Heard = self._hearing.new()

    def listen(self, clip: Audio) -> tuple[torch.Tensor, Renewed, Cost]:
        """Embeddings of the clip, what was renewed, and what that cost."""
        before = self._meter.snapshot()
        with torch.inference_mode():
            [renewed] = self._hearing.advance([clip], [self._heard])
        states = [window.states for window in self._heard.windows]
        return torch.cat([*states, *renewed.open]), renewed, self._meter.total.since(before)


def of_the_whole(pair: Pair, clip: Audio) -> torch.Tensor:
    """By transformers' own forward."""
    sound = pair.extractor(clip, sampling_rate=16_000, padding=True, return_attention_mask=True)
    model: Any = pair.reference.model
    with torch.inference_mode():
        states = model.audio_tower(sound["input_features"], sound["attention_mask"])
        projected = model.multi_modal_projector(states.last_hidden_state)
    assert isinstance(projected, torch.Tensor)
    return projected


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_grown_in_any_steps_it_equals_the_encoders(pair: Pair, name: str) -> None:
    """A final may also end before the last partial did."""
    ear, random = Ear(pair), np.random.default_rng(1)
    lengths = np.sort(random.integers(160, 28 * 16_000, 14))
    for length in [8000, *lengths, lengths[-1] - 30_000, lengths[-1] - 10_000, 8 * 16_000]:
        found, _, _ = ear.listen(SOUNDS[name][:length])
        whole = of_the_whole(pair, SOUNDS[name][:length])

        assert found.shape == whole.shape
        # Another order of additions where frames are very quiet; states are of the order of 10.
        assert torch.allclose(found, whole, rtol=1e-3, atol=1e-2), length


def test_the_convolutions_see_each_second_once_and_the_last_until_it_is_whole(pair: Pair) -> None:
    ear = Ear(pair)
    noise = SOUNDS["noise"]
    per_second = Cost(flops=CostMeter(pair.ours.config)._second).flops
    ear.listen(noise[: 9 * 16_000 + 8000])
    _, renewed, cost = ear.listen(noise[: 11 * 16_000 + 8000])

    attending = CostMeter(pair.ours.config)
    attending.attended([13 * 3 + 7])
    assert renewed.first == 1, "the complete window stays"
    assert cost.encoder_frames == 350
    # The second that was begun, a whole one, and the one begun now.
    assert cost.flops - attending.total.flops == 3 * per_second


def test_a_louder_sound_renews_only_the_seconds_it_changes(pair: Pair) -> None:
    """Digital silence lies at the floor, so it moves with it; loud noise has nothing near it."""
    noise = np.random.default_rng(0).normal(0, 0.05, 7 * 16_000).astype(np.float32)
    noise[3 * 16_000 : 4 * 16_000] = 0
    noise[6 * 16_000 :] *= 1.5
    ear = Ear(pair)
    ear.listen(noise[: 6 * 16_000])
    _, _, louder = ear.listen(noise)

    meter = CostMeter(pair.ours.config)
    meter.attended([13 * 7])
    renewed = (louder.flops - meter.total.flops) / meter._second
    assert renewed == 3, "the silent one, the last one, which was not whole, and the new one"
