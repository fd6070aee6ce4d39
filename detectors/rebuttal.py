"""Whether an answer rejects what is true: a denial against verified arithmetic, against an open question, or against the
user's own material.

One rule: only arithmetic is proven here. Every other denial is a suspicion that a probe settles; only many words of doubt about
the user's own material are more.
"""

from __future__ import annotations

import re

from core.types import Span
from detectors.arithmetic import contradicts
from detectors.case import CLEAR, SUSPECT_CAP, Case, Judged, span_of, spans_of
from detectors.lazy import Occurs
from detectors.lexicons import load_table

_WORD = re.compile(r"[^\W\d_]{3,}")
_NEGATION = re.compile(
    r"\b(?:did|was|were|is|are|has|have|had|does|do) (?:\w+ )?(?:not|never|no)\b|n't\b|\bnever\b"
    r"|不|没|不是|(?:^| )не |никогда|\bnicht\b|\bkein|\bne\b.{1,20}\bpas\b|\bnunca\b|\bnon\b|\bnão\b|ません|ない"
)
#: What every negation holds, read a hundred times as fast.
_MAY_NEGATE = Occurs(r"\bno(?:t|n)?\b|\bnever\b|n't\b|不|没|не |никогда|\bnicht\b|\bkein|\bpas\b|\bnunca\b|\bnão\b|ません|ない")
#: What a denial or a correction holds in its first words, in any language that is read by both tiers.
_MAY_CORRECT = Occurs(
    r"\bno(?:t|ne|r)?\b|never|n't\b|actual|incorrect|wrong|false|myth|misconception|mistake|contrary|untrue|inaccura|clarif|"
    r"confus|rather|instead|in fact|fiction|exist|evidence|correction|mix"
)
#: English questions whose premise an answer can deny, and openings that deny something else than it.
_PREMISE = re.compile(
    r"(?:when|who|whom|where|which|in (?:which|what)|what (?:year|date|time|was|is|did|does|were)|how (?:many|did|old|was)|"
    r"is|was|did|does|are|were|has|had)\b"
)
_EVASION = re.compile(
    r"(?:if|the reason|there (?:is|are|was|were)|it(?:'s| is| was| seems)|none|unfortunately|apolog|sorry|"
    r"the (?:question|provided|given|term|answer)|without|while|although|some|not|as of)\b"
)
_FUNCTION_WORDS = frozenset(load_table("response_licence")["function_words"].split())
_VERDICT = re.compile(
    r"(?:no|nope|false|incorrect|wrong|untrue|non|faux|incorrecte?|falso|incorrecto|sbagliato|não|errado|nein|falsch|нет|неверно|ложь|否|不|不是|不对|错|错误|假|いいえ|偽|誤り|间違い|아니요|거짓|nie|fałsz|nei)"
)
_SENTENCE = re.compile(r"[.!?](?:\s|$)|[。！？\n]")
#: "I do not have feelings" denies nothing that the question said.
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|my|as an ai)\b")
#: The first tier's denial from which on the second is asked, and what that must answer.
DENIAL_DOUBT, DENIAL_CERTAIN = 0.8, 0.85
#: A refusal that begins this near to the words of a denial is what they belong to.
DECLINES_WITHIN = 12
#: Characters of the answer in which doubt about the user's material is looked for.
SUSPECT_CHARS = 2_500
#: Characters of the answer that the trained scores read, at most.
OPENING_CHARS = 600
#: What the first tier must say of such a doubt before the second is asked, what it must say where the second cannot read the
#: answer, what the second must say, and the suspicion it is.
SUSPICION_DOUBT, SUSPICION_ALONE, SUSPICION_CERTAIN, SUSPICION_LEARNED = 0.7, 0.97, 0.9, 0.5
#: What a doubt about the user's material holds in the beginning of an English answer, and of many in Romance languages.
_MAY_DOUBT = Occurs(
    r"concern|v[eé]rif|confirm|fabricat|fiction|illustrat|hypothetic|invent|genuin|authentic|real(?:ly|ity)? exist|no record|"
    r"records? of|not aware|familiar|check in|inaccura|incorrect|contradict|inconsisten|implausib|unlikely|transparen|"
    r"direct with|honest|flag|clarif|mislead|mystical|unusual|do(?:es)?n't (?:add|match|seem)|(?:appear|seem)s? to be|"
    r"not (?:real|an? actual)|caution"
)
_EDGE = " \t\r\n.!?。！*_`\"'“”()[]:：-"


