"""The native protocol as a state machine: whatever a client says, in whatever order, and however
often its session is lost, nothing is lost, said twice or taken back (P5, P8)."""

import json
from typing import Any

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.segment import StreamOptions
from engine.stream import Stream
from gateway.client.replay import Replay
from gateway.client.track import Track
from gateway.continuing import begin_at
from gateway.errors import GatewayError, as_fields
from gateway.session import Identity, Session
from gateway.wire.codec import Handshake
from gateway.wire.messages import AudioFrame, ErrorMessage, ServerMessage
from gateway.wire.native import NativeDialect
from gateway.wire.options import parse_options
from tests.engine.scripted import Playback, Scene
from tests.gateway.wire.hosts import MODEL, host
from tests.gateway.wire.played import PlayedSpeech

Event = dict[str, Any]
MS = 16
"""Samples."""
LIMITS = {"max_backlog_ms": 600_000}
SCENE = Scene(
    500, "one two three", 900, "four", 400, "five six seven eight nine ten", 1200, "eleven", 2500,
    "twelve thirteen", 100, "fourteen", 700, "fifteen sixteen seventeen eighteen", 900,
)  # fmt: skip
PCM = np.round(SCENE.audio * 32_767).astype("<i2")
SCENE.audio = PCM.astype(np.float32) / np.float32(32_768)

nonsense = (
    st.text(max_size=30)
    | st.binary(max_size=9).filter(lambda data: len(data) % 2)
    | st.sampled_from(
        [
            '{"type": "dance", "id": 1}',
            '{"type": "ping"}',
            '{"type": "finalize", "now": true}',
            '{"type": "configure", "sample_rate": 1}',
            '{"type": "configure", "endpoint_ms": "soon", "id": "c"}',
            '{"type": "audio", "pcm": "AAAA"}',
            '{"type": "configure", "session": "0", "resume": "0"}',
        ]
    )
)


class Gateway:
    """A process's part of a session: codec, session and stream; no socket, clock or detector."""

    def __init__(self, query: dict[str, object], epoch: int) -> None:
        written = [(name, str(each)) for name, each in query.items() if each is not None]
        opening = NativeDialect().open(Handshake(written, (), {}), host())
        self._codec, rejoining = opening.codec, opening.rejoining
        options = parse_options(opening.options, max_segment_ms=MODEL.max_segment_ms)
        self._begin = begin_at(rejoining.point, 16_000) if rejoining else None
        self._speech: PlayedSpeech | None = None
        self.said: list[Event] = []
        self._session = Session(
            Identity(rejoining.point.session if rejoining else host().session, epoch, "secret"),
            options, MODEL, LIMITS, self._open, self._begin,
        )  # fmt: skip
        self._say(self._session.ready())

    def _open(self, options: StreamOptions) -> PlayedSpeech:
        play = Playback(SCENE, options, info=MODEL)
        if self._begin is not None:
            checkpoint = self._begin.checkpoint
            play.stream = Stream.resumed("session", options, MODEL, checkpoint, self._begin.start)
            play.heard = checkpoint.at
        self._speech = PlayedSpeech(play, self._heard)
        return self._speech

    def _heard(self) -> None:
        if self._speech is not None:
            events = self._speech.play.stream.take_events()
            self._say(self._session.translate(self._session.news(events)))

    def _say(self, messages: list[ServerMessage]) -> None:
        for message in messages:
            self.said += [json.loads(frame) for frame in self._codec.encode(message)]

    def take(self, frame: str | bytes) -> None:
        """What a connection does with a frame."""
        try:
            for message in self._codec.decode(frame):
                if isinstance(message, AudioFrame):
                    self._session.check_audio(message.pcm)
                self._say(self._session.receive(message))
        except GatewayError as error:
            if not error.recoverable:
                raise
            self._say([ErrorMessage(**as_fields(error))])


