"""Manifests and the files they speak for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detectors.base import Detector, ModelError, load_manifest, read_model
from detectors.onnx import MODELS, PromptModel, ReplyModel

NAMES = ("prompt", "distress", "response", "encoder")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_the_one_its_manifest_names(name: str) -> None:
    manifest = load_manifest(MODELS / f"{name}.json")
    assert len(read_model(manifest, MODELS)) == manifest.bytes


def test_the_shipped_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.glob("*.onnx")) <= 25_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_states_languages_sources_and_figures_for_every_label(name: str) -> None:
    manifest = load_manifest(MODELS / f"{name}.json")
    for label in manifest.labels:
        if name == "encoder":  # reads English only; some labels have too few unseen texts to be measured
            assert label.languages == ("en",)
            assert sum(label.counted) or not label.areas
        else:
            assert set(label.languages) <= set(label.areas)
            assert any(metric.label == label.name for metric in manifest.metrics)
        assert any(f"train {label.name}" in source.use for source in manifest.sources)
        assert manifest.label(label.name) is label
    with pytest.raises(KeyError):
        manifest.label("nothing")


@pytest.mark.parametrize("name", NAMES)
def test_no_source_without_a_permissive_licence_trained_a_model(name: str) -> None:
    allowed = ("MIT", "Apache-2.0", "CC-BY-4.0", "CC0-1.0", "own")
    for source in load_manifest(MODELS / f"{name}.json").sources:
        if "train" in source.use:
            assert source.licence.startswith(allowed), source


@pytest.mark.parametrize("name", NAMES)
def test_a_model_reads_features_or_tokens(name: str) -> None:
    manifest = load_manifest(MODELS / f"{name}.json")
    assert (manifest.features is None) == (name == "encoder")
    assert (manifest.tokenizer is None) == (manifest.limits.max_tokens == 0) == (name != "encoder")
    assert bool(manifest.base) == (name == "encoder")


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    manifest = load_manifest(MODELS / "prompt.json")
    (tmp_path / manifest.file).write_bytes(b"something else")
    with pytest.raises(ModelError, match="sha256"):
        read_model(manifest, tmp_path)


def test_a_broken_manifest_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "prompt.json"
    document = json.loads((MODELS / "prompt.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "surprise": 1}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"prompt\.json"):
        load_manifest(path)


def test_the_models_are_detectors() -> None:
    assert isinstance(PromptModel(), Detector)
    assert isinstance(ReplyModel(), Detector)
