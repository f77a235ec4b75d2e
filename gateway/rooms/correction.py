"""What an editor says: ``{"type": "correct", "segment", "text", "revision"}``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import Conflict, InvalidMessage, quoted
from gateway.wire.strict_json import parse_json

MAX_TEXT_CHARS = 2000
"""Nobody says more in a segment: it is half a minute at most. A room keeps hundreds of them."""


class Correction(BaseModel):
    """Another text for a final."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: Literal["correct"]
    segment: Annotated[int, Field(ge=0)]
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
    """Empty: the segment is shown no more."""
    revision: Annotated[int, Field(ge=0)]
    """The one that the editor saw; a final as the model wrote it has 0."""
    session: str | None = None
    """None: the newest in which there is such a segment."""
    id: Annotated[str, Field(max_length=128)] | None = None
    """The error that answers it, if one does, has it too."""


class StaleCorrection(Conflict):
    """Somebody corrected it meanwhile.

    Args:
        current: ``session``, ``segment``, ``text`` and ``revision`` now; the error's own fields.
    """

    def __init__(self, seen: int, current: Mapping[str, Any]) -> None:
        super().__init__(
            f"Segment {current['segment']} is at revision {current['revision']} now, not {seen}: "
            "compare its text with yours, and correct that revision."
        )
        self.current = current


def parse_correction(text: str, max_bytes: int) -> Correction:
    """The correction in a text frame.

    Raises:
        InvalidMessage: there is none in it.
    """
    if len(text.encode(errors="surrogatepass")) > max_bytes:
        raise InvalidMessage(f"A message must have at most {max_bytes} bytes.")
    value = parse_json(text)
    try:
        return Correction.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        id = value.get("id") if isinstance(value, dict) else None
        raise InvalidMessage(
            f"{quoted(where) if where else 'A correction'}: {first['msg'].lower()}.",
            id=id if isinstance(id, str) and len(id) <= 128 else None,
        ) from None
