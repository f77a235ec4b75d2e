"""JSON as a wire wants it: one object a frame, no key twice, no NaN, no lone surrogate."""

import json
import re
from typing import Any, NoReturn

from gateway.errors import InvalidMessage, quoted

SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(text: str) -> object:
    """The value of a text frame.

    Raises:
        InvalidMessage: it is not JSON, too deep, or an object in it has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidMessage("The message is nested too deeply.") from None
    # Also integers of more than 4,300 digits, which Python declines to convert.
    except ValueError:
        raise InvalidMessage("A text frame must be one JSON object.") from None


def dump_json(value: Any) -> str:
    """The text frame of a value; lone surrogates, which UTF-8 cannot carry, become "?".

    Raises:
        ValueError: NaN or infinity, which is our bug.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return SURROGATE.sub("?", text)


def unique_keys(pairs: list[tuple[object, object]]) -> dict[str, Any]:
    """The map of a parser's pairs.

    Raises:
        InvalidMessage: a key is no text, or comes twice.
    """
    result: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise InvalidMessage("Keys must be text.")
        if key in result:
            raise InvalidMessage(f"The field {quoted(key)} is given twice.")
        result[key] = value
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"{name} is not JSON: leave the field out.")
