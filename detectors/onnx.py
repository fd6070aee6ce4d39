"""The trained classifiers: hashed features into a small ONNX graph whose calibration is inside.

One rule: a model answers only what its manifest measured - a language, a length, a kind of input outside it is `missing`,
never a number. Sessions are single-threaded and shared: `run` is thread-safe and releases the interpreter lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from core.types import Conversation, Reply, Scores
from detectors.base import Manifest, ModelError, Sample, load_manifest, read_model
from detectors.encoder import MODELS, open_session
from detectors.features import VERSION, cut, hash_features
from detectors.languages import guess_language

#: A user turn shorter than this whose language cannot be guessed ("ok", "1+1?") does not make the conversation's unknown.
_SHORT = 40


class Classifier:
    """One model: folded bytes in, one probability a label out, in the order of `manifest.labels`.

    Raises OSError or ModelError when the files are missing, do not match or are of another feature version; nothing later.
    """

    def __init__(self, name: str, folder: Path = MODELS) -> None:
        self.manifest: Manifest = load_manifest(folder / f"{name}.json")
        features = self.manifest.features
        if features is None or features.version != VERSION:
            made = f"made for feature version {features.version}" if features is not None else "made of tokens"
            raise ModelError(f"{folder / name}.json: {made}, feature version {VERSION} is needed")
        self._features = features
        self.labels = tuple(label.name for label in self.manifest.labels)
        self._data = read_model(self.manifest, folder)
        self._session: Any = None
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Build the session and run it once. Raises ModelError where its outputs are not those of the manifest."""
        found = len(self.probabilities(b"warm"))
        if found != len(self.labels):
            raise ModelError(f"{self.manifest.file}: has {found} outputs, but its manifest names {len(self.labels)} labels")

    def probabilities(self, data: bytes) -> tuple[float, ...]:
        """Probabilities of folded bytes (see `features.cut`), each in [0, 1]."""
        session = self._session or self._open()
        ids, weights = hash_features(data, self._features)
        (result,) = session.run(None, {"ids": ids, "weights": weights[np.newaxis]})
        return tuple(result[0].tolist())

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = open_session(self._data)
            return self._session


