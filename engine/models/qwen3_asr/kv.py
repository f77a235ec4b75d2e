"""Keys and values of all segments in one pool of pages, and attention over them.

Plugs into transformers at its two extension points: `PagedCache` is a cache whose `update` writes
into the pages, and the functions registered here are attention implementations. Both learn from a
`Plan`, handed through the model's forward as ``plan=…``, which tokens belong to whom.

On CUDA in half precision torch's variable-length attention reads the pages in place; elsewhere, and
as what that is tested against, each row's pages are gathered and go through plain SDPA.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, Cache
from transformers.configuration_utils import PreTrainedConfig

PAGED = "scribewire_paged"
WINDOWED = "scribewire_windowed"
PAGE_TOKENS_CPU = 16
PAGE_TOKENS_CUDA = 256
"""What flash attention asks for."""


class PoolExhaustedError(Exception):
    """There are not enough free pages."""


class PagePool:
    """Pages of keys and values of all layers; owns who has which.

    ``keys[layer]`` and ``values[layer]`` have the shape ``(pages, page tokens, heads, width)``.
    Nobody has page 0: the rows that fill up a captured batch write there.
    """

    def __init__(
        self, config: PreTrainedConfig, tokens: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        cuda = device.type == "cuda"
        self.page_tokens = PAGE_TOKENS_CUDA if cuda else PAGE_TOKENS_CPU
        self.pages = max(2, -(-tokens // self.page_tokens))
        shape = (self.pages, self.page_tokens, config.num_key_value_heads, config.head_dim)
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.device = device
        self.cuda = cuda
        self.reads_pages_in_place = cuda and dtype in (torch.float16, torch.bfloat16)
        self._free = list(range(self.pages - 1, 0, -1))

    @property
    def used_pages(self) -> int:
        """Pages that somebody has."""
        return self.pages - 1 - len(self._free)

    def grow(self, pages: list[int], tokens: int) -> None:
        """Adds pages until there is room for ``tokens``.

        Raises:
            PoolExhaustedError: not enough are free; nothing was changed.
        """
        wanted = -(-tokens // self.page_tokens) - len(pages)
        if wanted > len(self._free):
            raise PoolExhaustedError
        for _ in range(wanted):
            pages.append(self._free.pop())

    @staticmethod
    def selection(pages: list[int]) -> slice | Tensor:
        """An index of these pages; one that copies nothing if they lie one behind the other."""
        first, last = pages[0], pages[-1]
        if pages == list(range(first, last + 1)):
            return slice(first, last + 1)
        return torch.tensor(pages)

    def shrink(self, pages: list[int], tokens: int) -> None:
        """Gives back the pages behind the first ``tokens``."""
        kept = -(-tokens // self.page_tokens)
        while len(pages) > kept:
            self._free.append(pages.pop())


def bytes_per_token(config: PreTrainedConfig, dtype: torch.dtype) -> int:
    """Of keys and values in all layers."""
    width = config.num_key_value_heads * config.head_dim
    return int(2 * config.num_hidden_layers * width * dtype.itemsize)


@dataclass(frozen=True, slots=True)
class Row:
    """One segment's tokens in a packed pass."""

    pages: list[int]
    context: int
    """Tokens before: theirs are in the pages."""
    new: int


