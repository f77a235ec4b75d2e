"""What `/metrics` shows. One registry per gateway, so tests may run several in one process."""

import os
from collections import Counter as Counts
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from engine.worker import BatchReport

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable by which prometheus_client keeps values in files that processes share."""
LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.02, *LATENCY_BUCKETS)
LATE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STATES = ("open", "ending", "detached", "upload")
"""Of a session: see `gateway.registry.Registry.states`."""


class Metrics:
    """Counters, gauges and histograms; incremented where things happen."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        # What is shown of several processes that share the port: of all together, or of one.
        total, most, least = (
            partial(Gauge, registry=registry, multiprocess_mode=mode)
            for mode in ("livesum", "livemax", "livemin")
        )
        self.sessions = total("scribewire_sessions", "Sessions open now")
        self.detached = total("scribewire_sessions_detached", "Sessions kept without a connection")
        self.in_state = total("scribewire_sessions_in_state", "Sessions now, by state", ["state"])
        for state in STATES:
            self.in_state.labels(state)
        self.draining = most("scribewire_draining", "1 while the process ends and takes no session")
        self.resumed = Counter(
            "scribewire_sessions_resumed", "Lost connections come back, by what was found: the "
            "session, or nothing", ["found"], registry=registry,
        )  # fmt: skip
        self.rooms = most("scribewire_rooms", "Rooms kept now")
        self.viewers = total("scribewire_viewers", "Viewers of rooms now")
        self.slow_viewers = Counter(
            "scribewire_slow_viewers", "Viewers closed for being slow", registry=registry
        )
        self.opened = Counter("scribewire_sessions_opened", "Sessions opened", registry=registry)
        self.closed = Counter(
            "scribewire_sessions_closed",
            "Sessions closed, by close code",
            ["code"],
            registry=registry,
        )
        self.refused = Counter(
            "scribewire_refusals", "Connections refused, by error code", ["code"], registry=registry
        )
        self.denied = Counter(
            "scribewire_access_denied", "Requests and handshakes without permission, by reason",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.limited = Counter(
            "scribewire_limits_reached", "Refusals for want of room, by the setting that bounds it",
            ["setting"], registry=registry,
        )  # fmt: skip
        self.paced_s = Counter(
            "scribewire_paced_seconds", "Seconds that senders of too many messages had to wait",
            registry=registry,
        )  # fmt: skip
        self.errors = Counter(
            "scribewire_client_errors",
            "Errors told to clients, by code",
            ["code"],
            registry=registry,
        )
        self.audio_s = Counter(
            "scribewire_audio_seconds", "Audio received, in seconds", registry=registry
        )
        self.events = Counter(
            "scribewire_events", "Messages to clients, by type", ["type"], registry=registry
        )
        self.conflated = Counter(
            "scribewire_partials_conflated",
            "Partials replaced before they were sent",
            registry=registry,
        )
        self.revised = Counter(
            "scribewire_finals_revised", "Finals that contradict stable text", registry=registry
        )
        self.suppressed = Counter(
            "scribewire_suppressed", "Texts withdrawn or never shown, by reason", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.uploads = Counter(
            "scribewire_uploads", "Uploaded files, by outcome: done, gone or an error's code",
            ["outcome"], registry=registry,
        )  # fmt: skip
        self.lag = Histogram(
            "scribewire_partial_lag_seconds", "Audio received but not in the partial just made",
            registry=registry, buckets=LATENCY_BUCKETS,
        )  # fmt: skip
        self.partial_s = Histogram(
            "scribewire_chunk_to_partial_seconds",
            "From the last sample of a chunk being received to its first partial's being queued",
            registry=registry, buckets=LATENCY_BUCKETS,
        )  # fmt: skip
        self.queue_s = Histogram(
            "scribewire_queue_seconds", "From a segment's being due to the batch that takes it",
            registry=registry, buckets=WAIT_BUCKETS,
        )  # fmt: skip
        self.queue_depth = total(
            "scribewire_queue_depth", "Sessions with a segment that is due and in no batch yet"
        )
        self.cadence_s = most(
            "scribewire_cadence_seconds",
            "New audio between two partial steps of a segment, at least, as the load has it",
        )
        self.unheard_s = most(
            "scribewire_unheard_seconds", "For how long audio has been waiting to be listened to"
        )
        self.loop_late_s = Histogram(
            "scribewire_event_loop_late_seconds", "How much later than asked a timer of the "
            "gateway's event loop went off", registry=registry, buckets=LATE_BUCKETS,
        )  # fmt: skip
        self.steps = Counter(
            "scribewire_steps", "Model steps, by kind", ["kind"], registry=registry
        )
        self.failed_steps = Counter(
            "scribewire_steps_failed", "Model steps that came to nothing", registry=registry
        )
        self.batch_size = Histogram(
            "scribewire_batch_size", "Steps in a micro-batch", registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
        )  # fmt: skip
        self.batch_s = Histogram(
            "scribewire_batch_seconds", "Seconds a micro-batch took", registry=registry,
            buckets=LATENCY_BUCKETS,
        )  # fmt: skip
        self.phase_s = Counter(
            "scribewire_step_phase_seconds", "Seconds of model time, by phase", ["phase"],
            registry=registry,
        )  # fmt: skip
        self.tokens = Counter(
            "scribewire_tokens", "Tokens by origin: a draft kept, or a pass of their own",
            ["by"], registry=registry,
        )  # fmt: skip
        self.flops = Counter(
            "scribewire_model_flops", "Floating-point operations that the model counted",
            registry=registry,
        )  # fmt: skip
        self.encoder_frames = Counter(
            "scribewire_encoder_frames", "Mel frames through the encoder", registry=registry
        )
        self.prefill_tokens = Counter(
            "scribewire_prefill_tokens", "Tokens through the decoder's first pass of a step",
            registry=registry,
        )  # fmt: skip
        self.cache_hit_tokens = Counter(
            "scribewire_cache_hit_tokens",
            "Tokens whose keys and values were kept from an earlier step", registry=registry,
        )  # fmt: skip
        self.cache_evictions = Counter(
            "scribewire_cache_evictions", "Caches of segments dropped to make room for others",
            registry=registry,
        )  # fmt: skip
        self.model_busy_s = Counter(
            "scribewire_model_busy_seconds", "Seconds that the model's lanes had work, added up",
            registry=registry,
        )  # fmt: skip
        self.model_lanes = most(
            "scribewire_model_lanes", "Batches that all copies of the model take side by side"
        )
        self.model_ready = least("scribewire_model_ready", "1 while the model takes work")
        self.model_copies = most("scribewire_model_copies", "Copies of the model that take work")
        self.model_restarts = most("scribewire_model_restarts", "Times the model was started anew")

    def batch_done(self, report: BatchReport) -> None:
        """Takes a micro-batch's report."""
        self.batch_size.observe(len(report.results))
        self.batch_s.observe(report.seconds)
        self.model_busy_s.inc(report.busy_s)
        for waited_s in report.waited_s:
            self.queue_s.observe(waited_s)
        for kind, steps in Counts(report.kinds).items():
            self.steps.labels(kind.name.lower()).inc(steps)
        results = report.results
        # Added up first: an increment costs 2 µs where several processes share a port.
        for counter, amount in (
            (self.phase_s.labels("encode"), sum(each.encode_s for each in results)),
            (self.phase_s.labels("decode"), sum(each.decode_s for each in results)),
            (self.tokens.labels("draft"), sum(each.accepted for each in results)),
            (self.tokens.labels("pass"), sum(each.decode_steps for each in results)),
            (self.flops, sum(each.flops for each in results)),
            (self.encoder_frames, sum(each.encoder_frames for each in results)),
            (self.prefill_tokens, sum(each.prefill_tokens for each in results)),
            (self.cache_hit_tokens, sum(each.reused_tokens for each in results)),
            (self.cache_evictions, sum(each.evictions for each in results)),
        ):
            counter.inc(amount)

    def exposition(self) -> bytes:
        """The Prometheus text format; of all processes that share the port."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def bury(folder: Path, pid: int) -> None:
    """A process is gone, and its gauges with it; what it counted stays.

    Args:
        folder: that ``FOLDER`` names in the processes' environment.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
