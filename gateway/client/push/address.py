"""The two forms of a caption address, YouTube's and Zoom's: what is posted where. No I/O.

Sources: "Closed captions over HTTP for YouTube live streams" (support.google.com/youtube/answer/
6077032) and "Using a third-party closed captioning service" (support.zoom.us/hc/articles/
115002212983). Both count new captions by one and ask that a retry has the number of its first try.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

Form = Literal["youtube", "zoom"]

ZOOM_LANGUAGES = {
    "de": "de-DE", "en": "en-US", "es": "es-ES", "fr": "fr-FR", "ja": "jp-JP", "zh": "zh-CN",
}  # fmt: skip
"""As its documentation writes them."""

_OURS = ("seq", "lang")


@dataclass(frozen=True, slots=True)
class Line:
    """A cue that is to be posted."""

    rows: tuple[str, ...]
    said_at: datetime
    """When it began to be said, in UTC as far as that can be told."""
    language: str = ""
    heard_s: float = 0.0
    """When it was there to be posted, by the clock of who posts it."""


@dataclass(frozen=True, slots=True)
class CaptionAddress:
    """Where captions go. It is a secret: whoever has it captions that stream or meeting."""

    url: str
    form: Form
    language: str = ""
    """For Zoom, instead of what is heard: ``en-US``."""

    @classmethod
    def parse(cls, url: str, form: Form | None = None, language: str = "") -> "CaptionAddress":
        """The address as the service gives it; a number or language in it is ours to write.

        Raises:
            ValueError: it is none, or its form cannot be told.
        """
        try:
            parts = urlsplit(url.strip())
            host = parts.hostname if parts.port != 0 else None
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ValueError("is not an address like https://HOST/closedcaption?…")
        found = form or _form_of(host)
        if found is None:
            raise ValueError("is neither YouTube's nor Zoom's: say which --form it has")
        query = [(name, each) for name, each in parse_qsl(parts.query, True) if name not in _OURS]
        whole = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        return cls(whole, found, language)

    def url_of(self, number: int, line: Line) -> str:
        """Where a line is posted."""
        more: dict[str, object] = {"seq": number}
        if self.form == "zoom" and (language := self._language(line)):
            more["lang"] = language
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(more)}"

    def body_of(self, line: Line) -> bytes:
        """What is posted, UTF-8."""
        if self.form == "zoom":
            return "\n".join(line.rows).encode()
        time = line.said_at.isoformat(timespec="milliseconds").partition("+")[0]
        return f"{time}\n{'<br>'.join(line.rows)}\n".encode()

    @property
    def number_url(self) -> str | None:
        """Where to ask for the last number that was taken; YouTube has no such place."""
        if self.form == "youtube":
            return None
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/seq"))

    def _language(self, line: Line) -> str:
        return self.language or ZOOM_LANGUAGES.get(line.language, "")


def _form_of(host: str) -> Form | None:
    if host == "youtube.com" or host.endswith(".youtube.com"):
        return "youtube"
    return "zoom" if host.endswith((".zoom.us", ".zoom.com", ".zoomgov.com")) else None
