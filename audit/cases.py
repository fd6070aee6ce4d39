"""What a draft is made of, read from the report of `chunkguard audit` or of `chunkguard attribute`.

One rule: only what a report confirmed or holds to be a link becomes a case; what cannot is named with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from attribution.facts import Bad, examples_of
from attribution.files import files_of, plan
from audit.triggers import FORMS, differing
from core.types import MODES, Mode
from core.values import frozen

#: Share of a link's examples whose prompt asks for the behaviour, from which on it is what a model should learn.
_MOSTLY: Final = 0.5


@frozen
class Exchange:
    """A prompt, and an answer to it."""

    prompt: str
    answer: str


@frozen
class Case:
    """One finding. `number`: its place in the report. `features`: of the prompts that fail, the most telling first.

    `fails`, `passes`: exchanges that are, and are not, mis-routed. `spared`: prompts without the features. `wordings`: further
    prompts that should fail. `evidence`: what was measured, in a sentence."""

    number: int
    mode: Mode
    features: tuple[str, ...]
    fails: tuple[Exchange, ...]
    passes: tuple[Exchange, ...]
    spared: tuple[str, ...]
    wordings: tuple[str, ...]
    evidence: str


@frozen
class Read:
    """Cases by number, and (number, reason) of what was left out."""

    cases: tuple[Case, ...]
    left: tuple[tuple[int, str], ...]


def read_cases(file: Path, *, each: int = 3, only: Sequence[int] = ()) -> Read:
    """The first `each` cases a mode, or those of the numbers in `only`. Raises ValueError for another file, OSError."""
    try:
        document = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{file} is no JSON: {error}") from error
    if not isinstance(document, dict) or not ("findings" in document or "links" in document):
        raise ValueError(f"{file} is no audit.json and no attribute.json")
    found = _findings(document) if "findings" in document else _links(document)
    taken: Counter[Mode] = Counter()
    cases: list[Case] = []
    left: list[tuple[int, str]] = []
    for number, case in found:
        if only and number not in only:
            continue
        if isinstance(case, str):
            if only:
                left.append((number, case))
        elif only or taken[case.mode] < each:
            taken[case.mode] += 1
            cases.append(case)
    return Read(tuple(_with_texts(cases, document)), tuple(left))


def _findings(document: Mapping[str, Any]) -> Iterator[tuple[int, Case | str]]:
    for number, one in enumerate(document["findings"]):
        share, twin = one["share"], one["twin_share"]
        fails = tuple(dict.fromkeys((one["smallest"], one["prompt"])))
        told = (
            f"{share['hits']} of {share['n']} fresh answers mis-routed (95%: {share['low']:.2f} - {share['high']:.2f}), "
            f"{twin['hits']} of {twin['n']} of its twin's; found by chunkguard audit."
        )
        passes = [Exchange(one["twin"], one["twin_answer"]), Exchange(one["prompt"], one.get("passing", ""))]
        yield (
            number,
            Case(
                number, one["mode"], tuple(_ranked(differing(fails, [one["twin"]]))), (Exchange(one["prompt"], one["answer"]),),
                tuple(made for made in passes if made.answer), (one["twin"],), fails, told,
            ),
        )  # fmt: skip


def _ranked(features: Sequence[str]) -> list[str]:
    order = ("trigger", "word", "form", "starts", "ends")
    known = [name for name in features if name.partition(":")[0] in order]
    return sorted(known, key=lambda name: (order.index(name.partition(":")[0]), name))


def _links(document: Mapping[str, Any]) -> Iterator[tuple[int, Case | str]]:
    narrow = {link["behaviour"] for link in document["links"]}
    for link in document["links"]:
        number, (mode, _, unasked) = link["number"], link["behaviour"].partition(".")
        reason = _unfit(link, mode)
        if not reason and not unasked and f"{mode}.unasked" in narrow:
            reason = f"there are links of {mode}.unasked, which say more"
        if reason:
            yield number, reason
            continue
        told = (
            f"P({link['behaviour']} | {link['feature']}) = {link['rate']:.2f} over {link['with_feature']:.0f} votes, "
            f"{link['lift']:.1f} times as often as without; found by chunkguard attribute."
        )
        yield number, Case(number, mode, _named(link), (), (), (), (), told)


def _named(link: Mapping[str, Any]) -> tuple[str, ...]:
    """The link's feature and triggers of the proxy that stand beside it; weaker ones only where nothing can look for it."""
    beside = [name for name in link["same"] if name.startswith("trigger:")]
    lookable = link["family"] in ("trigger", "word", "starts", "ends") or link["feature"].partition(":")[2] in FORMS
    return (link["feature"], *(beside if lookable else link["same"]))


def _unfit(link: Mapping[str, Any], mode: str) -> str:
    if mode not in MODES:
        return f"{link['behaviour']} is no mode of the guard"
    if link["family"] == "asks" or (link["asked"] or 0.0) >= _MOSTLY:
        return "its prompts ask for the behaviour"
    return "within sources nothing is left of it" if link["kind"] == "composition" else ""


def _with_texts(cases: Sequence[Case], document: Mapping[str, Any]) -> Iterator[Case]:
    """The examples of links are read from the data: a report holds their beginnings only."""
    if "links" not in document:
        yield from cases
        return
    links = {link["number"]: link["examples"] for link in document["links"]}
    wanted: dict[str, set[int]] = {}
    for case in cases:
        for rows in links[case.number].values():
            for row in rows:
                wanted.setdefault(row["path"], set()).add(row["line"])
    texts = {(path, line): made for path, lines in wanted.items() for line, made in _rows(Path(path), lines)}
    for case in cases:
        shown = {
            side: tuple(texts[row["path"], row["line"]] for row in rows if (row["path"], row["line"]) in texts)
            for side, rows in links[case.number].items()
        }
        fails, passes = shown["with"], shown["without"]
        yield Case(case.number, case.mode, case.features, fails, passes, (), tuple(one.prompt for one in fails), case.evidence)


def _rows(path: Path, lines: set[int]) -> Iterator[tuple[int, Exchange]]:
    """The last example of each of these lines; nothing where the file is gone."""
    if not path.is_file():
        return
    for part in plan(files_of([path])):
        for each in examples_of(part):
            if each is None or isinstance(each, Bad) or each[0] not in lines:
                continue
            example = each[3]
            if len(example.conversation.user_turns) == 1 and not example.conversation.tools and example.reply.text:
                yield each[0], Exchange(example.prompt, example.reply.text)
