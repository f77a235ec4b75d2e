"""One mode of the bench over a batch of segments of different ages: what its steps cost."""

import argparse
import gc
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import Qwen3ASRFeatureExtractor, Qwen3ASRForConditionalGeneration

from engine.messages import Audio, SegmentKey
from engine.models.qwen3_asr.bench_report import Row
from engine.models.qwen3_asr.bench_script import Script, ScriptedGreedy, script_of, speech_like
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.incremental import LONGEST_ROW, Request, Reuse, Transcriber
from engine.models.qwen3_asr.kv import bytes_per_token
from engine.models.qwen3_asr.shapes import config_of

COMPARED_SEGMENTS = 16
"""Of a batch: their decisions are compared between the modes."""
GIB = 1 << 30
REUSE = {"a": Reuse(windows=False, keys=False), "b": Reuse(keys=False), "c": Reuse(), "d": Reuse()}


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements of a run share."""

    model: Qwen3ASRForConditionalGeneration
    args: argparse.Namespace
    matrix_rate: float | None
    """FLOPs per second, if measured."""

    def rows(self, batch: int, segment_s: float) -> Iterator[Row]:
        """A row for each mode."""
        script = script_of(self.args, segment_s)
        audio = speech_like(segment_s, self.args.rise, self.args.seed)
        first: dict[tuple[int, int], ScriptedGreedy] = {}
        for mode in self.args.modes.split(","):
            run = _Run(self, mode, batch, script, audio)
            yield run.row(first)
            first = first or run.done
            del run
            gc.collect()  # pages of the next mode take the place of these
            if self.args.device == "cuda":
                torch.cuda.empty_cache()


class _Run:
    """One mode over a batch of segments, each at another age, replaced when it is complete."""

    def __init__(self, bench: Bench, mode: str, batch: int, script: Script, audio: Audio) -> None:
        args = bench.args
        self._bench, self._args, self._mode, self._batch = bench, args, mode, batch
        self._script, self._audio, self._chunks = script, audio, len(script.ends_s)
        self._cuda = args.device == "cuda"
        alone = mode == "a"
        self._segments = min(batch, args.sample) if alone and args.sample else batch
        self._together = 1 if alone else args.together
        extractor: Any = Qwen3ASRFeatureExtractor
        self._transcriber = Transcriber(
            bench.model,
            extractor(),
            cache_tokens=_cache_tokens(bench.model, args, min(batch, self._segments)),
            reuse=REUSE[mode],
            greedy=partial(ScriptedGreedy, script=script),
        )
        if args.count:
            # Same passes, priced as those of other shapes; counters stay shared with the encoder.
            vars(self._transcriber.meter).update(vars(CostMeter(config_of(args.shapes))))
        self.done: dict[tuple[int, int], ScriptedGreedy] = {}
        """The last steps of some segments at each age."""
        self._passes = 0

    def row(self, first: dict[tuple[int, int], ScriptedGreedy]) -> Row:
        """Measures; ``first`` are the first mode's steps."""
        if self._cuda:
            self._transcriber.warm_up(min(self._segments, self._together))
            torch.cuda.reset_peak_memory_stats()
        for moment in range(-2 if self._cuda else -1, 0):
            self._moment(moment)
        meter, share = self._transcriber.meter, self._batch / self._segments
        began = meter.snapshot()
        moments = self._chunks * self._args.rounds
        flops, seconds, steps, checksum = [], [], [], 0
        self._passes = 0
        for moment in range(moments):
            before = meter.total.flops
            done, took = self._moment(moment)
            flops.append((meter.total.flops - before) / self._segments)
            seconds.append(took / self._segments)
            steps += done
        for one in steps[: self._segments * self._chunks]:
            checksum = zlib.crc32(np.array(one.tokens).tobytes(), checksum)
        spent, count = meter.snapshot().since(began), moments * self._segments
        latency = np.array(seconds) * self._segments * share
        timed = not self._args.count
        p95 = float(np.percentile(latency, 95)) if timed else None
        rate = self._bench.matrix_rate
        equal, error = _compared(self.done, first or self.done)
        return Row(
            mode=self._mode,
            batch=self._batch,
            segment_s=self._script.ends_s[-1],
            chunk_s=self._args.chunk,
            flops=spent.flops / count,
            seconds=sum(seconds) / moments if timed else None,
            decode_steps=sum(one.passes for one in steps) / count,
            prefill_tokens=spent.prefill_tokens / count,
            encoder_frames=spent.encoder_frames / count,
            flops_largest_chunk=max(flops),
            seconds_largest_chunk=max(seconds) if timed else None,
            tokens_checksum=checksum,
            choices_equal=equal,
            log_probability_error=error,
            accepted=sum(one.accepted for one in steps) / count,
            step_s_p50=float(np.percentile(latency, 50)) if timed else None,
            step_s_p95=p95,
            passes=(self._passes + spent.decode_steps) / moments * share,
            measured_segments=self._segments,
            evictions=spent.evictions,
            peak_memory_bytes=torch.cuda.max_memory_allocated() if self._cuda else None,
            matrix_share=sum(flops) / sum(seconds) / rate if timed and rate else None,
            realtime=p95 < self._args.chunk if p95 is not None else None,
            chunk_flops=tuple(flops),
            chunk_seconds=tuple(seconds) if timed else (),
        )

    def _moment(self, moment: int) -> tuple[list[ScriptedGreedy], float]:
        """A step of every segment, and how long all of them took."""
        requests = [self._request(segment, moment) for segment in range(self._segments)]
        done: list[Any] = []
        began = self._clock()
        for at in range(0, len(requests), self._together):
            done += self._transcriber.step(requests[at : at + self._together])
            self._passes += 1
        took = self._clock() - began
        for segment, one in enumerate(done[:COMPARED_SEGMENTS]):
            self.done[segment, (segment + moment) % self._chunks] = one
        return done, took

    def _request(self, segment: int, moment: int) -> Request:
        life, chunk = divmod(segment + moment, self._chunks)
        if chunk == 0:
            self._transcriber.forget(SegmentKey(f"session {segment}", life - 1))
        key = SegmentKey(f"session {segment}", life)
        return self._script.request(key, self._audio, chunk, self._mode == "d")

    def _clock(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def _compared(
    found: dict[tuple[int, int], ScriptedGreedy], first: dict[tuple[int, int], ScriptedGreedy]
) -> tuple[float, float]:
    """The share of decisions that are equal, and the largest difference of log probabilities."""
    equal, differences = [], [0.0]
    for at in found.keys() & first.keys():
        ours, theirs = found[at], first[at]
        equal += [x == y for x, y in zip(ours.chosen, theirs.chosen, strict=True)]
        pairs = zip(ours.log_probabilities, theirs.log_probabilities, strict=True)
        differences += [abs(x - y) for x, y in pairs]
    return sum(equal) / len(equal), max(differences)


def _cache_tokens(model: Any, args: argparse.Namespace, segments: int) -> int:
    """For all segments in full; on a GPU at most what ``--gpu-gib`` leaves for them."""
    wanted = segments * LONGEST_ROW
    if args.device != "cuda":
        return wanted
    free = args.gpu_gib * GIB - torch.cuda.memory_allocated() - args.activations_gib * GIB
    return min(wanted, int(free) // bytes_per_token(model.config.text_config, model.dtype))
