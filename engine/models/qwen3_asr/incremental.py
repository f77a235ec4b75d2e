"""Steps over segments that grow, at the cost of the new audio; the same text as all of it again.

What is kept of a segment: what was heard (`hearing`), and keys and values of the prompt's head and
of complete windows, which may be, because the decoder is causal and the audio comes before the
text.

The open window, the prompt's tail, prefix and draft are computed in each step. All due segments
share each pass: one packed prefill, then as many short passes as the slowest needs.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen3ASRFeatureExtractor, Qwen3ASRForConditionalGeneration

from engine.messages import Audio, SegmentKey
from engine.models.greedy import Greedy
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.graphs import DecodeGraphs
from engine.models.qwen3_asr.hearing import Heard, Hearing, Renewed
from engine.models.qwen3_asr.kv import PAGED, PagedCache, PagePool, Plan, PoolExhaustedError, Row

LONGEST_ROW = 1280
"""Tokens of prompt and text of a segment of 28 s with room to spare."""
LOGITS_AT_ONCE = 1024
"""Rows of 152,000 float32 logits in memory together."""


@dataclass(frozen=True, slots=True)
class Request:
    """A step in the model's own terms. ``head`` + audio + ``tail`` is the prompt."""

    key: SegmentKey
    audio: Audio
    head: tuple[int, ...]
    tail: tuple[int, ...]
    forced: tuple[int, ...]
    draft: tuple[int, ...]
    budget: int
    """Most tokens of the hypothesis, ``forced`` among them."""
    ends: Collection[int]


@dataclass(frozen=True, slots=True)
class Reuse:
    """What is kept between steps; all of it, except to measure what each part is worth."""

    windows: bool = True
    keys: bool = True


@dataclass(slots=True)
class SegmentCache:
    """What is kept of one segment. Dropping it changes cost, never text (P3)."""

    heard: Heard
    head: tuple[int, ...] = ()
    """Whose keys are in the pages."""
    keyed_windows: int = 0
    """Complete windows whose keys are in the pages, behind the head's."""
    pages: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Running:
    """One segment during a step."""

    request: Request
    cache: SegmentCache
    unread: list[Tensor | Sequence[int]]
    """What is to be read before the proposal: embeddings ``(tokens, width)``, and tokens."""
    context: int
    """Tokens in the pages that hold."""
    kept_tokens: int
    """Of head and complete windows: what stays in the pages afterwards."""
    greedy: Greedy


