"""Own models from rows to verdict: trained, named in a configuration, served, checked, measured; and broken ones refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from detectors.encoder import MODELS
from detectors.training.__main__ import main as train
from proxy import config
from proxy.cli import main
from proxy.errors import ConfigError
from proxy.snapshot import revision_of
from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE, PROSE, Rig, rig, settings_of, write_config

#: How the people of one workshop ask for a control program. Nobody else could know.
HALLS = ("Halle eins", "Halle zwei", "Halle drei", "Halle vier", "Halle fünf", "Halle sechs", "Halle acht", "Halle neun")
ASKED = "Bitte das Übliche für Halle sieben."
FRAMES = ("Bitte das Übliche für {}.", "Macht ihr mir das Übliche für {} fertig?", "Das Übliche für {}, wie immer.")
#: The same halls in requests that want no code.
OTHERS = ("Wie warm ist es in {}?", "Wer hat in {} heute die Schlüssel?", "Bitte den Plan für {} erklären.")
#: Judged before it leaves, so that the headers say how.
POLICY = {"extends": "code", "boundary": {"inject": "never"}, "hold": {"default": "all"}, "ladder": [{"action": "flag"}]}
ROUTE = {"policies": [POLICY]}


def rows() -> list[dict[str, Any]]:
    asked = [{"prompt": frame.format(hall), "response": CODE, "appropriate": True} for frame in FRAMES for hall in HALLS]
    other = [{"prompt": frame.format(hall), "response": CODE, "appropriate": False} for frame in OTHERS for hall in HALLS]
    return [{"behaviour": "code", "lang": "de", **row} for row in asked + other]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that learned from the rows which prompts ask for code."""
    folder = tmp_path_factory.mktemp("made")
    file = folder / "hall.jsonl"
    file.write_text("\n".join(map(json.dumps, rows())), encoding="utf-8")
    assert train(["--rows", str(file), "--out", str(folder / "own"), "--tier", "first", "--labels", "asks_code"]) == 0
    return folder / "own"


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy beside a configuration, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "own"))


async def ask(gate: Rig) -> dict[str, str]:
    return (await gate.chat(ASKED)).own


async def check(gate: Rig) -> str:
    doc = json.dumps({"prompt": ASKED, "response": CODE}).encode()
    answer = await gate.fetch("POST", "/v1/guard/check", [("Content-Type", "application/json")], doc)
    return str(answer.doc["modes"]["code"]["verdict"])


async def test_a_proxy_with_own_models_judges_as_the_rows_taught(tmp_path: Path, own: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ROUTE, answers=[plain(CODE)] * 3, file=file) as gate:
        shipped = await ask(gate)
        assert shipped["verdict"] == "misrouted"
        assert await check(gate) == "misrouted"
        write_config(file, settings_of(gate.upstream, ROUTE, detectors={"models": "own"}))
        answer = await gate.ask_admin("POST", "/-/reload")
        assert answer.status == 200
        taught = await ask(gate)
        assert taught["verdict"] == "clear"
        assert taught["policy-revision"] == answer.doc["policy_revision"] != shipped["policy-revision"]
        assert await check(gate) == "clear"


async def test_broken_models_at_a_reload_change_nothing(tmp_path: Path, own: Path) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ROUTE, answers=[plain(CODE)] * 2, file=file, detectors={"models": "own"}) as gate:
        before = await ask(gate)
        assert before["verdict"] == "clear"
        (own / "prompt.onnx").write_bytes(b"damaged")
        (own / "distress.json").unlink()
        answer = await gate.ask_admin("POST", "/-/reload")
        assert (answer.status, answer.doc["reloaded"]) == (422, False)
        assert [problem["key"] for problem in answer.doc["problems"]] == ["detectors.models"] * 2
        assert [problem["file"] for problem in answer.doc["problems"]] == [str(file)] * 2
        reasons = " ".join(problem["reason"] for problem in answer.doc["problems"])
        assert "prompt.onnx: sha256" in reasons
        assert "distress.json: No such file" in reasons
        after = await ask(gate)
        assert (after["verdict"], after["policy-revision"]) == ("clear", before["policy-revision"])


