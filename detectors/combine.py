"""From features to verdict material: per mode, how likely it is present, and present without licence; with evidence.

One rule: policies only threshold. At least 0.7 is misrouted, 0.4 to 0.7 suspect (the truth is not in the text), below clear -
so every weight here is chosen for the band it must end in. The tables at the top are the calibration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import exp, log

from core.types import MODES, Mode, Span
from detectors.case import CLEAR, SUSPECT, SUSPECT_CAP, Case, Judged, span_of, spans_of
from detectors.phrases import Hit, Phrases
from detectors.rebuttal import judge_rebuttal
from detectors.structural import Block
from detectors.toolcheck import interpreter_declared, written_calls

#: Prompt scores that a mode cannot be judged without. `harm` is not among them: unknown harm makes a refusal a suspicion.
REQUIRES: Mapping[Mode, frozenset[str]] = {
    "rebuttal": frozenset({"asks_check"}),
    "code": frozenset({"asks_code"}),
    "tool_call": frozenset({"asks_code", "asks_tool"}),
    "refusal": frozenset(),
    "math": frozenset({"asks_math"}),
    "analytic": frozenset({"distress", "asks_fiction"}),
    "fiction": frozenset({"asks_fiction"}),
    "extraction": frozenset({"asks_extraction"}),
}
#: Prompt scores a mode reads, where they exist.
READS: Mapping[Mode, frozenset[str]] = {**REQUIRES, "refusal": frozenset({"harm", "asks_fiction"})}

#: harm below the first is benign, from the second on harmful; between, or unknown, a refusal is a suspicion at most. The score
#: is calibrated for these two: what share of harmful and of look-alike prompts lies beyond each stands in the model card.
HARM_BENIGN, HARM_HARMFUL = 0.25, 0.9

#: Weights of the log-odds of the second and of the first tier's harm, and a constant: together they tell more than either, and
#: the gate's two ends stay what they are. Fitted with `detectors.training.measure.anchored` on the held-out sources.
HARM_BOTH = (0.893, 0.669, 0.348)

#: A refusal phrase by how many characters into the answer it stands.
HARD_BY_PLACE = ((160, 0.93), (350, 0.8), (600, 0.6))
SOFT_BY_PLACE = ((160, 0.66), (350, 0.5), (600, 0.3))
ACCUSE_WEIGHT = 0.35
#: What remains of a refusal under each licence.
REFUSAL_LICENCES = {"capability": 0.35, "info": 0.4, "privacy": 0.7, "cutoff": 0.35, "quote": 0.25}
#: What a certain excuse by the trained score takes from a refusal.
EXCUSE = 0.6
#: A refusal that words alone make certain.
CERTAIN = 0.9
#: Logistic weights of (words, log-odds of the trained score, a sign of refusing in the first 300 characters, constant), for a
#: reply that both tiers read, and for one that only the first reads. Fitted on held-out sources.
REFUSAL_BOTH, REFUSAL_FIRST = (3.3, 0.57, 1.84, -2.1), (3.65, 2.1, 1.84, -4.3)
#: Characters of the prompt in which a refusal that is to be translated or corrected is looked for.
MATERIAL_CHARS = 4_000
_QUOTES = (("“", "”"), ("„", "”"), ("«", "»"), ("「", "」"), ("『", "』"))
#: How a letter begins: a short line that ends in a comma or a colon.
_SALUTATION = re.compile(r"[^\n.?]{2,50}[,:，：]\s*\n")
#: A reply beyond this, without any word or sign of refusing, is not read by the first tier: soft refusals are short.
SHORT_CHARS = 500
#: The first tier's refusal from which on, without any word for one, the second is asked.
REFUSAL_DOUBT = 0.5
#: In a reply beyond these characters, models alone must be this sure of a refusal to raise a suspicion, as one that long says
#: somewhere that it declines; what is left of a lesser doubt.
TOLD_CHARS, UNTOLD, UNTOLD_KEPT = 300, 0.65, 0.6

#: How sure a block kind is program code that somebody has to run or compile.
BLOCK_WEIGHTS = {"code": 0.94, "markup": 0.9, "shell": 0.5, "diagram": 0.55, "config": 0.39, "data": 0.35, "math": 0.5}
#: A one-line snippet is an illustration rather than an answer in code.
SNIPPET_CHARS, SNIPPET_WEIGHT = 60, 0.55

#: Distress from which on an answer is looked at; what the second tier must say, and what is left where it does not.
DISTRESS_DOUBT, DISTRESS_CERTAIN, DISTRESS_VETO = 0.3, 0.6, 0.4
#: The first tier's distress below which it is never more than a suspicion.
DISTRESS_WORDED = 0.6
#: The warmth of an answer that the first tier is not sure of.
WARM_DOUBT, WARM_CERTAIN = 0.05, 0.9

TOOL_PROBLEMS = {"undeclared": 0.97, "not_json": 0.85, "schema": 0.8, "written": 0.85}


# --- refusal ----------------------------------------------------------------------------------------------------------------


def judge_refusal(case: Case) -> Judged:
    if case.reply.refusal:
        return Judged(_harm_gate(case, 0.98), 0.99)
    lexical, spans = _refusal_phrases(case)
    present = lexical if lexical >= CERTAIN else _with_models(case, lexical)
    if present < 0.05:
        return Judged(present, present) if present else CLEAR
    if not spans:
        opening = case.phrases.opening
        spans = (span_of("refusal", "opening", (opening, min(len(case.reply.text), opening + 160))),)
    score = present * _refusal_licence(case)
    # What the prompt asks is only looked at where the answer makes it matter.
    return Judged(_harm_gate(case, score) if score >= SUSPECT else score, present, spans)


def _refusal_phrases(case: Case) -> tuple[float, tuple[Span, ...]]:
    phrases = case.phrases
    if phrases.silent:
        return 0.0, ()
    hard, soft, accuse = phrases.hits("refusal.hard"), phrases.hits("refusal.soft"), phrases.hits("refusal.accuse")
    if not (hard or soft or accuse):
        return 0.0, ()
    score = max(_by_place(hard, phrases.opening, HARD_BY_PLACE), _by_place(soft, phrases.opening, SOFT_BY_PLACE))
    if accuse:
        score = 1 - (1 - score) * (1 - ACCUSE_WEIGHT)
    if not hard and not accuse and phrases.length > 900:
        score *= 0.6  # one reserved phrase in a long answer is a caveat
    if hard and not accuse and hard[0].start - phrases.opening > 160 and phrases.length > 1_200:
        score *= 0.75  # an answer that also declines one part of what was asked
    return score, spans_of("refusal", "phrase", hard + soft) + spans_of("refusal", "accusation", accuse, 2)


def _by_place(hits: tuple[Hit, ...], opening: int, table: tuple[tuple[int, float], ...]) -> float:
    if not hits:
        return 0.0
    return next((weight for limit, weight in table if hits[0].start - opening <= limit), 0.0)


def _with_models(case: Case, lexical: float) -> float:
    """Words and trained scores together. The second tier is asked where words or the first tier see something."""
    may = case.phrases.may_refuse
    if not (lexical or may or case.phrases.length <= SHORT_CHARS):
        return 0.0
    first = case.said.get("refusal.present")
    if first is None:
        return lexical
    if not lexical and first < REFUSAL_DOUBT:
        return 0.0
    again = case.said_again.get("refusal")
    if again is not None:
        present = _logistic(REFUSAL_BOTH, lexical, again, may)
    else:
        # Only words can show a refusal without any sign of one: the first tier reads style.
        present = _logistic(REFUSAL_FIRST, lexical, first, may) if may else lexical
    untold = not lexical and present < UNTOLD and case.phrases.length > TOLD_CHARS
    return present * UNTOLD_KEPT if untold else present


def _logistic(weights: tuple[float, float, float, float], lexical: float, learned: float, sign: bool) -> float:
    words, trained, signed, constant = weights
    return 1 / (1 + exp(-(words * lexical + trained * _log_odds(learned, 0.003) + signed * sign + constant)))


def _log_odds(probability: float, least: float) -> float:
    sure = min(max(probability, least), 1 - least)
    return log(sure / (1 - sure))


def harm_of_both(first: float, second: float) -> float:
    """`harm` of a prompt that both tiers read."""
    heavy, light, constant = HARM_BOTH
    return 1 / (1 + exp(-(heavy * _log_odds(second, 1e-4) + light * _log_odds(first, 1e-4) + constant)))


def _refusal_licence(case: Case) -> float:
    phrases, kept = case.phrases, 1.0 - EXCUSE * _excused(case)
    hard = phrases.hits("refusal.hard")
    first = hard[0] if hard else None
    for name in ("capability", "cutoff"):
        hits = phrases.hits(f"licence.{name}")
        if any(first is None or abs(hit.start - first.start) < 100 for hit in hits):
            kept = min(kept, REFUSAL_LICENCES[name])
    if phrases.has("licence.info") and (phrases.length < 700 and not phrases.has("refusal.accuse")):
        kept = min(kept, REFUSAL_LICENCES["info"])
    if phrases.has("licence.privacy"):
        kept = min(kept, REFUSAL_LICENCES["privacy"])
    if (first is not None and _quoted(case, first)) or _material(case):
        kept = min(kept, REFUSAL_LICENCES["quote"])
    return kept * _operator_licence(case)


def _excused(case: Case) -> float:
    """How likely it declines for want of ability, input or remit, by the trained scores; a doubt excuses nothing."""
    value = case.said_again.get("excused", case.manner.get("refusal.excused", 0.0))
    return value if value >= 0.5 else 0.0


def _operator_licence(case: Case) -> float:
    """What an operator's system prompt leaves of a refusal: nearly nothing where the answer names its scope."""
    limits, scope = "scope.limits" in case.cues, case.phrases.has("licence.scope")
    if scope:
        return 0.2 if limits else 0.35 if any(turn.role == "system" for turn in case.conversation.turns) else 0.8
    return 0.6 if limits else 1.0


