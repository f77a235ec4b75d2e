"""What it costs to keep what was computed: four ways to the same text, side by side, in one run.

``python -m engine.models.qwen3_asr.bench --device cpu --shapes quarter --json FILE --plot FILE``

Weights are drawn at random, so what they would write means nothing: `ScriptedGreedy` puts a
scripted hypothesis in place of each decision. All else is the engine's own way through a step.
Needs torch, transformers and numpy besides the engine, so that it runs on a bare GPU machine.
"""

import argparse
import gc
import importlib.util
import json
import platform
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import Qwen3ASRFeatureExtractor, Qwen3ASRForConditionalGeneration

if importlib.util.find_spec("msgpack") is None:
    # Messages are packed to cross between processes; here none does.
    sys.modules["msgpack"] = ModuleType("msgpack")

from engine.messages import Audio, SegmentKey
from engine.models.qwen3_asr.bench_report import WAYS, Row, plot, table
from engine.models.qwen3_asr.bench_script import (
    GRID_S,
    HEAD,
    TAIL,
    Script,
    ScriptedGreedy,
    speech_like,
)
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.graphs import BUCKETS
from engine.models.qwen3_asr.incremental import LONGEST_ROW, Request, Reuse, Transcriber
from engine.models.qwen3_asr.kv import bytes_per_token
from engine.models.qwen3_asr.mel import SECOND_FRAMES, WINDOW_FRAMES, encoder_tokens
from engine.models.qwen3_asr.shapes import SHAPES, config_of

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
        meter, share, evicted = self._transcriber.meter, self._batch / self._segments, 0
        began, evicted = meter.snapshot(), self._transcriber.evictions
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
            evictions=self._transcriber.evictions - evicted,
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


def script_of(args: argparse.Namespace, segment_s: float) -> Script:
    """A segment's, with steps as the engine takes them."""
    return Script(segment_s, args.chunk, args.grid, args.seed, end=args.end)


def floor_flops(shapes: str, script: Script) -> float:
    """Per chunk, if all audio and text of a segment went through the model once."""
    meter = CostMeter(config_of(shapes))
    frames = round(script.ends_s[-1] * 100)
    windows = [min(WINDOW_FRAMES, frames - at) for at in range(0, frames, WINDOW_FRAMES)]
    tokens = [encoder_tokens(each) for each in windows]
    text = len(script.hypotheses[-1])
    meter.convolved(-(-frames // SECOND_FRAMES))
    meter.attended(tokens)
    meter.decoded([(0, len(HEAD + TAIL) + sum(tokens) + text)], text + 1, prefill=True)
    return meter.total.flops / len(script.ends_s)


def ceilings(device: str, dtype: torch.dtype) -> dict[str, float]:
    """The device's own limits: the best of several large products, and of several copies."""
    side, size = (8192, GIB) if device == "cuda" else (1024, 1 << 27)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def best(work: Any) -> float:
        times = []
        for _ in range(10):
            began = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        return min(times)

    def product() -> Tensor:
        return left @ right

    return {
        "matrix_flops_per_s": 2 * side**3 / best(product),
        "copy_bytes_per_s": 2 * size / best(partial(target.copy_, source)),
    }


def build(shapes: str, device: str, dtype: torch.dtype, seed: int) -> Any:
    """A model with weights of its own making."""
    torch.manual_seed(seed)
    model: Any = Qwen3ASRForConditionalGeneration
    with torch.device(device):
        return model._from_config(config_of(shapes), dtype=dtype)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m engine.models.qwen3_asr.bench")
    add = parser.add_argument
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--dtype", choices=["float32", "bfloat16"], help="float32 on a CPU, bfloat16 on a GPU")
    add("--shapes", choices=list(SHAPES), default="quarter")
    add("--segment", default="28", metavar="S,…", help="seconds")
    add("--chunk", type=float, default=2.0, metavar="S", help="seconds")
    add("--grid", type=float, default=GRID_S, metavar="S", help="chunks end on multiples of it")
    add("--batch", default="1", metavar="N,…", help="segments that are stepped together")
    add("--together", type=int, default=BUCKETS[-1], help="at most so many of them in one step")
    add("--modes", default="a,b,c,d", help=", ".join(f"{m}: {w}" for m, w in WAYS.items()))
    add("--sample", type=int, default=0, help="mode a: so many of a batch stand for all; 0: all")
    add("--rounds", type=int, default=1, help="how often each age of a segment is measured")
    add("--rise", type=float, default=0.0, metavar="S", help="when the audio becomes louder")
    add("--count", action="store_true", help="costs by formula only: passes of tiny weights")
    add("--end", action="store_true", help="each step writes an end token, instead of by length")
    add("--ceilings", action="store_true", help="measure matrix rate and copy bandwidth first")
    add("--gpu-gib", type=float, default=72.0, help="for weights, caches and activations")
    add("--activations-gib", type=float, default=8.0, help="of these, left free for a pass")
    add("--threads", type=int, default=1, help="of a CPU")
    add("--seed", type=int, default=1)
    add("--json", type=Path, metavar="FILE")
    add("--plot", type=Path, metavar="FILE", help=".svg or .html")
    args = parser.parse_args(argv)
    if not set(args.modes.split(",")) <= WAYS.keys():
        parser.error(f"--modes: of {','.join(WAYS)}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints a table, and writes what was asked for."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype or ("bfloat16" if args.device == "cuda" else "float32"))
    name = torch.cuda.get_device_name() if args.device == "cuda" else platform.processor()
    machine: dict[str, Any] = {
        "device": name or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "dtype": str(dtype).removeprefix("torch."),
    }
    if args.ceilings:
        machine |= ceilings(args.device, dtype)
    model = build("tiny" if args.count else args.shapes, args.device, dtype, args.seed)
    bench = Bench(model, args, machine.get("matrix_flops_per_s"))
    rows: list[Row] = []
    floors = {}
    for segment_s in map(float, args.segment.split(",")):
        script = script_of(args, segment_s)
        floors[f"{segment_s:g}"] = floor_flops(args.shapes, script)
        for batch in map(int, args.batch.split(",")):
            for row in bench.rows(batch, segment_s):
                print(f"mode {row.mode}, batch {batch}: done", file=sys.stderr)
                rows.append(row)
    note = f"Qwen3-ASR {args.shapes}, {machine['dtype']} on {machine['device']}"
    print(f"{note}\n\n{table(rows)}")
    for key in ("matrix_flops_per_s", "copy_bytes_per_s"):
        if key in machine:
            print(f"{key}: {machine[key]:.3g}")
    print("floor, GFLOP per chunk:", {at: round(flops / 1e9, 2) for at, flops in floors.items()})
    found = {
        "rows": [asdict(row) for row in rows],
        "floor_flops": floors,
        "machine": machine,
        "args": {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()},
    }
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if args.plot:
        svg = plot(rows, note)
        html = f"<!doctype html><meta charset=utf-8><title>{note}</title>{svg}"
        args.plot.write_text(html if args.plot.suffix == ".html" else svg, encoding="utf-8")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
