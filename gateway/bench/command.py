"""``scribewire bench``: its options. What it needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

_THE_SERVER = "The server"
_WHAT_A_SESSION_SAYS = "What a session says"
_HOW_THE_LOAD_GOES = "How the load goes"
_LOOKING_FOR_LIMITS = "Looking for limits"
_COMPARING = "Comparing"
_REPORTS = "Reports"


def bench(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ws://HOST:PORT",
            help="Server to load; without it one is started for this.",
            rich_help_panel=_THE_SERVER,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Of the server that is started for this.", rich_help_panel=_THE_SERVER),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Gateway processes of the server that is started for this.",
            rich_help_panel=_THE_SERVER,
        ),
    ] = 1,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="SCRIBEWIRE_API_KEY",
            help="Key for the server, if it asks for one.",
            rich_help_panel=_THE_SERVER,
        ),
    ] = None,
    server_pid: Annotated[
        int | None,
        typer.Option(
            help="With --url: process whose CPU and memory are measured.",
            rich_help_panel=_THE_SERVER,
        ),
    ] = None,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Recording to speak, repeated as long as needed; may be given several times. "
            "two_cities and beckett are shipped, with the times of their words.",
            show_default="two_cities",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    duration_s: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Audio of each session.",
            show_default="the recording once",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="native|openai|deepgram|whisperlive|whisperlivekit",
            help="What the server at --url speaks; given several times, sessions take turns.",
            show_default="native",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Of the recordings, said to the server.",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROTOCOL[,audio=FILE][,language=CODE][,weight=N]",
            help="Kind of session, once for each, instead of --audio, --protocol and --language; "
            "also words=FILE and reference=FILE. Sessions are of each kind as often as it weighs.",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    chunk_ms: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Audio between partials, in ms.",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = "2000",
    endpoint_ms: Annotated[
        int,
        typer.Option(
            min=100, help="Silence that ends a segment.", rich_help_panel=_WHAT_A_SESSION_SAYS
        ),
    ] = 600,
    frame_ms: Annotated[
        int,
        typer.Option(min=10, help="Audio in each message.", rich_help_panel=_WHAT_A_SESSION_SAYS),
    ] = 100,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What was said, for the word error rate.",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    words: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="JSON list of {word, start_ms, end_ms}, for the latency of words.",
            rich_help_panel=_WHAT_A_SESSION_SAYS,
        ),
    ] = None,
    sessions: Annotated[
        int,
        typer.Option(
            min=1,
            help="Sessions at a time; with --find-capacity the first try.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = 1,
    stagger_s: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Time over which sessions begin.",
            show_default="a chunk",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    warm_up_s: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Not measured.",
            show_default="0; 5 with --find-capacity",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    ramp_s: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Sessions come evenly over so long, then stay for --hold-s. The report says "
            "with how many --limit-ms, or what --slo asks for, still held.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    hold_s: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="How long the load is kept up once all sessions are there.",
            show_default="30; 60 with --churn-per-min",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    soak_h: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="The same in hours; the report compares the beginning with the end. "
            "Sessions that end are replaced.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    churn_per_min: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Sessions that come in a minute, at random, instead of "
            "--sessions; with --ramp-s up to so many.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    length_s: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Mean length of sessions, which is exponential, in a load that is kept up.",
            show_default="20 with --churn-per-min, 300 with --soak-h, else to the end",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    fixed_length: Annotated[
        bool,
        typer.Option(
            "--fixed-length",
            help="All sessions are --length-s long.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = False,
    vanish: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of sessions that break the connection at the end.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = 0.0,
    resume: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of sessions, of our own protocol, that lose it halfway and come back.",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = 0.0,
    seed: Annotated[
        int,
        typer.Option(
            help="Another one: other lengths and times.", rich_help_panel=_HOW_THE_LOAD_GOES
        ),
    ] = 0,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of the load generator.",
            show_default="one for 1000 sessions",
            rich_help_panel=_HOW_THE_LOAD_GOES,
        ),
    ] = None,
    find_capacity: Annotated[
        bool,
        typer.Option(
            "--find-capacity",
            help="Find the most sessions that --limit-ms allows.",
            rich_help_panel=_LOOKING_FOR_LIMITS,
        ),
    ] = False,
    max_sessions: Annotated[
        int,
        typer.Option(
            min=1, help="That --find-capacity tries at most.", rich_help_panel=_LOOKING_FOR_LIMITS
        ),
    ] = 256,
    limit_ms: Annotated[
        float,
        typer.Option(
            min=1, help="Allowed p95 from chunk to partial.", rich_help_panel=_LOOKING_FOR_LIMITS
        ),
    ] = 1000.0,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE.PERCENTILE=MS",
            help="What --find-capacity and --ramp-s ask for, instead of --limit-ms and "
            "--max-stretch: for example word_shown_ms.p95=1000; all that are given must hold.",
            rich_help_panel=_LOOKING_FOR_LIMITS,
        ),
    ] = None,
    max_stretch: Annotated[
        float,
        typer.Option(
            min=1,
            help="Chunks that audio may wait for its text (p95), beyond --limit-ms.",
            rich_help_panel=_LOOKING_FOR_LIMITS,
        ),
    ] = 2.0,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            help="Of a probe that fails: on a shared machine others may be the reason.",
            rich_help_panel=_LOOKING_FOR_LIMITS,
        ),
    ] = 1,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL[,protocol=P][,pid=N]",
            help="Server to compare; give it once for each. All are loaded alike, one after "
            "another.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="N,N…",
            help="With --compare: sessions at a time, in turn.",
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Report as JSON.", rich_help_panel=_REPORTS)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Report as one HTML file with plots.", rich_help_panel=_REPORTS
        ),
    ] = None,
) -> None:
    """Load a server with real-time sessions and measure what they wait for."""
    from rich.console import Console

    try:
        from gateway.bench.bench import carry_out
        from gateway.bench.conflicts import conflicts
        from gateway.bench.wish import Wish
    except ModuleNotFoundError as error:
        if error.name not in ("psutil", "jiwer", "rapidfuzz"):
            raise
        typer.echo(
            f"scribewire: {error.name} is missing: pip install 'scribewire[bench]'", err=True
        )
        raise typer.Exit(1) from None
    wish = Wish(
        url=url, sessions=sessions, audio=tuple(audio or Wish().audio), duration_s=duration_s,
        chunk_ms=chunk_ms, endpoint_ms=endpoint_ms, frame_ms=frame_ms, processes=processes,
        stagger_s=stagger_s, warm_up_s=warm_up_s, references=tuple(reference or ()),
        words=tuple(words or ()), model=model, workers=workers, server_pid=server_pid,
        find_capacity=find_capacity, max_sessions=max_sessions, limit_ms=limit_ms,
        max_stretch=max_stretch, tries=tries, json=json, html=html, api_key=api_key,
        protocols=tuple(protocol or Wish().protocols), language=language, mix=tuple(mix or ()),
        compare=tuple(compare or ()), steps=_counts(steps), slo=tuple(slo or ()), ramp_s=ramp_s,
        hold_s=hold_s, soak_h=soak_h, churn_per_min=churn_per_min, length_s=length_s,
        fixed_length=fixed_length, vanish=vanish, resume=resume, seed=seed,
    )  # fmt: skip
    for option, complaint in conflicts(wish, steps):
        raise typer.BadParameter(complaint, param_hint=option)
    raise typer.Exit(carry_out(wish, Console(highlight=False)))


def _counts(steps: str | None) -> tuple[int, ...]:
    """0 stands for what is no number."""
    return tuple(
        int(each) if each.isascii() and each.isdigit() else 0
        for each in (steps.split(",") if steps else ())
    )
