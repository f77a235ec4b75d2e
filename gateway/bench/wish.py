"""What the user asked for, and the shape of the load that it comes to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.bench.plan import Kind
from gateway.bench.visits import Shape

PROBE_S, PROBE_WARM_UP_S = 30.0, 5.0
AUTO_STAGGER_S = 2.0
HOLD_S, CHURN_S = 30.0, 60.0
SOAK_LENGTH_S, CHURN_LENGTH_S = 300.0, 20.0


@dataclass(frozen=True, slots=True)
class Wish:
    """Times as in the command's help."""

    url: str | None = None
    sessions: int = 1
    audio: tuple[str, ...] = ("two_cities",)
    duration_s: float | None = None
    chunk_ms: str = "2000"
    endpoint_ms: int = 600
    frame_ms: int = 100
    processes: int | None = None
    stagger_s: float | None = None
    warm_up_s: float | None = None
    references: tuple[Path, ...] = ()
    words: tuple[Path, ...] = ()
    model: str | None = None
    workers: int = 1
    server_pid: int | None = None
    find_capacity: bool = False
    max_sessions: int = 256
    limit_ms: float = 1000.0
    max_stretch: float = 2.0
    tries: int = 1
    json: Path | None = None
    html: Path | None = None
    api_key: str | None = field(default=None, repr=False)
    protocols: tuple[str, ...] = ("native",)
    language: str | None = None
    mix: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    slo: tuple[str, ...] = ()
    ramp_s: float | None = None
    hold_s: float | None = None
    soak_h: float | None = None
    churn_per_min: float | None = None
    length_s: float | None = None
    fixed_length: bool = False
    vanish: float = 0.0
    resume: float = 0.0
    seed: int = 0

    @property
    def fixed_chunk_ms(self) -> int | None:
        """None: auto."""
        return None if self.chunk_ms == "auto" else int(self.chunk_ms)

    @property
    def kept_up(self) -> bool:
        """Whether a load is kept up for a time, rather than each session played once."""
        given = (self.ramp_s, self.hold_s, self.soak_h, self.churn_per_min)
        return any(each is not None for each in given)

    @property
    def measured_from_s(self) -> float:
        """What is spoken before is warm-up."""
        if self.warm_up_s is not None:
            return self.warm_up_s
        return PROBE_WARM_UP_S if self.find_capacity else 0.0

    def shape(self, sessions: int, kinds: Sequence[Kind]) -> Shape:
        """How a load of so many sessions goes over time."""
        return Shape(
            sessions=sessions,
            over_s=self._over_s,
            for_s=self._for_s(kinds),
            kept=self.kept_up,
            per_min=self.churn_per_min,
            length_s=self._length_s,
            fixed=self.fixed_length,
            vanish=self.vanish,
            resume=self.resume,
            seed=self.seed,
        )

    @property
    def _over_s(self) -> float:
        if self.ramp_s is not None:
            return self.ramp_s
        if self.churn_per_min is not None:
            return 0.0
        if self.stagger_s is not None:
            return self.stagger_s
        chunk_ms = self.fixed_chunk_ms
        return AUTO_STAGGER_S if chunk_ms is None else chunk_ms / 1000

    def _for_s(self, kinds: Sequence[Kind]) -> float:
        if self.soak_h is not None:
            return self.soak_h * 3600
        if self.hold_s is not None:
            return self.hold_s
        if self.kept_up:
            return CHURN_S if self.churn_per_min is not None else HOLD_S
        if self.duration_s is not None:
            return self.duration_s
        if self.find_capacity:
            return self.measured_from_s + PROBE_S
        return max(kind.track.period_ms(self.frame_ms) for kind in kinds) / 1000

    @property
    def _length_s(self) -> float | None:
        if self.length_s is not None:
            return self.length_s
        if self.churn_per_min is not None:
            return CHURN_LENGTH_S
        return SOAK_LENGTH_S if self.soak_h is not None else None
