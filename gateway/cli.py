"""The `scribewire` command. What takes long to import is imported by the command that needs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.bench.command import bench
from gateway.keys_command import keys
from gateway.push_command import push
from gateway.serve_command import serve, settings_of

if TYPE_CHECKING:
    from gateway.client.files import Job

app = typer.Typer(
    help="Realtime speech-to-text gateway: live audio in, growing captions out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(bench)
app.command()(push)
app.add_typer(keys, name="keys")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("scribewire"))
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Of no command; what is said of them all is the app's own help."""


def main() -> None:
    """Entry point of `scribewire`."""
    app()


@app.command()
def transcribe(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Audio files: wav, flac, ogg or mp3.")
    ],
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ws://HOST:PORT", help="Server to use; without it one is started for this."
        ),
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Send the audio at the pace it was spoken.")
    ] = False,
    format: Annotated[
        Literal["text", "json", "srt", "vtt"], typer.Option(help="Form of the transcript.")
    ] = "text",
    language: Annotated[
        str | None, typer.Option(help="Language code or name.", show_default="auto")
    ] = None,
    chunk_ms: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Audio between partials, in ms.", show_default="2000"),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a file for each, instead of to stdout."),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key for the server, if it asks for one."),
    ] = None,
) -> None:
    """Transcribe audio files, over the same WebSocket that live users have."""
    if len(files) > 1 and format in ("srt", "vtt") and output_dir is None:
        raise typer.BadParameter(
            f"{format} files cannot be joined on stdout: give --output-dir.",
            param_hint="--format",
        )
    _check_address(url)
    _check_chunk_ms(chunk_ms)

    import asyncio

    from gateway.client.files import Job

    options: dict[str, object] = {"language": language, "chunk_ms": chunk_ms}
    job = Job(files, format, output_dir, realtime, api_key, options)
    raise typer.Exit(asyncio.run(_run(job, url)))


@app.command()
def mic(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]",
            help="Listen to a recording at its own pace, or to raw pcm_s16le mono on stdin.",
            show_default="the microphone",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ws://HOST:PORT", help="Server to use; without it one is started for this."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Save at the end: NAME.srt, .vtt, .json or .txt.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Microphone: its name or number.")] = None,
    rate: Annotated[int, typer.Option(help="Of raw audio on stdin, in Hz.")] = 16_000,
    language: Annotated[
        str | None, typer.Option(help="Language code or name.", show_default="auto")
    ] = None,
    chunk_ms: Annotated[
        str, typer.Option(metavar="N|auto", help="Audio between partials, in ms.")
    ] = "auto",
    room: Annotated[
        str | None, typer.Option(metavar="ROOM", help="Room to speak in, for all who follow it.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key for the server, if it asks for one."),
    ] = None,
) -> None:
    """Caption what the microphone hears, live in the terminal."""
    if room is not None and url is None:
        raise typer.BadParameter("needs --url: nobody can follow on a server that is private.",
                                 param_hint="--room")  # fmt: skip
    if save is not None and save.suffix not in (".srt", ".vtt", ".json", ".txt"):
        raise typer.BadParameter("must end in .srt, .vtt, .json or .txt.", param_hint="--save")
    _check_address(url)
    _check_chunk_ms(chunk_ms)

    import asyncio

    options: dict[str, Any] = {
        "language": language, "chunk_ms": chunk_ms, "api_key": api_key, "publish": room,
    }  # fmt: skip
    raise typer.Exit(asyncio.run(_caption(source, url, save, device, rate, options)))


async def _caption(
    wanted: str | None,
    url: str | None,
    save: Path | None,
    device: str | None,
    rate: int,
    options: dict[str, Any],
) -> int:
    from contextlib import ExitStack

    from rich.console import Console

    from gateway.client import SessionError, connect
    from gateway.client.mic import caption_live
    from gateway.client.sources import NoAudioError, microphone, recording, standard_input
    from gateway.errors import GatewayError

    try:
        with ExitStack() as stack:
            match wanted:
                case None:
                    source = stack.enter_context(microphone(device))
                case "-":
                    source = standard_input(rate)
                case path:
                    source = recording(Path(path))
            async with (
                _server(url) as base_url,
                connect(base_url, sample_rate=source.rate, **options) as session,
            ):
                await caption_live(session, source, Console(highlight=False), save)
    except (NoAudioError, OSError) as error:
        typer.echo(f"scribewire: {error}", err=True)
        return 1
    except (SessionError, GatewayError) as error:
        typer.echo(f"scribewire: {error.message}", err=True)
        return 1
    return 0


@app.command()
def watch(
    room: Annotated[str, typer.Argument(help="Name of the room.")],
    url: Annotated[
        str, typer.Option(metavar="ws://HOST:PORT", help="Server.")
    ] = "ws://127.0.0.1:8000",
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key, or a viewer's token, if needed."),
    ] = None,
) -> None:
    """Follow a room in the terminal: what a session with publish=ROOM says."""
    _check_address(url)

    import asyncio
    from contextlib import suppress

    from rich.console import Console

    from gateway.client import SessionError
    from gateway.client.watch import watch as show

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(show(url, room, api_key, Console(highlight=False)))
    except SessionError as error:
        typer.echo(f"scribewire: {error.message}", err=True)
        raise typer.Exit(1) from None


@app.command()
def doctor() -> None:
    """Check that everything needed is here and works."""
    from rich.console import Console

    from gateway.doctor import run_doctor

    raise typer.Exit(run_doctor(Console()))


async def _run(job: "Job", url: str | None) -> int:
    import sys

    from rich.console import Console

    from gateway.client.files import transcribe_files

    async with _server(url) as base_url:
        complete = await transcribe_files(
            job, base_url, stdout=sys.stdout, stderr=Console(stderr=True, highlight=False)
        )
    return 0 if complete else 1


@asynccontextmanager
async def _server(url: str | None) -> AsyncIterator[str]:
    """The server to use: the one at ``url``, or a private one on a free port of this machine."""
    if url is not None:
        yield url
        return
    # Nobody else can reach it, so it needs none of what the environment says of access.
    private = {"keys_file": "", "api_keys": "", "no_auth": False, "tls_cert": "", "tls_key": "",
               "allowed_origins": ""}  # fmt: skip
    settings = settings_of({"host": "127.0.0.1", "port": 0, **private})
    # Its everyday log would bury the transcript, unless somebody asked for it.
    if "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": "warning"})

    from gateway.log import configure_logging
    from gateway.server import CannotStartError, run_in_background

    configure_logging(settings)
    try:
        async with run_in_background(settings) as base_url:
            yield base_url
    except CannotStartError as error:
        typer.echo(f"scribewire: {error}", err=True)
        raise typer.Exit(1) from None


def _check_address(url: str | None) -> None:
    from gateway.client.wire import stream_url

    try:
        stream_url(url or "ws://localhost", "json", {})
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--url") from None


def _check_chunk_ms(value: str | None) -> None:
    # Only its form: the range is the server's to say.
    if value is not None and value != "auto" and not (value.isascii() and value.isdigit()):
        raise typer.BadParameter(
            f"{value!r} is neither a number of milliseconds nor auto.", param_hint="--chunk-ms"
        )
