"""Every figure that the rest starts from, and where it is from.

Measured: on two cores of a shared machine, one run of ``python -m tests.measure_capacity``, unless
it says otherwise. Derived: by arithmetic from counted operations and bytes; nothing here was ever
measured on a GPU. Assumed: nobody measured it; put your own in.
"""

from dataclasses import dataclass
from typing import NamedTuple

STEP_LENGTHS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 28.0)
"""Audio of a step of the embedded model, for the four rows that follow. Measured, in seconds."""
PARTIAL_ALONE_S = (0.0142, 0.0331, 0.0569, 0.0981, 0.2186, 0.4340)
"""One step at a time, on both cores."""
PARTIAL_BESIDE_S = (0.0160, 0.0358, 0.0736, 0.1178, 0.2854, 0.7294)
"""A second one beside it all the time, so that each has about a core."""
FINAL_ALONE_S = (0.0139, 0.0307, 0.0748, 0.1687, 0.4233, 1.0914)
FINAL_BESIDE_S = (0.0166, 0.0351, 0.0771, 0.1862, 0.5063, 1.3049)
"""Nothing is forced in a final, so all of its text is decoded."""

GFLOPS_WARM = (66.6, 99.6, 137.2, 176.7, 86.0, 125.8, 166.0, 206.5, 114.3, 155.1, 196.2, 237.7,
               144.1, 185.9)  # fmt: skip
"""Of Qwen3-ASR 0.6B's step, by the segment's age in chunks of 2 s, with its caches. Counted:
`engine.models.qwen3_asr.arithmetic`, mode (d); it drops where a window of 8 s is complete."""
GFLOPS_COLD = (66.6, 116.3, 162.7, 211.0, 259.2, 307.8, 356.8, 406.0, 455.3, 504.9, 554.8, 605.1,
               655.3, 705.9)  # fmt: skip
"""The same with nothing kept, mode (a): what a segment costs that moves to another copy."""
GFLOPS_WARM_1_7B = (175.7, 264.2, 371.1, 481.5, 232.5, 343.1, 454.1, 565.5, 315.1, 426.7, 538.6,
                    651.0, 399.1, 511.7)  # fmt: skip
GFLOPS_COLD_1_7B = (175.7, 298.4, 414.1, 533.3, 652.3, 771.8, 891.6, 1011.7, 1131.8, 1252.2, 1373.0,
                    1494.2, 1615.2, 1736.6)  # fmt: skip
ROW_PASSES = 7.2
"""Sequential passes of a step behind the prefill, in the mean. Counted, the same arithmetic."""
ROW_CACHE_GB = 0.028
"""Keys and values that such a pass reads of one segment. Counted: PERFORMANCE.md."""
KEPT_CACHE_GB = 0.033
"""Keys and values that an open segment keeps between steps, in whole pages. Counted: ibid."""
STEPS_PER_OPEN_S = 0.63
"""Steps for each second of an open segment at the default cadence, finals and those begun in vain
among them. Simulated, of `talk.speech`; the shipped recording has 0.62 (measured)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process. Measured, 100 ms frames of PCM, without TLS."""

    core_per_session: float = 0.605 / 500
    """README, *The gateway alone*: 500 sessions that speak all the time, 0.605 of a core."""
    session_mib: float = 0.59
    """With 5 s of open speech, which came as 16-bit samples."""
    viewer_kib: float = 10.5
    viewer_message_us: float = 12.0
    """README, *Fan-out*: processor time for a message to one viewer, 1,000 in a room."""
    handshake_ms: float = 0.96
    """A new session, its first message and its abort."""
    resume_here_ms: float = 1.02
    """Coming back to the process that kept the session."""
    resume_elsewhere_ms: float = 7.58
    """Coming back to another one, which hears 5 s of speech again."""
    viewer_handshake_ms: float = 0.60
    process_mib: float = 113.5
    """README, *Memory*: at rest after half an hour of speech."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes a second. Measured in payloads; the overhead of a packet is assumed."""

    up_pcm: float = 32_000.0
    up_opus: float = 3_000.0
    """The page's own setting, 24 kbit/s; containers add little."""
    up_frames: float = 10.0
    down_session: float = 561.0
    """Partials, finals, and confirmations with their checkpoints, which are two thirds of it."""
    down_messages: float = 1.06
    viewer: float = 199.0
    viewer_messages: float = 0.85
    packet: float = 40 + 12 + 29 + 8
    """IP and TCP with timestamps, TLS 1.3, the WebSocket's frame. Assumed: one packet a message."""
    hls_entry: float = 2.8
    """Of a playlist after half an hour, for each 6 s of it, compressed; 32 as it is. Counted."""
    hls_segment: float = 250.0
    """A WebVTT segment of 6 s. Assumed from 200 B/s of finals and partials, 50 B/s of finals."""
    http_headers: float = 600.0
    """Of an answer and what is around it. Assumed."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One H100 SXM with 80 GB, by its data sheet and what share of it is believed. Derived."""

    name: str
    matrix: float
    """Share of 989 TFLOP/s (bfloat16, dense) that prefill and encoder reach. Assumed."""
    bandwidth: float
    """Share of 3.35 TB/s. Assumed."""
    pass_s: float
    """Launching one decoding pass, as a CUDA graph. Assumed."""
    batch_s: float
    """Host work for a batch of any size: eager prefill and encoder. Assumed."""
    row_s: float
    """Host work, in Python, for each step of a batch. Assumed; it decides."""

    @property
    def flops(self) -> float:
        """A second."""
        return self.matrix * 989e12

    @property
    def bytes(self) -> float:
        """A second."""
        return self.bandwidth * 3.35e12


