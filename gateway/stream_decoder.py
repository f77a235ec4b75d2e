"""A recording that arrives in pieces, decoded as it comes.

libav pulls what it reads, and a socket pushes; so each recording has a thread, which waits wherever
libav wants bytes that are not there yet. Nothing of it runs on the event loop.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import closing
from queue import SimpleQueue

import numpy as np

from engine.messages import SAMPLE_RATE, Audio
from gateway.errors import GatewayError, Internal, InvalidAudio
from gateway.media import HEAD_BYTES, decode_media, demuxer

PIECE = SAMPLE_RATE
"""Samples given out at a time, a packet more at most: what a few bytes may decompress to has no
bound, so no more is decoded before somebody has taken them."""

_END = b""


class StreamDecoder:
    """One recording; for one task of the event loop. To be closed."""

    def __init__(self) -> None:
        self._given: SimpleQueue[bytes] = SimpleQueue()
        self._made: asyncio.Queue[Audio | GatewayError | None] = asyncio.Queue()
        """None: all that was given is decoded."""
        self._taken = threading.Semaphore(0)
        self._loop = asyncio.get_running_loop()
        self._closed = self._ended = False
        self._work = _Work(self)
        threading.Thread(target=self._work.run, name="container", daemon=True).start()

    async def decode(self, data: bytes) -> AsyncGenerator[Audio, None]:
        """The 16 kHz samples that ``data`` completes, in pieces of about `PIECE`, shape ``(n,)``.

        Containers come in pages or clusters, of which the last is held until it is whole.

        Raises:
            InvalidAudio: the recording is none that is known here, or it is over already.
        """
        if not data:
            return
        if self._ended:
            raise InvalidAudio("The recording has ended: open a new session for another.")
        async for piece in self._decoded(data):
            yield piece

    async def flush(self) -> AsyncGenerator[Audio, None]:
        """What was held; the recording is over.

        Raises:
            InvalidAudio: nothing of it could be decoded.
        """
        if not self._ended:
            async for piece in self._decoded(_END):
                yield piece

    def close(self) -> None:
        """Ends the thread, whatever it waits for."""
        self._closed = True
        self._given.put(_END)
        self._taken.release()

    async def _decoded(self, data: bytes) -> AsyncGenerator[Audio, None]:
        self._given.put(data)
        while (made := await self._made.get()) is not None:
            if isinstance(made, GatewayError):
                self._ended = True
                raise made
            yield made
            self._taken.release()
        self._ended = self._work.ended or data == _END

    # For the thread

    def make(self, made: Audio | GatewayError | None) -> None:
        """Hands over what was made."""
        if not self._closed:  # the loop may be gone
            self._loop.call_soon_threadsafe(self._made.put_nowait, made)

    def wait_until_taken(self) -> bool:
        """False: nobody wants more."""
        self._taken.acquire()
        return not self._closed

    def wait_for_bytes(self) -> bytes:
        """More of the recording; none: it is over."""
        return _END if self._closed else self._given.get()


class _Work:
    """The thread's: what libav reads from, and what it makes of it."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self._unread = b""
        self._pieces: list[Audio] = []
        self._samples = 0
        self._asked = False
        """Whether bytes were given, and it was not said yet that they are used up."""
        self.ended = False

    def run(self) -> None:
        outcome: GatewayError | None = None
        try:
            self._decode()
        except GatewayError as error:
            outcome = error
        except Exception:  # a thread's exception would be nobody's
            outcome = Internal()
        self.ended = True
        self._decoder.make(outcome)

    def read(self, size: int) -> bytes:
        """See `media.Readable`."""
        if not self._unread and not self.ended:
            self._unread = self._next_bytes()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _decode(self) -> None:
        while len(self._unread) < HEAD_BYTES and (more := self._next_bytes()):
            self._unread += more
        container = demuxer(self._unread)
        with closing(decode_media(self, container, prompt=True)) as pieces:
            for piece in pieces:
                self._pieces.append(piece)
                self._samples += len(piece)
                if self._samples >= PIECE and not self._hand_over():
                    return
        self._hand_over()

    def _next_bytes(self) -> bytes:
        if self._asked:
            self._hand_over()
            self._decoder.make(None)
        self._asked = True
        data = self._decoder.wait_for_bytes()
        self.ended = not data
        return data

    def _hand_over(self) -> bool:
        """Whether more is wanted."""
        pieces, self._pieces, self._samples = self._pieces, [], 0
        samples = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
        if not len(samples):
            return True
        self._decoder.make(samples)
        return self._decoder.wait_until_taken()