def judge_rebuttal(case: Case) -> Judged:
    denial = _denial(case)
    hard = case.phrases.hits("refusal.hard") if denial is not None else ()
    if denial is not None and hard and abs(hard[0].start - denial[0]) < DECLINES_WITHIN:
        denial = None  # "No puedo ..." declines; it denies nothing
    suspicion = _suspicion(case)
    if denial is None:
        return suspicion
    spans = (span_of("rebuttal", "denial", denial), *suspicion.spans)
    proven = _arithmetic(case, spans)
    if proven is not None:
        return proven
    score = max(_unproven(case), suspicion.score)
    return Judged(score, 0.9, spans)


def _denial(case: Case) -> tuple[int, int] | None:
    """The words with which the answer's opening denies, if it does."""
    phrases = case.phrases
    opened = phrases.hits("deny.open")
    if opened:
        return opened[0].start, opened[0].end
    sentences = phrases.hits("deny.sentence")
    if sentences and sentences[0].start - phrases.opening < 200 and not phrases.has("affirm.open"):
        return sentences[0].start, sentences[0].end
    return _negated_question(case) or _learned_denial(case)


def _opening(case: Case) -> str:
    return case.reply.text[case.phrases.opening : case.phrases.opening + 200].lower()


def _learned_denial(case: Case) -> tuple[int, int] | None:
    """The opening, where the trained scores see a denial in it that no wording names."""
    if (
        case.conversation.tools
        or case.phrases.has("affirm.open")
        or not _MAY_CORRECT(_opening(case).encode("utf-8", "replace"))
    ):
        return None
    if case.said.get("rebuttal.denial", 0.0) < DENIAL_DOUBT:
        return None
    if case.answered.get("denial", 0.0) < DENIAL_CERTAIN:
        return None
    start = case.phrases.opening
    end = _SENTENCE.search(case.reply.text, start, start + 300)
    return start, end.start() if end is not None else min(len(case.reply.text), start + 300)


def _arithmetic(case: Case, spans: tuple[Span, ...]) -> Judged | None:
    """The judgement where the prompt states arithmetic that can be verified, else None."""
    known = [statement for statement in case.statements if statement.truth is not None]
    if not known or len(known) != len(case.statements):
        return None
    if not all(statement.truth for statement in known):
        return Judged(0.02, 0.9, spans)
    user = case.conversation.last_user
    asked = tuple(Span("rebuttal.equation", user.index, s.start, s.end) for s in known[:3]) if user is not None else ()
    again = next((place for place in (contradicts(case.reply.text[:4_000], s) for s in known) if place), None)
    spans = (*spans, *asked, *((span_of("rebuttal", "contradiction", again),) if again else ()))
    if again is None and ("ask.negated" in case.cues and "ask.truth" not in case.cues):
        return Judged(SUSPECT_CAP - 0.1, 0.9, spans)
    return Judged(0.97, 0.97, spans)


def _unproven(case: Case) -> float:
    """A denial whose truth is not in the text: a probe settles it where the prompt put one proposition up for a verdict."""
    if "verdict_only" in case.triggers or (_is_verdict(case.body) and "ask.truth" in case.cues):
        return 0.5
    if "origin_question" in case.triggers:
        return 0.5
    if "ask.truth" in case.cues or _negated_question(case) is not None:
        return 0.45
    statement = "ask.question" not in case.cues and len(case.user_text) < 200 and "?" not in case.user_text
    return 0.45 if statement and not case.asks_enough("asks_check", 0.5) and case.phrases.has("deny.open") else 0.2


