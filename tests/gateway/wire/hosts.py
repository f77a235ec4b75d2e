"""What a codec may know of its server, for tests that need none."""

from engine.messages import ModelInfo
from gateway.wire.codec import Host, Keepalive

MODEL = ModelInfo(
    name="some-asr", languages={"en": "English", "zh": "Chinese", "yue": "Cantonese"},
    max_segment_ms=28_000, max_batch=4, exact_drafts=True, context=True, words=False,
)  # fmt: skip
DEAF_TO_CONTEXT = ModelInfo(
    name="tiny", languages={"en": "English"}, max_segment_ms=28_000, max_batch=1,
    exact_drafts=True, context=False, words=False,
)  # fmt: skip


def host(model: ModelInfo = MODEL) -> Host:
    """A server with that model."""
    return Host(
        session="0123456789abcdef" * 2, model=model, opened_at=1_800_000_000.0,
        keepalive=Keepalive(10, 60), max_control_bytes=4096, max_session_s=3600,
    )  # fmt: skip
