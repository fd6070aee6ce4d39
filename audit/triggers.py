"""What a policy may look for in a prompt, made from features that a failing prompt has and a passing one lacks.

One rule: a trigger never hits a prompt that is known to pass; what cannot be looked for is named, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from attribution.facts import warm_suite
from attribution.features import features_of
from attribution.rows import Example
from core.types import Conversation, Reply, TriggerSpec, Turn
from core.values import frozen
from detectors.lexical import compile_triggers, find_triggers
from policies.schema import TRIGGERS

#: Form -> RE2 pattern over folded text (lower case). Forms without one cannot be a trigger.
FORMS: Final = {
    "latex": r"\$[^\s$][^$\n]*\$|\$\$|\\\(|\\\[|\\(?:frac|sqrt|sum|int|cdot|times|begin)\b",
    "equation": r"\w\s*=\s*[\w-]",
    "label_line": r"(?m)^[a-z][a-z ]{1,24}:(?:\s|$)",
    "ends_in_colon": r":\s*$",
    "no_end_mark": r"\w\s*$",
    "code_fence": r"```|~~~",
    "inline_code": r"`[^`\n]+`",
    "url": r"https?://",
    "list": r"(?m)^\s*(?:[-*•]|\d+[.)])\s+\S",
    "quoted": r'"[^"\n]+"',
    "exclamation": "!",
    "ellipsis": r"\.\.\.|…",
    "brackets": r"[\[{<][^\]}>\n]{1,60}[\]}>]",
    "placeholder": r"_{3,}|\[mask\]|\{\{|█",
    "number": r"\d",
    "question_mark": r"[?？]",
    "line_break": r"\n",
    "blank_line": r"\n\s*\n",
    "first_person": r"\b(?:i|me|my|mine|i'm|i've)\b",
    "polite": r"\b(?:please|thanks|thank|kindly)\b",
}
#: Words of any prompt: one of them alone says nothing.
_COMMON: Final = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "could", "do", "does", "for", "from", "had", "has", "have", "how",
    "i", "if", "in", "into", "is", "it", "its", "me", "my", "no", "not", "of", "on", "or", "our", "please", "should", "so",
    "some", "tell", "that", "the", "their", "them", "then", "there", "they", "this", "to", "us", "was", "we", "were", "what",
    "when", "where", "which", "who", "why", "will", "with", "would", "you", "your",
})  # fmt: skip
#: Words and beginnings that a trigger holds at most.
_MOST: Final = 12
#: Words of a beginning that is used where no single word tells.
_EDGE: Final = 3


@frozen
class Made:
    """`triggers`: entries for a policy's `triggers`. `unused`: features that none could be made of."""

    triggers: tuple[Any, ...]
    unused: tuple[str, ...]


def differing(fails: Sequence[str], passes: Sequence[str]) -> list[str]:
    """Features that every failing prompt has and no passing one."""
    common = set.intersection(*(_features(text) for text in fails)) if fails else set()
    return sorted(common.difference(*(_features(text) for text in passes)))


def make_triggers(name: str, features: Iterable[str], fails: Sequence[str], passes: Sequence[str]) -> Made:
    """Triggers out of features, the first the most telling. `name`: of the one that is defined here.

    `fails`: prompts of which each must be hit by one of them. `passes`: prompts that none of the new ones may hit; where there
    are none, the features are taken as they are, the commonest words too."""
    shipped: list[str] = []
    keywords: list[str] = []
    patterns: list[str] = []
    unused: list[str] = []
    for feature in features:
        family, _, text = feature.partition(":")
        if family == "trigger" and text in TRIGGERS:
            shipped.append(text)
        elif family == "word" and (_telling(text) or (not passes and "#" not in text)):
            keywords.append(text)
        elif (pattern := _pattern(family, text, telling=bool(passes))) and (family == "form" or not keywords):
            patterns.append(pattern)
        elif family not in ("starts", "ends", "word"):
            unused.append(feature)
    keywords = [word for word in dict.fromkeys(keywords) if not _hits(passes, (word,), ())][:_MOST]
    patterns = [one for one in dict.fromkeys(patterns) if not _hits(passes, (), (one,))][:_MOST]
    hit = {text for text in fails if _hits((text,), keywords, patterns) or _raised(text) & set(shipped)}
    for text in fails:
        if text not in hit and (beginning := _beginning(text, passes)):
            patterns.append(beginning)
    own = {"keywords": keywords, "regex": patterns}
    own = {field: texts for field, texts in own.items() if texts}
    return Made((*dict.fromkeys(shipped), *([{"name": name, **own}] if own else ())), tuple(unused))


def _telling(word: str) -> bool:
    return word not in _COMMON and "#" not in word and len(word) > 2


def _pattern(family: str, text: str, *, telling: bool) -> str:
    words = text.split()
    if family == "form":
        return FORMS.get(text, "")
    if family not in ("starts", "ends") or "#" in text or (telling and not any(_telling(word) for word in words)):
        return ""
    joined = r"\W+".join(re.escape(word) for word in words)
    return rf"^\W*{joined}\b" if family == "starts" else rf"\b{joined}\W*$"


def _beginning(text: str, passes: Sequence[str]) -> str:
    """A pattern of the first words, as few as tell it from what passes; of all of them if need be, empty if not even those."""
    words = re.findall(r"[^\W_]+", text.lower())
    for count in range(min(_EDGE, len(words)), len(words) + 1):
        pattern = r"^\W*" + r"\W+".join(re.escape(word) for word in words[:count]) + r"\b"
        if words and not _hits(passes, (), (pattern,)):
            return pattern
    return ""


def _hits(prompts: Sequence[str], keywords: Sequence[str], patterns: Sequence[str]) -> bool:
    if not keywords and not patterns:
        return False
    custom = compile_triggers((TriggerSpec("made", tuple(keywords), tuple(patterns)),))
    return any(span.name == "made" for text in prompts for span in find_triggers(_asked(text), custom))


def _raised(text: str) -> set[str]:
    return {span.name for span in find_triggers(_asked(text))}


def _features(text: str) -> set[str]:
    conversation = _asked(text)
    return features_of(Example(0, conversation, Reply()), warm_suite().score_prompt(conversation))


def _asked(text: str) -> Conversation:
    return Conversation((Turn("user", text, 0),))
