"""Every knob, once. Set by environment ``SCRIBEWIRE_NAME``; command line flags override it."""

import ipaddress
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.addresses import parse_origins

MIN_SECRET_CHARS = 32


class Settings(BaseSettings):
    """Frozen; a value out of its range refuses to start. Each docstring is the option's help."""

    model_config = SettingsConfigDict(
        env_prefix="SCRIBEWIRE_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(1, ge=1, le=256)
    """Gateway processes that share the port and one engine; their limits add up but for rooms."""
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
    """Where a local model runs: a supervised process of its own, or a thread of the gateway."""
    engine: str = Field("local", pattern=r"^(local|ray|ray://.+)$")
    """`ray`: copies of the model in the Ray cluster that `RAY_ADDRESS` names, else in one started
    for it; `ray://HOST:PORT`: in that one, through Ray's client."""
    engine_least: int = Field(1, ge=1, le=10_000)
    """Copies of the model that are kept in a cluster at least."""
    engine_most: int = Field(1, ge=1, le=10_000)
    """Copies at most, when the load asks for them."""
    engine_cpus: float = Field(1.0, ge=0, le=1024)
    """CPUs that a copy takes in a cluster."""
    engine_gpus: float = Field(0.0, ge=0, le=16)
    """GPUs that a copy takes in a cluster; less than 1: copies share one."""
    step_timeout_s: float = Field(15.0, gt=0, le=600, allow_inf_nan=False)
    """Seconds after which a batch counts as hung and the model's process is restarted."""

    keys_file: str = ""
    """File of API keys, made by `scribewire keys`; SIGHUP has it read again."""
    api_keys: SecretStr = SecretStr("")
    """API keys, or their digests as `sha256:HEX`, with commas between them."""
    no_auth: bool = False
    """Listen on other addresses than loopback without keys: whoever reaches it may use it."""
    token_secret: SecretStr = SecretStr("")
    """What tokens are signed with, the same for all gateways; none: they end with the process."""
    token_max_s: int = Field(7200, ge=10, le=86_400)
    """Seconds that a token may be valid at most."""
    allowed_origins: str = ""
    """Origins, with commas, whose pages may connect beside the gateway's own; `*` needs keys."""
    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed."""
    metrics_open: bool = False
    """Whether everybody may read `/metrics`; else this machine, and who has a key."""
    tls_cert: str = ""
    """Certificate chain in a PEM file: serve https and wss. SIGHUP has it read again."""
    tls_key: str = ""
    """Its private key, if it is not in the same file."""

    max_sessions_per_key: int = Field(100, ge=0)
    """Sessions of a key at a time, if the key says nothing else; 0: no limit."""
    max_sessions_per_address: int = Field(50, ge=0)
    """Sessions of a client's address at a time; 0: no limit. This machine's have none."""
    handshakes_per_minute: int = Field(120, ge=0)
    """Handshakes and requests of a client's address in a minute; 0: no limit."""
    viewer_handshakes_per_minute: int = Field(3000, ge=0)
    """The same for following a room: a lecture hall may share one address."""
    audio_minutes_per_day: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Audio of a key in a day, in UTC, if the key says nothing else; 0: no limit."""
    handshake_timeout_s: float = Field(5.0, gt=0, allow_inf_nan=False)
    """Seconds in which the header of a request must be there."""
    max_messages_per_s: int = Field(1000, ge=10)
    """Messages of one connection in a second, after a burst of as many; then it is read slower."""
    max_sessions: int = Field(1000, ge=1)
    """Sessions at a time; further ones are refused with 429."""
    max_cadence_ms: int = Field(10_000, ge=1000)
    """Where partials would come less often than this, further sessions are refused: overloaded."""
    max_unheard_ms: int = Field(1000, ge=100)
    """Where audio has been waiting to be listened to for longer, likewise: the gateway is full."""
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

    max_uploads: int = Field(16, ge=1)
    """Uploaded files at a time; further ones are refused with 429. Each may wait on the disk."""
    max_upload_bytes: int = Field(1_073_741_824, ge=65_536)
    """Bytes of an upload; a larger one is refused with 413."""
    max_upload_s: float = Field(14_400.0, gt=0, allow_inf_nan=False)
    """Seconds of audio in an upload; a longer one is refused with 413."""
    max_rooms: int = Field(100, ge=1)
    """Rooms at a time; those that nobody uses make place for new ones."""
    max_viewers: int = Field(5000, ge=1)
    """Viewers of all rooms at a time."""
    max_viewers_per_room: int = Field(2000, ge=1)
    """Viewers of a room at a time."""
    room_history: int = Field(500, ge=0, le=100_000)
    """Finals that a room keeps for who comes late."""
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
    resume_window_s: float = Field(30.0, ge=0, le=600, allow_inf_nan=False)
    """Seconds for which a session whose connection was lost is kept; 0: not at all."""
    drain_s: float = Field(10.0, ge=0, allow_inf_nan=False)
    """Seconds that open sessions get for their finals after SIGTERM."""

    otlp_endpoint: str = Field("", pattern=r"^(|https?://[^\s/]+.*)$")
    """URL of an OpenTelemetry collector (OTLP over HTTP) for traces; needs the extra telemetry."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """Form of the log on stderr; auto: console on a terminal, else json."""

    @property
    def has_keys(self) -> bool:
        """Whether clients must show a key, or a token made for one."""
        return bool(self.keys_file or self.api_keys.get_secret_value().strip())

    @field_validator("token_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < MIN_SECRET_CHARS:
            raise ValueError(f"at least {MIN_SECRET_CHARS} characters are needed")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        parse_origins(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            ipaddress.ip_network(part)  # also refuses `*`: anybody could choose an address
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.no_auth and self.has_keys:
            raise ValueError("no_auth and keys contradict each other: give one of them")
        if "*" in self.allowed_origins and not self.has_keys:
            raise ValueError("allowed_origins=* needs keys: any page could use this gateway")
        if self.engine_most < self.engine_least:
            raise ValueError("engine_most must not be less than engine_least")
        if self.workers > 1 and self.engine == "local" and self.runner == "thread":
            raise ValueError("workers share a model in a process of its own: not runner=thread")
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_key needs tls_cert")
        return self
