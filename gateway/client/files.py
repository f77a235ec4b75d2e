"""Audio files through a server, for people at a terminal: `scribewire transcribe`.

Transcripts go to stdout or to files, everything else to stderr. What goes wrong with one file is
one sentence, and the others are still done.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from engine.messages import SAMPLE_RATE
from gateway.audio import decode_file
from gateway.captions import Caption, to_document, to_srt, to_text, to_vtt
from gateway.client.errors import SessionError
from gateway.client.session import connect
from gateway.client.transcribe import Transcript, transcribe_pcm
from gateway.client.wire import Event
from gateway.errors import GatewayError

OutputFormat = Literal["text", "json", "srt", "vtt"]

SUFFIXES: dict[OutputFormat, str] = {"text": "txt", "json": "json", "srt": "srt", "vtt": "vtt"}
BYTES_PER_SECOND = SAMPLE_RATE * 2
PARTIAL_CHARS = 48


@dataclass(frozen=True, slots=True)
class Job:
    """What to transcribe, how, and where to put it."""

    paths: Sequence[Path]
    format: OutputFormat = "text"
    output_dir: Path | None = None
    """None: stdout."""
    realtime: bool = False
    api_key: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """The protocol's, beside encoding and sample rate."""


async def transcribe_files(job: Job, url: str, *, stdout: TextIO, stderr: Console) -> bool:
    """Transcribes one file after the other at the server ``url``; True: all of them."""
    complete = True
    for path, target in zip(job.paths, _targets(job), strict=True):
        try:
            transcript = await _transcribe(job, path, url, stderr)
            _deliver(job, path, transcript.captions, target, stdout, stderr)
        except (GatewayError, SessionError) as error:
            _say(stderr, f"{path}: {error.message}")
            complete = False
        except OSError as error:
            _say(
                stderr, f"{error.filename or path}: {error.strerror or 'unusable'}: check the path."
            )
            complete = False
        else:
            for notice in transcript.notices:
                _say(stderr, f"{path}: {notice.get('message', notice['type'])}")
    return complete


async def _transcribe(job: Job, path: Path, url: str, stderr: Console) -> Transcript:
    pcm = await asyncio.to_thread(_read, path)
    options = {**job.options, "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE}
    with _progress(stderr) as progress:
        task = progress.add_task(path.name, total=len(pcm) / BYTES_PER_SECOND, text="")
        async with connect(url, api_key=job.api_key, **options) as session:
            return await transcribe_pcm(
                session,
                pcm,
                bytes_per_second=BYTES_PER_SECOND,
                realtime=job.realtime,
                on_event=_shower(progress, task),
            )


def _read(path: Path) -> bytes:
    """The file as signed 16-bit samples, mono, 16 kHz. Raises as `decode_file`."""
    scaled = np.rint(decode_file(path) * 32_768)
    return np.clip(scaled, -32_768, 32_767).astype("<i2").tobytes()


def _progress(stderr: Console) -> Progress:
    # It shares the terminal with the transcript: it is gone before that is written, and must not
    # take over what goes to stdout.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s", markup=False),
        TextColumn("{task.fields[text]}", markup=False, style="dim"),
        console=stderr,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not stderr.is_terminal,
    )


def _shower(progress: Progress, task: TaskID) -> Callable[[Event], None]:
    """Shows how far the server is and what it just heard."""

    def show(event: Event) -> None:
        match event:
            case {"type": "partial", "stable": str(stable), "unstable": str(unstable)}:
                progress.update(task, text=_printable(stable + unstable)[-PARTIAL_CHARS:])
            case {"type": "final", "end_ms": int(end_ms)}:
                progress.update(task, completed=end_ms / 1000, text="")
            case {"type": "confirmed", "samples": int(samples)}:
                progress.update(task, completed=samples / SAMPLE_RATE)

    return show


def _deliver(
    job: Job,
    path: Path,
    captions: Sequence[Caption],
    target: Path | None,
    stdout: TextIO,
    stderr: Console,
) -> None:
    document = _document(job.format, path, captions)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(document, encoding="utf-8", errors="replace")
        return
    if job.format == "text" and len(job.paths) > 1:
        _say(stderr, f"==> {path} <==")
    stdout.write(document)
    stdout.flush()


def _document(format: OutputFormat, path: Path, captions: Sequence[Caption]) -> str:
    match format:
        case "text":
            return to_text(captions) + "\n"
        case "json":
            document = {"file": str(path), **to_document(captions)}
            return json.dumps(document, ensure_ascii=False) + "\n"
        case "srt":
            return to_srt(captions)
        case "vtt":
            return to_vtt(captions)


def _targets(job: Job) -> list[Path | None]:
    """Where each transcript goes: named after its file, numbered where names are the same."""
    if job.output_dir is None:
        return [None] * len(job.paths)
    targets: list[Path | None] = []
    for path in job.paths:
        number, suffix = 1, SUFFIXES[job.format]
        target = job.output_dir / f"{path.stem}.{suffix}"
        while target in targets:
            number += 1
            target = job.output_dir / f"{path.stem}-{number}.{suffix}"
        targets.append(target)
    return targets


def _say(stderr: Console, sentence: str) -> None:
    stderr.print(Text(_printable(sentence)), soft_wrap=True)


def _printable(text: str) -> str:
    """The text without what a terminal would obey: it may come from a server or a file's name."""
    return "".join(char if char.isprintable() else " " for char in text)
