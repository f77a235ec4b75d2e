"""The `scribewire` command. What takes long to import is imported by the command that needs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.bench.command import bench
from gateway.keys_command import keys

if TYPE_CHECKING:
    from pydantic import ValidationError

    from gateway.client.files import Job
    from gateway.settings import Settings

app = typer.Typer(
    help="Realtime speech-to-text gateway: live audio in, growing captions out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(bench)
app.add_typer(keys, name="keys")


def main() -> None:
    """Entry point of `scribewire`."""
    app()


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0: a free one.", show_default="8000")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Speech model.", show_default="moonshine-tiny-en")
    ] = None,
    aligner: Annotated[
        str | None, typer.Option(help="Forced aligner, for the times of words: name or folder.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where the model computes: cpu, cuda, cuda:N.", show_default="auto"),
    ] = None,
    gpu_memory: Annotated[
        float | None,
        typer.Option(help="Share of the GPU's memory to take.", show_default="0.85"),
    ] = None,
    runner: Annotated[
        Literal["process", "thread"] | None,
        typer.Option(help="Where the model runs.", show_default="process"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="local|ray|ray://HOST:PORT",
            help="Copies of the model in a Ray cluster instead.",
            show_default="local",
        ),
    ] = None,
    engine_least: Annotated[
        int | None, typer.Option(help="Copies in a cluster, at least.", show_default="1")
    ] = None,
    engine_most: Annotated[
        int | None, typer.Option(help="Copies in a cluster, at most.", show_default="1")
    ] = None,
    engine_gpus: Annotated[
        float | None, typer.Option(help="GPUs for a copy in a cluster.", show_default="0")
    ] = None,
    keys_file: Annotated[
        str | None, typer.Option(help="File of API keys, made by `scribewire keys`.")
    ] = None,
    no_auth: Annotated[
        bool | None,
        typer.Option(
            "--no-auth", help="Listen beyond this machine without keys.", show_default="False"
        ),
    ] = None,
    allowed_origins: Annotated[
        str | None,
        typer.Option(metavar="ORIGIN,…", help="Whose pages may connect beside the own one."),
    ] = None,
    trusted_proxies: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS,…",
            help="Proxies whose X-Forwarded-For is believed.",
            show_default="127.0.0.1,::1",
        ),
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="Certificate chain (PEM): serve https.")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its private key (PEM).")
    ] = None,
    log_format: Annotated[
        Literal["auto", "json", "console"] | None,
        typer.Option(help="Form of the log.", show_default="auto"),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(help="Least severity that is logged.", show_default="info"),
    ] = None,
) -> None:
    """Start the gateway.

    Every setting can also be given as an environment variable SCRIBEWIRE_NAME; options win.
    """
    flags = {
        "host": host,
        "port": port,
        "model": model,
        "aligner": aligner,
        "device": device,
        "gpu_memory": gpu_memory,
        "runner": runner,
        "engine": engine,
        "engine_least": engine_least,
        "engine_most": engine_most,
        "engine_gpus": engine_gpus,
        "keys_file": keys_file,
        "no_auth": no_auth,
        "allowed_origins": allowed_origins,
        "trusted_proxies": trusted_proxies,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "log_format": log_format,
        "log_level": log_level,
    }
    settings = _settings({name: each for name, each in flags.items() if each is not None})

    from gateway.server import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(settings))


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
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key for the server, if it asks for one."),
    ] = None,
) -> None:
    """Caption what the microphone hears, live in the terminal."""
    if save is not None and save.suffix not in (".srt", ".vtt", ".json", ".txt"):
        raise typer.BadParameter("must end in .srt, .vtt, .json or .txt.", param_hint="--save")
    _check_address(url)
    _check_chunk_ms(chunk_ms)

    import asyncio

    options: dict[str, Any] = {"language": language, "chunk_ms": chunk_ms, "api_key": api_key}
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
    settings = _settings({"host": "127.0.0.1", "port": 0, **private})
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


def _settings(flags: dict[str, Any]) -> "Settings":
    """The settings from the environment and these flags; exits if a value is wrong."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from gateway.settings import Settings

    try:
        return Settings(**flags)
    except ValidationError as error:
        for sentence in _complaints(error, flags):
            typer.echo(sentence, err=True)
    except SettingsError as error:
        typer.echo(f"The environment cannot be read: {error}.", err=True)
    raise typer.Exit(2)


def _complaints(error: "ValidationError", flags: dict[str, Any]) -> list[str]:
    """One sentence for each wrong field, under the name that the user gave it by."""
    sentences = []
    for each in error.errors(include_url=False, include_context=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        reason = each["msg"].removeprefix("Value error, ").rstrip(".")
        reason = reason[:1].lower() + reason[1:]
        if not name:  # of several settings together, which it names
            sentences.append(f"{reason[:1].upper()}{reason[1:]}.")
        elif name in flags:
            sentences.append(f"--{name.replace('_', '-')}: {reason}, got {flags[name]!r}.")
        else:  # the value stays unsaid: it may be a secret
            sentences.append(f"SCRIBEWIRE_{name.upper()}: {reason}.")
    return sentences


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
