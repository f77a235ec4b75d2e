"""``scribewire doctor``: what is installed, which device, which models can run, and a self-test."""

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway.audio import decode_file
from gateway.client.transcribe import transcribe_pcm
from gateway.log import configure_logging
from gateway.settings import Settings

PACKAGES = (
    "scribewire", "starlette", "uvicorn", "websockets", "uvloop", "numpy", "soxr", "msgpack",
    "onnxruntime", "silero-vad", "moonshine-voice", "torch", "transformers", "soundfile",
)  # fmt: skip
SAMPLE = "beckett.wav"
SAMPLE_WORDS = ("ever", "tried", "failed", "no", "matter", "again")


def run_doctor(console: Console) -> int:
    """Prints the findings; 0 if speech can be transcribed here."""
    console.print(_packages())
    console.print(f"Python {platform.python_version()} on {platform.platform()}")
    console.print(f"{os.cpu_count()} cores; CUDA: {_cuda()}")
    return _self_test(console)


def _packages() -> Table:
    table = Table("package", "version", title="Installed")
    for name in PACKAGES:
        try:
            table.add_row(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            table.add_row(name, "[red]missing: pip install scribewire[/red]")
    return table


def _cuda() -> str:
    # Asked in a process of its own: importing torch takes seconds, and this module must not.
    import subprocess
    import sys

    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    found = subprocess.run(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "none, models run on the CPU"


def _self_test(console: Console) -> int:
    folder = importlib.util.find_spec("moonshine_voice")
    if folder is None or folder.origin is None:
        console.print(
            "[red]moonshine-tiny-en: cannot run[/red]; pip install moonshine-voice==0.0.73"
        )
        return 1
    from gateway.server import CannotStartError

    settings = Settings(port=0, log_level="warning")
    configure_logging(settings)
    speech = Path(folder.origin).parent / "assets" / SAMPLE
    try:
        text, seconds = asyncio.run(_transcribe(settings, speech))
    except CannotStartError as error:
        console.print(f"[red]moonshine-tiny-en: cannot run[/red]; {error}")
        return 1
    heard = {word.strip(".,").lower() for word in text.split()}
    if not heard.issuperset(SAMPLE_WORDS):
        console.print(f"[red]moonshine-tiny-en: heard the wrong words[/red]: {text!r}")
        return 1
    console.print(
        f"[green]moonshine-tiny-en: works[/green], 10 s of speech in {seconds:.1f} s: {text}"
    )
    return 0


async def _transcribe(settings: Settings, speech: Path) -> tuple[str, float]:
    from gateway.client import connect
    from gateway.server import run_in_background

    async with run_in_background(settings) as url, connect(url) as session:
        began = time.perf_counter()
        pcm = (decode_file(speech) * 32767).astype("<i2").tobytes()
        transcript = await transcribe_pcm(session, pcm, bytes_per_second=32_000)
        return transcript.text, time.perf_counter() - began
