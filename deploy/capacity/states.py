"""The nouns of `steps`: speakers, copies, what they are at, and what came of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from deploy.capacity.copies import Work
from deploy.capacity.talk import Segment
from engine.pacing import Pacing
from engine.segment import StepKind


@dataclass(slots=True)
class Outcome:
    """Seconds of each, and what became of all segments."""

    partial: list[float] = field(default_factory=list)
    """Last sample that a partial covers sent → partial there, as ``scribewire bench`` has it."""
    waited: list[float] = field(default_factory=list)
    """Segment due → partial there, with every wait."""
    final: list[float] = field(default_factory=list)
    """Endpoint passed → final there."""
    cadence: list[float] = field(default_factory=list)
    """Audio between two partials."""
    begun: int = 0
    finished: int = 0
    steps: dict[StepKind, int] = field(default_factory=lambda: dict.fromkeys(StepKind, 0))
    busy_s: float = 0.0
    """Of all lanes together."""
    needed_s: float = 0.0
    """Of it, as copies tell their pool: what full batches would have taken."""
    batches: int = 0
    moved: int = 0
    """Segments whose copy was lost or drained, and that began cold elsewhere."""

    @property
    def batch(self) -> float:
        """Steps of a batch, in the mean."""
        return sum(self.steps.values()) / max(1, self.batches)


class Taken(NamedTuple):
    """A step."""

    speaker: "Speaker"
    turn: int
    """Of the speaker, when it was begun."""
    kind: StepKind
    segment: Segment
    end: float
    """Of its audio."""


@dataclass(slots=True, eq=False)
class Flight:
    """A batch at work. How fast it gets on depends on how many are beside it."""

    taken: list["Taken"]
    work: list[Work]
    began: float
    looked: float
    done: float = 0.0
    """Share of it, when last looked at."""
    takes: float = 0.0
    """Seconds that all of it would take as things are."""
    ends: float = 0.0


@dataclass(slots=True, eq=False)
class Served:
    """A copy of the model, and what it is at."""

    alive: bool = True
    trusted: bool = True
    """Whether it is thought alive, and gets segments."""
    draining: bool = False
    pacing: Pacing = field(default_factory=Pacing)
    flights: list[Flight] = field(default_factory=list)
    segments: int = 0
    due: dict["Speaker", tuple[StepKind, float]] = field(default_factory=dict)
    """Why a step is wanted, and up to which audio."""
    asked: bool = False


@dataclass(slots=True, eq=False)
class Speaker:
    """A session. Times are of its audio."""

    phase: float
    """When in a tenth of a second its frames end."""
    open: Segment | None = None
    closed: list[Segment] = field(default_factory=list)
    """Whose finals are missing, oldest first."""
    stepped: float = 0.0
    flying: bool = False
    turn: int = 0
    """Results of an earlier one come too late."""
    silence: float | None = None
    """Where the open segment ends if the present silence lasts."""
    ready: float | None = None
    """The end for which a final is there."""
    due_since: float | None = None
    wake: float = -1.0
    copy: Served | None = None
    cold: bool = False
    back: float = -1.0
    """Until when its connection is lost."""
