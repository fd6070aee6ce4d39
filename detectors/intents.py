"""What was asked, as probabilities: asks_code, asks_math, asks_fiction, asks_extraction, asks_check, asks_tool, distress.

Owns the weighing of evidence over a conversation. One rule: evidence within a turn adds up as a noisy-or, and turns are joined
by their maximum, an earlier one counting for its carry - so no turn can take back what another one asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from core.types import Conversation, Tool
from detectors.lexicons import load_table
from detectors.scan import Part, PromptScan, scan_prompt

#: The intents, in the order in which they are reported.
INTENTS = ("asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "distress")

# Declared tools whose use is running code, or editing it.
_CODE_TOOLS = (
    "python",
    "code",
    "interpreter",
    "bash",
    "shell",
    "terminal",
    "exec",
    "execute",
    "sandbox",
    "sql",
    "jupyter",
    "repl",
    "apply_patch",
    "edit_file",
    "write_file",
    "str_replace",
)
#: A reply this short cannot hold more than a label.
_LABEL_TOKENS = 16


@dataclass(frozen=True, slots=True)
class _Intent:
    """`carry`, `turns`: what an earlier user turn counts for, and how many user turns long (0 = for ever)."""

    name: str
    carry: float
    turns: int
    system: float
    evidence: Mapping[str, float]
    dampers: Mapping[str, float]


@cache
def _intents() -> tuple[_Intent, ...]:
    table = load_table("prompt_rules")["intents"]
    return tuple(_Intent(name, **table[name]) for name in INTENTS)


def score_intents(conversation: Conversation, *, scan: PromptScan | None = None) -> Mapping[str, float]:
    """A probability for each of INTENTS. Harm is not among them: it is a trained detector's score.

    Licence for code, tools and structured output comes from the system prompt, the declared tools and any user turn; maths and
    fiction from the last six user turns; distress from any user turn. `scan`: the conversation's scan where it is at hand.
    """
    scan = scan or scan_prompt(conversation)
    ages = _ages(conversation)
    values = dict.fromkeys(INTENTS, 0.0)
    for part in scan.parts:
        if not part.hits:
            continue
        age = ages.get(part.turn.index, 0)
        for intent in _intents():
            if intent.evidence.keys().isdisjoint(part.hits):  # nearly every one, and half of the whole cost
                continue
            weight = _weight(intent, part, age)
            if weight:
                value = _evidence(intent, part.hits) * weight
                if value > values[intent.name]:
                    values[intent.name] = value
    _structural(conversation, values)
    return {name: round(value, 4) for name, value in values.items()}


def score_distress(scan: PromptScan) -> float:
    """`distress` alone, as `score_intents` gives it: every answer is judged with it, so it is read without the rest."""
    intent = _distress()
    found = [(part, _evidence(intent, part.hits)) for part in scan.user if not intent.evidence.keys().isdisjoint(part.hits)]
    if not found:
        return 0.0
    newest = scan.user[-1].turn.index
    # An earlier turn carries over for ever (`turns: 0`), the newest counts whole.
    return round(max(value if part.turn.index == newest else value * intent.carry for part, value in found), 4)


@cache
def _distress() -> _Intent:
    (intent,) = [intent for intent in _intents() if intent.name == "distress"]
    assert not intent.turns
    assert not intent.system
    return intent


def _ages(conversation: Conversation) -> dict[int, int]:
    """Message index of each user turn -> how many user turns came after it."""
    indices = [turn.index for turn in conversation.turns if turn.role == "user"]
    return {index: len(indices) - 1 - place for place, index in enumerate(indices)}


def _weight(intent: _Intent, part: Part, age: int) -> float:
    if part.turn.role == "system":
        return intent.system
    if not age:
        return 1.0
    return 0.0 if intent.turns and age >= intent.turns else intent.carry


def _evidence(intent: _Intent, hits: Mapping[str, object]) -> float:
    missing = 1.0
    for feature, probability in intent.evidence.items():
        if feature in hits:
            missing *= 1.0 - probability
    if missing == 1.0:
        return 0.0
    value = 1.0 - missing
    for feature, factor in intent.dampers.items():
        if feature in hits:
            value *= factor
    return value


def _structural(conversation: Conversation, values: dict[str, float]) -> None:
    """What the request itself says, beside its words."""

    def at_least(name: str, value: float) -> None:
        values[name] = max(values[name], value)

    if conversation.structured:
        at_least("asks_extraction", 0.9)
        at_least("asks_code", 0.7)
    if conversation.max_tokens is not None and conversation.max_tokens <= _LABEL_TOKENS:
        at_least("asks_extraction", 0.8)
    if conversation.hosted_tools:
        at_least("asks_tool", 0.9)
    if conversation.tools:
        at_least("asks_tool", 0.6)
        if any(_runs_code(tool) for tool in conversation.tools):
            at_least("asks_code", 0.85)
            at_least("asks_tool", 0.9)
    if conversation.has_tool_result:
        at_least("asks_tool", 0.8)


def _runs_code(tool: Tool) -> bool:
    name = tool.name.lower()
    return any(word in name for word in _CODE_TOOLS)
