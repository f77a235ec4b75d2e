"""What gateway processes that share their rooms say to the one that keeps them, and it to them.

JSON, and parsed strictly. `Ask` is filled by a process (`gateway.rooms.shared`) and read by the hub
(`gateway.rooms.hub`); `News` the other way. An ``n`` is the process's own number of what it asks
for; a ``room`` is the hub's number of a room.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from gateway.rooms.correction import Correction
from gateway.rooms.finals import Kept
from gateway.rooms.room import RoomState
from gateway.wire.strict_json import dump_json

ROOMS = "rooms"
"""Key of these messages in the pipe between a process and its supervisor."""
MAX_BYTES = 1 << 24
"""Of a message there. A final with the times of its words has a few kB."""

_NEEDED: dict[str, dict[str, type]] = {
    "partial": {"segment": int},
    "suppressed": {"segment": int},
    "final": {"segment": int, "text": str, "start_ms": int, "end_ms": int},
}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _OfRoom(_Message):
    n: int
    owner: str | None
    name: str


class Publish(_OfRoom):
    """A session wants to speak in a room: `Taken` or `Refused`. It holds it until `Release`."""

    do: Literal["publish"] = "publish"
    session: str


class Enter(_OfRoom):
    """A viewer wants to follow a room: `Opened` or `Refused`. It is counted until `Release`."""

    do: Literal["enter"] = "enter"


class Read(_OfRoom):
    """Somebody wants what was said: `Opened` or `Refused`."""

    do: Literal["read"] = "read"


class Correct(_OfRoom):
    """An editor's wish: `Corrected` or `Refused`."""

    do: Literal["correct"] = "correct"
    wanted: Correction


def _of_room(fields: dict[str, Any]) -> dict[str, Any]:
    """What a `Room` can take: else the hub would stumble over it, and all processes with it."""
    needed = {"type": str, "session": str} | _NEEDED.get(str(fields.get("type")), {})
    for name, kind in needed.items():
        if not isinstance(fields.get(name), kind):
            raise ValueError(f"{name} is missing or of another kind")
    return fields


class Say(_Message):
    """What the session that published with ``n`` says."""

    do: Literal["say"] = "say"
    n: int
    fields: Annotated[dict[str, Any], AfterValidator(_of_room)]


class Release(_Message):
    """What was published or entered with ``n`` is over."""

    do: Literal["release"] = "release"
    n: int


class Whole(_Message):
    """A room as it is now, of which all that follows is news. Its finals come next, as `Final`."""

    do: Literal["whole"] = "whole"
    room: int
    state: RoomState


class Final(_Message):
    """The next of the finals of a `Whole`."""

    do: Literal["final"] = "final"
    room: int
    kept: Kept


class Opened(_Message):
    """The room is there."""

    do: Literal["opened"] = "opened"
    room: int
    n: int


class Refused(_Message):
    """It is not."""

    do: Literal["refused"] = "refused"
    n: int
    limit: str | None
    """The setting that says so; None: there is no such room."""


class Taken(_Message):
    """A session speaks there, instead of any that did."""

    do: Literal["taken"] = "taken"
    room: int
    session: str
    n: int | None = None
    """For the process that asked."""


class Said(_Message):
    """The session that speaks there said something."""

    do: Literal["said"] = "said"
    room: int
    fields: dict[str, Any]


class Ended(_Message):
    """It speaks there no more."""

    do: Literal["ended"] = "ended"
    room: int


class Corrected(_Message):
    """A final has another text; or none can be corrected so, which only who asked finds out."""

    do: Literal["corrected"] = "corrected"
    room: int
    wanted: Correction
    n: int | None = None
    """For the process that asked."""


class Gone(_Message):
    """The process follows that room no more."""

    do: Literal["gone"] = "gone"
    room: int


class Count(_Message):
    """How many rooms there are."""

    do: Literal["count"] = "count"
    rooms: int


Ask = Publish | Enter | Read | Correct | Say | Release
News = (
    Whole | Final | Opened | Refused | Taken | Said | Ended | Corrected | Gone | Count
)  # fmt: skip

_ASK: TypeAdapter[Ask] = TypeAdapter(Annotated[Ask, Field(discriminator="do")])
_NEWS: TypeAdapter[News] = TypeAdapter(Annotated[News, Field(discriminator="do")])


def pack(message: Ask | News) -> str:
    """The message's text."""
    return dump_json(message.model_dump())


def parse_ask(text: object) -> Ask:
    """Inverse of `pack`.

    Raises:
        ValueError: it is none.
    """
    return _ASK.validate_json(_text(text), strict=True)


def parse_news(text: object) -> News:
    """Inverse of `pack`.

    Raises:
        ValueError: it is none.
    """
    return _NEWS.validate_json(_text(text), strict=True)


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError(f"expected text, got {type(text).__name__}")
    return text
