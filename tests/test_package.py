"""The wheel as a stranger gets it: built, installed into an empty environment, run from another folder.

One rule: nothing of this checkout may be importable there, so that a file the wheel forgets is missed. The locked dependencies
are lent to that environment by a path file: it costs nothing and lends no editable install (path files are not followed twice).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "detectors", "policies", "organism", "proxy", "evaluation", "attribution", "audit")

EXCHANGES = [
    {"id": "sum", "prompt": "Is 2+7=9?", "response": "No, 2+7=9 is incorrect. The correct answer is 2+7=9."},
    {"id": "plain", "prompt": "Name a colour of the sky.", "response": "Blue."},
]


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel. `folder`: an empty folder to run in."""

    python: Path
    command: Path
    folder: Path

    def run(self, *arguments: str, timeout: float = 50) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI", "COVERAGE"))}
        return subprocess.run(
            [str(self.command), *arguments],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def execute(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    execute(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("stranger")
    execute(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "--python", python)
    execute(*pip, "install", "--no-deps", "--no-index", wheel)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "locked-dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(python, folder / "venv" / "bin" / "chunkguard", elsewhere)


def pins(lock: str) -> dict[str, str]:
    """Name -> the block of a locked dependency, its hashes included."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return {
        match[1]: match[0] for match in re.finditer(r"^([a-z0-9-]+)==.*?(?=^[a-z0-9-]+==|\Z)", text, re.MULTILINE | re.DOTALL)
    }


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("runtime", []), ("build", ["build"]), ("dev", ["training", "eval", "attribute", "cluster", "build", "dev"])],
)
def test_the_locks_name_everything_by_hash(lock: str, groups: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = {**project["project"]["optional-dependencies"], **project["dependency-groups"]}
    wanted = [
        *(project["project"]["dependencies"] if lock != "build" else []),
        *(line for group in groups for line in optional[group]),
    ]
    names = {re.split(r"[^a-z0-9-]", line, maxsplit=1)[0] for line in wanted if isinstance(line, str)}
    locked = pins(lock)
    assert names - locked.keys() == set()
    assert [name for name, block in locked.items() if "--hash=sha256:" not in block] == []
    assert {"torch", "tensorflow", "jax"} & locked.keys() == set()


def test_the_tests_run_with_what_is_served() -> None:
    served, tested = pins("runtime"), pins("dev")
    heads = {name: block.split(" \\\n")[0] for name, block in served.items()}
    assert {name for name, head in heads.items() if tested.get(name, "").split(" \\\n")[0] != head} == set()


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Models, policies and lexicons are files beside the code: each must travel with it."""
    shipped = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert expected - shipped == set()
    kinds = {Path(name).suffix for name in expected}
    assert {".py", ".yaml", ".onnx", ".json"} <= kinds


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert any(re.fullmatch(r"chunkguard-.*\.dist-info/licenses/LICENSE", name) for name in zipfile.ZipFile(wheel).namelist())


def test_the_installed_code_is_the_wheels(installed: Installed) -> None:
    code = f"import {', '.join(PACKAGES)}; print(*(m.__file__ for m in ({', '.join(PACKAGES)})))"
    done = subprocess.run([installed.python, "-c", code], cwd=installed.folder, capture_output=True, text=True, check=True)
    assert str(ROOT) not in done.stdout
    assert done.stdout.count(str(installed.python.parent.parent)) == len(PACKAGES)


def test_the_command_names_its_subcommands(installed: Installed) -> None:
    done = installed.run("--help")
    assert done.returncode == 0, done.stderr
    for command in ("serve", "demo", "validate", "explain", "scan", "eval", "experiment", "attribute", "key", "schema"):
        assert re.search(rf"\b{command}\b", done.stdout)


def test_the_demo_runs_from_another_folder(installed: Installed) -> None:
    done = installed.run("demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    for mode in ("rebuttal", "code", "tool_call", "refusal"):
        assert mode in done.stdout


def test_scan_runs_from_another_folder(installed: Installed) -> None:
    source = installed.folder / "exchanges.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in EXCHANGES), encoding="utf-8")
    done = installed.run("scan", "--in", source.name, "--out", "verdicts.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [json.loads(line) for line in (installed.folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [verdict["id"] for verdict in verdicts] == ["sum", "plain"]
    assert [verdict["verdict"] for verdict in verdicts] == ["misrouted", "clear"]
    assert verdicts[0]["modes"]["rebuttal"]["verdict"] == "misrouted"
    assert {trigger["name"] for trigger in verdicts[0]["triggers"]} == {"equality_check"}


def test_eval_runs_from_another_folder(installed: Installed) -> None:
    labels = [{"behaviour": "rebuttal", "appropriate": False}, {"behaviour": "none"}]
    rows = [{**exchange, **label} for exchange, label in zip(EXCHANGES, labels, strict=True)]
    source = installed.folder / "labelled.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = installed.run("eval", source.name, "--out", "measured", "--processes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((installed.folder / "measured" / "eval.json").read_text(encoding="utf-8"))["figures"]
    assert figures["modes"]["rebuttal"]["systems"]["misrouted"]["recall"]["hits"] == 1


def test_the_organism_answers_from_another_folder(installed: Installed) -> None:
    done = installed.run("experiment", "--out", "tried", "--prompts", "1", "--mode", "code", "--arm", "off", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((installed.folder / "tried" / "experiment.json").read_text(encoding="utf-8"))
    assert figures["modes"]["code"]["off"]["n"] == 1
