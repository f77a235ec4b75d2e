"""Two hours of speech through one session of the engine, faster than real time: does memory grow?

``python -m tests.memory_of_a_long_session [--hours 2] [--model moonshine-tiny-en] [--json FILE]``

The resident size of this process, which holds the session, and of the model's own process, after
ten minutes of audio and at the end: within 5 % of each other, or, of sessions longer than two
hours, with at most 1 MB more for each further hour. Both are read at rest, with the segment
finalized and no step under way, because a step's working memory comes and goes with the length of
its segment and with what else the machine does. The speech is two_cities.wav again and again.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.messages import SAMPLE_RATE, Audio
from engine.process_runner import ProcessRunner
from engine.runner_child import TRIM_EVERY_S
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.transcript import Confirmed, Event, Final, Finished
from engine.vad import VoiceDetector
from engine.worker import Worker
from gateway.audio import decode_file
from tests.speech import speech

FRAME = SAMPLE_RATE // 10
AHEAD_S = 40
"""Seconds sent and not confirmed, at most: as a client of the gateway would."""
EARLY_S = 600
REST_S = 2 * TRIM_EVERY_S
WITHIN = 1.05
"""After two hours; for a longer session, so much of each hour:"""
MOST_BYTES_AN_HOUR = 1_000_000
OPTIONS = StreamOptions(chunk=8 * SAMPLE_RATE)
"""A partial every 8 s: as much audio and text passes through for less of a core."""


class Progress:
    """Counts what is said and keeps nothing of it."""

    def __init__(self) -> None:
        self.confirmed = self.finals = self.characters = 0
        self.moved, self.finished = asyncio.Event(), asyncio.Event()
        self.resting = asyncio.Event()

    def hear(self, events: Sequence[Event]) -> None:
        """Takes events."""
        for event in events:
            match event:
                case Final(text=text, id=id):
                    self.finals += 1
                    self.characters += len(text)
                    if id == "rest":
                        self.resting.set()
                case Confirmed(upto=upto):
                    self.confirmed = upto
                case Finished():
                    self.finished.set()
        self.moved.set()

    async def rest(self, session: SpeechSession) -> None:
        """Finalizes, and waits until the model's process has had time to give memory back."""
        self.resting.clear()
        session.close_segment("finalize", "rest")
        await self.resting.wait()
        await asyncio.sleep(REST_S)

    def broken(self) -> None:
        """The measurement is void."""
        raise AssertionError("the session broke")


def sizes(model: psutil.Process) -> dict[str, int]:
    """Resident bytes of this process and the model's."""
    return {"gateway": psutil.Process().memory_info().rss, "model": model.memory_info().rss}


async def measure(hours: float, model: str) -> dict[str, Any]:
    """Runs the session; figures as in the module's docstring."""
    audio: Audio = decode_file(speech("two_cities.wav"))
    runner, progress = ProcessRunner(model), Progress()
    worker = Worker(runner, VoiceDetector())
    await worker.start()
    began = time.monotonic()
    try:
        session = worker.open("long", OPTIONS, progress)
        total, sent, held = int(hours * 3600 * SAMPLE_RATE), 0, 0
        reading = psutil.Process(runner.pid)
        at_rest: list[dict[str, int]] = []
        while sent < total:
            at = sent % (len(audio) - FRAME)
            session.push(audio[at : at + FRAME])
            sent += FRAME
            held = max(held, session.stream.nbytes)
            while sent - progress.confirmed > AHEAD_S * SAMPLE_RATE:
                progress.moved.clear()
                await progress.moved.wait()
            await asyncio.sleep(0)
            if sent in (EARLY_S * SAMPLE_RATE, total):
                await progress.rest(session)
                at_rest.append(sizes(reading))
        session.close_segment("stop")
        await progress.finished.wait()
    finally:
        await worker.close()
    early, late = at_rest
    return {
        "hours": hours,
        "model": model,
        "seconds": round(time.monotonic() - began, 1),
        "finals": progress.finals,
        "characters": progress.characters,
        "most_audio_held_bytes": held,
        "rss_after_10_minutes": early,
        "rss_at_the_end": late,
        "growth": {name: round(late[name] / early[name], 4) for name in early},
    }


def check(figures: dict[str, Any]) -> None:
    """
    Raises:
        AssertionError: memory grew with the length of the session.
    """
    hours, early = figures["hours"], figures["rss_after_10_minutes"]
    for name, late in figures["rss_at_the_end"].items():
        most = max(early[name] * (WITHIN - 1), MOST_BYTES_AN_HOUR * (hours - 2))
        assert late - early[name] <= most, (name, figures)


def main() -> None:
    """Prints the figures; fails if memory grew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--model", default="moonshine-tiny-en")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.hours, arguments.model))
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text)
    check(figures)


if __name__ == "__main__":
    main()
