"""What a segment costs by arithmetic: four ways to the same text, from the meter's formulas alone.

``python -m engine.models.qwen3_asr.arithmetic [--shapes 0.6b] [--segment 28] [--chunk 2]``

A segment grows chunk by chunk; 3.5 tokens are spoken a second, five are rolled back, the first two
chunks force nothing (the paper's cold start), and drafts are kept whole. The floor never moves.
"""

import argparse
from dataclasses import dataclass

from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.mel import WINDOW_FRAMES, encoder_tokens
from engine.models.qwen3_asr.shapes import SHAPES, config_of

MODES = {
    "a": "everything again",
    "b": "complete windows and seconds kept",
    "c": "and their keys and values",
    "d": "and drafts verified in the prefill",
}
HEAD, TAIL, HEADER = 9, 6, 3
"""Tokens of the prompt before the audio, behind it, and of ``language X<asr_text>``."""
TOKENS_PER_SECOND, ROLLBACK, COLD_CHUNKS = 3.5, 5, 2


@dataclass(frozen=True, slots=True)
class Mean:
    """Per chunk, over a segment."""

    gflops: float
    largest_gflops: float
    encoder_frames: float
    prefill_tokens: float
    decode_steps: float
    """Passes of the decoder, the prefill among them."""


def segment_cost(shapes: str, mode: str, *, segment_s: int = 28, chunk_s: int = 2) -> Mean:
    """What a segment of whole chunks costs in one of `MODES`."""
    meter = CostMeter(config_of(shapes))
    chunks = segment_s // chunk_s
    spoken = complete_before = passes = 0
    largest = 0
    for chunk in range(1, chunks + 1):
        before = meter.snapshot()
        complete, open_frames = divmod(chunk * chunk_s * 100, WINDOW_FRAMES)
        fresh = complete - complete_before if mode != "a" else complete
        windows = [encoder_tokens(WINDOW_FRAMES)] * complete
        audio = sum(windows) + encoder_tokens(open_frames)
        encoded = windows[:fresh] + [encoder_tokens(open_frames)] * bool(open_frames)
        meter.listened(fresh * WINDOW_FRAMES + open_frames)
        meter.convolved(chunk_s * (chunk if mode == "a" else 1))
        meter.attended(encoded)

        hypothesis = HEADER + round(TOKENS_PER_SECOND * chunk * chunk_s)
        forced = max(0, spoken - ROLLBACK) if chunk > COLD_CHUNKS else 0
        draft = spoken - forced if mode == "d" else 0
        kept = 0
        if mode in "cd" and chunk > 1:
            kept = HEAD + sum(windows[:complete_before])
        new = HEAD + audio + TAIL + forced + draft - kept
        meter.decoded([(kept, new)], draft + 1, prefill=True)
        singles = hypothesis - forced - draft
        for at in range(singles):
            meter.decoded([(kept + new + at, 1)], 1, prefill=False)
        passes += 1 + singles
        largest = max(largest, meter.total.since(before).flops)
        spoken, complete_before = hypothesis, complete
    total = meter.total
    return Mean(
        total.flops / chunks / 1e9,
        largest / 1e9,
        total.encoder_frames / chunks,
        total.prefill_tokens / chunks,
        passes / chunks,
    )


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", choices=sorted(SHAPES), default="0.6b")
    parser.add_argument("--segment", type=int, default=28)
    parser.add_argument("--chunk", type=int, default=2)
    wish = parser.parse_args()
    print("| mode | GFLOP a chunk | of (a) | largest chunk | of (a) | frames | prefill | passes |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    whole = segment_cost(wish.shapes, "a", segment_s=wish.segment, chunk_s=wish.chunk)
    for mode, what in MODES.items():
        one = segment_cost(wish.shapes, mode, segment_s=wish.segment, chunk_s=wish.chunk)
        print(
            f"| ({mode}) {what} | {one.gflops:.0f} | {one.gflops / whole.gflops:.2f} "
            f"| {one.largest_gflops:.0f} | {one.largest_gflops / whole.largest_gflops:.2f} "
            f"| {one.encoder_frames:.0f} | {one.prefill_tokens:.0f} | {one.decode_steps:.1f} |"
        )


if __name__ == "__main__":
    main()
