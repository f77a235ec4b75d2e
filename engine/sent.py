"""What another process holds of each segment's audio, so that only new audio travels. Pure."""

from collections.abc import Sequence

from engine.messages import Pcm, SegmentKey, Step, describe_step, dumps, joined_audio


class Sent(dict[SegmentKey, int]):
    """How many samples of each segment were sent; `engine.messages.HeldAudio` is the other end."""

    def start(self, step: Step) -> int:
        """The first sample of the step that is not there yet; from now on it is."""
        held = self.get(step.key, 0)
        self[step.key] = max(held, len(step.audio))
        return min(held, len(step.audio))

    def pack(self, batch: Sequence[Step]) -> tuple[bytes, Pcm]:
        """A batch as `engine.cluster.host.ModelHost.step` takes it; from now on it is there."""
        starts = [self.start(step) for step in batch]
        told = [describe_step(step, start) for step, start in zip(batch, starts, strict=True)]
        news = [step.audio[start:] for step, start in zip(batch, starts, strict=True)]
        packed = dumps({"steps": told, "lengths": [len(new) for new in news]})
        return packed, joined_audio(news)

    def lose(self, batch: Sequence[Step]) -> None:
        """The batch was not taken: not known of its segments is what is there."""
        for step in batch:
            self.pop(step.key, None)
