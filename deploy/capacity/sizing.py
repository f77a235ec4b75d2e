"""From what one session costs to what so many cost: multiplication, no more."""

import math
from dataclasses import dataclass, field

from deploy.capacity import inputs
from deploy.capacity.copies import OnGpu
from deploy.capacity.inputs import Gateway, Prices, Traffic, Wire
from engine.pacing import TARGET_LOAD

SIZES = (1_000, 10_000, 1_000_000)
BATCH_WITHIN_S = 0.5
"""A step waits for one batch and takes part in the next: a second at most."""
SESSIONS_PER_CORE = 10.0
"""Of the embedded model: the simulated 12 (`scenarios.embedded_load`: 24 on two cores keep due →
partial within 1 s, p95), less the fifth that measured runs are busier than simulated ones."""
GATEWAY_LOAD = 0.6
"""Of a core, as the autoscaler of the Kubernetes manifests wants it."""
GPUS_A_MACHINE = 8
HLS_SEGMENT_S = 6.0
GIGABIT = 1e9 / 8


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a reader may put in instead."""

    gateway: Gateway = field(default_factory=Gateway)
    wire: Wire = field(default_factory=Wire)
    prices: Prices = field(default_factory=Prices)
    traffic: Traffic = field(default_factory=Traffic)
    speakers: tuple[int, ...] = SIZES
    viewers: tuple[int, ...] = SIZES


def sessions_per_gpu(copy: OnGpu, traffic: Traffic) -> float:
    """Sessions of which all steps fit in batches of `BATCH_WITHIN_S`, and all caches in memory."""
    steps = copy.steps_per_s(BATCH_WITHIN_S) * TARGET_LOAD
    by_time = steps / (inputs.STEPS_PER_OPEN_S * traffic.duty)
    return min(by_time, copy.open_segments / traffic.duty)


def gpus(sessions: int, copy: OnGpu, traffic: Traffic) -> int:
    """With the reserve, and a machine more than needed from the second machine on, else a GPU."""
    needed = math.ceil(sessions / sessions_per_gpu(copy, traffic) / traffic.reserve)
    return needed + (GPUS_A_MACHINE if needed > GPUS_A_MACHINE else 1)


def model_cores(sessions: int, traffic: Traffic) -> int:
    """Of the embedded model; its reserve is in `SESSIONS_PER_CORE`."""
    return math.ceil(sessions / SESSIONS_PER_CORE * traffic.duty / Traffic().duty)


@dataclass(frozen=True, slots=True)
class Gateways:
    """Processes, with one more for each twenty."""

    processes: int
    cores: float
    """At work."""
    gib: float
    each: int
    """Sessions of a process."""


def gateways(sessions: int, given: Assumptions) -> Gateways:
    """For speakers."""
    gateway = given.gateway
    each = int(GATEWAY_LOAD / gateway.core_per_session)
    processes = math.ceil(sessions / each)
    processes += math.ceil(processes / 20)
    mib = processes * gateway.process_mib + sessions * gateway.session_mib
    return Gateways(processes, sessions * gateway.core_per_session, mib / 1024, each)


def up_gbit(sessions: int, wire: Wire, opus: bool = False) -> float:
    """Gbit/s from speakers; audio is sent in silence too."""
    payload = wire.up_opus if opus else wire.up_pcm
    return sessions * (payload + wire.up_frames * wire.packet) / GIGABIT


def down_gbit(sessions: int, wire: Wire) -> float:
    """Gbit/s back to speakers."""
    return sessions * (wire.down_session + wire.down_messages * wire.packet) / GIGABIT


def egress_dollars(gbit: float, per_gb: float) -> float:
    """An hour of it."""
    return gbit / 8 * 3600 * per_gb


def speaker_dollars(sessions: int, machines: float, given: Assumptions) -> float:
    """An hour of gateways and network, and of ``machines`` dollars for models."""
    prices = given.prices
    cores = gateways(sessions, given).processes * prices.cpu_hour
    return machines + cores + egress_dollars(down_gbit(sessions, given.wire), prices.egress_gb)


@dataclass(frozen=True, slots=True)
class Watching:
    """What viewers of one kind take."""

    processes: int
    cores: float
    gib: float
    gbit: float
    requests_s: float
    dollars: float


def over_sockets(viewers: int, given: Assumptions, per_process: int = 5000) -> Watching:
    """Viewers of many rooms, none above ``max_viewers_per_room``; as many to a process as
    ``max_viewers`` says."""
    gateway, wire = given.gateway, given.wire
    processes = math.ceil(viewers / per_process)
    cores = viewers * wire.viewer_messages * gateway.viewer_message_us / 1e6
    gbit = viewers * (wire.viewer + wire.viewer_messages * wire.packet) / GIGABIT
    gib = (processes * gateway.process_mib + viewers * gateway.viewer_kib / 1024) / 1024
    dollars = processes * given.prices.cpu_hour + egress_dollars(gbit, given.prices.egress_gb)
    return Watching(processes, cores, gib, gbit, 0.0, dollars)


def over_cdn(viewers: int, given: Assumptions, hours: float = 1.0) -> Watching:
    """Players of HTTP Live Streaming, each asking for list and segment every 6 s, in the mean over
    a room's first ``hours``; from the gateway only the CDN asks."""
    wire, prices = given.wire, given.prices
    entries = hours * 3600 / HLS_SEGMENT_S / 2
    each = entries * wire.hls_entry + wire.hls_segment + 2 * wire.http_headers
    gbit = viewers * each / HLS_SEGMENT_S / GIGABIT
    requests = viewers * 2 / HLS_SEGMENT_S
    dollars = egress_dollars(gbit, prices.cdn_gb)
    dollars += requests * 3600 / 1e6 * prices.cdn_million_requests
    return Watching(1, 0.0, 0.0, gbit, requests, dollars)


def erlang_b(load: float, servers: int) -> float:
    """The share of Poisson arrivals that find all ``servers`` taken, at ``load`` erlang."""
    inverse = 1.0
    for n in range(1, servers + 1):
        inverse = 1.0 + inverse * n / load
    return 1.0 / inverse


def load_for(servers: int, blocked: float = 0.001) -> float:
    """The load at which so few are refused."""
    low, high = 0.0, float(servers)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if erlang_b(middle, servers) < blocked else (low, middle)
    return low
