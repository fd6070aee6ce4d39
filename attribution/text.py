"""Words of a text, the skeleton that texts of one template share, and stable 64-bit keys of both.

One rule: the same text gives the same words and keys in every process, on every machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

#: Characters of a prompt whose words are features: its beginning and its end.
HEAD_CHARS: Final = 1_500
TAIL_CHARS: Final = 500
#: Characters of a prompt that its skeleton is made of.
SKELETON_CHARS: Final = 2_000
#: Longer runs of letters are no words.
WORD_CHARS: Final = 24

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,:]\d+)*")
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u3041-\u30ff\u3400-\u9fff]")
#: What differs between two texts of one template: code, formulas, quoted text, addresses, figures, names inside a sentence.
_SLOTS: Final = re.compile(
    r"```.*?(?:```|\Z)|\$\$[^$]{1,400}\$\$|\$[^$\n]{1,200}\$|\\\(.{1,200}?\\\)"
    r"|\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|«[^»\n]{1,200}»|https?://\S+|\S+@\S+\.\w+|\d+(?:[.,:]\d+)*"
    r"|(?<=[^\W\d_][ ,;:] )[^\W\d_a-z]\w+|(?<=[^\W\d_] )(?-i:[A-Z])\w*(?: [A-Z]\w*)*",
    re.DOTALL,
)
_MARKS: Final = re.compile(r"[\W_]+")


def words_of(text: str) -> list[str]:
    """The words in order, in lower case; a number is `#`; text without spaces gives pairs of characters."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"
    found = _WORD.findall(text.lower())
    if text.isascii() or not _UNSPACED.search(text):
        return ["#" if word[0].isdecimal() else word for word in found]
    words: list[str] = []
    for word in found:
        if word[0].isdecimal():
            words.append("#")
        elif _UNSPACED.search(word) and len(word) > 2:
            words += [word[place : place + 2] for place in range(len(word) - 1)]
        else:
            words.append(word)
    return words


def skeleton(text: str) -> str:
    """A prompt without what fills its slots: two prompts of one template have the same. One that is all slots is its own."""
    made = _MARKS.sub(" ", _SLOTS.sub(" 0 ", text[:SKELETON_CHARS]).lower()).strip()
    return made if made.strip("0 ") else text


def key_of(*texts: str) -> int:
    """A 64-bit key of some texts."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return int.from_bytes(digest.digest(), "little")


def starts(words: Sequence[str], low: int, high: int) -> list[str]:
    """The first `low` to `high` words, joined."""
    return [" ".join(words[:count]) for count in range(low, min(high, len(words)) + 1)]


def ends(words: Sequence[str], low: int, high: int) -> list[str]:
    """The last `low` to `high` words, joined."""
    return [" ".join(words[-count:]) for count in range(low, min(high, len(words)) + 1)]
