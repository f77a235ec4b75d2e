"""The embedded model: Moonshine tiny-en on CPU through onnxruntime (MIT, moonshine-voice's wheel).

An encoder over raw samples and a decoder of 6 layers × 8 heads × 36 with a key/value cache. The
weights are int8 with dynamic activation ranges: a pass over many tokens differs a little from
passes over single ones, and so would a batch. Therefore each segment is computed alone, which keeps
P2 exact, and finals are decoded token by token without a draft.

Measured on two cores: batching segments gains nothing in the encoder (12 / 20 / 41 / 87 ms for
1 / 2 / 4 / 8 × 2 s); running them side by side, one core each, gains 1.6 × over one after the
other on all cores, to the last bit the same. So there is a lane for each core, and only a step that
begins while no other runs gets all of them.
"""

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.guards import token_budget
from engine.messages import (
    SAMPLE_RATE,
    Audio,
    ModelInfo,
    Progress,
    SegmentKey,
    Step,
    StepResult,
)
from engine.models.base import ModelUnavailableError, Tell, nobody
from engine.models.byte_pairs import BytePairs
from engine.models.greedy import Greedy
from engine.models.progress import Telling

BOS, EOS = 1, 2
LAYERS, HEADS, HEAD_WIDTH = 6, 8, 36
TOKENS_PER_SECOND = 6.5
"""Moonshine's own limit on generation."""
LEAST_CONFIDENCE = 0.3
"""English speech had 0.64 and more in 29 finals; other languages 0.18 … 0.6, noise 0.05 … 0.31."""
SHORTEST_INPUT = SAMPLE_RATE // 10
"""Samples; the convolutions in front need about 70 ms."""
_SPACE = "▁".encode()

_CACHE = [f"{layer}.{side}.{kind}" for layer in range(LAYERS)
          for side in ("decoder", "encoder") for kind in ("key", "value")]  # fmt: skip
_INPUTS = [f"past_key_values.{name}" for name in _CACHE]
_OWN = [name for name in _CACHE if "decoder" in name]

Array = NDArray[Any]


def assets() -> Path:
    """The folder with the weights inside moonshine-voice, found without importing that package.

    Raises:
        ModelUnavailableError: the package or a file is missing.
    """
    spec = importlib.util.find_spec("moonshine_voice")
    folder = Path(spec.origin).parent / "assets" / "tiny-en" if spec and spec.origin else None
    names = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
    if folder is None or not all((folder / name).is_file() for name in names):
        raise ModelUnavailableError(
            "the weights of moonshine-tiny-en are missing; "
            "install them with: pip install moonshine-voice==0.0.73"
        )
    return folder


def read_vocabulary(data: bytes) -> list[bytes]:
    """The tokens' bytes by id.

    An entry is its length (one byte; from 128 on the low 7 bits, then a byte for those above) and
    that many bytes.
    """
    pieces, at = [], 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128:
            length, at = length - 128 + 128 * data[at], at + 1
        pieces.append(data[at : at + length].replace(_SPACE, b" "))
        at += length
    return pieces


class Networks:
    """Encoder and decoder sessions that use ``threads`` cores."""

    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Every segment has another length: the arena would keep a block for each, for ever.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        # Spinning threads would take the cores away from the other lanes and from the gateway.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")

        def load(name: str) -> Any:
            return onnxruntime.InferenceSession(
                str(folder / name), options, providers=["CPUExecutionProvider"]
            )

        self._encoder, self._decoder = load("encoder_model.ort"), load("decoder_model_merged.ort")

    def encode(self, audio: Audio) -> Array:
        """Hidden states ``(1, frames, 288)`` of audio ``(n,)``; about 41 frames a second."""
        mask = np.ones((1, len(audio)), np.int64)
        states: Array = self._encoder.run(
            None, {"input_values": audio[None], "attention_mask": mask}
        )[0]
        return states

    def decoder(self, states: Array, samples: int) -> "Decoding":
        """A decoding over ``states`` of ``samples`` samples, at its beginning."""
        return Decoding(self._decoder, states, samples)


