"""A folder of models: what makes it complete, and that every way in which it is not is named with its file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detectors.encoder import MODELS
from detectors.modelset import PROVIDES, ModelSetError, read_set, read_shipped

OWN = ("prompt", "distress", "response", "manner")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped first tier, as if it had been trained here."""
    own = tmp_path / "own"
    own.mkdir()
    for name in OWN:
        for ending in ("json", "onnx"):
            shutil.copyfile(MODELS / f"{name}.{ending}", own / f"{name}.{ending}")
    return own


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), encoding="utf-8")


def replace_model(folder: Path, name: str, data: bytes) -> None:
    """Other bytes under a manifest that vouches for them."""
    (folder / f"{name}.onnx").write_bytes(data)
    edit(folder / f"{name}.json", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def fewer_labels(folder: Path) -> None:
    labels = json.loads((folder / "response.json").read_text("utf-8"))["labels"]
    edit(folder / "response.json", labels=labels[1:])


def another_name(folder: Path) -> None:
    shutil.copyfile(folder / "distress.json", folder / "response.json")


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "gone": (lambda folder: (folder / "distress.json").unlink(), "distress.json", "No such file"),
    "model gone": (lambda folder: (folder / "prompt.onnx").unlink(), "prompt.onnx", "No such file"),
    "other bytes": (lambda folder: (folder / "prompt.onnx").write_bytes(b"x"), "prompt.onnx", "sha256"),
    "no model": (lambda folder: replace_model(folder, "prompt", b"x"), "prompt.onnx", "cannot be run"),
    "no JSON": (lambda folder: (folder / "prompt.json").write_text("{"), "prompt.json", "is no manifest"),
    "half a manifest": (lambda folder: (folder / "prompt.json").write_text("{}"), "prompt.json", "Field required"),
    "another name": (another_name, "response.json", "is the manifest of 'distress'"),
    "too few labels": (fewer_labels, "response.json", "lacks refusal.present"),
    "no manner": (lambda folder: (folder / "manner.json").unlink(), "manner.json", "No such file"),
    "not hashed": (lambda folder: edit(folder / "prompt.json", features=None), "prompt.json", "feature version"),
    "half an encoder": (lambda folder: (folder / "encoder.onnx").write_bytes(b"x"), "encoder.json", "No such file"),
}


def test_a_first_tier_alone_is_a_set_with_the_shipped_encoder(folder: Path) -> None:
    found, shipped = read_set(folder), read_shipped()
    assert found.encoder.manifest == shipped.encoder.manifest
    assert found.digest == shipped.digest
    assert len(found.digest) == 16


def test_the_digest_changes_with_what_decides(folder: Path) -> None:
    before = read_set(folder).digest
    labels = json.loads((folder / "distress.json").read_text("utf-8"))["labels"]
    edit(folder / "distress.json", labels=[{**label, "languages": ["en"]} for label in labels])
    assert read_set(folder).digest != before


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_set_names_file_and_reason(folder: Path, name: str) -> None:
    damage, file, reason = BROKEN[name]
    damage(folder)
    with pytest.raises(ModelSetError) as caught:
        read_set(folder)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{folder / file}: ")
    assert reason in problem


def test_all_problems_are_said_at_once(folder: Path) -> None:
    for name in OWN:
        (folder / f"{name}.json").unlink()
    with pytest.raises(ModelSetError) as caught:
        read_set(folder)
    assert len(caught.value.problems) == len(OWN)


def test_no_folder_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError, match="there is no such folder"):
        read_set(tmp_path / "absent")


def test_a_set_must_provide_what_the_shipped_one_does() -> None:
    shipped = read_shipped()
    models = (shipped.prompt, shipped.distress, shipped.reply, shipped.manner, shipped.encoder)
    for name, model in zip(PROVIDES, models, strict=True):
        assert {label.provides for label in model.manifest.labels} == PROVIDES[name]
