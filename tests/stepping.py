"""A stream walked through without clock or server: every due step is taken the moment it is due."""

from collections.abc import Callable

from engine.messages import Audio, SegmentKey, Step, StepResult
from engine.models.base import SpeechModel
from engine.segment import Due, StreamOptions
from engine.stream import Stream
from engine.transcript import Event, Final
from engine.vad import VoiceDetector

FRAME = 1600
"""Samples pushed at a time, 100 ms."""


def walk(
    audio: Audio,
    options: StreamOptions,
    model: SpeechModel,
    detector: VoiceDetector,
    on_step: Callable[[Due, Step, StepResult], object] = lambda due, step, result: None,
) -> list[Event]:
    """All events of a session over ``audio``, shape ``(n,)`` at 16 kHz."""
    stream = Stream("walk", options, model.info)
    for at in range(0, len(audio), FRAME):
        stream.push(audio[at : at + FRAME])
        catch_up(stream, model, detector, on_step)
    stream.mark("stop")
    catch_up(stream, model, detector, on_step)
    for event in stream.events:
        if isinstance(event, Final):  # the next walk's segments have the same keys
            model.forget(SegmentKey(stream.id, event.segment))
    return stream.events


def catch_up(
    stream: Stream,
    model: SpeechModel,
    detector: VoiceDetector,
    on_step: Callable[[Due, Step, StepResult], object] = lambda due, step, result: None,
) -> None:
    """Hears all that was pushed, and takes all steps that are due."""
    while True:
        frames = stream.frames()
        if len(frames):
            stream.hear(detector.listen([frames], [stream.vad])[0], len(frames))
        while due := stream.due(0):
            step = stream.take(due[0])
            [result] = model.step([step])
            on_step(due[0], step, result)
            stream.commit(due[0], result)
        if not len(frames):
            return
