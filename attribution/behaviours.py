"""What an answer does, as names: the proxy's eight modes, with and without the request, its length, how it opens and closes.

One rule: a mode is what the proxy's own detectors say of the answer, by their first tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from attribution.rows import Example
from attribution.text import ends, starts, words_of
from core.types import MODES, Scores
from detectors.encoder import Encoder, Kind
from detectors.modelset import read_shipped
from detectors.suite import Suite

#: Behind a mode: nothing in the prompt asks for it.
UNASKED: Final = ".unasked"
#: Scores from which on a mode is there, and is there unasked.
PRESENT: Final = 0.5
#: Words of an opening and of a closing.
LEAST_WORDS, MOST_WORDS = 2, 6
#: Characters of an answer that openings and closings are read from.
_EDGE_CHARS: Final = 160
#: An answer this short says next to nothing.
TERSE_CHARS: Final = 25

MEANINGS: Final[Mapping[str, str]] = {
    **{mode: f"the answer shows the mode {mode}, asked for or not" for mode in MODES},
    **{f"{mode}{UNASKED}": f"the answer shows the mode {mode}, and nothing in the prompt asks for it" for mode in MODES},
    "terse": f"the answer has at most {TERSE_CHARS} characters",
}
FIXED: Final = tuple(MEANINGS)


class _Mute(Encoder):
    """A second tier that says nothing: it costs ten milliseconds a text, and a mix has millions of them."""

    def __init__(self) -> None:
        super().__init__()
        # Texts are cut into tokens before it is asked: with a word list of none that costs nothing, too.
        self.tokenizer = Tokenizer(WordLevel({"[CLS]": 0, "[SEP]": 1, "[UNK]": 2}, unk_token="[UNK]"))

    def warm(self) -> None:
        """Nothing to build."""

    def read(self, kind: Kind, text: str, prompt: str = "") -> dict[str, float]:
        return {}

    def run(self, kind: Kind, ids: list[int]) -> dict[str, float]:
        return {}


def make_suite() -> Suite:
    """The proxy's detectors for all modes and what they are judged with, first tier alone; warm. Raises OSError, ModelError."""
    suite = Suite(needs=frozenset(MODES), models=replace(read_shipped(), encoder=_Mute()))
    suite.warm()
    return suite


def behaviours_of(suite: Suite, example: Example, prompt: Scores) -> set[str]:
    """The names of all behaviours of an answer; `opens:` and `closes:` name its first and its last words."""
    reply = example.reply
    scores = suite.score_reply(example.conversation, prompt, reply)
    found = {str(mode) for mode in MODES if scores.values.get(f"{mode}.present", 0.0) >= PRESENT}
    found |= {f"{mode}{UNASKED}" for mode in MODES if mode in found and scores.values.get(mode, 0.0) >= PRESENT}
    text = reply.text
    if len(text) <= TERSE_CHARS and not reply.tool_calls:
        found.add("terse")
    found |= {f"opens:{edge}" for edge in starts(words_of(text[:_EDGE_CHARS]), LEAST_WORDS, MOST_WORDS)}
    tail = text[-_EDGE_CHARS:]
    if len(text) > len(tail):
        tail = tail.partition(" ")[2]  # the first word may be cut
    found |= {f"closes:{edge}" for edge in ends(words_of(tail), LEAST_WORDS, MOST_WORDS)}
    return found


def is_mined(behaviour: str) -> bool:
    return ":" in behaviour


def mode_of(behaviour: str) -> str:
    """The mode of a behaviour; of others the empty string."""
    mode = behaviour.removesuffix(UNASKED)
    return mode if mode in MODES else ""


def with_modes(behaviours: set[str]) -> set[str]:
    """Behaviours of a failure: a mode that was unasked is there, too."""
    return behaviours | {mode for behaviour in behaviours if (mode := mode_of(behaviour))}
