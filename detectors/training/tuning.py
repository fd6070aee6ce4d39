"""Fine-tunes the second tier on all its labels at once, and calibrates each on lines that it never saw.

One rule: seeded, single process, CPU: the same inputs on the same machine give the same weights.
"""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from detectors.encoder import KINDS, Kind, encode
from detectors.training.examples import Corpus, Example
from detectors.training.network import Network

Floats = npt.NDArray[np.float64]
#: Rows of one source and class that a label learns from at most: beyond that they teach the source.
CAP = 150
SEED, EPOCHS, BATCH, RATE, HEAD_RATE = 7, 3, 32, 4e-5, 1e-3


@dataclass(slots=True)
class Text:
    """A text of one kind with what is known of it: label -> (yes or no, weight)."""

    kind: Kind
    ids: list[int]
    known: dict[str, tuple[bool, float]] = field(default_factory=dict)


class Texts:
    """Distinct texts of all labels, tokenised once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._found: dict[tuple[Kind, str, str], Text] = {}

    def add(self, label: str, example: Example, weight: float) -> None:
        kind = KINDS[label]
        prompt = example.prompt if kind == "pair" else ""
        text = self._found.setdefault((kind, prompt, example.text), Text(kind, []))
        if not text.ids:
            text.ids = encode(self._tokenizer, kind, example.text, prompt)
        text.known[label] = (example.positive, weight)

    def all(self) -> list[Text]:
        return list(self._found.values())


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


def weights(examples: Sequence[Example]) -> list[float]:
    """Both classes weigh the same; within one, a source counts by the root of its size."""
    sizes: dict[tuple[str, bool], int] = defaultdict(int)
    for example in examples:
        sizes[example.source, example.positive] += 1
    raw = [example.weight * sizes[example.source, example.positive] ** -0.5 for example in examples]
    totals = {True: 0.0, False: 0.0}
    for example, weight in zip(examples, raw, strict=True):
        totals[example.positive] += weight
    return [weight * len(examples) / (2 * totals[example.positive]) for example, weight in zip(examples, raw, strict=True)]


def spared(example: Example) -> bool:
    """Whether an own line is kept for calibration: every tenth, by its prompt, whatever the label."""
    return example.source.startswith("own_") and zlib.crc32(f"spared {example.key}".encode()) % 10 == 0


def tune(
    network: Network, tokenizer: Tokenizer, corpora: Mapping[str, Corpus], say: Callable[[str], None]
) -> dict[str, list[Example]]:
    """Fine-tune on the corpora. Returns the calibration lines of every label, which trained nothing."""
    torch.manual_seed(SEED)
    random.seed(SEED)
    texts, spare = Texts(tokenizer), {}
    for label, corpus in corpora.items():
        chosen = usable(label, corpus.train)
        spare[label] = [e for e in chosen if spared(e)]
        chosen = [e for e in chosen if not spared(e)]
        for example, weight in zip(chosen, weights(chosen), strict=True):
            texts.add(label, example, weight)
    rows = texts.all()
    order = list(KINDS)
    # Word vectors stay as they are: few texts hold a given word, and their update costs more than all layers.
    for part in (network.tok, network.pos):
        part.weight.requires_grad_(False)
    body = [weight for name, weight in network.named_parameters() if weight.requires_grad and not name.startswith("heads.")]
    groups = [{"params": body, "lr": RATE}, {"params": list(network.heads.parameters()), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = EPOCHS * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100) * max(0.0, 1 - step / steps)
    )
    network.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in batches(rows, shuffled=True):
            ids, mask = pad([row.ids for row in batch])
            target, weight = torch.zeros(len(batch), len(order)), torch.zeros(len(batch), len(order))
            for i, row in enumerate(batch):
                for label, (yes, heavy) in row.known.items():
                    target[i, order.index(label)], weight[i, order.index(label)] = float(yes), heavy
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(ids, mask)
            logits = logits.float()
            loss = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum() / len(batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        say(f"encoder: epoch {epoch + 1} of {EPOCHS}, {len(rows)} texts, loss {total / len(rows):.3f}")
    return spare


def batches(rows: Sequence[Text], *, shuffled: bool) -> Iterator[list[Text]]:
    """Batches of texts of similar length, in random order."""
    order = list(rows)
    if shuffled:
        random.shuffle(order)
    chunks = [sorted(order[i : i + 20 * BATCH], key=lambda row: len(row.ids)) for i in range(0, len(order), 20 * BATCH)]
    made = [chunk[i : i + BATCH] for chunk in chunks for i in range(0, len(chunk), BATCH)]
    if shuffled:
        random.shuffle(made)
    yield from made


def pad(ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, ids))
    values, mask = torch.zeros(len(ids), longest, dtype=torch.long), torch.zeros(len(ids), longest)
    for i, row in enumerate(ids):
        values[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return values, mask


def logits(network: Network, tokenizer: Tokenizer, label: str, examples: Sequence[Example]) -> Floats:
    """The uncalibrated score of every example."""
    ids = [encode(tokenizer, KINDS[label], e.text, e.prompt) for e in examples]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    result = np.zeros(len(ids))
    network.eval()
    column = list(KINDS).index(label)
    with torch.no_grad():
        for at in range(0, len(order), 64):
            chosen = order[at : at + 64]
            result[chosen] = network(*pad([ids[i] for i in chosen]))[:, column].numpy()
    network.train()
    return result


def platt(scores: Floats, examples: Sequence[Example]) -> tuple[float, float]:
    """Slope and intercept under which the score is the probability, for evenly frequent classes."""
    labels = np.array([e.positive for e in examples])
    even = np.where(labels, 0.5 / max(labels.sum(), 1), 0.5 / max((~labels).sum(), 1)) * len(labels)
    model = LogisticRegression(C=10.0).fit(scores[:, None], labels, sample_weight=even)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
