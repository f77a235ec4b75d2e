"""``scribewire serve``: its options, which are settings. What it needs is imported when it runs."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

    from gateway.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0: a free one.", show_default="8000")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Gateway processes on this port, with one model.", show_default="1"),
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
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(
            "--telemetry",
            "--otlp-endpoint",
            metavar="URL",
            help="OpenTelemetry collector that is sent traces.",
        ),
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
        "workers": workers,
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
        "otlp_endpoint": otlp_endpoint,
        "log_format": log_format,
        "log_level": log_level,
    }
    settings = settings_of({name: each for name, each in flags.items() if each is not None})

    from gateway.server import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(settings))


def settings_of(flags: dict[str, Any]) -> "Settings":
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