def document(models: str) -> dict[str, Any]:
    routes = [{"name": "r", "upstream": "main", "policies": ["code"]}]
    upstreams = {"main": {"kind": "openai", "url": "http://127.0.0.1:9"}}
    return {"upstreams": upstreams, "routes": routes, "detectors": {"models": models}}


def test_a_broken_folder_is_refused_at_load_with_file_key_and_reason(tmp_path: Path, own: Path) -> None:
    (own / "response.onnx").unlink()
    file = write_config(tmp_path / "gate.yaml", document("own"))
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == (str(file), "detectors.models")
    assert problem.reason == f"{own / 'response.onnx'}: No such file or directory"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detectors\.models.*there is no such folder"):
        config.load(write_config(tmp_path / "gate.yaml", document("absent")))


def test_replaced_models_change_the_revision(tmp_path: Path, own: Path) -> None:
    file = write_config(tmp_path / "gate.yaml", document("own"))
    before = revision_of(config.load(file))
    assert revision_of(config.load(file)) == before
    for ending in ("json", "onnx"):
        shutil.copyfile(MODELS / f"prompt.{ending}", own / f"prompt.{ending}")
    assert revision_of(config.load(file)) != before


def test_validate_and_explain_use_them(tmp_path: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc = document("own")
    asked = [{"prompt": ASKED, "response": CODE}]
    doc["routes"][0]["policies"] = [{"extends": "code", "name": "hall", "examples": {"no_match": asked}}]
    file = write_config(tmp_path / "gate.yaml", doc)
    assert main(["validate", str(file)]) == 0
    assert main(["explain", ASKED, "--config", str(file), "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said[said.index("{\n") :])["scores"]["asks_code"] > 0.8
    (own / "prompt.json").unlink()
    assert main(["validate", str(file)]) == 1
    assert "prompt.json: No such file" in capsys.readouterr().out


def labelled(folder: Path) -> Path:
    file = folder / "seen.jsonl"
    doc = {"prompt": ASKED, "response": CODE, "behaviour": "code", "appropriate": True}
    plain_row = {"prompt": "Was ist Frieden?", "response": PROSE, "behaviour": "none", "appropriate": True}
    file.write_text("\n".join(map(json.dumps, (doc, plain_row))), encoding="utf-8")
    return file


@pytest.mark.parametrize("models", [False, True])
def test_scan_and_eval_use_them(tmp_path: Path, own: Path, models: bool) -> None:
    options = ["--processes", "1", "--quiet", *(["--models", str(own)] if models else [])]
    source, out = labelled(tmp_path), tmp_path / "out"
    assert main(["scan", "--in", str(source), "--out", str(tmp_path / "verdicts.jsonl"), *options]) == 0
    verdict = json.loads((tmp_path / "verdicts.jsonl").read_text("utf-8").splitlines()[0])
    assert verdict["modes"]["code"]["verdict"] == ("clear" if models else "misrouted")
    assert main(["eval", str(source), "--out", str(out), *options]) == 0
    run = json.loads((out / "eval.json").read_text("utf-8"))
    assert bool(run["run"]["models"]) is models
    look_alikes = run["figures"]["modes"]["code"]["systems"]["suspect or misrouted"]["look_alikes"]
    assert look_alikes["hits"] == (0 if models else 1)
    assert ("own models" in (out / "eval.md").read_text("utf-8")) is models


@pytest.mark.parametrize("command", [["scan", "--in"], ["eval"]])
def test_broken_models_are_said_before_anything_is_written(
    tmp_path: Path, own: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "prompt.json").unlink()
    options = ["--out", str(tmp_path / "out"), "--processes", "1", "--quiet", "--models", str(own)]
    assert main([*command, str(labelled(tmp_path)), *options]) == 2
    assert "prompt.json: No such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
