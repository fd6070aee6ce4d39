"""Labelled texts for training: what an example is, how rows and own texts become examples, and how they are split.

One rule: only permissive rows train, and a user's own; everything else may only be measured, and a prompt that is measured
trains nothing.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from detectors.encoder import KINDS
from detectors.training import templates, user
from detectors.training.data import Row, prompt_key
from detectors.training.own import Own

Rows = Mapping[str, Sequence[Row]]
#: The fold of own templates. They train in every fold but their own, and no figure is reported on them.
OWN_FOLD = 9
#: Folds of texts that are left out one by one rather than by source.
FOLDS = 5
#: What an own line weighs against a row of a source: own classes are matched line by line, sources mostly hold one class.
OWN_WEIGHT = 3.0
#: Of what the second tier learns: the seed of every draw, and the rows of one source and class that teach a label at most.
SEED, CAP = 7, 150
#: The published mis-routed answers of frontier models: reported on, never tuned on.
MISROUTES = "chunky_results_explorer"

#: Words that make it doubtful whether a plain instruction asks for code: such prompts are in neither class.
CODEY = re.compile(
    r"\b(code|coding|python|java|javascript|typescript|c\+\+|c#|sql|html|css|script|regex|function|algorithm|program\w*|"
    r"bash|shell|json|xml|query|api|c[oó]digo|programm?a\w*|funzione|función|fonction|funktion|skript)\b|[{};]\s*$|代码|程序|函数|编程|"
    r"コード|プログラム|関数|코드|프로그램|함수|код|программ|функци|скрипт",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text. `fold`: examples of a fold are left out together when a cross-fit score is made for them.

    `prompt`: what a reply answers, empty where the text is a prompt or answers none. `weight`: before classes are balanced."""

    text: str
    positive: bool
    source: str
    lang: str
    fold: int
    licence: str
    key: str
    prompt: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Corpus:
    """All examples of one label. `held_out`: whole sources that never train, permissive or not."""

    label: str
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]


def permissive(row: Row) -> bool:
    """Whether a row may shape a shipped model."""
    return row.licence_class == "permissive"


def rows_of(rows: Rows, sources: Iterable[str]) -> Iterable[Row]:
    return (row for source in sources for row in rows.get(source, ()))


def prompt_example(row: Row, positive: bool | None, fold: int) -> Example:
    """The last user turn of a row. `fold` below 0: by prompt."""
    key = prompt_key(row.prompt)
    return Example(row.prompt, bool(positive), row.source, row.lang, _fold(key, fold), row.licence, key)


def reply_example(row: Row, positive: bool, fold: int) -> Example:
    """The reply of a row, with its prompt. `fold` below 0: by prompt."""
    key = prompt_key(row.prompt)
    return Example(row.response, positive, row.source, row.lang, _fold(key, fold), row.licence, key, row.prompt)


def own_examples(texts: Iterable[Own], label: str) -> list[Example]:
    """What own texts say of a label; each line is left out with a fifth of all of them."""
    result = []
    for own in texts:
        if label in own.teaches:
            key = prompt_key(own.prompt or own.text)
            result.append(
                Example(
                    own.text,
                    own.teaches[label],
                    f"own_{own.topic}",
                    own.lang,
                    _fold(key, -1),
                    "own",
                    key,
                    own.prompt,
                    OWN_WEIGHT,
                )
            )
    return result


def template_examples(texts: templates.Texts, positive: bool) -> list[Example]:
    return [Example(text, positive, "own_templates", lang, OWN_FOLD, "own", prompt_key(text)) for lang, text in texts]


def usable(label: str, examples: Sequence[Example]) -> list[Example]:
    """English examples, capped by source and class; of a pair those that have a prompt."""
    chosen: list[Example] = []
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    shuffled = list(examples)
    random.Random(SEED).shuffle(shuffled)
    for example in shuffled:
        if example.lang != "en" or (KINDS[label] == "pair" and not example.prompt) or example.source == "own_templates":
            continue
        key = (example.source, example.positive)
        counts[key] += 1
        if counts[key] <= CAP or example.source.startswith("own_"):
            chosen.append(example)
    return chosen


def user_examples(rows: Rows, label: str) -> tuple[list[Example], list[Example]]:
    """What the user's rows say of a label, left out by prompt: those that train, and those whose licence class forbids it."""
    made = reply_example if label in user.REPLY_LABELS else prompt_example
    found = [(permissive(row), made(row, says, -1)) for row, says in user.taught(rows, label)]
    return [example for trains, example in found if trains], [example for trains, example in found if not trains]


def corpus(label: str, train: list[Example], held: list[Example], rows: Rows) -> Corpus:
    """Distinct texts, the given ones and those of the user's rows; a prompt that stands in a held-out source trains nothing."""
    own_train, own_held = user_examples(rows, label)
    train, held = train + own_train, held + own_held
    held = [example for example in _distinct(held) if example.key]
    keys = {example.key for example in held}
    kept = [example for example in _distinct(train) if example.key and example.key not in keys]
    return Corpus(label, tuple(kept), tuple(held))


def _fold(key: str, fold: int) -> int:
    return fold if fold >= 0 else zlib.crc32(key.encode()) % FOLDS


def _distinct(examples: list[Example]) -> list[Example]:
    seen: set[tuple[str, bool]] = set()
    result = []
    for example in examples:
        key = (prompt_key(example.text), example.positive)
        if key not in seen:
            seen.add(key)
            result.append(example)
    return result
