"""The seam of every detector: what it is given, what it must offer, and what a shipped model says of itself.

One rule: a detector is a pure, thread-safe function of its samples - batch equals single, and nothing in a text raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.types import Conversation, Reply, Scores


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to score: a prompt (`reply` None), or a reply with the prompt it answers.

    `prompt`: the scores of the conversation, None where nobody computed them. `final`: the reply is complete; a prefix or
    window of a stream is not, and only what its text already shows may be scored.
    """

    conversation: Conversation
    reply: Reply | None = None
    prompt: Scores | None = None
    final: bool = True


@runtime_checkable
class Detector(Protocol):
    """Samples in, scores out, in their order.

    `name`: unique, for metrics. `provides`: the score names it may set; each of them is in `values` or in `missing` of every
    result of a sample it applies to, and in neither where it does not apply (a reply detector given a bare prompt).
    """

    @property
    def name(self) -> str: ...

    @property
    def provides(self) -> frozenset[str]: ...

    def score(self, batch: Sequence[Sample]) -> list[Scores]:
        """Score every sample. Equal to scoring them one by one, from any thread; never raises because of a text."""
        ...

    def warm(self) -> None:
        """Do all lazy work (sessions, tables) now, so that the first request does not pay for it. May be called again."""
        ...


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """How much of a text is read. A longer text is cut as said here, which `Scores.scanned` then shows."""

    head_bytes: int = Field(default=0, description="UTF-8 bytes read from the start of a text.")
    tail_bytes: int = Field(default=0, description="UTF-8 bytes read from its end, where it is longer than the head.")
    window_bytes: int = Field(default=0, description="Length of one window where long texts are windowed; 0 = never.")
    max_windows: int = Field(default=1, description="Windows at most, over all turns; the score is their maximum.")
    max_bytes: int = Field(default=0, description="Bytes at most, over all windows; 0: see `max_tokens`.")
    max_tokens: int = Field(default=0, description="Tokens of one run of a model that reads tokens.")


class FeatureSpec(_Strict):
    """The hashing of text to rows; a model is only valid with exactly the hashing it was trained with."""

    version: int = Field(description="Version of detectors/features.py; another one refuses to load.")
    rows: int = Field(description="Rows of the weight table, without the padding row; a power of two.")
    char_orders: tuple[int, ...] = Field(description="Lengths of the byte n-grams.")
    opening_words: int = Field(description="Words at the start hashed a second time, in a space of their own.")


class TokenizerFile(_Strict):
    """The word list of a model that reads tokens: a `tokenizers` JSON beside it."""

    file: str
    sha256: str


class Source(_Strict):
    """One data source of a model."""

    name: str
    licence: str
    use: str = Field(description="`train`, `calibrate` or `held-out`, or several joined by a comma.")
    rows: int = Field(description="Distinct texts used.")


class Metric(_Strict):
    """One measured rate, with its 95% Wilson interval."""

    label: str
    set: str = Field(description="What was measured: a source, a group of sources, or own look-alikes.")
    kind: str = Field(description="`recall`, `false_positive_rate`, or `passed_positives`, `passed_negatives`: below `at`.")
    language: str = Field(description="ISO 639-1, or `all`.")
    at: float = Field(description="Threshold: a score of at least this counts.")
    hits: int
    n: int
    low: float
    high: float


class CurvePoint(_Strict):
    """What share of unseen texts reaches a score: of positives of held-out sources, of look-alikes, of ordinary text."""

    at: float
    recall: float
    look_alikes: float
    ordinary: float


class Label(_Strict):
    """One output of a model."""

    name: str
    provides: str = Field(description="The score name it sets.")
    threshold: float = Field(description="Probability at which the false-positive rate below was measured.")
    false_positive_rate: float = Field(description="Rate on ordinary held-out traffic that the threshold was picked for.")
    slope: float = Field(description="Platt slope, already inside the graph.")
    intercept: float = Field(description="Platt intercept, already inside the graph.")
    languages: tuple[str, ...] = Field(description="Languages measured on unseen data and good enough to be answered.")
    shifts: dict[str, float] = Field(
        default_factory=dict, description="Added to the log-odds of a language, so that a gate holds in each of them."
    )
    areas: dict[str, float] = Field(description="Area under the ROC curve on unseen data, of every measured language.")
    curve: tuple[CurvePoint, ...] = Field(description="All languages together, over the range of scores.")
    counted: tuple[int, int, int] = Field(description="Texts behind the curve: positives, look-alikes, ordinary.")


class Manifest(_Strict):
    """What a shipped model says of itself: the JSON beside the `.onnx` of the same name."""

    name: str
    revision: str = Field(description="Version of the training recipe and data.")
    file: str
    sha256: str = Field(description="Of the model file.")
    bytes: int
    features: FeatureSpec | None = Field(default=None, description="Of a hashed model.")
    tokenizer: TokenizerFile | None = Field(default=None, description="Of a model that reads tokens.")
    base: str = Field(default="", description="What the weights started from, with its licence.")
    limits: Limits
    labels: tuple[Label, ...]
    sources: tuple[Source, ...]
    metrics: tuple[Metric, ...]

    def label(self, name: str) -> Label:
        """The label called `name`. Raises KeyError."""
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(name)


class ModelError(Exception):
    """A model file and its manifest do not belong together, or to this version of the code."""


def load_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises OSError, or ModelError naming the file and what is wrong."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip() for item in error.errors(include_url=False)]
        raise ModelError(f"{path}: is no manifest: {'; '.join(wrong)}") from error


def read_model(manifest: Manifest, folder: Path) -> bytes:
    """The bytes of the manifest's model file. Raises OSError, or ModelError when they are not what the manifest names."""
    return read_pinned(folder / manifest.file, manifest.sha256)


def read_pinned(path: Path, sha256: str) -> bytes:
    """The bytes of a file. Raises OSError, or ModelError when its digest is another."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise ModelError(f"{path}: sha256 {digest}, but its manifest says {sha256}")
    return data
