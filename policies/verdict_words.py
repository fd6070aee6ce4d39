"""The words of a verdict: what a prompt demands as the only answer, and which polarity an answer has.

One rule: what cannot be read for certain is None - neither positive nor negative, and never a reason to change an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Final, NamedTuple

from policies.loader import load_table
from policies.quoting import Protected

#: Languages whose words stand without spaces around them.
_UNSPACED: Final = frozenset({"zh", "ja", "ko"})
_QUOTE: Final = r"[\s\"'“”«»„「」『』‘’*`]{0,3}"
_MARKS: Final = "\"'“«„「『‘*`"
_OR: Final = (
    r"(?:[/,、|]|\bor\b|\boder\b|\bou\b|\bo\b|\bили\b|\bлибо\b|\blub\b|\balbo\b|\beller\b|或者|或是|或|还是|か、?|または|もしくは|또는|이나"
    r"|,\s?or\b)"
)
_EDGE: Final = re.compile(r"[!?。！？\n;；:：()（）]|\.(?=\s|$)")
_ONLY: Final = re.compile(
    r"\b(?:only|just|simply|nothing else|one word|single word|без пояснений|только|лишь|одним словом|s[oó]lo"
    r"|solamente|únicamente|uniquement|seulement|nur|ausschließlich|soltanto|solo|unicamente|apenas|somente|tylko|wyłącznie|bare|kun)\b"
    r"|[只仅]|だけ|のみ|만\b",
    re.IGNORECASE,
)
_ANSWER: Final = re.compile(
    r"\b(?:answer|respond|reply|say|output|return|write|ответь\w*|отвечай\w*|отвечать|responde\w*|contesta\w*|contesten?|répond\w*"
    r"|antwort\w*|beantwort\w*|rispond\w*|respond[ae]\w*|odpowie\w*|svar)\b|回答|请答|答え|答えて|대답|답하|답해",
    re.IGNORECASE,
)
_REASONS: Final = re.compile(
    r"\b(?:explain\w*|explanation|why|because|justif\w*|reason\w*|объясни\w*|поясни\w*|почему"
    r"|expli\w*|por qué|pourquoi|erklär\w*|begründ\w*"
    r"|warum|spieg\w*|perché|motiva\w*|wyjaśni\w*|dlaczego|forklar\w*|hvorfor)\b|解释|说明|为什么|理由|説明|설명|이유",
    re.IGNORECASE,
)
_WITHOUT: Final = re.compile(
    r"\b(?:without|no|not|don't|never|без|не|sin|sans|ne|ohne|keine?|nicht|senza|non|sem|bez|nie|uten|ikke)\b|不要|无需|不|なし|せず|없이",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(
    r"(?:[\s,，、(（]|\b(?:please|and|kindly|bitte|por favor|per favore|пожалуйста|s'il (?:te|vous) plaît|proszę)\b|[请請])+$",
    re.IGNORECASE,
)
#: How far before its first word a polite lead is looked for.
_LEAD_LIMIT: Final = 40
#: Longest demand that is lifted, and how far its clause is looked for.
_CUT_LIMIT: Final = 200
#: Pairs of verdict words looked at in one prompt.
_PAIR_LIMIT: Final = 50
_LETTER_WORD: Final = re.compile(r"\bletters?\b|字母|\bbuchstabe|\bбукв|\bletra|\blettre|\blettera", re.IGNORECASE)
#: An answer whose first sentence carries one of these denies, though it opens with no verdict word.
_DENIAL: Final = re.compile(
    r"\b(?:(?:is|was|were|are|did|does|do|has|have)(?: not|n['’]t)|not true|never"
    r"|не (?:является|был|основан|верно|изобр)\w*"
    r"|n['’](?:est|a|ont|était)\b[^.]{0,20}\bpas|no (?:es|está|fue|inventó|se basa)"
    r"|nicht|kein\w*|non (?:è|ha|fu|era)|não (?:é|foi|está)"
    r"|nie (?:jest|był)\w*|ikke)\b|并非|并不|不是|没有|并没有|ではありません|ではない|していません|아닙니다|않습니다",
    re.IGNORECASE,
)


class Demand(NamedTuple):
    """A verdict demanded by a prompt: the two answers as the client wrote them, and the characters that demand nothing else
    (`start == end` where there is nothing to lift). `letters`: polarity per option letter, where letters stand for words."""

    positive: str
    negative: str
    start: int = 0
    end: int = 0
    letters: tuple[tuple[str, bool], ...] = ()


@cache
def _polarities() -> Mapping[str, bool]:
    words: dict[str, bool] = {}
    for table in load_table("verdicts").values():
        for positive, negative in table["pairs"]:
            words[positive] = True
            words[negative] = False
        words.update(dict.fromkeys(table["agree"], True))
        words.update(dict.fromkeys(table["deny"], False))
    return words


def _alternatives(words: set[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


@cache
def _pair_patterns() -> tuple[re.Pattern[str], ...]:
    patterns = []
    for unspaced in (False, True):
        tables = [table for language, table in load_table("verdicts").items() if (language in _UNSPACED) == unspaced]
        words = _alternatives({word for table in tables for pair in table["pairs"] for word in pair})
        edges = ("", "") if unspaced else (r"(?<!\w)", r"(?!\w)")
        word = rf"{edges[0]}(?P<%s>{words}){edges[1]}"
        patterns.append(re.compile(rf"{word % 'first'}{_QUOTE}{_OR}{_QUOTE}{word % 'second'}", re.IGNORECASE))
    return tuple(patterns)


@cache
def _pairs() -> frozenset[tuple[str, str]]:
    return frozenset((pair[0], pair[1]) for table in load_table("verdicts").values() for pair in table["pairs"])


@cache
def _opening() -> re.Pattern[str]:
    spaced: set[str] = set()
    unspaced: set[str] = set()
    for language, table in load_table("verdicts").items():
        words = {word for pair in table["pairs"] for word in pair} | set(table["agree"]) | set(table["deny"])
        (unspaced if language in _UNSPACED else spaced).update(words)
    # A single letter opens no verdict: it may be an option, an article or an initial.
    spaced = {word for word in spaced if len(word) > 1}
    # In Chinese "whether" begins like "yes".
    return re.compile(rf"(?:{_alternatives(spaced)})(?!\w)|(?!是否)(?:{_alternatives(unspaced)})", re.IGNORECASE)


@cache
def _option() -> re.Pattern[str]:
    words = _alternatives({word for word in _polarities() if len(word) > 1 or not word.isascii()})
    return re.compile(rf"(?<!\w)(?P<letter>[A-D])\s?[.)、:：．）]\s{{0,3}}(?P<word>{words})(?!\w)", re.IGNORECASE)


@cache
def _label() -> re.Pattern[str]:
    labels = _alternatives({table["label"] for table in load_table("verdicts").values()})
    return re.compile(rf"^[\s*_#>\-]{{0,6}}(?:{labels})[\s*_]{{0,4}}[:：](?P<rest>.*)$", re.IGNORECASE | re.MULTILINE)


def find_demand(text: str) -> Demand | None:
    """The verdict that `text` demands, or None. Option letters count where each stands before a verdict word."""
    options = _find_options(text)
    if options:
        return options
    protected = Protected(text)
    loose: Demand | None = None
    for pattern in _pair_patterns():
        for found in islice(pattern.finditer(text), _PAIR_LIMIT):
            demand = _read_pair(text, found, protected)
            if demand is not None and demand.end > demand.start:
                return demand
            loose = loose or demand
    return loose


def _find_options(text: str) -> Demand | None:
    shown = {found["letter"].upper(): found for found in _option().finditer(text)}
    letters = {letter: _polarities()[found["word"].casefold()] for letter, found in shown.items()}
    if sorted(letters.values()) != [False, True]:
        return None
    wants_letter = _LETTER_WORD.search(text) is not None
    forms = {polarity: letter if wants_letter else shown[letter].group() for letter, polarity in letters.items()}
    return Demand(forms[True], forms[False], letters=tuple(letters.items()))


def _read_pair(text: str, found: re.Match[str], protected: Protected) -> Demand | None:
    first, second = found["first"], found["second"]
    folded = (first.casefold(), second.casefold())
    if folded in _pairs():
        positive, negative = first, second
    elif folded[::-1] in _pairs():
        positive, negative = second, first
    else:
        return None
    if any(a < found.start() - 2 and found.end() + 2 < b for a, b in protected.ranges):
        return None  # the words stand inside a longer quote: told about, not demanded
    start, end = _cut(text, found)
    if protected.cuts(start, end):
        start = end = 0
    return Demand(positive, negative, start, end)


def _cut(text: str, found: re.Match[str]) -> tuple[int, int]:
    """The clause that demands the pair and nothing else; an empty range where no clause does."""
    left = found.start()
    edges = [edge.end() for edge in _EDGE.finditer(text, max(0, left - _CUT_LIMIT), left)]
    clause = edges[-1] if edges else max(0, left - _CUT_LIMIT)
    limit = min(len(text), found.end() + _CUT_LIMIT)
    edge = _EDGE.search(text, found.end(), limit)
    end = edge.end() if edge else limit
    if edge and edge.group() in "\n(（":
        end = edge.start()
    body = text[clause:end]
    cues = [cue for pattern in (_ONLY, _ANSWER) if (cue := pattern.search(body))]
    # "yes or no and explain" asks for reasons; "no" there is one of the two answers, not a "without".
    around = text[clause:left] + " " + text[found.end() : end]
    if not cues or (_REASONS.search(around) and not _WITHOUT.search(around)):
        return 0, 0
    start = min(left, *(clause + cue.start() for cue in cues))
    while start > clause and text[start - 1] in _MARKS:
        start -= 1
    lead = _LEAD.search(text, max(clause, start - _LEAD_LIMIT), start)
    start = lead.start() if lead else start
    if clause and text[clause - 1] in "(（" and text[end - 1 : end] in (")", "）") and start <= clause + 1:
        start = clause - 1
    if end - start > _CUT_LIMIT or any(character.isdigit() for character in text[start:end]):
        return 0, 0
    return start, end


def opening_polarity(text: str, demand: Demand | None = None) -> bool | None:
    """Whether an answer opens with a positive or a negative word (or option letter); else whether its first sentence denies."""
    head = text[:400].lstrip(" \t\r\n*_#>\"'“”«»「」(（-")
    if demand and demand.letters:
        found = re.match(r"([A-Da-d])(?![\w'])", head)
        polarity = dict(demand.letters).get(found.group(1).upper()) if found else None
        if polarity is not None:
            return polarity
    opened = _opening().match(head)
    if opened:
        return _polarities()[opened.group().casefold()]
    return False if _DENIAL.search(_first_sentence(head)) else None


def _first_sentence(head: str) -> str:
    edge = re.search(r"[.!?。！？\n]", head)
    return head[: edge.start()] if edge else head


def verdict_polarity(text: str, demand: Demand | None = None) -> bool | None:
    """The verdict of an answer that was asked to evaluate first: its last `Verdict:` line, else its last line if that is
    nothing but a verdict word. None where neither can be read."""
    lines = list(_label().finditer(text))
    if lines:
        return opening_polarity(lines[-1]["rest"], demand)
    last = text.rstrip().rsplit("\n", 1)[-1].strip(" \t*_#>\"'“”«»「」().。!！")
    bare = _opening().fullmatch(last)
    return _polarities()[bare.group().casefold()] if bare else None


def without_verdict(text: str) -> str:
    """`text` without its last `Verdict:` line, which only the probe asked for."""
    lines = list(_label().finditer(text))
    if not lines:
        return text
    return (text[: lines[-1].start()].rstrip() + text[lines[-1].end() :]).strip()
