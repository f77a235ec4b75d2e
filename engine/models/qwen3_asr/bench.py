"""What it costs to keep what was computed: four ways to the same text, side by side, in one run.

``python -m engine.models.qwen3_asr.bench --device cpu --shapes quarter --json FILE --plot FILE``

Weights are drawn at random, so what they would write means nothing: `ScriptedGreedy` puts a
scripted hypothesis in place of each decision. All else is the engine's own way through a step.
Needs torch, transformers and numpy besides the engine, so that it runs on a bare GPU machine.
"""

import argparse
import importlib.util
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import Qwen3ASRForConditionalGeneration

if importlib.util.find_spec("msgpack") is None:
    # Messages are packed to cross between processes; here none does.
    sys.modules["msgpack"] = ModuleType("msgpack")

from engine.models.qwen3_asr.bench_report import WAYS, Row, plot, table
from engine.models.qwen3_asr.bench_run import GIB, Bench
from engine.models.qwen3_asr.bench_script import GRID_S, HEAD, TAIL, Script, script_of
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.graphs import BUCKETS
from engine.models.qwen3_asr.mel import SECOND_FRAMES, WINDOW_FRAMES, encoder_tokens
from engine.models.qwen3_asr.shapes import SHAPES, config_of


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
