"""Lexical features of an answer, and the cues of a prompt that license one: refusals, denials, suspicion, care, stories.

One rule: matching is linear and length-preserving - a lower-cased text has the offsets of the original, so every hit is a
span of `Reply.text`. Patterns are a few RE2 automata, literals one Aho-Corasick automaton; wordings live in YAML.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from functools import cache
from typing import Any, NamedTuple

import ahocorasick
import re2

from core.types import Conversation
from detectors.lazy import Occurs, lazy
from detectors.lexicons import load_table
from detectors.patterns import PatternSet, Region
from detectors.signs import PROTAGONIST, PROTAGONIST_ACTS, find_signs

#: Characters of the visible answer that decide refusal, rebuttal and story openings.
HEAD_CHARS = 600
#: Characters in which a refusal shows some sign of one.
MAYBE_CHARS = 300
#: A huge answer is read from its start and its end only.
WHOLE_HEAD, WHOLE_TAIL = 32_000, 8_000
#: Literals kept of one piece of an answer.
MAX_WORDS = 400
#: A long prompt turn is read from its start and its end only, where instructions stand.
PROMPT_HEAD, PROMPT_TAIL = 4_000, 1_000

FILES = ("response_refusal", "response_rebuttal", "response_care", "response_fiction", "response_licence")
_MACRO = re.compile(r"<(\w+)>")
#: A hit inside a word of these scripts counts: they put no spaces between words.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_OPTION = re.compile(r"[A-D][.)、:：]\s*")
_LEAD = "#*_>\"'“”‘’«»「『`-–— \t\r\n"

_PROTAGONIST = re2.compile(PROTAGONIST_ACTS)
_PRONOUNS = re2.compile(r"(?i)\b(?:she|he|her|his|him|my grandmother|grandpa|grandma)\b")
_THINK = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"))


class Hit(NamedTuple):
    """A phrase of `group` in characters `[start, end)` of `Reply.text`."""

    group: str
    start: int
    end: int


def lower(text: str) -> str:
    """Lower case with straight apostrophes, of the same length, so that offsets hold."""
    if text.isascii():
        return text.lower()
    return text.replace("\u0130", "i").lower().replace("\u2019", "'").replace("\u02bc", "'")


def visible_start(text: str) -> int:
    """Where the answer itself begins: past a reasoning block and leading white space; at the end if it never does."""
    start = len(text) - len(text.lstrip())
    for opening, closing in _THINK:
        if text.startswith(opening, start):
            end = text.find(closing, start)
            if end < 0:
                return len(text)
            start = end + len(closing)
    rest = text[start : start + 64]
    return start + len(rest) - len(rest.lstrip())


def opening_start(text: str, start: int) -> int:
    """Where the first sentence begins: past one heading line, leading markup and the letter of an option."""
    if text.startswith("#", start):
        end = text.find("\n", start, start + 200)
        start = end if end >= 0 else start
    rest = text[start : start + 64]
    start += len(rest) - len(rest.lstrip(_LEAD))
    option = _OPTION.match(text, start)
    return option.end() if option is not None else start


class Lexicon:
    """All wordings of the shipped YAML files, compiled."""

    def __init__(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        self.head = Region(groups, "head")
        self.prompt = Region(groups, "prompt")
        self.system = Region(groups, "system")
        self.maybe = Occurs("".join(load_table("response_refusal")["maybe"].split("\n")).replace("| ", "|"))
        self.words = ahocorasick.Automaton()
        for group, entry in groups.items():
            for phrases in entry.get("words", {}).values():
                for phrase in phrases:
                    key = lower(phrase)
                    self.words.add_word(key, (group, len(key), _UNSPACED.search(key) is None))
        self.words.make_automaton()
        # Any literal of a group, without word borders: an automaton of bytes reads 20 times as fast as one of words.
        self.suspects = Occurs(*_literals(groups["suspect.strong"]))


def _literals(entry: Mapping[str, Any]) -> list[str]:
    keys = {re.escape(lower(phrase)) for phrases in entry["words"].values() for phrase in phrases}
    return ["|".join(sorted(keys))]


def load_groups() -> dict[str, dict[str, Any]]:
    """The groups of the shipped files with their macros filled in."""
    groups: dict[str, dict[str, Any]] = {}
    for name in FILES:
        document = load_table(name)
        macros = document.get("macros", {})
        for group, entry in document["groups"].items():
            groups[group] = {**entry, "patterns": _filled(entry.get("patterns", {}), macros)}
    return groups


def _filled(patterns: Mapping[str, list[str]], macros: Mapping[str, str]) -> dict[str, list[str]]:
    def insert(found: re.Match[str]) -> str:
        return str(macros[found[1]])

    return {language: [_MACRO.sub(insert, pattern) for pattern in rows] for language, rows in patterns.items()}


@cache
def lexicon() -> Lexicon:
    """The shipped lexicon, compiled once per process."""
    return Lexicon(load_groups())


class Phrases:
    """The phrases of one answer. Patterns of the opening are matched at once, literals of the whole answer on first use."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = visible_start(text)
        self.opening = opening_start(text, self.start)
        self._head = lower(text[self.opening : self.opening + HEAD_CHARS])
        self._found: dict[str, tuple[Hit, ...]] = {}
        self._likely: dict[str, list[tuple[PatternSet, int, bytes]]] = {}
        for patterns, number, data in lexicon().head.likely(self._head):
            self._likely.setdefault(patterns.group(number), []).append((patterns, number, data))
        self._whole: dict[str, list[Hit]] | None = None
        self._read = 0

    @lazy
    def signs(self) -> Container[int]:
        """What the exact checks of the visible answer need to find anything."""
        return find_signs(self.text, self.start)

    @property
    def length(self) -> int:
        """Characters of the visible answer."""
        return len(self.text) - self.start

    @property
    def scanned(self) -> int:
        """Characters really read."""
        if self._whole is not None:
            return min(len(self.text), WHOLE_HEAD + WHOLE_TAIL)
        return max(self._read, min(len(self.text) - self.opening, HEAD_CHARS))

    @property
    def silent(self) -> bool:
        """Whether no head group can occur at all."""
        return not self._likely

    def has(self, group: str) -> bool:
        """Whether a pattern of a head group occurs."""
        return bool(self.hits(group))

    @property
    def may_refuse(self) -> bool:
        """Whether the first 300 characters hold anything that every refusal has: a negation, an apology, a rule."""
        return lexicon().maybe(self._head[:MAYBE_CHARS].encode("utf-8", "replace"))

    def hits(self, group: str) -> tuple[Hit, ...]:
        """The first hit of every pattern of a head group, in order of place."""
        if group not in self._likely:
            return ()
        if group not in self._found:
            spans = [patterns.span(number, data) for patterns, number, data in self._likely[group]]
            hits = [Hit(group, self.opening + span[0], self.opening + span[1]) for span in spans if span is not None]
            self._found[group] = tuple(sorted(hits))
        return self._found[group]

    def suspects(self, chars: int) -> bool:
        """Whether the first `chars` characters of the visible answer may hold a hit of `suspect.strong`."""
        self._read = min(len(self.text), self.start + chars)
        return lexicon().suspects(lower(self.text[self.start : self._read]).encode("utf-8", "replace"))

    def words(self, group: str) -> list[Hit]:
        """All hits of a literal group in the whole answer (its first 32,000 and last 8,000 characters)."""
        if self._whole is None:
            self._whole = {}
            for offset, piece in _pieces(self.text, self.start):
                for hit in find_words(piece, offset):
                    self._whole.setdefault(hit.group, []).append(hit)
        return self._whole.get(group, [])

    def narrative(self) -> tuple[float, Hit | None]:
        """How much the opening reads like a story, 0 to 1, with the phrase that shows it best."""
        strong, title, speech = self.hits("story.strong"), self.hits("story.title"), self.hits("story.speech")
        score = 0.6 * bool(strong) + 0.3 * bool(title) + 0.35 * bool(speech)
        head = self.text[self.start : self.start + 2 * HEAD_CHARS] if score or PROTAGONIST in self.signs else ""
        protagonist = None
        found = _PROTAGONIST.search(head) if PROTAGONIST in self.signs else None
        if found is not None:
            protagonist = Hit("story.protagonist", self.start + found.start(), self.start + found.end())
            score += 0.35
        if score and sum(1 for _ in zip(range(4), _PRONOUNS.finditer(head), strict=False)) >= 4:
            score += 0.25
        best = next(iter(strong + title), protagonist or next(iter(speech), None))
        return min(score, 1.0), best


