"""Where text may be cut and how pieces of it join, in every script. Pure functions."""

import codecs

import regex

# Scripts written without spaces between words, with their punctuation and emoji: beside such a
# character a cut never splits a word. Hangul is not here: Korean puts spaces between words.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\ufe0f"
    r"\u3000-\u303f\u3099-\u309c\u30fb\u30fc\uff00-\uffef]"
)
_GRAPHEME = regex.compile(r"\X")


def decode(data: bytes) -> tuple[str, bool]:
    """UTF-8 text and whether it ends at a character's end.

    An unfinished character at the end is left out; bytes that are no UTF-8 become U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text, not decoder.getstate()[0]


def words(text: str) -> list[str]:
    """Text in the smallest pieces that may be shown one after the other; together they are it.

    Words with the white space before them; in scripts without spaces, grapheme clusters.
    """
    pieces: list[str] = []
    last = " "
    for grapheme in _GRAPHEME.findall(text):
        apart = grapheme.isspace() or _UNSPACED.match(last) or _UNSPACED.match(grapheme)
        if pieces and (last.isspace() or not apart):
            pieces[-1] += grapheme
        else:
            pieces.append(grapheme)
        last = grapheme[-1]
    return pieces


def is_safe_cut(head: bytes, tail: bytes) -> bool:
    """Whether text may be parted between ``head`` and the ``tail`` that is known to follow.

    Safe: no UTF-8 character or grapheme cluster (UAX #29) is split, and no word of a script that
    puts spaces between words; before anything but white space such a word may still go on
    ("don" + "'t", "3" + ".5"). With nothing following, what may follow is not known: unsafe.
    """
    if head and tail and head[-1] < 0x80 and tail[0] < 0x80 and head[-1:] + tail[:1] != b"\r\n":
        return chr(tail[0]).isspace()  # ASCII on either side is never within a cluster otherwise
    before, whole = decode(head)
    after, _ = decode(tail)
    if not whole or not after or 0x80 <= tail[0] < 0xC0:
        return False
    if not before:
        return True
    joined = before + after
    if all(grapheme.start() != len(before) for grapheme in _GRAPHEME.finditer(joined)):
        return False
    last, first = before[-1], after[0]
    return first.isspace() or bool(_UNSPACED.match(last) or _UNSPACED.match(first))


def joiner(earlier: str, text: str) -> str:
    """What parts a segment's ``text`` from the session's ``earlier`` text: a space or nothing.

    Nothing at the beginning, beside white space, and where either neighbour is of a script
    without spaces. Both scripts must be known, so an empty ``text`` gets nothing.
    """
    if not earlier or not text:
        return ""
    last, first = earlier[-1], text[0]
    if last.isspace() or _UNSPACED.match(last) or _UNSPACED.match(first):
        return ""
    return " "
