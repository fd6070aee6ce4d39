"""Trigger features of the prompt: each hit with its name, message index and character span.

Owns what counts as a trigger, shipped or user-defined. One rule: only user turns are sources; system prompts, tool
descriptions and tool results are none. All user turns are reported; which of them act is the policies' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from core.types import Conversation, Span, TriggerSpec
from detectors.lexicons import load_table
from detectors.rules import Hit, Hits
from detectors.scan import Part, Pattern, Patterns, PromptScan, Words, scan_prompt


@dataclass(frozen=True, slots=True)
class CustomTriggers:
    """User-defined triggers, compiled by `compile_triggers`."""

    names: tuple[str, ...] = ()
    words: Words | None = None
    patterns: Patterns | None = None
    thresholds: tuple[tuple[str, str, float], ...] = ()


NO_CUSTOM = CustomTriggers()


def compile_triggers(specs: Sequence[TriggerSpec]) -> CustomTriggers:
    """Compile user-defined triggers.

    Keywords match whole words of folded text (`*` at an end: any ending; anywhere in scripts without spaces). Patterns are RE2,
    linear in the text whatever they say, and match folded text (NFKC, lower case) case-insensitively; group 1 is the span where
    there is one. Raises ValueError that lists, for every bad trigger, its name and the keyword or pattern.
    """
    keywords: dict[str, tuple[str, ...]] = {}
    patterns: list[Pattern] = []
    thresholds: list[tuple[str, str, float]] = []
    problems: list[str] = []
    for spec in specs:
        for keyword in spec.keywords:
            _collect(problems, f"trigger {spec.name!r}", lambda keyword=keyword: Words({"": (keyword,)}))
        for source in spec.patterns:
            pattern = Pattern(spec.name, f"(?i){source}")
            _collect(problems, "trigger", lambda pattern=pattern: Patterns([pattern]))
            patterns.append(pattern)
        if spec.keywords:
            keywords[spec.name] = (*keywords.get(spec.name, ()), *spec.keywords)
        if spec.score:
            thresholds.append((spec.name, spec.score, spec.at_least))
    if problems:
        raise ValueError("; ".join(problems))
    return CustomTriggers(
        tuple(dict.fromkeys(spec.name for spec in specs)),
        Words(keywords) if keywords else None,
        Patterns(patterns) if patterns else None,
        tuple(thresholds),
    )


def fired_by_score(custom: CustomTriggers, values: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the user-defined triggers whose prompt score is high enough; a score that is missing fires nothing."""
    return tuple(dict.fromkeys(name for name, score, least in custom.thresholds if values.get(score, -1.0) >= least))


def find_triggers(
    conversation: Conversation, custom: CustomTriggers = NO_CUSTOM, *, scan: PromptScan | None = None
) -> tuple[Span, ...]:
    """All trigger hits in the user turns, by message and place; spans are characters of `Turn.text`.

    `scan`: the conversation's scan where it is at hand, so that it is read once.
    """
    scan = scan or scan_prompt(conversation)
    spans: list[Span] = []
    for part in scan.user:
        spans.extend(_spans(part))
        if custom.words or custom.patterns:
            spans.extend(_custom_spans(part, custom))
    if len(spans) > 1:
        spans.sort(key=lambda span: (span.message, span.start, span.end, span.name))
    return tuple(spans)


def _collect(problems: list[str], label: str, attempt: object) -> None:
    try:
        attempt()  # type: ignore[operator]
    except ValueError as error:
        problems.append(f"{label} {error}")


@cache
def trigger_names() -> frozenset[str]:
    """The names of all shipped triggers."""
    return frozenset(load_table("prompt_rules")["triggers"])


@cache
def _product_stop() -> frozenset[str]:
    return frozenset(word.lower() for word in load_table("prompt_rules")["product_stop"])


def _spans(part: Part) -> list[Span]:
    names = trigger_names()
    if part.hits.keys().isdisjoint(names) and not part.raw:
        return []
    index = part.turn.index
    spans = [
        Span(name, index, *part.to_original(hit))
        for name, hits in part.hits.items()
        if name in names
        for hit in (_outermost(hits) if len(hits) > 1 else hits)
    ]
    for start, end in part.raw.get("product_name", ()):
        words = part.turn.text[part.base + start : part.base + end].replace("-", " ").split()
        if not any(word.lower() in _product_stop() for word in words):
            spans.append(Span("product_name", index, part.base + start, part.base + end))
    return _without_doubles(spans)


def _outermost(hits: list[Hit]) -> list[Hit]:
    """Hits of one name without those that lie inside another."""
    kept: list[Hit] = []
    for start, end in sorted(hits, key=lambda hit: (hit[0], -hit[1])):
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept


def _without_doubles(spans: list[Span]) -> list[Span]:
    """The raw and the folded pattern may name the same product."""
    products = [span for span in spans if span.name == "product_name"]
    if len(products) < 2:
        return spans
    kept = _outermost([(span.start, span.end) for span in products])
    rest = [span for span in spans if span.name != "product_name"]
    return rest + [Span("product_name", products[0].message, start, end) for start, end in kept]


def _custom_spans(part: Part, custom: CustomTriggers) -> list[Span]:
    hits: Hits = custom.words.find(part.folded.text) if custom.words else {}
    if custom.patterns:
        custom.patterns.find(part.folded.text, hits)
    return [Span(name, part.turn.index, *part.to_original(hit)) for name, found in hits.items() for hit in _outermost(found)]