def places(rows: Sequence[Row], page_tokens: int) -> tuple[Tensor, Tensor]:
    """Each new token's slot in the flattened pool, and its position; shapes ``(tokens,)``."""
    slots, positions = [], []
    for row in rows:
        at = np.arange(row.context, row.context + row.new)
        slots.append(np.array(row.pages)[at // page_tokens] * page_tokens + at % page_tokens)
        positions.append(at)
    return torch.from_numpy(np.concatenate(slots)), torch.from_numpy(np.concatenate(positions))


def tables(rows: Sequence[Row], columns: int) -> tuple[Tensor, Tensor]:
    """Pages of each row, shape ``(rows, columns)``, and its tokens, ``(rows,)``; both int32."""
    table = np.zeros((len(rows), columns), np.int32)
    for line, row in zip(table, rows, strict=True):
        line[: len(row.pages)] = row.pages
    used = np.array([row.context + row.new for row in rows], np.int32)
    return torch.from_numpy(table), torch.from_numpy(used)


@dataclass(slots=True)
class Plan:
    """Which tokens of a packed pass belong to whom, and where their keys and values go."""

    pool: PagePool
    rows: Sequence[Row]
    slots: Tensor = field(init=False)
    """Of each token, in the flattened pool; shape ``(tokens,)``."""
    positions: Tensor = field(init=False)
    """Of each token in its segment; shape ``(1, tokens)``."""
    _varlen: dict[str, Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        device = self.pool.device
        slots, positions = places(self.rows, self.pool.page_tokens)
        self.slots, self.positions = slots.to(device), positions[None].to(device)
        if self.pool.reads_pages_in_place:
            self._varlen = self._tables()

    def _tables(self) -> dict[str, Any]:
        device = self.pool.device
        table, used = tables(self.rows, max(len(row.pages) for row in self.rows))
        new = torch.tensor([0, *(row.new for row in self.rows)])
        return {
            "cu_seq_q": new.cumsum(0, dtype=torch.int32).to(device),
            "cu_seq_k": None,
            "max_q": max(row.new for row in self.rows),
            "max_k": int(used.max()),
            "seqused_k": used.to(device),
            "block_table": table.to(device),
        }

    def refill(self, rows: Sequence[Row]) -> None:
        """Puts other rows of one new token each into the same tensors, for a captured graph.

        Their number stays, and none may have more pages than the tables have columns.
        """
        self.rows = rows
        slots, positions = places(rows, self.pool.page_tokens)
        self.slots.copy_(slots, non_blocking=True)
        self.positions.copy_(positions[None], non_blocking=True)
        if self._varlen is not None:
            table, used = tables(rows, self._varlen["block_table"].shape[1])
            self._varlen["block_table"].copy_(table, non_blocking=True)
            self._varlen["seqused_k"].copy_(used, non_blocking=True)

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Causal attention; query and result of shape ``(tokens, heads, width)``."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        if self._varlen is not None:
            from torch.nn.attention.varlen import varlen_attn

            found = varlen_attn(
                query, keys, values, **self._varlen,
                scale=scaling, window_size=(-1, 0), enable_gqa=True,
            )  # fmt: skip
            assert isinstance(found, Tensor)
            return found
        parts, at = [], 0
        for row in self.rows:
            part = query[at : at + row.new]
            length = row.context + row.new
            pages = self.pool.selection(row.pages[: -(-length // self.pool.page_tokens)])
            key = keys[pages].flatten(0, 1)[:length]
            value = values[pages].flatten(0, 1)[:length]
            parts.append(_attend(part, key, value, row.context, scaling))
            at += row.new
        return torch.cat(parts)


def _attend(query: Tensor, key: Tensor, value: Tensor, context: int, scaling: float) -> Tensor:
    """Causal attention of one segment; shapes ``(new, heads, width)``, ``(length, kv heads, …)``.

    Heads that share keys are laid side by side as queries, so that nothing is copied for them.
    """
    new, heads, width = query.shape
    shared = key.shape[1]
    group = heads // shared
    grouped = query.view(new, shared, group, width).permute(1, 2, 0, 3).reshape(shared, -1, width)
    mask = None
    if new > 1:
        places = torch.arange(context, context + new, device=query.device)
        mask = torch.arange(len(key), device=query.device) <= places[:, None]
        mask = mask.repeat(group, 1)
    found = F.scaled_dot_product_attention(
        grouped[None], key.transpose(0, 1)[None], value.transpose(0, 1)[None],
        attn_mask=mask, scale=scaling,
    )  # fmt: skip
    return found[0].view(shared, group, new, width).permute(2, 0, 1, 3).reshape(new, heads, width)


class PagedCache(Cache):
    """What transformers' attention layers write their keys and values to."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(layers=[])
        self._plan = plan

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes shapes ``(1, heads, tokens, width)`` into the pages."""
        pool = self._plan.pool
        for store, states in ((pool.keys, key_states), (pool.values, value_states)):
            store[layer_idx].flatten(0, 1).index_copy_(
                0, self._plan.slots, states[0].transpose(0, 1)
            )
        return key_states, value_states

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        """Positions are given; nobody needs it."""
        return 0


def _paged(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
    scaling: float, plan: Plan, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """The decoder's attention: query of shape ``(1, heads, tokens, width)``."""
    layer = module.layer_idx
    assert isinstance(layer, int)
    return plan.attend(layer, query[0].transpose(0, 1), scaling)[None], None


def _windowed(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor,
    attention_mask: Tensor | None = None, scaling: float | None = None,
    window_tokens: Sequence[int] = (), **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """The encoder's attention, within windows; shapes ``(1, heads, tokens, width)``."""
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        edges = torch.tensor([0, *window_tokens]).cumsum(0, dtype=torch.int32).to(query.device)
        longest = max(window_tokens)
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        packed = varlen_attn(q, k, v, edges, edges, longest, longest, scale=scaling)
        assert isinstance(packed, Tensor)
        return packed[None], None
    parts, at = [], 0
    while at < len(window_tokens):
        # Windows of the same length, as all complete ones are, go through together.
        tokens, first = window_tokens[at], at
        while at < len(window_tokens) and window_tokens[at] == tokens:
            at += 1
        start, count = sum(window_tokens[:first]), at - first
        q, k, v = (
            states[0, :, start : start + count * tokens]
            .view(states.shape[1], count, tokens, -1)
            .transpose(0, 1)
            for states in (query, key, value)
        )
        found = F.scaled_dot_product_attention(q, k, v, scale=scaling)
        parts.append(found.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


AttentionInterface.register(PAGED, _paged)
AttentionInterface.register(WINDOWED, _windowed)
