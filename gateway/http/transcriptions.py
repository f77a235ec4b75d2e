"""OpenAI's ``POST /v1/audio/transcriptions`` and ``GET /v1/models``."""

import asyncio
import time
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import structlog
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from engine.messages import Audio
from engine.worker import Worker
from gateway.access import Guard, grant_of
from gateway.errors import (
    GatewayError,
    Internal,
    InvalidAudio,
    InvalidOption,
    NotFound,
    ShuttingDown,
    TooLarge,
    TooManySessions,
)
from gateway.http.answers import error_response
from gateway.http.forms import read_form
from gateway.http.upload import BLOCK, Upload
from gateway.media import HEAD_BYTES, decode_media, demuxer, gathered
from gateway.metrics import Metrics
from gateway.registry import RETRY_AFTER_MS, Registry
from gateway.settings import Settings
from gateway.wire.messages import Done, Final, Partial, Suppressed
from gateway.wire.openai_transcripts import (
    DONE_EVENT,
    Transcript,
    answer,
    delta_event,
    done_event,
    error_body,
    error_event,
)
from gateway.wire.openai_uploads import UploadRequest, named_as_here, read_request

DECODERS = 2
"""Threads; decoding is a hundred times faster than any model."""
EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would collect the events
}

log = structlog.get_logger("gateway.transcriptions")


def transcription_routes(
    worker: Worker, registry: Registry, settings: Settings, metrics: Metrics, guard: Guard
) -> list[Route]:
    """What OpenAI's clients ask beside WebSockets."""

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(worker)]})

    async def model(request: Request) -> Response:
        if request.path_params["name"] != worker.model.name:
            return _refusal(NotFound("There is no such model: ask GET /v1/models."))
        return JSONResponse(_model(worker))

    return [
        Route(
            "/v1/audio/transcriptions",
            Transcriptions(worker, registry, settings, metrics, guard),
            methods=["POST"],
        ),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
    ]


def _model(worker: Worker) -> dict[str, object]:
    return {"id": worker.model.name, "object": "model", "created": 0, "owned_by": "scribewire"}


def _refusal(error: GatewayError) -> Response:
    """An error in OpenAI's form."""
    return error_response(error, error_body(error))


class _Gone(Exception):
    """The client does not wait any more."""


class Transcriptions:
    """The endpoint: an ASGI application."""

    def __init__(
        self, worker: Worker, registry: Registry, settings: Settings, metrics: Metrics, guard: Guard
    ) -> None:
        self.worker, self.settings, self.metrics = worker, settings, metrics
        self.decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._registry, self._guard = registry, guard
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as held:
            try:
                self._registry.admit()
                held.enter_context(self._guard.session(grant_of(scope)))
                held.enter_context(self._place())
            except GatewayError as error:
                self.metrics.refused.labels(error.code).inc()
                await _refusal(error)(scope, receive, send)
                return
            await self._registry.serve_upload(Exchange(self, scope, receive, send))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= self.settings.max_uploads:
            self.metrics.limited.labels("max_uploads").inc()
            raise TooManySessions(retry_after_ms=RETRY_AFTER_MS)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