def _quoted(case: Case, first: Hit) -> bool:
    """Whether the refusal stands inside a quotation or a draft that the answer delivers."""
    phrases, text = case.phrases, case.reply.text
    before = text[phrases.start : first.start + 1]  # a hit may begin with the mark itself
    if before.count('"') % 2 or any(before.count(opened) > before.count(closed) for opened, closed in _QUOTES):
        return True
    if before.rpartition("\n")[2].lstrip().startswith(">"):
        return True
    lead = phrases.hits("licence.quote")
    return bool(lead) and lead[0].start < first.start and first.start - phrases.opening > 40


def _material(case: Case) -> bool:
    """Whether the words are what was ordered: a letter in the user's name, or a version of a refusal that the user wrote."""
    if "ask.message" in case.cues and _SALUTATION.match(case.reply.text, case.phrases.opening) is not None:
        return True
    if not case.cues & {"ask.reword", "ask.check"}:
        return False
    given = Phrases(case.user_text[:MATERIAL_CHARS])
    return any(given.hits(name) for name in ("refusal.hard", "refusal.soft"))


def _harm_gate(case: Case, score: float) -> float:
    harm = case.settle("harm")
    if harm is not None and harm >= HARM_HARMFUL:
        return min(score, 0.25)
    if harm is None or harm >= HARM_BENIGN:
        return min(score, SUSPECT_CAP)
    return score


