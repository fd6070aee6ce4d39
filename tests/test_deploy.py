"""What deploy/ says of the project is true: what needs no program from elsewhere to check.

One rule: names and numbers are read from the files that define them, so a change there fails here until deploy/ follows.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import yaml

from proxy.metric_table import METRICS

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHART = DEPLOY / "helm" / "chunkguard"
#: Metrics that no panel shows -> why.
NOT_SHOWN = {
    "chunkguard_moderations_total": "few routes ask an endpoint; by its own name in Explore",
    "chunkguard_deleted_responses_total": "matters only where a provider stores answers",
    "chunkguard_scans_total": "the characters say more",
}


def test_the_image_gets_every_package_that_the_wheel_holds() -> None:
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = set(re.findall(r"^COPY (\w+) \1$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line.startswith("!")}
    assert copied == packages
    assert packages | {"requirements", "pyproject.toml", "README.md", "LICENSE"} == sent
    assert {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= sent


def test_the_chart_is_of_this_version_and_carries_the_rules() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert about["version"] == about["appVersion"] == PROJECT["project"]["version"]
    assert (CHART / "files" / "rules.yml").read_bytes() == (DEPLOY / "prometheus" / "rules.yml").read_bytes()


def test_what_the_composition_mounts_is_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    paths = [DEPLOY / path for path in mounted if path.startswith(".")]
    assert len(paths) >= 5
    assert [str(path) for path in paths if not path.exists()] == []
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), "published beyond this machine"


def test_the_user_of_the_image_is_that_of_the_chart_and_no_root() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    deployment = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    assert f"runAsUser: {user[1]}\n" in deployment
    assert f"runAsGroup: {user[2]}\n" in deployment


def test_every_alert_is_explained() -> None:
    """`### Name` in the operations page: what it means, and what to do."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (Chunkguard\w+)\n(.*?)(?=^##)", page + "\n##", re.MULTILINE | re.DOTALL))
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert sections.keys() == alerts
    assert {name for name, text in sections.items() if "**Means:**" not in text or "**Do:**" not in text} == set()


def test_every_metric_is_shown_somewhere() -> None:
    """On the dashboard, or in a recording rule or an alert."""
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "chunkguard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"chunkguard_[a-z_]+", "\n".join([*queries, rules])))
    shown = {metric.name for metric in METRICS if {metric.name, f"{metric.name}_bucket"} & named}
    assert {metric.name for metric in METRICS} - shown == NOT_SHOWN.keys()
