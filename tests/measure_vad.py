"""What a frame costs the voice activity detector, beside the package's own graph.

``python -m tests.measure_vad``: one core each; both get the same batches in the same run.
"""

import time
from collections.abc import Callable

import numpy as np
import onnxruntime

from engine.vad import FRAME, VadState, VoiceDetector, model_file

BATCHES = (1, 4, 16, 64, 256)
SECONDS = 1.0


def microseconds_a_frame(work: Callable[[], object], frames: int) -> float:
    """The median of as many runs as fit into `SECONDS`."""
    work()
    times, until = [], time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        work()
        times.append((time.perf_counter() - began) / frames * 1e6)
    return float(np.median(times))


def main() -> None:
    """Prints one line a batch size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    package = onnxruntime.InferenceSession(
        str(model_file()), options, providers=["CPUExecutionProvider"]
    )
    detector, random = VoiceDetector(), np.random.default_rng(0)
    print("streams   ours, µs/frame   the package's, µs/frame")
    for streams in BATCHES:
        frames = [random.normal(0, 0.1, FRAME).astype(np.float32) for _ in range(streams)]
        states = [VadState() for _ in frames]
        feed = {
            "input": np.zeros((streams, FRAME + 64), np.float32),
            "state": np.zeros((2, streams, 128), np.float32),
            "sr": np.array(16_000),
        }
        ours = microseconds_a_frame(lambda f=frames, s=states: detector.listen(f, s), streams)
        theirs = microseconds_a_frame(lambda f=feed: package.run(None, f), streams)
        print(f"{streams:7d}   {ours:14.1f}   {theirs:22.1f}")


if __name__ == "__main__":
    main()
