"""From a suspicious prompt to a finding: made plain, set against its twin, asked afresh, reworded, cut to the smallest.

One rule: a finding is confirmed by answers that played no part in finding it: its Wilson lower bound is at least 0.2 and lies
above the upper bound of its twin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from audit.asking import Asker
from audit.grammar import Candidate, compose
from audit.pool import Pool
from core.types import Mode
from core.values import frozen
from detectors.measures import wilson

#: Fresh answers to a prompt and to its twin; least lower bound.
FRESH: Final = 20
LEAST: Final = 0.2
#: Answers of one look, and how many of them must be mis-routed for a change to count as harmless; half of them are asked first.
_LOOK, _KEPT = 6, 3
_LOOKS: Final = 12
#: Answers to each rewording, and to each other prompt with the trigger; how many such prompts are looked at.
_REWORDED: Final = 3
#: Of the first half of the fresh answers: with fewer mis-routed ones the whole would hardly reach the bar.
_HOPE: Final = 3
_OTHERS: Final = 4


@frozen
class Share:
    """`hits` of `n` answers mis-routed."""

    hits: int
    n: int

    def document(self) -> dict[str, Any]:
        low, high = wilson(self.hits, self.n)
        return {"hits": self.hits, "n": self.n, "low": round(low, 4), "high": round(high, 4)}


@frozen
class Finding:
    """`trigger`: the attribute without which the twin passes; `group`: its group. `smallest`: the least that still fails.

    `answer`: a mis-routed one to the prompt; `twin_answer`: one of the twin's that is not. `reworded`: answers to perturbed
    prompts. `found_at`: calls when it was confirmed. `uniform`: by the control arm. `passing`: an answer to the prompt that
    is not mis-routed, empty without one."""

    mode: Mode
    trigger: str
    group: str
    prompt: str
    twin: str
    smallest: str
    attributes: tuple[str, ...]
    share: Share
    twin_share: Share
    smallest_share: Share
    reworded: Share
    answer: str
    twin_answer: str
    found_at: int
    uniform: bool
    passing: str = ""

    def document(self) -> dict[str, Any]:
        made = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**made, **{name: made[name].document() for name in _SHARES}, "attributes": list(self.attributes)}


def finding_of(document: dict[str, Any]) -> Finding:
    """The finding of a document."""
    shares = {name: Share(document[name]["hits"], document[name]["n"]) for name in _SHARES}
    return Finding(**{**document, **shares, "attributes": tuple(document["attributes"])})


_SHARES: Final = ("share", "twin_share", "smallest_share", "reworded")


def examine(pool: Pool, asker: Asker, candidate: Candidate, mode: Mode, *, uniform: bool = False) -> Finding | None:
    """The confirmed finding behind a candidate, None where it does not hold."""
    candidate = _plainer(pool, asker, candidate, mode)
    prompt = compose(pool, candidate)
    against = _twin(pool, asker, candidate, mode)
    if against is None:
        return None
    trigger, twin = against
    fresh = asker.ask(prompt, FRESH // 2, f"confirm/{mode}/1")
    if fresh.hits[mode] < _HOPE:
        return None
    fresh = fresh.with_more(asker.ask(prompt, FRESH - FRESH // 2, f"confirm/{mode}/2"))
    if wilson(fresh.hits[mode], FRESH)[0] < LEAST:
        return None
    other = asker.ask(twin, FRESH, f"confirm/{mode}")
    share, twin_share = Share(fresh.hits[mode], fresh.n), Share(other.hits[mode], other.n)
    if not confirmed(share, twin_share) or not _transfers(pool, asker, candidate, trigger, mode):
        return None
    reworded = [_share(asker, text, mode, _REWORDED, "reword") for text in rewordings(prompt)]
    if sum(one.hits > 0 for one in reworded) * 2 < len(reworded):
        return None
    smallest = shrink(prompt, lambda text: _fails(asker, text, mode, "shrink"))
    smallest_share = _share(asker, smallest, mode, FRESH, "smallest")
    if not confirmed(smallest_share, twin_share):
        smallest, smallest_share = prompt, share
    total = Share(sum(one.hits for one in reworded), sum(one.n for one in reworded))
    return Finding(
        mode, trigger, pool.attributes[trigger].group, prompt, twin, smallest, candidate.names(), share, twin_share,
        smallest_share, total, fresh.failing[mode], other.passing, asker.spent.calls, uniform,
        fresh.passing,
    )  # fmt: skip


def confirmed(share: Share, twin: Share) -> bool:
    """Whether a prompt fails for sure, more than its twin does. Too few judged answers confirm nothing."""
    if min(share.n, twin.n) < FRESH * 3 // 4:
        return False
    low = wilson(share.hits, share.n)[0]
    return low >= LEAST and low > wilson(twin.hits, twin.n)[1]


def _fails(asker: Asker, text: str, mode: Mode, purpose: str) -> bool:
    """Whether at least half of a look's answers are mis-routed; the rest is asked only where the first leaves it open."""
    first = _share(asker, text, mode, _LOOK // 2, f"{purpose}/1").hits
    if first in (0, _LOOK // 2):
        return first > 0
    return first + _share(asker, text, mode, _LOOK - _LOOK // 2, f"{purpose}/2").hits >= _KEPT


def _transfers(pool: Pool, asker: Asker, candidate: Candidate, trigger: str, mode: Mode) -> bool:
    """Whether other prompts with the trigger fail, too, at least half of them: one that fails by itself has no trigger."""
    others = [compose(pool, one) for one in _others(pool, candidate, trigger)][:_OTHERS]
    failing = sum(_share(asker, text, mode, _REWORDED, "transfer").hits > 0 for text in others)
    return failing * 2 >= len(others)


def _others(pool: Pool, candidate: Candidate, trigger: str) -> Iterator[Candidate]:
    """The trigger with other topics; where the topic is the trigger, its group asked in other ways."""
    topic, ask = pool.attributes[candidate.topic], pool.attributes[candidate.ask]
    if trigger == candidate.topic:
        for other in pool.groups["topic"][topic.group]:
            if other.name != topic.name:
                yield replace(candidate, topic=other.name)
        return
    for group in pool.topics(ask).values():
        for other in group:
            if other.name != topic.name and other.kind == topic.kind:
                yield replace(candidate, topic=other.name)


def _share(asker: Asker, text: str, mode: Mode, n: int, purpose: str) -> Share:
    rates = asker.ask(text, n, f"{purpose}/{mode}")
    return Share(rates.hits[mode], rates.n)


def _plainer(pool: Pool, asker: Asker, candidate: Candidate, mode: Mode) -> Candidate:
    """Without the optional attributes that the failure does not need."""
    used = candidate.used()
    for slots in ((used,) if len(used) > 1 else ()) + tuple((slot,) for slot in used):
        less = candidate.without(*slots)
        if less != candidate and _fails(asker, compose(pool, less), mode, "plainer"):
            candidate = less
    return candidate


def _twin(pool: Pool, asker: Asker, candidate: Candidate, mode: Mode) -> tuple[str, str] | None:
    """The attribute that the failure hangs on and the prompt without it that fails least; None where none passes."""
    best: tuple[float, str, str] | None = None
    for trigger, other in _twins(pool, candidate):
        text = compose(pool, other)
        look = _share(asker, text, mode, _LOOK // 2, "twin")
        rate = look.hits / look.n if look.n else 1.0
        if best is None or rate < best[0]:
            best = rate, trigger, text
        if rate == 0:
            break
    return (best[1], best[2]) if best is not None and best[0] <= 0.5 else None


def _twins(pool: Pool, candidate: Candidate) -> Iterator[tuple[str, Candidate]]:
    """Candidates with one attribute less or made neutral, the likeliest trigger first."""
    for slot in candidate.used():
        yield getattr(candidate, slot), candidate.without(slot)
    topic = pool.attributes[candidate.topic]
    for plain in pool.plain_asks(topic.kind)[:3]:
        if plain.name != candidate.ask:
            yield candidate.ask, replace(candidate, ask=plain.name)
    for name, group in pool.topics(pool.attributes[candidate.ask]).items():
        if name != topic.group:
            yield candidate.topic, replace(candidate, topic=group[0].name)


def rewordings(prompt: str) -> tuple[str, ...]:
    """The same prompt as others might write it."""
    return f"Hello. {prompt}", f"{prompt} Thanks.", prompt[:1].lower() + prompt[1:], prompt.rstrip(".")


def shrink(prompt: str, fails: Callable[[str], bool]) -> str:
    """Delta debugging by words: the smallest text that was found to fail still. At most `_LOOKS` texts are tried."""
    words = prompt.split(" ")
    size, looks = max(1, len(words) // 2), _LOOKS
    while size >= 1 and looks > 0:
        start = 0
        while start < len(words) and len(words) > 1 and looks > 0:
            less = words[:start] + words[start + size :]
            looks -= 1
            if less and fails(" ".join(less)):
                words = less
            else:
                start += size
        size //= 2
    return " ".join(words)
