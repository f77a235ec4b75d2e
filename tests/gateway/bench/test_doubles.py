"""The model that answers at once fills the protocol, and says that it is none."""

import numpy as np

from engine.messages import SegmentKey, Step
from engine.models.base import SpeechModel
from engine.models.catalog import load_model


def test_it_is_a_model_that_writes_two_words_a_second() -> None:
    model: SpeechModel = load_model("gateway.bench.doubles:InstantModel")
    step = Step(SegmentKey("s", 1), np.zeros(32_000, np.float32), forced=(0,), draft=(1,))

    [result] = model.step([step])

    assert result.tokens == (0, 1, 2, 3)
    assert b"".join(result.pieces) == b" word0 word1 word2 word3"
    assert "double" in model.info.name
    model.warm_up()
    model.forget(step.key)