class Conversation:
    """A client and its gateway, whichever it is."""

    def __init__(self, options: dict[str, object]) -> None:
        self._track, self._processes = Track(options), 1
        self.gateway = Gateway(options, 1)
        self.events: list[Event] = []
        self.sent, self.stopped = 0, False
        self.hear(1)

    @property
    def _replay(self) -> Replay:
        return self._track.replay

    def hear(self, most: int) -> None:
        """Reads some of what was said."""
        for event in self.gateway.said[:most]:
            self._track.hear(event)
            self.events.append(event)
        del self.gateway.said[:most]

    def upload(self, most: int = 1000) -> None:
        """Sends some of what is to be sent."""
        while most and (said := self._replay.next()) is not None:
            self.gateway.take(said if isinstance(said, bytes) else json.dumps(said))
            most -= 1

    def speak(self, samples: int) -> None:
        pcm = PCM[self.sent : self.sent + samples]
        self.sent += len(pcm)
        self._track.audio(pcm.tobytes())

    def finalize(self) -> None:
        self._replay.finalize({"type": "finalize", "id": f"at {self.sent}"})

    def stop(self) -> None:
        self._replay.control({"type": "stop"})
        self.stopped = True

    def lose(self) -> None:
        """The process dies with all that was not read; another goes on."""
        self._processes += 1
        self.gateway = Gateway(self._track.rejoining(), self._processes)
        ready = self.gateway.said.pop(0)
        assert ready["resumed"] is False
        assert ready["next_sample"] <= self._track.confirmed_samples
        self._track.rejoin(ready)
        self.events.append(ready)

    @property
    def finals(self) -> list[Event]:
        return [
            {n: v for n, v in e.items() if n not in ("seq", "revised")}
            for e in self.events
            if e["type"] == "final"
        ]


class WholeProtocol(RuleBasedStateMachine):
    """One client that loses its server, beside one that does not."""

    @initialize(
        endpoint_ms=st.sampled_from([0, 300, 600]),
        max_segment_ms=st.sampled_from([5000, 28_000]),
        rollback_tokens=st.sampled_from([0, 5, "all"]),
    )
    def open(self, **options: object) -> None:
        self.unlucky, self.lucky = Conversation(options), Conversation(options)
        self.both = (self.unlucky, self.lucky)

    @rule(
        samples=st.integers(200 * MS, 4000 * MS),
        entries=st.sampled_from([9, 1, 0]),
        events=st.sampled_from([99, 5, 0]),
    )
    def speak(self, samples: int, entries: int, events: int) -> None:
        for each in self.both:
            each.speak(samples)
        self.unlucky.upload(entries)
        self.unlucky.hear(events)

    @rule()
    def finalize(self) -> None:
        for each in self.both:
            each.finalize()

    @rule(frame=nonsense)
    @precondition(lambda self: not self.unlucky.stopped)
    def say_nonsense(self, frame: str | bytes) -> None:
        before = len(self.unlucky.gateway.said)
        self.unlucky.gateway.take(frame)
        [error] = self.unlucky.gateway.said[before:]
        assert error["type"] == "error"
        assert error["retryable"] is False

    @rule(name=st.sampled_from(["partials", "context"]), value=st.sampled_from(["true", "false"]))
    def configure(self, name: str, value: str) -> None:
        self.unlucky.gateway.take(json.dumps({"type": "configure", name: value}))

    @rule(entries=st.integers(1, 9), events=st.integers(0, 40))
    def exchange(self, entries: int, events: int) -> None:
        self.unlucky.upload(entries)
        self.unlucky.hear(events)

    @rule()
    def lose_the_server(self) -> None:
        self.unlucky.lose()

    @invariant()
    def nothing_is_taken_back(self) -> None:
        """P5, within each process: another begins its partials anew."""
        stable: dict[int, str] = {}
        for event in self.unlucky.events:
            if event["type"] == "ready":
                stable.clear()
            elif event["type"] == "partial":
                assert event["stable"].startswith(stable.get(event["segment"], ""))
                stable[event["segment"]] = event["stable"]
            elif event["type"] == "final":
                kept = event["text"].startswith(stable.get(event["segment"], ""))
                assert kept is not event["revised"]

    @invariant()
    def no_more_is_confirmed_than_was_said(self) -> None:
        assert self.unlucky._track.confirmed_samples <= self.unlucky.sent
        segments = [final["segment"] for final in self.unlucky.finals]
        assert segments == list(range(1, len(segments) + 1))

    def teardown(self) -> None:
        for each in getattr(self, "both", ()):
            each.stop()
            each.upload()
            each.hear(10_000)
        if hasattr(self, "both"):
            assert self.unlucky.finals == self.lucky.finals
            assert self.unlucky.events[-1]["type"] == "done"
            self.nothing_is_taken_back()


WholeProtocol.TestCase.settings = settings(
    max_examples=75,
    stateful_step_count=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
test_whole_protocol = WholeProtocol.TestCase