LOW = Gpu("low", 0.15, 0.4, 0.002, 0.030, 0.0008)
HIGH = Gpu("high", 0.45, 0.7, 0.0005, 0.010, 0.0002)
CACHE_GB = 0.85 * 80
"""`gpu_memory` of an H100, for weights and caches."""


@dataclass(frozen=True, slots=True)
class Model:
    """What differs between the sizes of Qwen3-ASR. Counted."""

    name: str
    weights_gb: float
    warm: tuple[float, ...]
    cold: tuple[float, ...]


SMALL = Model("0.6B", 1.2, GFLOPS_WARM, GFLOPS_COLD)
LARGE = Model("1.7B", 3.4, GFLOPS_WARM_1_7B, GFLOPS_COLD_1_7B)


@dataclass(frozen=True, slots=True)
class Prices:
    """In dollars. Assumed in 2026-11, in the manner of public list prices: put your own in."""

    gpu_hour: float = 3.0
    cpu_hour: float = 0.045
    """Of a core as a virtual machine counts them, with 4 GiB."""
    egress_gb: float = 0.05
    cdn_gb: float = 0.02
    cdn_million_requests: float = 0.60


@dataclass(frozen=True, slots=True)
class Traffic:
    """How people speak and come. Assumed, except where a recording says so."""

    duty: float = 0.7
    """Share of a session's time with an open segment; the shipped recording has 0.92."""
    reserve: float = 0.8
    """Share of the capacity to be used at the peak."""
    failure_days: float = 30.0
    """Mean time between failures of a machine with a copy."""
    boot_s: float = 300.0
    """From Ray asking for a machine until its copy takes steps: node, image, weights, warm-up."""
    reload_s: float = 60.0
    """The same on a machine that is there."""


class Measured(NamedTuple):
    """A run of ``scribewire bench --sessions N --chunk-ms 2000`` against one server: ms, p50, p95,
    p99; the other figures are of the server's metrics."""

    sessions: int
    partial_ms: tuple[float, float, float]
    final_ms: tuple[float, float, float]
    cadence_ms: tuple[float, float, float]
    partials: int
    begun: int
    """Finals that were begun in a pause."""
    finals: int
    """That were not ready when the pause was long enough."""
    busy_s: float
    """Of both lanes together."""


BENCH = (
    Measured(4, (108, 256, 328), (3, 9, 10), (1936, 2080, 2156), 40, 60, 0, 12.2),
    Measured(8, (117, 334, 405), (3, 21, 82), (1952, 2156, 2331), 79, 120, 0, 28.7),
    Measured(16, (115, 275, 379), (8, 1164, 2404), (2016, 2668, 3020), 121, 203, 22, 53.8),
    Measured(20, (134, 374, 478), (12, 2168, 3892), (2016, 3724, 3852), 136, 230, 31, 63.6),
)

BATCHED_FIXED_S, BATCHED_ROW_S = 0.070, 0.002
"""Of the double in ``python -m tests.measure_batching``: about the low end of an H100."""


class Batched(NamedTuple):
    """A run of ``python -m tests.measure_batching``: the real worker, and that double."""

    sessions: int
    steps_per_s: float
    batch: float
    busy: float
    """Share of the time."""
    needed: float
    """Share of it that the same steps would take in full batches, as `engine.pacing` fits them."""
    cadence_s: float
    """In force, in the mean."""


BATCHED = (
    Batched(50, 27, 2.2, 0.90, 0.06, 2.00),
    Batched(200, 106, 9.7, 0.98, 0.22, 2.00),
    Batched(400, 211, 26.9, 0.98, 0.44, 2.00),
)
