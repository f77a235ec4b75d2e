"""Lines to a caption address, in order, until each is taken or given up."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from gateway.client.push.address import CaptionAddress, Line

_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_LINE_ONLY = frozenset({400, 413, 422})
"""Refusals of one line. Zoom says 400 before the meeting began."""
_HEADERS = {"Content-Type": "text/plain"}


class GivenUp(Exception):
    """It was not taken, and trying again helps no more; says why."""


class AddressRefused(Exception):
    """Nothing that is posted there will be taken; says why, and never what the address is."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is tried. The services advise a randomised wait that doubles."""

    attempt_s: float = 5.0
    line_s: float = 30.0
    """From when a line was there to be posted: after that newer ones are worth more."""
    first_wait_s: float = 0.2
    most_wait_s: float = 4.0


class Poster:
    """Posts lines one after the other. A line keeps its number, and no other line ever has it.

    Args:
        number: of the first line.
        tell: is told of lines that were given up.
    """

    def __init__(
        self, http: httpx.AsyncClient, to: CaptionAddress, number: int,
        tell: Callable[[str], None], patience: Patience,
    ) -> None:  # fmt: skip
        self.number = number
        """Of the next line."""
        self._http, self._to = http, to
        self._tell, self._patience = tell, patience

    async def find_number(self) -> None:
        """Goes on after the last number that was taken, where the service tells it.

        Raises:
            GivenUp, AddressRefused: it could not be asked.
        """
        if (url := self._to.number_url) is None:
            return
        until = time.monotonic() + self._patience.line_s
        text = (await self._insist("GET", url, None, until)).text.strip()
        if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 16):
            raise GivenUp("it did not say the number of the last caption: give --first")
        self.number = int(text) + 1

    async def post(self, line: Line) -> bool:
        """Whether it was taken.

        Raises:
            AddressRefused: nothing will be.
        """
        until = line.heard_s + self._patience.line_s
        if time.monotonic() > until:
            self._tell(f"A line waited too long and was left out: {' '.join(line.rows)}")
            return False
        # Counted before it is tried: whatever becomes of it, no other line has its number.
        number, self.number = self.number, self.number + 1
        try:
            url = self._to.url_of(number, line)
            await self._insist("POST", url, self._to.body_of(line), until)
        except GivenUp as why:
            self._tell(f"Line {number} was given up, {why}: {' '.join(line.rows)}")
            return False
        return True

    async def _insist(
        self, method: str, url: str, body: bytes | None, until: float
    ) -> httpx.Response:
        """
        Raises:
            GivenUp, AddressRefused: what became of it instead.
        """
        wait_s = self._patience.first_wait_s
        while True:
            answer, trouble = await self._attempt(method, url, body)
            if answer is not None and answer.is_success:
                return answer
            pause_s = max(random.uniform(0.5, 1.0) * wait_s, _retry_after_s(answer))  # noqa: S311
            if time.monotonic() + pause_s > until:
                raise GivenUp(trouble)
            await asyncio.sleep(pause_s)
            wait_s = min(2 * wait_s, self._patience.most_wait_s)

    async def _attempt(
        self, method: str, url: str, body: bytes | None
    ) -> tuple[httpx.Response | None, str]:
        """An answer after which it may be tried again or all is well, and what is wrong if not."""
        try:
            async with asyncio.timeout(self._patience.attempt_s):
                answer = await self._http.request(method, url, content=body, headers=_HEADERS)
        except (TimeoutError, httpx.TimeoutException):
            return None, f"no answer came within {self._patience.attempt_s:g} s"
        except httpx.ConnectError:
            return None, "nobody answered"
        except httpx.TransportError:
            return None, "the connection broke"
        said = f"the answer was HTTP {answer.status_code}"
        if answer.is_success or answer.status_code in _RETRYABLE:
            return answer, said
        if answer.status_code in _LINE_ONLY:
            raise GivenUp(said)
        raise AddressRefused(
            f"The caption address is refused (HTTP {answer.status_code}): get a fresh one from "
            "the stream or meeting."
        )


def _retry_after_s(answer: httpx.Response | None) -> float:
    value = answer.headers.get("Retry-After", "") if answer is not None else ""
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 10 else 0.0