class Exchange:
    """One request, from its body to the end of its answer."""

    def __init__(
        self, endpoint: Transcriptions, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._endpoint, self._settings = endpoint, endpoint.settings
        self._scope, self._receive, self._asgi_send = scope, receive, send
        self._grant = grant_of(scope)
        self._id = uuid.uuid4().hex
        self._work: asyncio.Task[None] | None = None
        self._opened_at = time.monotonic()
        self._end_by: float | None = None
        self._begun = False
        """The answer's head is sent."""
        self._late = False
        """It was not over when the process had to end."""

    async def run(self) -> None:
        """Until all is answered, or there is nobody any more to answer."""
        self._work = asyncio.create_task(self._answer(), name="transcription")
        try:
            await asyncio.wait({self._work})
            outcome = await self._outcome(self._work)
        finally:
            self._work.cancel()
        self._endpoint.metrics.uploads.labels(outcome).inc()
        open_s = round(time.monotonic() - self._opened_at, 3)
        log.info("upload_closed", session=self._id, outcome=outcome, open_s=open_s)

    async def _outcome(self, work: asyncio.Task[None]) -> str:
        """``done``, ``gone``, or the code of the error that the client was told."""
        error = _Gone() if work.cancelled() else work.exception()
        if work.cancelled() and self._late:
            error = ShuttingDown(retry_after_ms=RETRY_AFTER_MS)
        if error is None:
            return "done"
        if isinstance(error, _Gone | ClientDisconnect | TimeoutError):
            return "gone"
        if not isinstance(error, GatewayError):
            log.error("upload_failed", session=self._id, exc_info=error)
            error = Internal()
        self._endpoint.metrics.errors.labels(error.code).inc()
        await self._tell(error)
        return error.code

    async def _tell(self, error: GatewayError) -> None:
        try:
            if self._begun:
                await self._send_events(error_event(error), last=True)
            else:
                await _refusal(error)(self._scope, self._receive, self._send)
        except (TimeoutError, OSError):
            log.info("error_not_told", session=self._id, code=error.code)

    # Registry

    def drain(self) -> None:
        """It may end in `Settings.drain_s`."""
        self._end_by = time.monotonic() + self._settings.drain_s

    def check_deadlines(self, now: float) -> None:
        """Ends it if it must have ended by ``now``."""
        if self._end_by is not None and now > self._end_by and self._work is not None:
            self._late = True
            self._work.cancel()

    # The answer

    async def _answer(self) -> None:
        form = await read_form(
            Request(self._scope, self._receive),
            max_bytes=self._settings.max_upload_bytes,
            chunk_within_s=self._settings.idle_timeout_s,
        )
        watch = asyncio.create_task(self._watch(), name="disconnect")
        try:
            await self._transcribe(form)
        finally:
            watch.cancel()
            await form.close()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._work is not None:
            self._work.cancel()

    async def _transcribe(self, form: FormData) -> None:
        request, audio = _read(form, self._settings.max_upload_s)
        try:
            self._grant.check_options(request.options)
            upload = Upload(
                audio, request.with_fixed(self._grant.fixed_options), self._endpoint.worker,
                self._endpoint.decoders, self._spend, self._id,
            )  # fmt: skip
        except GatewayError as error:
            raise named_as_here(error) from None
        try:
            await upload.open()
            if request.stream:
                await self._stream(upload, Transcript(request.prefix))
            else:
                await self._send_whole(upload, request)
        except (InvalidAudio, TooLarge) as error:
            error.param = "file"
            raise
        finally:
            upload.close()

    async def _send_whole(self, upload: Upload, request: UploadRequest) -> None:
        transcript = Transcript(request.prefix)
        while not isinstance(said := await self._next(upload), Done):
            transcript.take(said)
        transcript.duration_ms = said.duration_ms
        languages = self._endpoint.worker.model.languages
        body, kind = answer(request.response_format, transcript, languages)
        await Response(body, media_type=kind)(self._scope, self._receive, self._send)

    async def _stream(self, upload: Upload, transcript: Transcript) -> None:
        headers = [(name.encode(), value.encode()) for name, value in EVENT_STREAM.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._begun = True
        while not isinstance(said := await self._next(upload), Done):
            if news := transcript.take(said):
                await self._send_events(delta_event(news))
        await self._send_events(done_event(transcript) + DONE_EVENT, last=True)

    def _spend(self, audio_s: float) -> None:
        self._endpoint.metrics.audio_s.inc(audio_s)
        self._grant.spend(audio_s)

    async def _next(self, upload: Upload) -> Partial | Final | Done:
        while isinstance(said := await upload.next(), Suppressed):
            self._endpoint.metrics.suppressed.labels(said.reason).inc()
        if isinstance(said, Final):
            self._endpoint.metrics.revised.inc(said.revised)
        return said

    async def _send_events(self, events: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": events, "more_body": not last})

    async def _send(self, message: Message) -> None:
        """
        Raises:
            TimeoutError: the client does not read.
        """
        async with asyncio.timeout(self._settings.write_timeout_s):
            await self._asgi_send(message)


def _read(form: FormData, max_s: float) -> tuple[UploadRequest, Generator[Audio]]:
    """What is asked, and the file's audio in blocks.

    Raises:
        GatewayError: something is wrong or missing.
    """
    fields = [(name, each) for name, each in form.multi_items() if isinstance(each, str)]
    files = [(name, each) for name, each in form.multi_items() if isinstance(each, UploadFile)]
    request = read_request(fields)
    if not files or files[0][0] != "file":
        raise InvalidOption("file is missing: send the audio as a file.", param="file")
    file = files[0][1].file
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise InvalidAudio("audio_data is empty: the file has no bytes; send audio.", param="file")
    try:
        container = demuxer(head)
    except InvalidAudio as error:
        error.param = "file"
        raise
    return request, gathered(decode_media(file, container, max_s=max_s), BLOCK)
