"""The maps of the native protocol: which fields, in which order, and which are left out."""

import dataclasses
from typing import Any, get_args

import pytest

from gateway.errors import Overloaded, as_fields
from gateway.wire.messages import (
    Confirmed,
    Done,
    ErrorMessage,
    Final,
    Notice,
    Partial,
    Pong,
    Ready,
    ServerMessage,
    SpeechEnded,
    SpeechStarted,
    Suppressed,
    UtteranceEnded,
    to_map,
)

FINAL = Final(
    segment=3,
    text=" So.",
    revised=False,
    start_ms=100,
    end_ms=900,
    language=None,
    reason="endpoint",
)
# The server's table of protocol.md: each message with only what must be known, and its map.
ROWS: list[tuple[ServerMessage, dict[str, Any]]] = [
    (
        Ready(
            epoch=1,
            model="m",
            sample_rate=8000,
            options={"words": False},
            limits={"idle_s": 9},
            next_sample=7,
            finalizes=0,
        ),
        {
            "type": "ready",
            "epoch": 1,
            "model": "m",
            "sample_rate": 8000,
            "options": {"words": False},
            "limits": {"idle_s": 9},
            "next_sample": 7,
            "finalizes": 0,
            "resumed": False,
        },
    ),
    (SpeechStarted(5, 1), {"type": "speech_started", "at_ms": 5, "segment": 1}),
    (SpeechEnded(6, 1), {"type": "speech_ended", "at_ms": 6, "segment": 1}),
    (UtteranceEnded(7), {"type": "utterance_ended", "at_ms": 7}),
    (
        Partial(
            segment=0,
            revision=2,
            stable="So",
            unstable=" it",
            start_ms=0,
            end_ms=2000,
            language="en",
            lag_ms=40,
        ),
        {
            "type": "partial",
            "segment": 0,
            "revision": 2,
            "stable": "So",
            "unstable": " it",
            "start_ms": 0,
            "end_ms": 2000,
            "language": "en",
            "lag_ms": 40,
        },
    ),
    (
        Suppressed(segment=1, reason="silence", from_ms=1, to_ms=2),
        {"type": "suppressed", "segment": 1, "reason": "silence", "from_ms": 1, "to_ms": 2},
    ),
    (
        FINAL,
        {
            "type": "final",
            "segment": 3,
            "text": " So.",
            "revised": False,
            "start_ms": 100,
            "end_ms": 900,
            "language": None,
            "reason": "endpoint",
        },
    ),
    (
        Confirmed(samples=16, finalizes=1, checkpoint="c"),
        {"type": "confirmed", "samples": 16, "finalizes": 1, "checkpoint": "c"},
    ),
    (Pong(id="a"), {"type": "pong", "id": "a"}),
    (
        Notice(code="ignored_option", message="x has no effect."),
        {"type": "warning", "code": "ignored_option", "message": "x has no effect."},
    ),
    (
        ErrorMessage(code="internal", message="m", retryable=True),
        {"type": "error", "code": "internal", "message": "m", "retryable": True},
    ),
    (
        Done(duration_ms=10, segments=0),
        {"type": "done", "duration_ms": 10, "segments": 0, "totals": {}},
    ),
]


@pytest.mark.parametrize(("message", "expected"), ROWS)
def test_a_message_becomes_the_map_of_its_row(
    message: ServerMessage, expected: dict[str, Any]
) -> None:
    assert to_map(message, "s", 1) == {"session": "s", "seq": 1, **expected}


@pytest.mark.parametrize("message", [message for message, _ in ROWS])
def test_type_session_and_seq_come_first(message: ServerMessage) -> None:
    assert list(to_map(message, "s", 7))[:3] == ["type", "session", "seq"]


def test_every_kind_of_server_message_has_a_row() -> None:
    assert set(get_args(ServerMessage)) == {type(message) for message, _ in ROWS}


def test_a_final_carries_what_it_has_of_confidence_words_and_id() -> None:
    words = ({"text": "So.", "start_ms": 100, "end_ms": 900},)
    final = dataclasses.replace(FINAL, confidence=0.0, words=words, id="f1")

    result = to_map(final, "s", 1)

    assert (0.0, words, "f1") == (result["confidence"], result["words"], result["id"])


def test_a_warning_carries_the_cadence_in_force_or_the_bounds_of_a_gap() -> None:
    overloaded = to_map(Notice("overloaded", "m", cadence_ms=4000), "s", 1)
    gap = to_map(Notice("audio_gap", "m", from_ms=0, to_ms=20), "s", 2)

    assert overloaded["cadence_ms"] == 4000
    assert (gap["from_ms"], gap["to_ms"]) == (0, 20)
    assert "cadence_ms" not in gap


def test_an_error_message_is_made_of_an_errors_fields() -> None:
    fields = as_fields(Overloaded(id="3", retry_after_ms=500))

    assert {"type": "error", "session": "s", "seq": 2, **fields} == to_map(
        ErrorMessage(**fields), "s", 2
    )


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FINAL.text = ""  # type: ignore[misc]