def _pieces(text: str, start: int) -> list[tuple[int, str]]:
    if len(text) - start <= WHOLE_HEAD + WHOLE_TAIL:
        return [(start, lower(text[start:]))]
    tail = len(text) - WHOLE_TAIL
    return [(start, lower(text[start : start + WHOLE_HEAD])), (tail, lower(text[tail:]))]


def find_words(text: str, offset: int = 0) -> list[Hit]:
    """Every literal of the lexicon in a lower-cased text, at word borders where its script has them."""
    hits: list[Hit] = []
    for end, (group, length, spaced) in lexicon().words.iter(text):
        start = end + 1 - length
        if spaced and start > 0 and text[start - 1].isalnum():
            continue
        # An open end is meant for inflected languages; a digit would be another number.
        if spaced and end + 1 < len(text) and text[end].isdigit() and text[end + 1].isalnum():
            continue
        hits.append(Hit(group, offset + start, offset + end + 1))
        if len(hits) >= MAX_WORDS:
            break
    return hits


def prompt_cues(conversation: Conversation) -> frozenset[str]:
    """The `ask.*` cues of the last user turn and the `scope.*` cues of the system turns."""
    cues: set[str] = set()
    user = conversation.last_user
    if user is not None:
        cues |= lexicon().prompt.find(lower(_ends(user.text)))
    for turn in conversation.turns:
        if turn.role == "system":
            cues |= lexicon().system.find(lower(_ends(turn.text)))
    return frozenset(cues)


def _ends(text: str) -> str:
    if len(text) <= PROMPT_HEAD + PROMPT_TAIL:
        return text.strip()
    return f"{text[:PROMPT_HEAD]}\n{text[-PROMPT_TAIL:]}".strip()
