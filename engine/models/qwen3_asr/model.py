"""Qwen3-ASR behind `engine.models.base.SpeechModel`: loading, memory, prompts."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from engine.guards import token_budget
from engine.messages import SAMPLE_RATE, ModelInfo, Progress, SegmentKey, Step, StepResult
from engine.models.base import ModelOptions, ModelUnavailableError, Tell, nobody, silent_audio
from engine.models.greedy import Greedy
from engine.models.progress import Telling
from engine.models.qwen3_asr.checkpoint import RECOGNIZER, device_of, dtype_of, load
from engine.models.qwen3_asr.cost import Cost
from engine.models.qwen3_asr.incremental import Request, Transcriber
from engine.models.qwen3_asr.kv import bytes_per_token
from engine.models.qwen3_asr.prompt import Prompt

TOKENS_PER_SECOND = 12.0
"""More than anybody speaks: English has 3.5 in the mean, Mandarin 5."""
SPARE_TOKENS = 24
HEADER_TOKENS = 16
"""More than "language X<asr_text>" has."""
MAX_SEGMENT_MS = 28_000
MAX_BATCH_CPU = 4
"""On a CPU a batch is computed row by row in its attention; a larger one would only be late."""
MAX_BATCH_CUDA = 1024
GIB = 1 << 30
ACTIVATIONS = 6 * GIB
"""Left free on a GPU for what a pass needs besides weights and pages."""


class Qwen3ASR:
    """A checkpoint in transformers' own format, by its name on the hub or as a folder."""

    def __init__(self, name: str, options: ModelOptions) -> None:
        """
        Raises:
            ModelUnavailableError: it cannot be had or does not fit; the message says what to do.
        """
        device = device_of(options.device)
        dtype = dtype_of(options.dtype, device)
        processor, model = load(name, RECOGNIZER, device, dtype)
        if device.type == "cpu":
            torch.set_num_threads(options.threads or os.cpu_count() or 1)
        per_token = bytes_per_token(model.config.text_config, dtype)
        budget = _cache_bytes(options, device)
        self._transcriber = Transcriber(
            model, processor.feature_extractor, cache_tokens=max(2048, budget // per_token)
        )
        self._prompt = Prompt(processor)
        ends: Any = model.generation_config.eos_token_id or model.config.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends)
        self.info = ModelInfo(
            name=os.path.basename(name.rstrip("/")) or name,
            languages=self._prompt.languages,
            max_segment_ms=MAX_SEGMENT_MS,
            max_batch=MAX_BATCH_CUDA if device.type == "cuda" else MAX_BATCH_CPU,
            exact_drafts=True,
            context=True,
            words=False,
            tells_progress=True,
        )
        self.tell: Tell = nobody

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `engine.models.base.SpeechModel`."""
        began = time.perf_counter()
        before = self.cost
        self._transcriber.after_pass = None
        headers = self._headers(batch)
        self._transcriber.after_pass = self._telling(batch)
        done = self._transcriber.step(list(map(self._request, batch, headers)))
        seconds = time.perf_counter() - began
        spent, share = self.cost.since(before), 1 / len(batch)
        results = []
        for greedy in done:
            assert greedy.stop is not None
            language, pieces = self._prompt.read(greedy.tokens)
            results.append(
                StepResult(
                    tokens=tuple(greedy.tokens),
                    pieces=pieces,
                    stop=greedy.stop,
                    language=language,
                    confidence=greedy.confidence,
                    accepted=greedy.accepted,
                    decode_steps=greedy.passes,
                    encode_s=spent.encode_s * share,
                    decode_s=(seconds - spent.encode_s) * share,
                    flops=spent.flops * share,
                    encoder_frames=spent.encoder_frames * share,
                    prefill_tokens=spent.prefill_tokens * share,
                    reused_tokens=spent.reused_tokens * share,
                    evictions=spent.evictions * share,
                )
            )
        return results

    def _telling(self, batch: Sequence[Step]) -> Callable[[Mapping[SegmentKey, Greedy]], None]:
        telling = Telling(batch)

        def after_pass(active: Mapping[SegmentKey, Greedy]) -> None:
            if telling.due():
                for key in active.keys() & telling.wanted:
                    language, pieces = self._prompt.read(active[key].tokens)
                    self.tell(Progress(key, b"".join(pieces), language, active[key].confidence))

        return after_pass

    def _headers(self, batch: Sequence[Step]) -> list[tuple[int, ...]]:
        """How each answer must begin, before its text; empty: the model is free to say."""
        headers = [self._prompt.header(step.language) if step.language else () for step in batch]
        # A prefix is text, and text has a language before it: the model is asked for that first.
        asked = [i for i, step in enumerate(batch) if step.prefix and not step.language]
        if asked:
            requests = [self._request(replace(batch[i], prefix=""), ()) for i in asked]
            requests = [replace(request, budget=HEADER_TOKENS) for request in requests]
            for i, answer in zip(asked, self._transcriber.step(requests), strict=True):
                headers[i] = self._prompt.header_of(answer.tokens)
        return headers

    def _request(self, step: Step, header: tuple[int, ...]) -> Request:
        head, tail = self._prompt.around(step.context)
        # What says nothing about its language has heard no speech, so no prefix of it either.
        prefix = self._prompt.text(step.prefix) if step.prefix and header else ()
        step = step.beginning_with(header + prefix)
        budget = token_budget(len(step.audio), TOKENS_PER_SECOND, SPARE_TOKENS)
        return Request(
            step.key, step.samples, head, tail, step.forced, step.draft,
            len(header) + budget, self._ends,
        )  # fmt: skip

    @property
    def cost(self) -> Cost:
        """What all steps so far have cost."""
        return self._transcriber.meter.snapshot()

    def forget(self, key: SegmentKey) -> None:
        """See `engine.models.base.SpeechModel`."""
        self._transcriber.forget(key)

    def warm_up(self) -> None:
        """See `engine.models.base.SpeechModel`."""
        key = SegmentKey("warm-up", 0)
        self.step([Step(key, silent_audio(SAMPLE_RATE))])
        self.forget(key)
        self._transcriber.warm_up(self.info.max_batch)


def _cache_bytes(options: ModelOptions, device: torch.device) -> int:
    """For keys and values of all segments together."""
    if device.type != "cuda":
        return int(options.cpu_cache_gib * GIB)
    free, total = torch.cuda.mem_get_info(device)
    mine = int(total * options.gpu_memory) - (total - free) - ACTIVATIONS
    if mine < GIB:
        raise ModelUnavailableError(
            f"with --gpu-memory {options.gpu_memory} only {max(0, mine) / GIB:.1f} GiB are left "
            "for sessions; give more, free the GPU, or take a smaller model"
        )
    return mine
