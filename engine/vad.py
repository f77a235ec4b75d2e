"""Batched voice activity detection: Silero VAD 6 on onnxruntime, state per stream.

The package's own wrapper keeps the recurrent state inside the shared model; here state goes in
and comes out, so streams share a batch. Results do not depend on the batch (0.0 difference).
"""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.messages import Audio

FRAME = 512
"""Samples a frame, 32 ms."""
_CONTEXT = 64
"""Samples of the frame before that the network sees again."""


class VadState:
    """The recurrent state of one stream: ``(2, 128)`` float32, and the last 64 samples."""

    __slots__ = ("context", "recurrent")

    def __init__(self) -> None:
        self.recurrent = np.zeros((2, 128), np.float32)
        self.context = np.zeros(_CONTEXT, np.float32)


def _model_file() -> Path:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the package silero-vad is missing; install it: pip install silero-vad"
        )
    return Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx"


class VoiceDetector:
    """Speech probabilities for frames of many streams in one pass."""

    def __init__(self) -> None:
        import onnxruntime  # half a second: only when a detector is really made

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(_model_file()), options, providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(16_000)

    def listen(self, frames: list[list[Audio]], states: list[VadState]) -> list[list[float]]:
        """Speech probabilities of consecutive frames of each stream, round by round.

        Args:
            frames: for each stream its next frames, as many as there are.
            states: of the same streams; brought up to date.

        Returns:
            For each stream the probability of each of its frames.
        """
        heard: list[list[float]] = [[] for _ in frames]
        for turn in range(max(map(len, frames), default=0)):
            rows = [i for i, stream in enumerate(frames) if len(stream) > turn]
            found = self.probabilities([frames[i][turn] for i in rows], [states[i] for i in rows])
            for i, probability in zip(rows, found, strict=True):
                heard[i].append(float(probability))
        return heard

    def probabilities(self, frames: list[Audio], states: list[VadState]) -> NDArray[np.float32]:
        """Speech probability of one frame of each stream, in 0 … 1.

        Args:
            frames: for each stream up to `FRAME` samples; a shorter one is padded with silence.
            states: of the same streams in the same order; brought up to date.

        Returns:
            Shape ``(len(frames),)``.
        """
        batch = np.zeros((len(frames), _CONTEXT + FRAME), np.float32)
        for row, frame, state in zip(batch, frames, states, strict=True):
            row[:_CONTEXT] = state.context
            row[_CONTEXT : _CONTEXT + len(frame)] = frame
        recurrent = np.stack([state.recurrent for state in states], axis=1)
        output, after = self._session.run(
            None, {"input": batch, "state": recurrent, "sr": self._rate}
        )
        for i, state in enumerate(states):
            state.recurrent = after[:, i]
            state.context = batch[i, -_CONTEXT:].copy()
        probabilities: NDArray[np.float32] = output[:, 0]
        return probabilities
