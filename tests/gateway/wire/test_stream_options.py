"""What the engine is told of a session's options."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio import PcmDecoder
from gateway.wire.options import SessionOptions
from gateway.wire.stream_options import SIXTEEN_BIT, is_sixteen_bit


@pytest.mark.parametrize("encoding", SIXTEEN_BIT)
@given(data=st.binary(max_size=400))
def test_what_is_called_16_bit_audio_has_nothing_but_such_samples(
    encoding: str, data: bytes
) -> None:
    options = SessionOptions(encoding=encoding)  # type: ignore[arg-type]
    assert is_sixteen_bit(options)

    decoder = PcmDecoder(options.encoding, options.sample_rate, options.channels)
    samples = decoder.decode(data[: len(data) // 2 * 2]) * np.float32(32_768)

    assert np.array_equal(samples, np.rint(samples))
    assert np.array_equal(samples, samples.astype(np.int16))


@pytest.mark.parametrize(
    "options",
    [{"sample_rate": 48_000}, {"channels": 2}, {"encoding": "pcm_f32le"}, {"encoding": "opus"}],
    ids=str,
)
def test_what_was_resampled_or_mixed_is_no_such_audio(options: dict[str, object]) -> None:
    assert not is_sixteen_bit(SessionOptions(**options))  # type: ignore[arg-type]
