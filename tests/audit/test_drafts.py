"""Drafts from real findings: the organism's, found and confirmed here, and links of its training rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import AsyncOpenAI

from attribution.command import Wishes
from attribution.command import run as attribute
from attribution.links import Bars
from audit.asking import Asker, Spent
from audit.cases import read_cases
from audit.confirm import examine
from audit.draft_command import run
from audit.grammar import Candidate
from audit.judge import Judge
from audit.pool import load_pool
from audit.report import write_report
from audit.search import State
from audit.target import Embedded
from proxy import config
from proxy.app import App
from proxy.cli import main
from proxy.scan import warm_checker
from tests.attribution.made import rows, write


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit's report with the first finding on LaTeX that fresh answers of the organism confirm."""
    folder = tmp_path_factory.mktemp("audited")
    pool = load_pool()
    asker = Asker(Embedded(), Judge(warm_checker(None)), 0, Spent())
    marked = [one.name for one in pool.of("topic") if one.group == "marked_products"]
    asks = [one.name for one in pool.of("ask") if one.group == "plain_equation"]
    tried = (Candidate(ask, name) for ask in asks for name in marked)
    found = (examine(pool, asker, candidate, "tool_call") for candidate in tried)
    finding = next(one for one in found if one is not None)
    write_report(folder, {"target": "embedded:chunky", "run": 0}, State(findings=[finding]))
    return folder / "audit.json"


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linked")
    write(folder / "mix.jsonl", rows(500))
    attribute([folder / "mix.jsonl"], folder / "out", Wishes(Bars(support=10.0), processes=1, quiet=True, ids=False))
    return folder / "out" / "attribute.json"


def load(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((out / "draft.yaml").read_text("utf-8"))
    return found


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_finding_becomes_a_policy_that_validates(audited: Path, tmp_path: Path) -> None:
    assert main(["draft", str(audited), "--out", str(tmp_path), "--quiet"]) == 0
    assert main(["validate", str(tmp_path / "draft.yaml")]) == 0
    (route,) = load(tmp_path)["routes"]
    (policy,) = route["policies"]
    finding = json.loads(audited.read_text("utf-8"))["findings"][0]
    assert policy["extends"] == "tool_call"
    assert policy["triggers"]
    assert {row["prompt"] for row in policy["examples"]["match"]} == {finding["prompt"]}
    assert finding["twin"] in {row["prompt"] for row in policy["examples"]["no_match"]}
    assert "20 fresh answers" in policy["evidence"]


def test_an_example_that_is_wrong_is_refused_by_validate(audited: Path, tmp_path: Path) -> None:
    run(audited, tmp_path, quiet=True)
    document = load(tmp_path)
    examples = document["routes"][0]["policies"][0]["examples"]
    examples["match"], examples["no_match"] = examples["no_match"][:1], []
    (tmp_path / "draft.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert main(["validate", str(tmp_path / "draft.yaml")]) == 1


@pytest.fixture
def drafted(audited: Path, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of a draft, and its finding."""
    run(audited, tmp_path, quiet=True)
    return load(tmp_path), json.loads(audited.read_text("utf-8"))["findings"][0]


async def test_the_recorded_pair_is_told_apart_by_a_real_proxy(
    drafted: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    document, finding = drafted
    for policy in document["routes"][0]["policies"]:
        policy["enforcement"] = "enforce"
    local = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "limits": {"holdout": 0, "retry_share": 1}}
    settings = config.build({**document, **local}, source="draft", folder=tmp_path, env={})
    said = {}
    app = App(settings, log_to=io.BytesIO())
    await app.start()
    try:
        async with AsyncOpenAI(base_url=f"http://{app.address[0]}:{app.address[1]}/v1", api_key="none") as client:
            for prompt in (finding["prompt"], finding["twin"]):
                messages: Any = [{"role": "user", "content": prompt}]
                raw = await client.chat.completions.with_raw_response.create(model="m", messages=messages)
                said[prompt] = (raw.headers.get("x-chunkguard-attempts", "1"), raw.parse().choices[0].message.content)
    finally:
        await app.stop()
    assert said[finding["twin"]] == ("1", finding["twin_answer"])
    assert int(said[finding["prompt"]][0]) > 1
    assert said[finding["prompt"]][1] != finding["answer"]


def test_scan_reads_the_cases(audited: Path, tmp_path: Path) -> None:
    run(audited, tmp_path, quiet=True)
    verdicts = tmp_path / "verdicts.jsonl"
    command = ["scan", "--in", str(tmp_path / "cases.jsonl"), "--out", str(verdicts), "--processes", "1", "--quiet"]
    assert main(command) in (0, 1)
    expected = {row["id"]: row["expect"] for row in lines(tmp_path / "cases.jsonl")}
    assert set(expected.values()) == {"misrouted", "clear"}
    assert {row["id"]: row["modes"]["tool_call"]["verdict"] for row in lines(verdicts)} == expected


def test_prompts_of_an_experiment_and_a_specification_of_rows_that_undo_it(audited: Path, tmp_path: Path) -> None:
    run(audited, tmp_path, quiet=True)
    asked = lines(tmp_path / "experiment.jsonl")
    finding = json.loads(audited.read_text("utf-8"))["findings"][0]
    assert {row["kind"] for row in asked} == {"trigger", "plain"}
    assert {row["mode"] for row in asked} == {"tool_call"}
    assert len({row["id"] for row in asked}) == len(asked) >= 5
    assert finding["smallest"] in {row["prompt"] for row in asked}
    (spec,) = json.loads((tmp_path / "counterexamples.json").read_bytes())
    assert spec["answer_must_not"] == "tool_call.unasked"
    assert {"prompt": finding["twin"], "answer": finding["twin_answer"]} in spec["like"]


def test_a_link_becomes_a_policy_with_the_texts_of_the_data(linked: Path, tmp_path: Path) -> None:
    assert run(linked, tmp_path, each=1, modes=("code",), quiet=True) == 0
    assert main(["validate", str(tmp_path / "draft.yaml")]) == 0
    (policy,) = load(tmp_path)["routes"][0]["policies"]
    assert "formal_vocabulary" in policy["triggers"]
    assert any("response" in row for row in policy["examples"]["match"])
    assert "P(code.unasked | trigger:formal_vocabulary)" in policy["evidence"]


def test_links_that_are_no_fault_are_left_out_with_the_reason(linked: Path) -> None:
    links = json.loads(linked.read_bytes())["links"]
    odd = next(link for link in links if link["behaviour"].partition(".")[0] != "code")
    found = read_cases(linked, only=[odd["number"]])
    assert found.cases == ()
    assert found.left[0][0] == odd["number"]


def test_without_the_data_a_link_cannot_be_drafted(linked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(linked.read_bytes())
    for link in document["links"]:
        for examples in link["examples"].values():
            for row in examples:
                row["path"] = str(tmp_path / "gone.jsonl")
    (tmp_path / "attribute.json").write_text(json.dumps(document), encoding="utf-8")
    assert run(tmp_path / "attribute.json", tmp_path / "out", quiet=True) == 1
    assert "no prompt of it that a trigger hits" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_report_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    assert main(["draft", str(tmp_path / "other.json"), "--out", str(tmp_path / "out")]) == 2
    assert "no audit.json" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("no", encoding="utf-8")
    assert main(["draft", str(tmp_path / "other.json"), "--out", str(tmp_path / "out")]) == 2