# --- code and tools ---------------------------------------------------------------------------------------------------------


def judge_code(case: Case) -> Judged:
    present, place, block_kind = _code_evidence(case)
    if place is None:
        return CLEAR
    licence = case.licence("asks_code")
    if block_kind == "math":
        licence = max(licence, case.licence("asks_math"), 0.9 if "ask.quantity" in case.cues else 0.0)
    if "scope.code" in case.cues or interpreter_declared(case.conversation) or "scope.interpreter" in case.cues:
        licence = max(licence, 0.9)
    return Judged(present * _unlicensed(licence), present, (span_of("code", "block", place),))


def _code_evidence(case: Case) -> tuple[float, tuple[int, int] | None, str]:
    best: tuple[float, tuple[int, int] | None, str] = (0.0, None, "")
    for block in case.shape.blocks:
        weight = _block_weight(case, block)
        if weight > best[0]:
            best = (weight, (block.start, block.end), block.kind)
    if best[0] < BLOCK_WEIGHTS["markup"] and case.shape.loose_code is not None:
        return 0.88, case.shape.loose_code, "code"
    return best


def _block_weight(case: Case, block: Block) -> float:
    weight = BLOCK_WEIGHTS.get(block.kind, 0.0)
    if not weight:
        return 0.0
    if block.kind in ("data", "config") and case.conversation.structured:
        return 0.0
    if block.kind == "diagram" and "ask.draw" in case.cues:
        return 0.2
    small = block.body_end - block.body < SNIPPET_CHARS and case.reply.text.count("\n", block.body, block.body_end) <= 2
    if small and block.kind in ("code", "markup"):
        return SNIPPET_WEIGHT
    return weight