class Decoding:
    """One segment's decoder: tokens in, logits out, keys and values kept here."""

    def __init__(self, session: Any, states: Array, samples: int) -> None:
        self._session = session
        self._feed: dict[str, Array] = {
            "encoder_attention_mask": np.ones((1, samples), np.int64),  # at raw sample length
            "encoder_hidden_states": states,
            "use_cache_branch": np.array([False]),
        }
        for name, key in zip(_CACHE, _INPUTS, strict=True):
            length = 0 if name in _OWN else states.shape[1]
            self._feed[key] = np.zeros((1, HEADS, length, HEAD_WIDTH), np.float32)
        self._outputs = ["logits"] + [f"present.{name}" for name in _CACHE]
        self.passes = 0

    def advance(self, tokens: Sequence[int]) -> Array:
        """Appends tokens; logits ``(len(tokens), vocabulary)`` of what follows each."""
        out = self._session.run(
            self._outputs, self._feed | {"input_ids": np.array([tokens], np.int64)}
        )
        for name, value in zip(self._outputs[1:], out[1:], strict=True):
            self._feed[name.replace("present", "past_key_values")] = value
        # After the first pass the cross-attention's keys and values stay as they are; not asking
        # for them again saves a fifth of a step on 28 s of audio.
        self._feed["use_cache_branch"] = np.array([True])
        self._outputs = ["logits"] + [f"present.{name}" for name in _OWN]
        self.passes += 1
        logits: Array = out[0][0]
        return logits

    def rewind(self, tokens: int) -> None:
        """Takes back the last ``tokens`` tokens."""
        if tokens:
            for name in _OWN:
                key = f"past_key_values.{name}"
                self._feed[key] = np.ascontiguousarray(self._feed[key][:, :, :-tokens])


def greedy(
    decoding: Decoding, step: Step, budget: int, after_pass: Callable[[Greedy], None]
) -> Greedy:
    """Decodes a step to its end."""
    state = Greedy(step.forced, step.draft, budget, (EOS,))
    pending = [BOS, *step.forced]
    while state.stop is None:
        proposal = state.proposal()
        logits = decoding.advance([*pending, *proposal])[-1 - len(proposal) :]
        best = logits.argmax(axis=1)
        peaks = logits[np.arange(len(best)), best]
        log_probabilities = -np.log(np.exp(logits - peaks[:, None]).sum(axis=1))
        kept = state.decide(proposal, best.tolist(), log_probabilities.tolist())
        decoding.rewind(len(proposal) - kept)
        pending = [int(best[kept])]
        after_pass(state)
    return state


class Moonshine:
    """Moonshine tiny-en behind `engine.models.base.SpeechModel`."""

    def __init__(self, lanes: int | None = None) -> None:
        folder = assets()
        self._lanes = lanes or os.cpu_count() or 1
        self._vocabulary = read_vocabulary((folder / "tokenizer.bin").read_bytes())
        self._byte_pairs = BytePairs(self._vocabulary)
        self._whole = Networks(folder, self._lanes)
        self._lane = Networks(folder, 1) if self._lanes > 1 else self._whole
        self._busy, self._lock = 0, threading.Lock()
        self.info = ModelInfo(
            name="moonshine-tiny-en",
            languages={"en": "English"},
            max_segment_ms=28_000,
            max_batch=1,
            exact_drafts=False,
            context=False,
            words=False,
            least_confidence=LEAST_CONFIDENCE,
            lanes=self._lanes,
            tells_progress=True,
        )
        self.tell: Tell = nobody

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `engine.models.base.SpeechModel`."""
        with self._lock:
            networks = self._lane if self._busy else self._whole
            self._busy += 1
        try:
            return [self._one(networks, step) for step in batch]
        finally:
            with self._lock:
                self._busy -= 1

    def _one(self, networks: Networks, step: Step) -> StepResult:
        began = time.perf_counter()
        if step.prefix:  # a word begins with its space, also the first one
            step = step.beginning_with(self._byte_pairs.encode(f" {step.prefix}"))
        audio = step.samples
        if len(audio) < SHORTEST_INPUT:
            audio = np.pad(audio, (0, SHORTEST_INPUT - len(audio)))
        states = networks.encode(audio)
        encoded = time.perf_counter()
        decoding = networks.decoder(states, len(audio))
        budget, telling = token_budget(len(audio), TOKENS_PER_SECOND), Telling([step])

        def after_pass(state: Greedy) -> None:
            if telling.due() and state.stop is None:
                text = b"".join(self._pieces(state.tokens))
                self.tell(Progress(step.key, text, "en", state.confidence))

        done = greedy(decoding, step, budget, after_pass)
        assert done.stop is not None
        return StepResult(
            tokens=tuple(done.tokens),
            pieces=self._pieces(done.tokens),
            stop=done.stop,
            language="en",
            confidence=done.confidence,
            accepted=done.accepted,
            decode_steps=decoding.passes,
            encode_s=encoded - began,
            decode_s=time.perf_counter() - encoded,
        )

    def _pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        return tuple(self._vocabulary[token] for token in tokens)

    def forget(self, key: SegmentKey) -> None:
        """Nothing is kept."""

    def warm_up(self) -> None:
        """See `engine.models.base.SpeechModel`."""
        step = Step(SegmentKey("warm-up", 0), np.zeros(SAMPLE_RATE, np.float32))
        for networks in (self._whole, self._lane):
            self._one(networks, step)
