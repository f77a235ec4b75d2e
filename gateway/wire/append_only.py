"""Text for clients that can only append: what is new, and what is missing at the end. Pure."""

from engine.spacing import words


def missing(sent: str, final: str) -> str:
    """What must be appended to ``sent`` so that nothing of ``final`` is lost.

    If the final goes on from what was sent, just that, and together they are the final. If it
    contradicts it, what was sent cannot be taken back: the final's words behind those that
    resemble what was sent most (least edits, word by word).
    """
    if final.startswith(sent):
        return final[len(sent) :]
    have, want = words(sent), words(final)
    edits = _edits([_heart(word) for word in have], [_heart(word) for word in want])
    covered = min(range(len(edits)), key=lambda length: (edits[length], abs(length - len(have))))
    return "".join(want[covered:])


def _heart(word: str) -> str:
    """The word without what two readings of the same speech differ in."""
    return "".join(filter(str.isalnum, word)).casefold() or word.strip()


def _edits(have: list[str], want: list[str]) -> list[int]:
    """Edit distance (Levenshtein) of ``have`` to each prefix of ``want``, shortest first."""
    row = list(range(len(want) + 1))
    for i, mine in enumerate(have, start=1):
        diagonal, row[0] = row[0], i
        for j, theirs in enumerate(want, start=1):
            diagonal, row[j] = row[j], min(diagonal + (mine != theirs), row[j] + 1, row[j - 1] + 1)
    return row