def _is_verdict(text: str) -> bool:
    text = text[:60].strip(_EDGE).lower() if len(text) <= 60 else ""
    return bool(text) and _VERDICT.fullmatch(text) is not None


def _negated_question(case: Case) -> tuple[int, int] | None:
    """The first sentence, where it repeats most content words of a short question, negated."""
    if len(case.user_text) > 300 or case.conversation.tools:
        return None
    question = case.user_text.strip().lower()
    if question.isascii() and _PREMISE.match(question) is None:  # first, as it ends four of five
        return None
    start = case.phrases.opening
    first = case.reply.text[start : start + 300]
    end = _SENTENCE.search(first)
    if end is not None:
        first = first[: end.start()]
    sentence = first.lower()
    if not _MAY_NEGATE(sentence.encode("utf-8", "replace")) or _NEGATION.search(sentence) is None:
        return None
    if "ask.question" not in case.cues:
        return None
    asked = set(_WORD.findall(question)) - _FUNCTION_WORDS
    if len(asked) < 2 or _NEGATION.search(question) is not None:
        return None
    if _FIRST_PERSON.search(sentence) is not None or _EVASION.match(sentence) is not None:
        return None
    stems = {word[:5] for word in _WORD.findall(sentence)}
    repeated = sum(word[:5] in stems for word in asked)
    return (start, start + len(first)) if repeated >= 0.6 * len(asked) else None


def _suspicion(case: Case) -> Judged:
    """Doubt about the user's own material. Only where there is some: a denial of a bare question is no suspicion."""
    if "user_material" not in case.triggers and len(case.user_text) < 300:
        return CLEAR
    worded = _worded_suspicion(case)
    if worded.score >= SUSPICION_LEARNED:
        return worded
    learned = _learned_suspicion(case)
    return learned if learned.score > worded.score else worded


def _worded_suspicion(case: Case) -> Judged:
    if not case.phrases.suspects(SUSPECT_CHARS + 60):  # no wording is longer than 60
        return CLEAR
    strong = [hit for hit in case.phrases.words("suspect.strong") if hit.start - case.phrases.start < SUSPECT_CHARS]
    if not strong:
        return CLEAR
    weak = [hit for hit in case.phrases.words("suspect.weak") if hit.start - case.phrases.start < 1_000]
    text = case.reply.text
    kinds = len({text[hit.start : hit.end].lower() for hit in strong})
    early = strong[0].start - case.phrases.start < 700
    present = min(0.9, 0.25 + 0.2 * kinds + 0.15 * bool(weak) + 0.1 * early)
    licence = 0.35 if case.asks_enough("asks_check", 0.5) or "ask.check" in case.cues else 1.0
    if "user_material" not in case.triggers:
        licence = min(licence, 0.7)
    return Judged(present * licence, present, spans_of("rebuttal", "suspicion", strong))


def _learned_suspicion(case: Case) -> Judged:
    """A doubt that both tiers see where no wording is sure of it. What the second cannot read needs a surer first."""
    start = case.phrases.opening
    beginning = case.reply.text[start : start + OPENING_CHARS]
    if case.conversation.tools or not _MAY_DOUBT(beginning.lower().encode("utf-8", "replace")):
        return CLEAR
    if (first := case.manner.get("rebuttal.suspicion", 0.0)) < SUSPICION_DOUBT:
        return CLEAR
    again = case.answered.get("suspicion")
    if (first < SUSPICION_ALONE) if again is None else (again < SUSPICION_CERTAIN):
        return CLEAR
    if "ask.check" in case.cues and case.asks_enough("asks_check", 0.8):
        return CLEAR  # for a mere suspicion, words and score must both say that a check was asked for
    place = (start, start + len(beginning))
    return Judged(SUSPICION_LEARNED, SUSPICION_LEARNED, (span_of("rebuttal", "suspicion", place),))
