"""The other files of deployment, each read by the program or the schema that it is written for.

One rule: nothing is only parsed. hadolint, systemd, the compose schema, actionlint and cyclonedx say what they think.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.system.programs import program

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def told(*command: str | Path, cwd: Path = ROOT) -> tuple[int, str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout + done.stderr


def test_hadolint_finds_no_fault() -> None:
    assert told(program("hadolint"), DEPLOY / "Dockerfile") == (0, "")


def test_the_composition_has_the_shape_of_one() -> None:
    status, said = told(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert status == 0, said


def test_actionlint_finds_no_fault() -> None:
    assert WORKFLOWS
    assert told(program("actionlint"), *WORKFLOWS) == (0, "")


def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    unit = (DEPLOY / "chunkguard.service").read_text(encoding="utf-8")
    file = tmp_path / "chunkguard.service"
    file.write_text(unit.replace("/opt/chunkguard/bin/chunkguard", "/bin/true"), encoding="utf-8")
    assert told(program("systemd-analyze"), "verify", file) == (0, "")
    _, said = told(program("systemd-analyze"), "security", "--offline=yes", file)
    exposure = re.search(r"Overall exposure level for chunkguard.service: ([0-9.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= 2.0, said


def test_the_bill_of_materials_names_what_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    status, said = told(
        program("make"), "sbom", f"SBOM={file}", f"BIN={Path(program('cyclonedx-py')).parent}", "-o", "deploy-tools"
    )
    assert status == 0, said
    made = json.loads(file.read_text(encoding="utf-8"))
    locked = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", (ROOT / "requirements/image.lock").read_text("utf-8"), re.MULTILINE)
    assert made["bomFormat"] == "CycloneDX"
    assert made["metadata"]["component"]["name"] == "chunkguard"
    assert {(part["name"], part["version"]) for part in made["components"]} == set(locked)
    assert all(part["purl"] and part["externalReferences"][0]["hashes"] for part in made["components"])
