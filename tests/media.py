"""Speech in the containers that people have."""

import io

import av
import numpy as np

from engine.messages import Audio

CODECS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("adts", "aac"),
    "ogg": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "m4a": ("ipod", "aac"),
}
"""libav's muxer and encoder for each kind of file."""


def recorded(samples: Audio, kind: str, *, rate: int = 16_000, page_ms: int = 1000) -> bytes:
    """A file of mono samples, shape ``(n,)``, at 16 kHz; Opus is 48 kHz inside, as always.

    Args:
        page_ms: what is written at a time to Ogg and WebM; browsers write little.
    """
    muxer, codec = CODECS[kind]
    if codec == "libopus":
        rate = 48_000
    options = {"ogg": {"page_duration": str(page_ms * 1000)},
               "webm": {"cluster_time_limit": str(page_ms)}}  # fmt: skip
    target = io.BytesIO()
    with av.open(target, "w", format=muxer, options=options.get(kind, {})) as file:
        stream = file.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(
            np.round(samples[None] * 32_767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or None
        )
        for each in (*resampler.resample(frame), *resampler.resample(None), None):
            file.mux(stream.encode(each))
    return target.getvalue()
