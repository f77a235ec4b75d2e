"""Options that do not go together, or not with each other's values. Pure."""

from collections.abc import Iterator

from gateway.bench.protocols import PROTOCOLS
from gateway.bench.wish import Wish

LASTING = "--ramp-s, --hold-s, --soak-h or --churn-per-min"


def conflicts(wish: Wish, steps: str | None = None) -> Iterator[tuple[str, str]]:
    """Each as the option and what is wrong with it; none: the wish can be carried out.

    Args:
        steps: as given.
    """
    yield from _of_the_server(wish)
    yield from _of_what_is_said(wish)
    yield from _of_the_course(wish)
    if wish.compare and (wish.url is not None or wish.find_capacity):
        yield "--compare", "names its servers itself: leave out --url and --find-capacity."
    if steps and not wish.compare:
        yield "--steps", "needs --compare."
    if any(count < 1 for count in wish.steps):
        yield "--steps", "must be numbers like 1,2,4."


def _of_the_server(wish: Wish) -> Iterator[tuple[str, str]]:
    if wish.server_pid is not None and wish.url is None:
        yield "--server-pid", "needs --url."
    if wish.model is not None and wish.url is not None:
        yield "--model", "the server at --url has its own."
    if wish.workers > 1 and wish.url is not None:
        yield "--workers", "the server at --url has its own."


def _of_what_is_said(wish: Wish) -> Iterator[tuple[str, str]]:
    if wish.chunk_ms != "auto" and not (wish.chunk_ms.isascii() and wish.chunk_ms.isdigit()):
        yield "--chunk-ms", f"{wish.chunk_ms!r} is neither a number of milliseconds nor auto."
    for name in wish.protocols:
        if name not in PROTOCOLS:
            yield "--protocol", f"{name!r} is none of {', '.join(PROTOCOLS)}."
    given = (wish.audio, wish.protocols, wish.words, wish.references, wish.language)
    plain = Wish()
    usual = (plain.audio, plain.protocols, plain.words, plain.references, plain.language)
    if wish.mix and given != usual:
        yield "--mix", "says what is spoken and how: leave out --audio, --protocol and the like."
    if wish.vanish + wish.resume > 1:
        yield "--vanish", "and --resume are shares of all sessions: together 1 at most."


def _of_the_course(wish: Wish) -> Iterator[tuple[str, str]]:
    if wish.soak_h is not None and wish.hold_s is not None:
        yield "--soak-h", "is --hold-s in hours: give one of them."
    if wish.kept_up and wish.find_capacity:
        yield "--find-capacity", f"has a course of its own: leave out {LASTING}."
    if wish.kept_up and wish.duration_s is not None:
        yield "--duration-s", "is the audio of sessions played once: say --hold-s or --length-s."
    if wish.ramp_s is not None and wish.stagger_s is not None:
        yield "--stagger-s", "says what --ramp-s does: give one of them."
    if wish.length_s is not None and not wish.kept_up:
        yield "--length-s", f"needs {LASTING}."
    if wish.fixed_length and wish.length_s is None:
        yield "--fixed-length", "needs --length-s."
    if wish.churn_per_min is not None and (wish.sessions > 1 or wish.steps):
        yield "--churn-per-min", "says how many come: leave out --sessions and --steps."
