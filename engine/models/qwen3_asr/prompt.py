"""Qwen3-ASR's prompt around the audio, its answer's form, and its tokens as bytes.

The model answers ``language English<asr_text>words``; a language is forced by beginning the answer
for it. That header is part of a hypothesis' tokens, so that it is forced and drafted like the rest,
but has no bytes: it never reaches a client.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from transformers import Qwen3ASRProcessor
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

_MARKER = "<asr_text>"
_LANGUAGE = re.compile(r"language\s+(\S[^<]*)")


class Prompt:
    """Owns what the checkpoint's processor says of texts and tokens."""

    def __init__(self, processor: Qwen3ASRProcessor) -> None:
        self._processor: Any = processor
        self._tokenizer: Any = processor.tokenizer
        self._audio: str = processor.audio_token
        self._marker: int = self._tokenizer.convert_tokens_to_ids(_MARKER)
        alphabet: Any = bytes_to_unicode
        self._bytes = {character: byte for byte, character in alphabet().items()}
        self._added: set[int] = set(self._tokenizer.added_tokens_decoder)
        self._special = sorted(
            (str(token) for token in self._tokenizer.added_tokens_decoder.values()),
            key=len,
            reverse=True,
        )
        self.languages: dict[str, str] = dict(LANGUAGE_CODE_TO_NAME)
        self._codes = {name.casefold(): code for code, name in self.languages.items()}
        self.around = lru_cache(maxsize=1024)(self._around)
        self.header = lru_cache(maxsize=None)(self._header)
        self.piece = lru_cache(maxsize=None)(self._piece)

    def _around(self, context: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens before the audio and behind it, from the checkpoint's own chat template."""
        context = self._harmless(context)
        conversation = [
            {"role": "system", "content": [{"type": "text", "text": context}]},
            {"role": "user", "content": [{"type": "audio", "audio": ""}]},
            {"role": "assistant", "content": [{"type": "text", "text": ""}]},
        ]
        text = self._processor.apply_chat_template(
            conversation if context else conversation[1:],
            tokenize=False,
            continue_final_message=True,
        )
        head, tail = text.split(self._audio)
        return self._tokens(head), self._tokens(tail)

    def _header(self, language: str) -> tuple[int, ...]:
        """The beginning of an answer in a language, given as code."""
        return self._tokens(f"language {self.languages[language]}{_MARKER}")

    def header_of(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The header that an answer begins with; empty: it has none."""
        return tuple(tokens[: tokens.index(self._marker) + 1]) if self._marker in tokens else ()

    def text(self, text: str) -> tuple[int, ...]:
        """Text of an answer, behind its header."""
        return self._tokens(self._harmless(text))

    def _harmless(self, text: str) -> str:
        """A user's text without markers: it must not end a turn of the conversation."""
        for token in self._special:
            text = text.replace(token, " ")
        return text

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _piece(self, token: int) -> bytes:
        """A token's UTF-8 bytes; those of markers are none."""
        if token in self._added:
            return b""
        characters = self._tokenizer.convert_ids_to_tokens(token)
        return bytes(self._bytes[character] for character in characters or "")

    def read(self, tokens: Sequence[int]) -> tuple[str | None, tuple[bytes, ...]]:
        """The language's code, if one was heard, and each token's bytes; the header has none."""
        length = tokens.index(self._marker) + 1 if self._marker in tokens else 0
        pieces = [self.piece(token) for token in tokens]
        # A step that ended within the header has said nothing yet.
        if not length and b"".join(pieces).startswith(b"language "):
            length = len(tokens)
        said = b"".join(pieces[:length]).decode(errors="replace")
        found = _LANGUAGE.match(said)
        language = self._codes.get(found[1].strip().casefold()) if found else None
        return language, (b"",) * length + tuple(pieces[length:])
