"""A folder of models: the files that serving needs, read, checked and digested together.

One rule: what was checked is what is served - the bytes are read once, and a set stays what it was when its files change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from detectors.base import Manifest, ModelError
from detectors.encoder import KINDS, MODELS, Encoder
from detectors.onnx import PromptModel, ReplyModel

#: Model -> the scores that it must provide.
PROVIDES: Final[Mapping[str, frozenset[str]]] = {
    "prompt": frozenset({"asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "harm"}),
    "distress": frozenset({"distress"}),
    "response": frozenset({"refusal.present", "rebuttal.denial"}),
    "manner": frozenset({"refusal.excused", "rebuttal.suspicion", "analytic.warm"}),
    "encoder": frozenset(KINDS),
}
_Model = TypeVar("_Model", PromptModel, ReplyModel, Encoder)


class ModelSetError(ModelError):
    """A folder holds no usable set of models. `problems`: all of them, each with its file."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class ModelSet:
    """The models that serving needs; thread-safe. `digest`: 16 hex digits that change with any of their files."""

    prompt: PromptModel
    distress: PromptModel
    reply: ReplyModel
    manner: ReplyModel
    encoder: Encoder
    digest: str

    def warm(self) -> None:
        """Build every session."""
        for model in (self.prompt, self.distress, self.reply, self.manner, self.encoder):
            model.warm()


@cache
def read_shipped() -> ModelSet:
    """The shipped set, not warmed; one for the whole process: 80 MB that nobody changes. Raises OSError, ModelError."""
    return _set(PromptModel("prompt"), PromptModel("distress"), ReplyModel("response"), ReplyModel("manner"), Encoder())


def read_set(folder: Path) -> ModelSet:
    """The set of a folder, each model run once: `prompt`, `distress`, `response` and `manner`, each a `.json` with its `.onnx`.
    The `encoder` is the shipped one where the folder holds no file of that name. Raises ModelSetError with every problem."""
    if not folder.is_dir():
        raise ModelSetError([f"{folder}: there is no such folder"])
    problems: list[str] = []
    own = folder if any(folder.glob("encoder.*")) else MODELS
    prompt = _read("prompt", folder, lambda: PromptModel("prompt", folder), problems)
    distress = _read("distress", folder, lambda: PromptModel("distress", folder), problems)
    reply = _read("response", folder, lambda: ReplyModel("response", folder), problems)
    manner = _read("manner", folder, lambda: ReplyModel("manner", folder), problems)
    encoder = _read("encoder", own, lambda: Encoder("encoder", own), problems)
    if prompt is None or distress is None or reply is None or manner is None or encoder is None:
        raise ModelSetError(problems)
    return _set(prompt, distress, reply, manner, encoder)


def _read(name: str, folder: Path, make: Callable[[], _Model], problems: list[str]) -> _Model | None:
    """One model that runs and provides what it must; None with its problem added."""
    try:
        model = make()
        manifest = model.manifest
        if manifest.name != name:
            raise ModelError(f"{folder / name}.json: is the manifest of {manifest.name!r}")
        if lacking := PROVIDES[name] - {label.provides for label in manifest.labels}:
            raise ModelError(f"{folder / name}.json: lacks {', '.join(sorted(lacking))}")
        model.warm()
    except OSError as error:
        problems.append(f"{error.filename or folder / name}: {error.strerror or error}")
    except ModelError as error:
        problems.append(str(error))
    except Exception as error:  # onnxruntime and tokenizers have classes of their own for every kind of damage
        problems.append(f"{folder / name}.onnx: cannot be run: {str(error).splitlines()[0]}")
    else:
        return model
    return None


def _set(prompt: PromptModel, distress: PromptModel, reply: ReplyModel, manner: ReplyModel, encoder: Encoder) -> ModelSet:
    manifests = [model.manifest for model in (prompt, distress, reply, manner, encoder)]
    return ModelSet(prompt, distress, reply, manner, encoder, _digest(manifests))


def _digest(manifests: list[Manifest]) -> str:
    """Manifests hold the digests of their files, and what else decides: which languages are answered."""
    return hashlib.sha256("\n".join(manifest.model_dump_json() for manifest in manifests).encode()).hexdigest()[:16]