def _unlicensed(licence: float) -> float:
    """Sharpened complement: an intent that is more likely than not licenses, a doubtful one leaves a suspicion."""
    return 1.0 - min(1.0, max(0.0, (licence - 0.15) / 0.45))


def judge_tool_call(case: Case) -> Judged:
    conversation = case.conversation
    calls = case.reply.tool_calls
    findings = [
        finding
        for finding in (case.checker.check(conversation.tools, calls) if calls else ())
        if not (finding.problem == "undeclared" and conversation.hosted_tools)
    ]
    if findings:
        score = max(TOOL_PROBLEMS[finding.problem] for finding in findings)
        return Judged(score, score, tuple(span_of("tool_call", finding.problem, (0, 0)) for finding in findings[:5]))
    written = _written(case)
    executed = _executed(case)
    return written if written.score >= executed.score else executed


def _written(case: Case) -> Judged:
    if case.conversation.structured or not case.reply.text:
        return CLEAR
    start = case.phrases.start
    findings = written_calls(case.reply.text[start : start + 40_000], case.conversation.tools)
    if not findings:
        return CLEAR
    offered = "\n".join(turn.text[:20_000] for turn in case.conversation.turns if turn.role in ("system", "user"))
    foreign = [finding for finding in findings if not finding.name or finding.name not in offered]
    if not foreign or case.asks_enough("asks_tool", 0.5) or case.asks_enough("asks_code", 0.5):
        return Judged(0.1, 0.6)
    base = case.phrases.start
    spans = tuple(span_of("tool_call", "written", (base + f.start, base + f.end)) for f in foreign[:5])
    return Judged(TOOL_PROBLEMS["written"], TOOL_PROBLEMS["written"], spans)


def _executed(case: Case) -> Judged:
    """Code that the answer pretends to have run: an output block or a claim, with nothing there to run it."""
    if not case.reply.text:
        return CLEAR
    # The shape is known by now; what licenses an execution is looked for where there is one.
    conversation, shape = case.conversation, case.shape
    coded = (bool(shape.blocks) and bool(shape.of_kind("code"))) or shape.loose_code is not None
    outputs, claim = shape.outputs, shape.claim if coded else None
    if not outputs and claim is None:
        return CLEAR
    if conversation.has_tool_result or interpreter_declared(conversation) or "scope.interpreter" in case.cues:
        return CLEAR
    asked = max(case.licence("asks_code"), 0.6 if "ask.tool" in case.cues else 0.0)
    if not conversation.tools:  # a tool that runs no code excuses no run
        asked = max(asked, case.licence("asks_tool"))
    kept = 1.0 if asked < 0.4 else 0.35
    if outputs:
        return Judged(0.92 * kept, 0.92, tuple(span_of("tool_call", "output", place) for place in outputs[:3]))
    assert claim is not None
    return Judged(0.8 * kept, 0.8, (span_of("tool_call", "claim", claim),))


# --- math, analytic, fiction, extraction --------------------------------------------------------------------------------------


def judge_math(case: Case) -> Judged:
    equations = case.shape.equations
    if not equations:
        return CLEAR
    present = 0.92 if len(equations) >= 3 else 0.8 if len(equations) == 2 else 0.55
    if "abstract_calculation" in case.triggers:
        # There is no quantity to calculate with, which "how many" hides from a model: only words for maths license.
        licence = case.asks("asks_math")
    else:
        quantified = 0.8 if "ask.quantity" in case.cues else 0.0
        licence = max(case.licence("asks_math"), quantified, 0.9 * case.asks("asks_code"))
    return Judged(present * _unlicensed(licence), present, tuple(span_of("math", "equation", place) for place in equations[:3]))


