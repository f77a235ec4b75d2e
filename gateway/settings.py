"""Every knob, once. Set by environment ``SCRIBEWIRE_NAME``; command line flags override it."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Frozen; a value out of its range refuses to start. Each docstring is the option's help."""

    model_config = SettingsConfigDict(
        env_prefix="SCRIBEWIRE_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    model: str = "moonshine-tiny-en"
    """Speech model: `moonshine-tiny-en`, a Qwen3-ASR checkpoint (name, folder), `module:Class`."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where the model computes: `cpu`, `cuda`, `cuda:N`; auto: a GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """The model's arithmetic; auto: bfloat16 on a GPU, else float32."""
    gpu_memory: float = Field(0.85, gt=0.1, le=0.98)
    """Share of the GPU's memory that weights and caches may take."""
    cpu_cache_gib: float = Field(1.0, gt=0, le=1024)
    """GiB for the caches of open segments when there is no GPU."""
    aligner: str = ""
    """Forced aligner for the times of words, `Qwen/Qwen3-ForcedAligner-0.6B-hf` or a folder."""
    runner: Literal["process", "thread"] = "process"
    """Where the model runs: a supervised process of its own, or a thread of the gateway."""
    step_timeout_s: float = Field(15.0, gt=0, le=600, allow_inf_nan=False)
    """Seconds after which a batch counts as hung and the model's process is restarted."""

    max_sessions: int = Field(1000, ge=1)
    """Sessions at a time; further ones are refused with 429."""
    max_frame_bytes: int = Field(1_048_576, ge=4096, le=16_777_216)
    """Bytes of one WebSocket message; a larger one closes the connection with 1009."""
    max_control_bytes: int = Field(65_536, ge=1024)
    """Bytes of one control message."""
    max_backlog_ms: int = Field(30_000, ge=1000, le=600_000)
    """Audio that may wait beyond one longest segment; more ends the session: audio_backlog."""
    first_message_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Seconds in which a new connection must send its first message."""
    idle_timeout_s: float = Field(60.0, gt=0, allow_inf_nan=False)
    """Seconds without any message (a ping will do) after which a session ends: idle_timeout."""
    max_session_s: float = Field(43_200.0, gt=0, allow_inf_nan=False)
    """Seconds after which a session ends: max_duration."""

    outbox_events: int = Field(256, ge=16)
    """Messages that may wait for a slow reader; partials of a segment count once."""
    outbox_bytes: int = Field(1_048_576, ge=65_536)
    """Bytes of transcript that may wait for a slow reader."""
    write_timeout_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Seconds in which the network must take one message; then slow_consumer."""
    ping_interval_s: float = Field(20.0, gt=0, allow_inf_nan=False)
    """Seconds between WebSocket pings."""
    ping_timeout_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Seconds in which a ping must be answered; then the connection counts as gone."""
    drain_s: float = Field(10.0, ge=0, allow_inf_nan=False)
    """Seconds that open sessions get for their finals after SIGTERM."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """Form of the log on stderr; auto: console on a terminal, else json."""
