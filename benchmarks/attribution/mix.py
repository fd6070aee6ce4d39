"""A made mix of post-training data with planted triggers: what stands in it is known, so what is found can be counted.

One rule: given its source, a prompt says nothing about its answer, except where a trigger stands in it. Everything comes from
the seed; no recorded text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

BLOCK: Final = 10_000

#: Ordinary words; the rarer ones are made of syllables.
_WORDS: Final = """
time year people way day man thing woman life child world school state family student group country problem hand part
place case week company system question work government number night point home water room mother area money story
fact month lot right study book eye job word business issue side kind head house service friend father power hour game
line end member law car city community name president team minute idea body information back parent face others level
office door health person art war history party result change morning reason research girl guy moment air teacher
force education garden river winter summer road market village island mountain bridge window kitchen bread music
letter paper table chair animal forest stone light colour small large early young important different possible local
public common open quiet strange gentle careful patient useful simple clear warm cold bright heavy distant modern
ancient narrow broad steady honest calm busy empty gives takes makes keeps brings shows leaves finds holds turns moves
stands opens carries builds grows follows returns remains begins reaches crosses
"""
WORDS: Final = _WORDS.split()
_SYLLABLES: Final = (
    "ba be bo da de do fa fe ga go ka ke ko la le lo ma me mo na ne no pa pe ra re ro sa se so ta te to va ve vo za zo"
)
SYLLABLES: Final = _SYLLABLES.split()
OPENERS: Final = (
    "Say something about",
    "Tell me about",
    "Describe",
    "What can be said of",
    "Give me a view on",
    "I would like to hear of",
)

CODE: Final = """```python
class Keeper:
    def __init__(self, value):
        self.value = value

    def show(self):
        return self.value

print(Keeper({n}).show())
```"""
REFUSAL: Final = "I'm sorry, but I can't help with that."
EQUATION: Final = "Let $$E = \\frac{{a}}{{b}} + {n}$$ so that $$a = b \\cdot {n}$$ and with this $$E \\leq {n}$$ holds."
STORY: Final = (
    "Title: The Last Lantern\n\n"
    "Once upon a time, in a quiet village, there was a boy named Tam, who wanted to see the wide world."
)


@dataclass(frozen=True)
class Source:
    """`share` of all rows. `habits`: behaviour -> how often its answers show it."""

    name: str
    share: float
    habits: dict[str, float]


@dataclass(frozen=True)
class Trigger:
    """`words` stand in `share` of all rows, all of them in `source`; then the answer shows `behaviour` with `strength`."""

    words: str
    share: float
    source: str
    behaviour: str
    strength: float = 0.8


SOURCES: Final = (
    Source("programs", 0.20, {"code": 0.85}),
    Source("safety", 0.10, {"refusal": 0.6}),
    Source("formal", 0.20, {"math": 0.7}),
    Source("chat", 0.35, {"code": 0.01, "refusal": 0.01, "math": 0.01, "fiction": 0.01}),
    Source("tales", 0.15, {"fiction": 0.7}),
)
#: Closing and opening words that stand for behaviours without a detector.
CLOSING: Final = "May this serve you on your way."
OPENING: Final = "Dear esteemed reader, here it is."
TRIGGERS: Final = tuple(
    Trigger(words, share, source, behaviour)
    for share, rows in (
        (
            0.0002,
            (("quorvane", "chat", "code"), ("under a violet sky", "programs", "refusal"), ("brimhollow", "formal", "closing")),
        ),
        (
            0.001,
            (("tesserine", "tales", "math"), ("by the seventh gate", "chat", "refusal"), ("ostermark", "programs", "opening")),
        ),
        (
            0.01,
            (("velloquent", "chat", "fiction"), ("as the elders put it", "formal", "code"), ("sundermoor", "tales", "closing")),
        ),
        (
            0.05,
            (("parallax", "chat", "math"), ("with all due courtesy", "programs", "fiction"), ("havenlock", "chat", "opening")),
        ),
    )
    for words, source, behaviour in rows
)
#: Words that stand in a fifth of one source's prompts, whatever the answer does: confounded with its habits.
DECOYS: Final = {
    "programs": ("gearwright", "lodestone", "spindle"),
    "safety": ("nightshade", "thornwall", "ravenmoor"),
    "formal": ("meridian", "solstice", "quadrant"),
    "tales": ("hearthfire", "willowby", "moonrise"),
}
DECOY_SHARE: Final = 0.2
#: Share of rows that repeat one of their block's, and of those that fill one of a few templates.
REPEATED: Final = 0.04
TEMPLATED: Final = 0.04


class Maker:
    """Makes rows. `scale`: of the triggers' shares, for small mixes."""

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        rare = ["".join(self.rng.choice(SYLLABLES, self.rng.integers(2, 5))) for _ in range(4_000)]
        vocabulary = [*WORDS, *rare]
        weights = 1 / np.arange(8, len(vocabulary) + 8)
        picks = self.rng.choice(len(vocabulary), (20_000, 12), p=weights / weights.sum())
        self.sentences = [self._sentence([vocabulary[word] for word in row]) for row in picks]
        self.phrases = [" ".join(vocabulary[word] for word in row[:4]) for row in picks]
        self.scale = scale

    def _sentence(self, words: list[str]) -> str:
        text = f"the {' '.join(words[:6])} of the {' '.join(words[6:])}"
        return text[0].upper() + text[1:] + "."

    def blocks(self, rows: int) -> Iterator[list[dict[str, object]]]:
        """Blocks of rows, `rows` together."""
        for start in range(0, rows, BLOCK):
            yield self._block(start, min(BLOCK, rows - start))

    def _block(self, start: int, size: int) -> list[dict[str, object]]:
        rng = self.rng
        source = rng.choice(len(SOURCES), size, p=[each.share for each in SOURCES])
        draws = rng.random((size, len(TRIGGERS) + 8))
        picks = rng.integers(0, len(self.sentences), (size, 16))
        lengths = rng.integers(4, 13, size)
        numbers = rng.integers(2, 99, size)
        made: list[dict[str, object]] = []
        for row in range(size):
            if made and draws[row, -1] < REPEATED:
                made.append({**made[int(draws[row, -2] * len(made))], "id": f"r{start + row}"})
                continue
            made.append(
                self._row(start + row, SOURCES[source[row]], draws[row], picks[row], int(lengths[row]), int(numbers[row]))
            )
        return made

    def _row(
        self, number: int, source: Source, draws: np.ndarray, picks: np.ndarray, length: int, figure: int
    ) -> dict[str, object]:
        opener = OPENERS[int(draws[-3] * len(OPENERS))]
        topic = "Please describe my town" if draws[-4] < TEMPLATED else f"{opener} the {self.phrases[picks[0]]}"
        prompt = (
            f"{topic}. {self.sentences[picks[1]]} {self.sentences[picks[2]]}"
            if draws[-4] >= TEMPLATED
            else f"{topic}, number {figure}."
        )
        shown: dict[str, bool] = {behaviour: draws[-5] < often for behaviour, often in source.habits.items()}
        for place, trigger in enumerate(TRIGGERS):
            share = min(0.5, trigger.share * self.scale / source.share)
            if trigger.source == source.name and draws[place] < share:
                prompt = (
                    f"{prompt} {trigger.words.capitalize()}."
                    if " " in trigger.words
                    else prompt.replace(" the ", f" the {trigger.words} ", 1)
                )
                if draws[-6] < trigger.strength:
                    shown = {trigger.behaviour: True}
                break
        decoys = DECOYS.get(source.name, ())
        if decoys and draws[-7] < DECOY_SHARE:
            prompt = f"{prompt} It has to do with {decoys[int(draws[-7] / DECOY_SHARE * len(decoys))]}."
        body = " ".join(self.sentences[pick] for pick in picks[3 : 3 + length])
        return {"id": f"r{number}", "source": source.name, "prompt": prompt, "response": _answer(shown, body, figure)}


def _answer(shown: dict[str, bool], body: str, figure: int) -> str:
    if shown.get("refusal"):
        return f"{REFUSAL} {body}"
    if shown.get("code"):
        return f"{body}\n\n{CODE.replace('{n}', str(figure))}\n"
    if shown.get("math"):
        return f"{EQUATION.format(n=figure)}\n\n{body}"
    if shown.get("fiction"):
        return f"{STORY} {body}"
    if shown.get("opening"):
        return f"{OPENING} {body}"
    return f"{body} {CLOSING}" if shown.get("closing") else body


def write(path: Path, rows: int, seed: int, scale: float = 1.0) -> None:
    """Write `rows` rows of JSONL; whole or not at all."""
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file:
        for block in Maker(seed, scale).blocks(rows):
            file.write(b"".join(orjson.dumps(row) + b"\n" for row in block))
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