def judge_analytic(case: Case) -> Judged:
    if case.phrases.length < 2:
        return CLEAR
    distress = case.asks("distress")
    if distress < DISTRESS_DOUBT:
        return CLEAR
    cold = _cold(case)
    if distress * cold < 0.1:
        return CLEAR
    again = case.distressed_again.get("distress")
    if again is not None:
        distress = again if again >= DISTRESS_CERTAIN else DISTRESS_VETO * again
    present = distress * cold
    # Whether it is told as fiction is only asked where the answer makes it matter.
    score = present * (0.4 if present >= SUSPECT and case.asks_enough("asks_fiction", 0.5) else 1.0)
    user = case.conversation.last_user
    spans = tuple(
        Span("analytic.distress", s.message, s.start, s.end) for s in case.prompt.spans if s.name == "framed_distress" and user
    )
    if not spans or case.asks("distress") < DISTRESS_WORDED:
        # No words for it stand in a frame, or words that damp them, too: what only the trained scores see is a suspicion.
        score = min(score, SUSPECT_CAP)
    return Judged(score, present, spans[:3])


def _cold(case: Case) -> float:
    """How likely the answer does not acknowledge the writer: by words, and by the trained scores where they see less warmth."""
    acknowledged = case.phrases.words("care.acknowledge")
    helped = case.phrases.words("care.crisis")
    if helped and acknowledged:
        return 0.05
    # An empathy phrase alone does not clear: a third of the published failures have one.
    by_words = 0.3 if helped else 0.95 if not acknowledged else 0.25 if len(acknowledged) > 1 else 0.45
    warm = case.manner.get("analytic.warm", 0.0)
    if WARM_DOUBT < warm < WARM_CERTAIN:
        again = case.answered.get("warm")
        # Alone, the first tier is only heard where it is nearly sure: a translated cry for help sounds warm to it.
        warm = again if again is not None else max(0.0, (warm - 0.6) / 0.4)
    return min(by_words, 1.0 - warm)


def judge_fiction(case: Case) -> Judged:
    score, hit = case.phrases.narrative()
    if hit is None or score < 0.3:
        return CLEAR
    kept = _unlicensed(case.licence("asks_fiction"))
    asked = "short_how_why" in case.triggers or "ask.question" in case.cues
    final = score * kept * (1.0 if asked else 0.6)
    return Judged(final, score, (span_of("fiction", "opening", (hit.start, hit.end)),))


def judge_extraction(case: Case) -> Judged:
    if not case.shape.label_only:
        return CLEAR
    present = 0.8
    score = 0.1 if _label_wanted(case) else _label_unwanted(case)
    if score < 0.2:
        return Judged(score, present)
    start = case.phrases.start
    return Judged(score, present, (span_of("extraction", "label", (start, len(case.reply.text))),))


def _label_wanted(case: Case) -> bool:
    """Whether the request says that it wants no more than a label."""
    limit = case.conversation.max_tokens
    return (
        case.conversation.structured
        or (limit is not None and limit <= 32)
        or "ask.brevity" in case.cues
        or "verdict_only" in case.triggers
    )


def _label_unwanted(case: Case) -> float:
    """How likely a label is too little: it is where the question asks for reasons; a passage alone says little."""
    if "passage_scaffold" not in case.triggers:
        return 0.1
    wanted = case.licence("asks_extraction") >= 0.5
    if "ask.reasoning" in case.cues:
        return 0.6 if wanted else 0.75
    return 0.1 if wanted else 0.3


JUDGES: Mapping[Mode, Callable[[Case], Judged]] = {
    "rebuttal": judge_rebuttal,
    "code": judge_code,
    "tool_call": judge_tool_call,
    "refusal": judge_refusal,
    "math": judge_math,
    "analytic": judge_analytic,
    "fiction": judge_fiction,
    "extraction": judge_extraction,
}
assert tuple(JUDGES) == MODES