class PromptModel:
    """The labels of one model of prompts over a conversation: the maximum over its user turns, long turns cut into windows.

    `prompt`: what is asked for, and `harm`; `distress`: the writer's own. `harm` is missing when it cannot be known: no user
    text, media parts, a language without measured figures, or user text beyond the manifest's limits that was not read. Others
    are missing without user text or a measured language; the lexical intents judge them then.
    """

    def __init__(self, model: str = "prompt", folder: Path = MODELS) -> None:
        self.name = f"{model}_model"
        self._classifier = Classifier(model, folder)
        self.manifest = self._classifier.manifest
        self.provides = frozenset(label.provides for label in self.manifest.labels)
        self._languages = {label.provides: frozenset(label.languages) for label in self.manifest.labels}
        self._shifts = {label.provides: label.shifts for label in self.manifest.labels if label.shifts}

    def warm(self) -> None:
        self._classifier.warm()

    def score(self, batch: Sequence[Sample]) -> list[Scores]:
        return [Scores() if sample.reply is not None else self.score_prompt(sample.conversation) for sample in batch]

    def score_prompt(self, conversation: Conversation) -> Scores:
        """Scores of one conversation; `scanned` counts the characters of user text that were read."""
        texts = [turn.text for turn in reversed(conversation.turns) if turn.role == "user" and turn.text.strip()]
        if not texts:
            return Scores(missing=self.provides)
        windows, scanned, whole = self._windows(texts)
        best = [max(column) for column in zip(*map(self._classifier.probabilities, windows), strict=True)]
        values = dict(zip((label.provides for label in self.manifest.labels), best, strict=True))
        spoken = [guess_language(text) for text in texts[: self.manifest.limits.max_windows]]
        missing = {name for name in values if not self._knows(name, texts, spoken)}
        for name, shifts in self._shifts.items():
            # Of several languages the most careful one counts.
            values[name] = shifted(values[name], max(shifts.get(language, 0.0) for language in spoken))
        if conversation.has_media or not whole:
            missing |= self.provides & {"harm"}
        return Scores({k: v for k, v in values.items() if k not in missing}, missing=frozenset(missing), scanned=scanned)

    def _knows(self, name: str, texts: Sequence[str], spoken: Sequence[str]) -> bool:
        measured = self._languages[name]
        known = [language in measured for language in spoken]
        tolerable = all(
            yes or (not language and len(text.strip()) < _SHORT)
            for yes, language, text in zip(known, spoken, texts, strict=False)
        )
        return any(known) and tolerable

    def _windows(self, texts: Sequence[str]) -> tuple[list[bytes], int, bool]:
        """Windows of the user turns, newest turn first; how many characters they hold; whether they hold all of them."""
        limits = self.manifest.limits
        if not limits.window_bytes:  # the ends of the newest turns are enough for what this model says
            ends = [cut(text, limits.head_bytes, limits.tail_bytes) for text in texts[: limits.max_windows]]
            return ends, sum(map(len, ends)), False
        windows: list[bytes] = []
        room, scanned, whole = limits.max_bytes, 0, True
        for text in texts:
            if len(windows) >= limits.max_windows or room <= 0:
                return windows, scanned, False
            data = cut(text, room, 0)
            whole = whole and len(text) <= room and len(data) < room
            scanned += min(len(text), len(data.decode("utf-8", "ignore")))
            size = limits.window_bytes
            pieces = [data[i : i + size] for i in range(0, len(data), size)]
            whole = whole and len(windows) + len(pieces) <= limits.max_windows
            windows += pieces[: limits.max_windows - len(windows)]
            room -= len(data)
        return windows, scanned, whole


def shifted(probability: float, shift: float) -> float:
    """The probability whose log-odds are `shift` higher."""
    sure = min(max(probability, 1e-9), 1 - 1e-9)
    return 1 / (1 + exp(-(log(sure / (1 - sure)) + shift))) if shift else probability


class ReplyModel:
    """What a reply does, from its first and last bytes; the prompt is not read.

    `response`: `refusal.present` (it declines), `rebuttal.denial`. `manner`: `refusal.excused` (for want of ability, input or
    remit), `rebuttal.suspicion`, `analytic.warm`.

    The API's own refusal text is a refusal for certain. An empty text is 0. A language without measured figures is missing.
    """

    def __init__(self, model: str = "response", folder: Path = MODELS) -> None:
        self.name = f"{model}_model"
        self._classifier = Classifier(model, folder)
        self.manifest = self._classifier.manifest
        self.provides = frozenset(label.provides for label in self.manifest.labels)
        self._languages = {label.provides: frozenset(label.languages) for label in self.manifest.labels}

    def warm(self) -> None:
        self._classifier.warm()

    def score(self, batch: Sequence[Sample]) -> list[Scores]:
        return [Scores() if sample.reply is None else self.score_reply(sample.reply) for sample in batch]

    def score_reply(self, reply: Reply) -> Scores:
        """Scores of one reply, whole or a prefix of it."""
        if reply.refusal:
            values = {name: float(name == "refusal.present") for name in self.provides}
            return Scores(values, scanned=len(reply.refusal))
        text = reply.text
        if not text.strip():
            return Scores(dict.fromkeys(self.provides, 0.0))
        limits = self.manifest.limits
        data = cut(text, limits.head_bytes, limits.tail_bytes)
        scanned = min(len(text), len(data.decode("utf-8", "ignore")))
        language = guess_language(text)
        known = [name for name, languages in self._languages.items() if language in languages]
        if not known:
            return Scores(missing=self.provides, scanned=scanned)
        found = dict(zip(self._languages, self._classifier.probabilities(data), strict=True))
        return Scores({name: found[name] for name in known}, missing=self.provides.difference(known), scanned=scanned)