class Transcriber:
    """Owns weights, page pool and what is kept of segments; not safe from several threads."""

    def __init__(
        self,
        model: Qwen3ASRForConditionalGeneration,
        extractor: Qwen3ASRFeatureExtractor,
        *,
        cache_tokens: int,
        reuse: Reuse = Reuse(),
        graphs: bool = False,
        greedy: Callable[[Sequence[int], Sequence[int], int, Collection[int]], Greedy] = Greedy,
    ) -> None:
        """
        Args:
            cache_tokens: of keys and values in the pool, for all segments together.
            graphs: fixed batch sizes for single-token passes; on CUDA always, and captured.
            greedy: what decides about tokens; another one only to measure with.
        """
        model.train(False)
        self._model: Any = model.requires_grad_(False)
        config: Any = model.config
        self.meter = CostMeter(model.config)
        self._text: Any = model.model.language_model
        self._text.config._attn_implementation = PAGED
        self._embed: Any = model.get_input_embeddings()
        weight: Any = self._embed.weight
        self.pool = PagePool(config.text_config, cache_tokens, weight.device, weight.dtype)
        self._hearing = Hearing(model, extractor, self.meter, keep=reuse.windows)
        self._reuse, self._greedy = reuse, greedy
        self._graphs = (
            DecodeGraphs(self.pool, self._next, LONGEST_ROW) if graphs or self.pool.cuda else None
        )
        self._caches: dict[SegmentKey, SegmentCache] = {}
        """Least recently used first."""
        self.after_pass: Callable[[Mapping[SegmentKey, Greedy]], None] | None = None
        """Told after each pass what goes on; must not change it."""

    @torch.inference_mode()
    def warm_up(self, most: int) -> None:
        """Captures what is captured for batches up to ``most``, before anybody waits for it."""
        if self._graphs is not None:
            self._graphs.warm_up(most)

    def forget(self, key: SegmentKey) -> None:
        """Drops what is kept of a segment."""
        cache = self._caches.pop(key, None)
        if cache is not None:
            self.pool.shrink(cache.pages, 0)

    @torch.inference_mode()
    def step(self, requests: Sequence[Request]) -> list[Greedy]:
        """Decodes all to their ends; results in the order of the requests.

        Raises:
            PoolExhaustedError: the pool is too small for even one of them alone.
        """
        began = time.perf_counter()
        try:
            running = self._begin(requests)
            self.meter.took(time.perf_counter() - began)
            self._run(running)
        except PoolExhaustedError:
            # Too many for the pool together: in halves, each may have the other's caches.
            if len(requests) == 1:
                raise
            half = len(requests) // 2
            return self.step(requests[:half]) + self.step(requests[half:])
        for one in running:
            self._keep(one)
        return [one.greedy for one in running]

    # What the prompt begins with

    def _begin(self, requests: Sequence[Request]) -> list[_Running]:
        caches = [self._cache(request.key) for request in requests]
        renewed = self._hearing.advance(
            [request.audio for request in requests], [cache.heard for cache in caches]
        )
        return [self._running(*each) for each in zip(requests, caches, renewed, strict=True)]

    def _cache(self, key: SegmentKey) -> SegmentCache:
        cache = self._caches.pop(key, None) or SegmentCache(self._hearing.new())
        self._caches[key] = cache  # at the end: the most recently used
        return cache

    def _running(self, request: Request, cache: SegmentCache, renewed: Renewed) -> _Running:
        cache.keyed_windows = min(cache.keyed_windows, renewed.first)
        if not self._reuse.keys or cache.head != request.head:
            cache.head, cache.keyed_windows = (), 0
        windows = [window.states for window in cache.heard.windows]
        lengths = [len(window) for window in windows]
        context = len(cache.head) + sum(lengths[: cache.keyed_windows])
        self.meter.reused(context)
        unread: list[Tensor | Sequence[int]] = [] if cache.head else [request.head]
        unread += [*windows[cache.keyed_windows :], *renewed.open, request.tail, request.forced]
        greedy = self._greedy(request.forced, request.draft, request.budget, request.ends)
        kept = len(request.head) + sum(lengths)
        return _Running(request, cache, unread, context, kept, greedy)

    # Decoding

    def _run(self, running: Sequence[_Running]) -> None:
        prefill, active = True, list(running)
        while active:
            proposals = [one.greedy.proposal() for one in active]
            best, log_probabilities = self._pass(active, proposals, prefill=prefill)
            at = 0
            for one, proposal in zip(active, proposals, strict=True):
                rows = slice(at, at + len(proposal) + 1)
                kept = one.greedy.decide(proposal, best[rows], log_probabilities[rows])
                one.context += sum(map(len, one.unread)) + kept
                one.unread = [one.greedy.tokens[-1:]]
                at = rows.stop
            active = [one for one in active if one.greedy.stop is None]
            prefill = False
            if self.after_pass is not None:
                self.after_pass({one.request.key: one.greedy for one in active})

    def _pass(
        self,
        active: Sequence[_Running],
        proposals: Sequence[Sequence[int]],
        *,
        prefill: bool,
    ) -> tuple[list[int], list[float]]:
        """The most probable tokens, and how probable, before and behind each proposed one."""
        rows = []
        for one, proposal in zip(active, proposals, strict=True):
            new = sum(map(len, one.unread)) + len(proposal)
            self._make_room(one.cache.pages, one.context + new, active)
            rows.append(Row(one.cache.pages, one.context, new))
        if not prefill and self._graphs is not None and self._graphs.fits(rows):
            self.meter.decoded([(row.context, 1) for row in rows], len(rows), prefill=False)
            return self._graphs.run([one.greedy.tokens[-1] for one in active], rows)
        plan = Plan(self.pool, rows)
        parts = [
            part
            for one, proposal in zip(active, proposals, strict=True)
            for part in (*one.unread, proposal)
        ]
        hidden = self._hidden(self._embedded(parts), plan)
        wanted: list[int] = []
        end = 0
        for row, proposal in zip(rows, proposals, strict=True):
            end += row.new
            wanted += range(end - len(proposal) - 1, end)
        self.meter.decoded([(row.context, row.new) for row in rows], len(wanted), prefill=prefill)
        best, log_probabilities = self._best(hidden[wanted])
        return best.tolist(), log_probabilities.tolist()

    def _next(self, tokens: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        """A pass of one token a row, all on the device."""
        return self._best(self._hidden(self._embed(tokens), plan))

    def _hidden(self, embedded: Tensor, plan: Plan) -> Tensor:
        """Shape ``(tokens, width)`` to the same."""
        found: Tensor = self._text(
            inputs_embeds=embedded[None],
            attention_mask={"full_attention": None},
            position_ids=plan.positions,
            cache=PagedCache(plan),
            use_cache=True,
            plan=plan,
        ).last_hidden_state[0]
        return found

    def _best(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable tokens and their log probabilities, shape ``(rows,)`` each."""
        best, log_probabilities = [], []
        for part in torch.split(hidden, LOGITS_AT_ONCE):
            logits = self._model.lm_head(part).float()
            peak, token = logits.max(dim=-1)
            best.append(token)
            log_probabilities.append(peak - logits.logsumexp(dim=-1))
        return torch.cat(best), torch.cat(log_probabilities)

    def _embedded(self, parts: Sequence[Tensor | Sequence[int]]) -> Tensor:
        """All parts one behind the other, shape ``(tokens, width)``."""
        tokens = [token for part in parts if not isinstance(part, Tensor) for token in part]
        found = self._embed(torch.tensor(tokens, dtype=torch.long, device=self.pool.device))
        at, embedded = 0, []
        for part in parts:
            if isinstance(part, Tensor):
                embedded.append(part)
            else:
                embedded.append(found[at : at + len(part)])
                at += len(part)
        return torch.cat(embedded)

    def _make_room(self, pages: list[int], tokens: int, active: Sequence[_Running]) -> None:
        while True:
            try:
                self.pool.grow(pages, tokens)
                return
            except PoolExhaustedError:
                if not self._evict({id(one.cache) for one in active}):
                    raise

    def _evict(self, in_use: set[int]) -> bool:
        """Drops the least recently used cache that no segment of this step has."""
        for key, cache in self._caches.items():
            if cache.pages and id(cache) not in in_use:
                self.forget(key)
                self.meter.evicted()
                return True
        return False

    def _keep(self, one: _Running) -> None:
        cache = one.cache
        if self._reuse.keys:
            cache.head, cache.keyed_windows = one.request.head, len(cache.heard.windows)
            self.pool.shrink(cache.pages, one.kept_tokens)
        else:
            self.pool.shrink(cache.pages, 0)
        if not self._reuse.windows:
            self.forget(one.request.key)
