"""Text to tokens for a vocabulary that was made by byte pair encoding, as SentencePiece does it.

Kudo & Richardson, arXiv 1808.06226: of all neighbours that together are a token, those whose token
was made first, which is the one with the lowest id, are merged, until there are none.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

BYTES_FROM = 3
"""The id of the byte 0; before are the marks of beginning, end and the unknown."""
MERGES_FROM = BYTES_FROM + 256

_MARK = re.compile(rb"<<\w+>>")
_WORD = re.compile(r"\s{0,64}\S{1,64}|\s{1,64}")  # bounded: merging takes the square of it


class BytePairs:
    """Encodes; marks, which are no text, are never made."""

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        """
        Args:
            vocabulary: the tokens' bytes by id, with real spaces.
        """
        self._ids = {
            piece: id
            for id, piece in enumerate(vocabulary)
            if id >= MERGES_FROM and not _MARK.fullmatch(piece)
        }

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of a text; characters that are no token become those of their bytes."""
        # No token has a space behind anything else, so words never share one.
        return tuple(token for word in _WORD.findall(text) for token in self._word(word))

    def _word(self, word: str) -> list[int]:
        pieces = [character.encode() for character in word]
        while len(pieces) > 1:
            pairs = [self._ids.get(a + b) for a, b in pairwise(pieces)]
            made = [id for id in pairs if id is not None]
            if not made:
                break
            at = pairs.index(min(made))
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return [token for piece in pieces for token in self._tokens(piece)]

    def _tokens(self, piece: bytes) -> list[int]:
        id = self._ids.get(piece)
        return [BYTES_FROM + byte for byte in piece] if id is None else [id]
