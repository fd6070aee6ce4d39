"""The Helm chart, rendered by Helm's own engine, and every manifest checked against the schemas of Kubernetes.

One rule: what is checked is what a cluster would get, under the defaults and with every switch in its other position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import Chart
from helm_python.chart import lint

from proxy import config

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

CHART = Path(__file__).resolve().parent.parent.parent / "deploy" / "helm" / "chunkguard"
#: The oldest that the chart says it runs on, and the newest that there are schemas of.
VERSIONS = ("1.27", "1.31", kubernetes_validate.latest_version())
#: Kinds of the Prometheus operator: no schema of Kubernetes has them.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
VALUES: dict[str, dict[str, Any]] = {
    "default": {"existingSecret": "keys"},
    "everything": {
        "existingSecret": "keys",
        "imagePullSecrets": [{"name": "registry"}],
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}, "rules": {"enabled": True}},
        "networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "bot"}}}], "upstreamPorts": [443, 8443]},
        "podDisruptionBudget": {"maxUnavailable": "25%"},
        "service": {"type": "LoadBalancer"},
        "serviceAccount": {"annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "config": {"workers": 2, "keys": {"bot": "${BOT_KEY}"}, "limits": {"holdout": 0.02}},
    },
    "nothing": {
        "existingSecret": "keys",
        "autoscaling": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
    },
}


def manifests(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with Chart.load(CHART) as chart:
        chart.validate_schema(values)
        for name, text in chart.render(values, name="guard", namespace="llm").items():
            if name.endswith(".yaml"):
                yield from (document for document in yaml.safe_load_all(text) if document)


def by_kind(values: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in manifests(values):
        found.setdefault(manifest["kind"], []).append(manifest)
    return found


@pytest.mark.parametrize("case", VALUES)
def test_helm_finds_no_fault(case: str) -> None:
    told = lint(CHART, VALUES[case])
    assert told["errors"] == []
    assert [message for message in told["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", VALUES)
def test_kubernetes_would_take_every_manifest(case: str, version: str) -> None:
    checked = 0
    for manifest in manifests(VALUES[case]):
        if manifest["kind"] not in FOREIGN:
            kubernetes_validate.validate(manifest, version, strict=True)
            checked += 1
    assert checked >= 4


def test_a_broken_manifest_is_seen() -> None:
    (deployment,) = by_kind(VALUES["default"])["Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["portz"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_the_switches_switch() -> None:
    kinds = {case: set(by_kind(values)) for case, values in VALUES.items()}
    always = {"ConfigMap", "Deployment", "Service"}
    assert kinds["nothing"] == always
    assert kinds["default"] == always | {"ServiceAccount", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}
    assert kinds["everything"] == kinds["default"] | FOREIGN


@pytest.mark.parametrize("case", VALUES)
def test_the_parts_find_each_other(case: str) -> None:
    found = by_kind(VALUES[case])
    (deployment,) = found["Deployment"]
    pod = deployment["spec"]["template"]
    labels, (container,) = pod["metadata"]["labels"], pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for service in found["Service"]:
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    for monitor in found.get("ServiceMonitor", []):
        (service,) = [
            service
            for service in found["Service"]
            if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        ]
        assert {end["port"] for end in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "chunkguard"  # the job that the alerts ask for
    for scaler in found.get("HorizontalPodAutoscaler", []):
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= 5 + 30  # preStop, then what a stop may take
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.parametrize("case", VALUES)
def test_the_proxy_takes_the_configuration_of_the_chart(case: str, tmp_path: Path) -> None:
    (deployed,) = by_kind(VALUES[case])["ConfigMap"]
    text = deployed["data"]["chunkguard.yaml"]
    env = {name: f"a-key-{name.lower()}-of-some-length" for name in re.findall(r"\$\{([A-Z_]+)\}", text)}
    settings = config.parse(text, source="chart", folder=tmp_path, env=env)
    assert (settings.config.listen, settings.config.admin) == ("0.0.0.0:8800", "0.0.0.0:8801")
    assert settings.config.admin_key is not None
    assert "a-key" not in text


WRONG: dict[str, dict[str, Any]] = {
    "no secret": {},
    "unknown value": {"existingSecret": "s", "replicas": 3},
    "address": {"existingSecret": "s", "config": {"listen": "0.0.0.0:1"}},
    "no disruption allowed": {"existingSecret": "s", "podDisruptionBudget": {"maxUnavailable": 0}},
    "short grace": {"existingSecret": "s", "terminationGracePeriodSeconds": 5},
    "port": {"existingSecret": "s", "service": {"port": 70000}},
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_refused(case: str) -> None:
    with pytest.raises(Exception, match=r"existingSecret|schema|replicas|listen|maxUnavailable|termination|port"):
        list(manifests(WRONG[case]))
