"""Carries out what `gateway.bench.command` was asked for."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.bench.capacity import Probe, capacity, read_objective, search, shortfalls
from gateway.bench.compare import (
    Row,
    comparison_page,
    print_comparison,
    read_rival,
)
from gateway.bench.load import LoadError, play
from gateway.bench.page import page
from gateway.bench.plan import Load, Track, read_track
from gateway.bench.report import Run, print_probes, print_summary, report
from gateway.bench.server import Server, private_server
from gateway.bench.usage import Sampler, wait_until_idle
from gateway.bench.words import read_words, shipped
from gateway.errors import GatewayError

SESSIONS_A_PROCESS = 1000
"""A fifth of a core, with 100 ms frames (`tests.measure_generator`)."""
PROBE_S, PROBE_WARM_UP_S = 30.0, 5.0
AUTO_STAGGER_S = 2.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; times as in the command's help."""

    url: str | None
    sessions: int
    audio: tuple[str, ...]
    duration_s: float | None
    chunk_ms: str
    endpoint_ms: int
    frame_ms: int
    processes: int | None
    stagger_s: float | None
    warm_up_s: float | None
    references: tuple[Path, ...]
    words: tuple[Path, ...]
    model: str | None
    workers: int
    server_pid: int | None
    find_capacity: bool
    max_sessions: int
    limit_ms: float
    max_stretch: float
    tries: int
    json: Path | None
    html: Path | None
    api_key: str | None = field(default=None, repr=False)
    protocols: tuple[str, ...] = ("native",)
    language: str | None = None
    compare: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    slo: tuple[str, ...] = ()

    @property
    def fixed_chunk_ms(self) -> int | None:
        """None: auto."""
        return None if self.chunk_ms == "auto" else int(self.chunk_ms)


