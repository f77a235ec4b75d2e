"""Where WebSocket frames begin in a socket's bytes (RFC 6455, 5.2), and which are whole messages.

`websockets` parses frames of all kinds and says what is wrong with them; that takes 9 µs, and a
frame of audio is of the simplest kind. So those are told from the rest here, and only those.
"""

try:
    from websockets.speedups import apply_mask
except ImportError:  # there is no wheel with it for this platform
    from websockets.utils import apply_mask

BINARY_MESSAGE = 0x82
"""First byte of a frame that is a whole binary message: FIN, no reserved bit, opcode 2."""
DATA = 2
"""The highest opcode of data: continuation, text, binary."""
FIN, OPCODE, MASKED, LENGTH = 0x80, 0x0F, 0x80, 0x7F
LENGTH_16, LENGTH_64 = 126, 127
MASK_BYTES = 4


class Framing:
    """Follows the bytes of one connection."""

    def __init__(self) -> None:
        self._missing = 0
        """Bytes of a frame whose beginning was seen."""
        self._amid = False
        """Whether more frames of a message are to come."""

    def next(self, data: bytes, at: int) -> tuple[int, bytes | None]:
        """What comes next in ``data``.

        Args:
            at: where it begins: behind what was told before.

        Returns:
            Where it ends, and its payload if it is a whole binary message in one masked frame; else
            None: a frame of another kind, or a part of one. It ends where it begins if that is too
            little to tell, and has to come again with more behind it.
        """
        size = len(data)
        if self._missing:
            end = min(size, at + self._missing)
            self._missing -= end - at
            return end, None
        begin, length = self._header(data, at)
        if begin > size:
            return at, None
        end = begin + length
        first = data[at]
        if first == BINARY_MESSAGE and end <= size and not self._amid and data[at + 1] & MASKED:
            return end, apply_mask(data[begin:end], data[begin - MASK_BYTES : begin])
        if first & OPCODE <= DATA:
            self._amid = not first & FIN
        self._missing = max(0, end - size)
        return min(end, size), None

    @staticmethod
    def _header(data: bytes, at: int) -> tuple[int, int]:
        """Where the payload begins, and its length, which is known if it begins within ``data``."""
        if len(data) < at + 2:
            return at + 2 + MASK_BYTES, 0
        begin, length = at + 2, data[at + 1] & LENGTH
        if length >= LENGTH_16:
            bytes_ = 2 if length == LENGTH_16 else 8
            length = int.from_bytes(data[begin : begin + bytes_], "big")
            begin += bytes_
        return begin + (MASK_BYTES if data[at + 1] & MASKED else 0), length
