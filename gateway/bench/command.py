"""``scribewire bench``: its options. What it needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ws://HOST:PORT", help="Server to load; without it one is started for this."
        ),
    ] = None,
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions at a time; with --find-capacity the first try.")
    ] = 1,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Recording to speak, repeated as long as needed; may be given several times. "
            "two_cities and beckett are shipped, with the times of their words.",
            show_default="two_cities",
        ),
    ] = None,
    duration_s: Annotated[
        float | None,
        typer.Option(min=1, help="Audio of each session.", show_default="the recording once"),
    ] = None,
    chunk_ms: Annotated[
        str, typer.Option(metavar="N|auto", help="Audio between partials, in ms.")
    ] = "2000",
    endpoint_ms: Annotated[int, typer.Option(min=100, help="Silence that ends a segment.")] = 600,
    frame_ms: Annotated[int, typer.Option(min=10, help="Audio in each message.")] = 100,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Of the load generator.", show_default="one for 1000 sessions"),
    ] = None,
    stagger_s: Annotated[
        float | None,
        typer.Option(min=0, help="Time over which sessions begin.", show_default="a chunk"),
    ] = None,
    warm_up_s: Annotated[
        float | None,
        typer.Option(min=0, help="Not measured.", show_default="0; 5 with --find-capacity"),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What was said, for the word error rate."),
    ] = None,
    words: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="JSON list of {word, start_ms, end_ms}, for the latency of words.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of the server that is started for this.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Gateway processes of the server that is started for this.")
    ] = 1,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="SCRIBEWIRE_API_KEY", help="Key for the server, if it asks for one."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="native|openai|deepgram|whisperlive|whisperlivekit",
            help="What the server at --url speaks; given several times, sessions take turns.",
            show_default="native",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Of the recordings, said to the server.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL[,protocol=P][,pid=N]",
            help="Server to compare; give it once for each. All are loaded alike, one after "
            "another.",
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(metavar="N,N…", help="With --compare: sessions at a time, in turn."),
    ] = None,
    server_pid: Annotated[
        int | None, typer.Option(help="With --url: process whose CPU and memory are measured.")
    ] = None,
    find_capacity: Annotated[
        bool,
        typer.Option("--find-capacity", help="Find the most sessions that --limit-ms allows."),
    ] = False,
    max_sessions: Annotated[
        int, typer.Option(min=1, help="That --find-capacity tries at most.")
    ] = 256,
    limit_ms: Annotated[
        float, typer.Option(min=1, help="Allowed p95 from chunk to partial.")
    ] = 1000.0,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE.PERCENTILE=MS",
            help="What --find-capacity asks for, instead of --limit-ms and --max-stretch: for "
            "example word_shown_ms.p95=1000; all that are given must hold.",
        ),
    ] = None,
    max_stretch: Annotated[
        float,
        typer.Option(
            min=1, help="Chunks that audio may wait for its text (p95), beyond --limit-ms."
        ),
    ] = 2.0,
    tries: Annotated[
        int,
        typer.Option(
            min=1, help="Of a probe that fails: on a shared machine others may be the reason."
        ),
    ] = 1,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Report as JSON.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Report as one HTML file with plots.")
    ] = None,
) -> None:
    """Load a server with real-time sessions and measure what they wait for."""
    if chunk_ms != "auto" and not (chunk_ms.isascii() and chunk_ms.isdigit()):
        raise typer.BadParameter(
            f"{chunk_ms!r} is neither a number of milliseconds nor auto.", param_hint="--chunk-ms"
        )
    if server_pid is not None and url is None:
        raise typer.BadParameter("needs --url.", param_hint="--server-pid")
    if model is not None and url is not None:
        raise typer.BadParameter("the server at --url has its own.", param_hint="--model")

    if workers > 1 and url is not None:
        raise typer.BadParameter("the server at --url has its own.", param_hint="--workers")

    counts = _counts(steps)
    _check(compare, url, find_capacity, steps)

    from rich.console import Console

    try:
        from gateway.bench.bench import Wish, carry_out
    except ModuleNotFoundError as error:
        if error.name not in ("psutil", "jiwer", "rapidfuzz"):
            raise
        typer.echo(
            f"scribewire: {error.name} is missing: pip install 'scribewire[bench]'", err=True
        )
        raise typer.Exit(1) from None
    wish = Wish(
        url, sessions, tuple(audio or ("two_cities",)), duration_s, chunk_ms, endpoint_ms,
        frame_ms, processes, stagger_s, warm_up_s, tuple(reference or ()), tuple(words or ()),
        model, workers, server_pid, find_capacity, max_sessions, limit_ms, max_stretch,
        tries, json, html, api_key, _protocols(protocol), language, tuple(compare or ()), counts,
        tuple(slo or ()),
    )  # fmt: skip
    raise typer.Exit(carry_out(wish, Console(highlight=False)))


def _counts(steps: str | None) -> tuple[int, ...]:
    try:
        counts = tuple(int(each) for each in steps.split(",")) if steps else ()
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise typer.BadParameter("must be numbers like 1,2,4.", param_hint="--steps")
    return counts


def _protocols(names: list[str] | None) -> tuple[str, ...]:
    from gateway.bench.protocols import PROTOCOLS

    for name in names or ():
        if name not in PROTOCOLS:
            raise typer.BadParameter(
                f"{name!r} is none of {', '.join(PROTOCOLS)}.", param_hint="--protocol"
            )
    return tuple(names or ("native",))


def _check(
    compare: list[str] | None, url: str | None, find_capacity: bool, steps: str | None
) -> None:
    if compare and (url is not None or find_capacity):
        raise typer.BadParameter(
            "names its servers itself: leave out --url and --find-capacity.", param_hint="--compare"
        )
    if steps and not compare:
        raise typer.BadParameter("needs --compare.", param_hint="--steps")