class Bench:
    """Runs against one server."""

    def __init__(
        self, wish: Wish, server: Server, tracks: Sequence[Track],
        protocols: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        self._wish, self._server, self._tracks = wish, server, tuple(tracks)
        self._protocols = protocols or wish.protocols

    def run(self, sessions: int) -> Run:
        """Plays one load to its end and measures it.

        Raises:
            LoadError: it could not be played.
        """
        wish = self._wish
        load = self._load(sessions)
        with Sampler(self._server.pid) as sampler:
            processes = wish.processes or -(-sessions // SESSIONS_A_PROCESS)
            began, logs = play(load, processes)
        options = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(wish).items()
            if name != "api_key"  # reports are shown around
        }
        run = Run(
            load=load,
            options=options | {"sessions": sessions, "stagger_s": load.stagger_s,
                               "duration_s": load.duration_s, "processes": processes},
            endpoint_ms=wish.endpoint_ms,
            began=began,
            since=began + self._warm_up_s,
            logs=logs,
            usage=sampler.samples,
        )  # fmt: skip
        run.measure()
        return run

    def _load(self, sessions: int) -> Load:
        wish = self._wish
        return Load(
            url=self._server.url,
            options={"chunk_ms": wish.chunk_ms, "endpoint_ms": str(wish.endpoint_ms)},
            protocols=self._protocols,
            language=wish.language,
            tracks=self._tracks,
            sessions=sessions,
            stagger_s=self._stagger_s,
            frames=max(1, round(self._duration_s * 1000 / wish.frame_ms)),
            frame_ms=wish.frame_ms,
            api_key=wish.api_key,
        )

    @property
    def _stagger_s(self) -> float:
        if self._wish.stagger_s is not None:
            return self._wish.stagger_s
        chunk_ms = self._wish.fixed_chunk_ms
        return AUTO_STAGGER_S if chunk_ms is None else chunk_ms / 1000

    @property
    def _warm_up_s(self) -> float:
        if self._wish.warm_up_s is not None:
            return self._wish.warm_up_s
        return PROBE_WARM_UP_S if self._wish.find_capacity else 0.0

    @property
    def _duration_s(self) -> float:
        if self._wish.duration_s is not None:
            return self._wish.duration_s
        if self._wish.find_capacity:
            return self._warm_up_s + PROBE_S
        return max(track.period_ms(self._wish.frame_ms) for track in self._tracks) / 1000


def carry_out(wish: Wish, console: Console) -> int:
    """All of it; the exit code: 1 if it could not be done, 3 if a run is void."""
    try:
        tracks = _tracks(wish)
        if wish.compare:
            return _compare(wish, tracks, console)
        with _server(wish) as server:
            bench = Bench(wish, server, tracks)
            if wish.find_capacity:
                return _find_capacity(wish, bench, console)
            run = bench.run(wish.sessions)
            result = report(run)
            print_summary(console, result)
            _write(wish, run, result, [])
            return 3 if result["void"] else 0
    except (LoadError, OSError, ValueError) as error:
        console.print(f"scribewire: {error}", markup=False, style="red")
    except GatewayError as error:
        console.print(f"scribewire: {error.message}", markup=False, style="red")
    return 1


def _compare(wish: Wish, tracks: Sequence[Track], console: Console) -> int:
    """All servers with so many sessions, then with the next number: noise hits all alike."""
    rivals = [read_rival(each) for each in wish.compare]
    rows: list[Row] = []
    for sessions in wish.steps or (wish.sessions,):
        for rival in rivals:
            console.print(f"{sessions} sessions on {rival.name} …", markup=False)
            bench = Bench(wish, rival.server, tracks, (rival.protocol,))
            if not wait_until_idle([each.server.pid for each in rivals]):
                console.print("A server is still busy with what was before: this run is beside it.")
            try:
                run = bench.run(sessions)
            except LoadError as error:
                rows.append(Row(rival.name, sessions, None, str(error)))
            else:
                rows.append(Row(rival.name, sessions, report(run), ""))
    print_comparison(console, rows)
    if wish.json is not None:
        wish.json.write_text(json.dumps({"rows": [row._asdict() for row in rows]}, indent=2) + "\n")
    if wish.html is not None:
        wish.html.write_text(comparison_page(rows))
    return 0


def _find_capacity(wish: Wish, bench: Bench, console: Console) -> int:
    tried: list[tuple[Probe, Run]] = []
    slo = [read_objective(each) for each in wish.slo]

    def probe(sessions: int) -> Probe:
        for _ in range(wish.tries):
            run = bench.run(sessions)
            result = report(run)
            reasons = shortfalls(result, wish.limit_ms, wish.fixed_chunk_ms, wish.max_stretch, slo)
            tried.append((Probe(sessions, reasons, result), run))
            console.print(f"{sessions} sessions: {'; '.join(reasons) or 'fits'}", markup=False)
            if not reasons:
                break
        return tried[-1][0]

    most = capacity(
        search(probe, start=min(wish.sessions, wish.max_sessions), most=wish.max_sessions)
    )
    best, run = next(
        each for each in tried if each[0].passed == (most > 0) and each[0].sessions == (most or 1)
    )
    rows = [{"sessions": p.sessions, "reasons": p.reasons, "report": p.report} for p, _ in tried]
    print_summary(console, best.report)
    print_probes(console, rows)
    console.print(f"[bold]capacity: {most} sessions[/bold]")
    found = {"sessions": most, "limit_ms": wish.limit_ms, "max_stretch": wish.max_stretch,
             "slo": list(wish.slo), "tried_up_to": wish.max_sessions}  # fmt: skip
    _write(wish, run, best.report | {"capacity": found}, rows)
    return 0


def _write(wish: Wish, run: Run, result: dict[str, Any], probes: list[dict[str, Any]]) -> None:
    if wish.json is not None:
        full = result | ({"probes": probes} if probes else {})
        wish.json.write_text(json.dumps(full | {"at": time.strftime("%FT%T%z")}, indent=2) + "\n")
    if wish.html is not None:
        wish.html.write_text(page(run, result, probes))


def _tracks(wish: Wish) -> list[Track]:
    """The recordings; words and references belong to them in the order they are given."""
    for given, name in ((wish.words, "--words"), (wish.references, "--reference")):
        if given and len(given) != len(wish.audio):
            raise ValueError(f"give {name} once for each --audio, or not at all")
    tracks = []
    for i, audio in enumerate(wish.audio):
        words = wish.words[i] if wish.words else shipped(audio)
        tracks.append(
            read_track(
                _recording(audio),
                tuple(read_words(words)) if wish.words or words.is_file() else (),
                wish.references[i].read_text() if wish.references else "",
            )
        )
    return tracks


def _recording(audio: str) -> Path:
    """A file, or one of the recordings that the embedded model's package ships, by its name."""
    if not shipped(audio).is_file():
        return Path(audio)
    import importlib.util

    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        raise ValueError(f"the recording {audio} is missing; pip install moonshine-voice")
    return Path(spec.origin).parent / "assets" / f"{audio}.wav"


@contextmanager
def _server(wish: Wish) -> Iterator[Server]:
    if wish.url is not None:
        yield Server(wish.url, wish.server_pid)
        return
    with private_server(wish.model, wish.workers) as server:
        yield server
