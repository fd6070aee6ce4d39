"""What a prompt looks like, as names: triggers of the proxy, what was asked, its form, its words, how it begins and ends.

One rule: deterministic, and of the prompt alone: no answer and no label is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from attribution.rows import Example
from attribution.text import WORD_CHARS, ends, starts, words_of
from core.types import Scores
from detectors.intents import score_intents

Family = Literal["trigger", "asks", "form", "script", "word", "starts", "ends"]
FAMILIES: Final[tuple[Family, ...]] = ("trigger", "asks", "form", "script", "word", "starts", "ends")
#: Families of what the user wants; a link of such a feature is what a model should learn.
INTENDED: Final = frozenset({"asks"})
#: Families that are mined from the data: their names are only known afterwards.
MINED: Final = frozenset({"word", "starts", "ends"})
#: An intent from this score on was asked for.
ASKED: Final = 0.6
ASKS: Final = ("asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool")
#: Words at the beginning and at the end that make a feature.
EDGE_WORDS: Final = 5

SHORT_CHARS, LONG_CHARS = 60, 2_000
#: Characters of a prompt whose form is read.
FORM_CHARS: Final = 8_000

#: Form -> the pattern that shows it, in the prompt as written.
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "code_fence": re.compile("```|~~~"),
    "inline_code": re.compile(r"(?<!`)`[^`\n]+`(?!`)"),
    "latex": re.compile(r"\$[^\s$][^$\n]*\$|\$\$|\\\(|\\\[|\\(?:frac|sqrt|sum|int|cdot|times|begin)\b"),
    "equation": re.compile(r"\w\s*=\s*[\w-]"),
    "url": re.compile(r"https?://"),
    "list": re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE),
    "label_line": re.compile(r"^[A-Z][A-Za-z ]{1,24}:(?:\s|$)", re.MULTILINE),
    "quoted": re.compile(r"\"[^\"\n]+\"|“[^”\n]+”|«[^»\n]+»"),
    "number": re.compile(r"\d"),
    "capitals": re.compile(r"\b[A-Z]{4,}\b"),
    "exclamation": re.compile("!"),
    "question_mark": re.compile(r"[?？]"),
    "two_questions": re.compile(r"[?？].*[?？]", re.DOTALL),
    "ellipsis": re.compile(r"\.\.\.|…"),
    "brackets": re.compile(r"[\[{<][^\]}>\n]{1,60}[\]}>]"),
    "placeholder": re.compile(r"_{3,}|\[MASK\]|\{\{|\bX{3,}\b|█"),
    "line_break": re.compile(r"\n"),
    "blank_line": re.compile(r"\n\s*\n"),
    "emoji": re.compile("[\U0001f300-\U0001faff☀-➿]"),
}  # fmt: skip
#: Form -> what its pattern cannot do without: without it the search is spared.
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "code_fence": ("```", "~~~"), "inline_code": ("`",), "latex": ("$", "\\"), "equation": ("=",), "url": ("://",),
    "label_line": (":",), "quoted": ('"', "“", "«"), "exclamation": ("!",), "question_mark": ("?", "？"),
    "two_questions": ("?", "？"), "ellipsis": ("...", "…"), "brackets": ("[", "{", "<"), "line_break": ("\n",),
    "blank_line": ("\n",),
}  # fmt: skip
_SCRIPTS: Final[Mapping[str, re.Pattern[str]]] = {
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "greek": re.compile("[\u0370-\u03ff]"),
    "arabic": re.compile("[\u0600-\u06ff]"),
    "hebrew": re.compile("[\u0590-\u05ff]"),
    "devanagari": re.compile("[\u0900-\u097f]"),
    "thai": re.compile("[\u0e00-\u0e7f]"),
    "kana": re.compile("[\u3041-\u30ff]"),
    "han": re.compile("[\u3400-\u9fff]"),
    "hangul": re.compile("[\uac00-\ud7af]"),
    "accented_latin": re.compile("[\u00c0-\u024f]"),
}
_POLITE: Final = frozenset({"please", "thanks", "thank", "kindly"})
_SELF: Final = frozenset({"i", "me", "my", "mine", "i'm", "i've"})
_ASKING: Final = frozenset({
    "what", "why", "how", "when", "where", "who", "whom", "whose", "which", "is", "are", "was", "were", "do", "does", "did",
    "can", "could", "should", "would", "will", "has", "have",
})  # fmt: skip

#: What a feature says, by its family.
MEANINGS: Final[Mapping[Family, str]] = {
    "trigger": "a trigger of the proxy stands in the last user turn",
    "asks": "the prompt asks for it, by the proxy's own words for that",
    "form": "how the last user turn is written, or what stands around it",
    "script": "it holds letters of that script",
    "word": "it holds the word",
    "starts": "it starts with the words",
    "ends": "it ends with the words",
}


def features_of(example: Example, scores: Scores) -> set[str]:
    """The names of all features of a prompt: `family:name`."""
    text = example.prompt
    words = words_of(text)
    last = example.conversation.last_user
    place = last.index if last is not None else -1
    found = {f"trigger:{span.name}" for span in scores.spans if span.message == place}
    asked = score_intents(example.conversation)  # by words: the trained scores would double the cost of a row
    found |= {f"asks:{name[5:]}" for name in ASKS if asked[name] >= ASKED}
    found |= {f"form:{name}" for name in _forms(text[:FORM_CHARS])}
    found |= {f"form:{name}" for name, holds in _CONTEXT.items() if holds(example, words)}
    if not text.isascii():
        found |= {f"script:{name}" for name, pattern in _SCRIPTS.items() if pattern.search(text)}
    found |= {f"word:{word}" for word in set(words) if len(word) <= WORD_CHARS}
    found |= {f"starts:{edge}" for edge in starts(words, 1, EDGE_WORDS)}
    found |= {f"ends:{edge}" for edge in ends(words, 1, EDGE_WORDS)}
    return found


def _forms(text: str) -> list[str]:
    found = []
    for name, pattern in _PATTERNS.items():
        needs = _NEEDS.get(name)
        if (needs is None or any(need in text for need in needs)) and pattern.search(text):
            found.append(name)
    return found


#: Form -> whether an example has it, given its words.
_CONTEXT: Final[Mapping[str, Callable[[Example, list[str]], bool]]] = {
    "short": lambda example, words: len(example.prompt) <= SHORT_CHARS,
    "long": lambda example, words: len(example.prompt) >= LONG_CHARS,
    "lower_case_start": lambda example, words: example.prompt[:1].islower(),
    "asks_a_question": lambda example, words: bool(words) and words[0] in _ASKING,
    "polite": lambda example, words: not _POLITE.isdisjoint(words),
    "first_person": lambda example, words: not _SELF.isdisjoint(words),
    "ends_in_colon": lambda example, words: example.prompt.rstrip().endswith(":"),
    "no_end_mark": lambda example, words: example.prompt.rstrip()[-1:].isalnum(),
    "system_prompt": lambda example, words: any(turn.role == "system" for turn in example.conversation.turns),
    "tools_offered": lambda example, words: bool(example.conversation.tools),
    "later_turn": lambda example, words: len(example.conversation.user_turns) > 1,
}


def family_of(feature: str) -> Family:
    """The family of a feature's name. Raises ValueError for another name."""
    family = feature.partition(":")[0]
    for known in FAMILIES:
        if family == known:
            return known
    raise ValueError(f"no feature: {feature!r}")
