"""A file's session: audio in as the engine takes it, what is said of it out."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace

import structlog

from engine.messages import SAMPLE_RATE, Audio, ms_to_samples
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.transcript import Event
from engine.worker import Worker
from gateway.errors import EngineFailed, GatewayError, Internal, TooLarge
from gateway.session import Identity, Session
from gateway.wire.messages import AudioFrame, Done, ErrorMessage, Final, Partial, Stop, Suppressed
from gateway.wire.openai_uploads import UploadRequest
from gateway.wire.options import parse_options

BLOCK = 2 * SAMPLE_RATE
"""Samples decoded, and given to the engine, at a time: a chunk."""
SEGMENTS_AHEAD = 2
"""How many of the longest segments the engine may have before it says a final of them."""

Said = Partial | Final | Suppressed | Done

log = structlog.get_logger("gateway.http.upload")


class Upload:
    """Driven by its reader: nothing is decoded or given to the engine that nobody waits for."""

    def __init__(
        self, audio: Generator[Audio], request: UploadRequest, worker: Worker, decoders: Executor,
        spend: Callable[[float], None] = lambda audio_s: None, id: str | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            audio: in blocks of at most `BLOCK`; decoded when asked for, in ``decoders``.
            spend: told of the seconds that are given to the engine; may refuse them.
            id: of its session; None: any.

        Raises:
            InvalidOption, Unsupported: the options ask for what there is not.
        """
        self._audio, self._decoders, self._spend = audio, decoders, spend
        self._prefix, self._worker = request.prefix.strip(), worker
        longest_ms = worker.model.max_segment_ms
        self.session = Session(
            Identity(id or uuid.uuid4().hex),
            options=parse_options(
                {**request.session_options, "encoding": "pcm_f32le", "cold_chunks": 1},
                max_segment_ms=longest_ms,
            ),
            model=worker.model,
            limits={"max_backlog_ms": SEGMENTS_AHEAD * longest_ms},
            open_speech=self._open_speech,
        )
        self._longest = ms_to_samples(self.session.options.max_segment_ms)
        self._speech: SpeechSession | None = None
        self._decoding: Future[Audio | None] | None = None
        self._block: Audio | None = None
        self._all_given = False
        self._said: deque[Said] = deque()
        self._fault: GatewayError | None = None
        self._moved = asyncio.Event()

    def _open_speech(self, options: StreamOptions) -> SpeechSession:
        options = replace(options, background=True, prefix=self._prefix)
        self._speech = self._worker.open(self.session.id, options, self)
        self._speech.on_progress = self._moved.set
        return self._speech

    # For the reader

    async def open(self) -> None:
        """Decodes the beginning.

        Raises:
            InvalidAudio, TooLarge: it cannot be.
        """
        self._block = await self._decoded()

    async def next(self) -> Said:
        """What is said next; gives the engine audio for it, as there is room. `Done` is the last.

        Raises:
            GatewayError: no more can be said, or taken.
        """
        while not self._said:
            if self._fault is not None:
                raise self._fault
            if self._all_given or not self._has_room():
                self._moved.clear()
                await self._moved.wait()
            else:
                await self._give()
        return self._said.popleft()

    def close(self) -> None:
        """Ends it: no step is begun any more."""
        if self._speech is not None:
            self._speech.discard()
        if self._decoding is None or self._decoding.done():
            self._audio.close()
        else:  # a generator cannot be closed while it runs
            self._decoding.add_done_callback(lambda _: self._audio.close())

    # To the engine

    def _has_room(self) -> bool:
        """Whether the engine can use more: for partials chunk by chunk, else whole segments."""
        if self._speech is None:
            return True
        if self.session.options.partials:
            return self._speech.idle
        return self._speech.unconfirmed + BLOCK <= SEGMENTS_AHEAD * self._longest

    async def _give(self) -> None:
        block = self._block
        if block is None:
            self._all_given = True
            self.session.receive(Stop())
            return
        self._spend(len(block) / SAMPLE_RATE)
        self.session.receive(AudioFrame(block.tobytes()))
        if self._prefix and self._speech is not None and self._speech.received > self._longest:
            raise TooLarge(
                "With a prefix the file is one segment: send at most "
                f"{self._longest // SAMPLE_RATE} seconds.",
                param="file",
            )
        self._block = await self._decoded()

    async def _decoded(self) -> Audio | None:
        self._decoding = self._decoders.submit(next, self._audio, None)
        return await asyncio.wrap_future(self._decoding)

    # From the engine

    def hear(self, events: Sequence[Event]) -> None:
        """See `engine.speech_session.Listener`."""
        for message in self.session.translate(events):
            if isinstance(message, ErrorMessage):  # a part of the text is missing
                self._fault = EngineFailed()
            elif isinstance(message, Said) and self._fault is None:
                self._said.append(message)
        self._moved.set()

    def broken(self) -> None:
        """See `engine.speech_session.Listener`."""
        log.exception("session_broken", session=self.session.id)
        self._fault = Internal()
        self._moved.set()
