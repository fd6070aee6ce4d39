"""Experiments as a whole: every file of the report, a run that goes on, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.experiment.command import STATE, Asked, Limits, experiment, run
from evaluation.experiment.upstream import from_url
from proxy.cli import main
from tests.evaluation.experiment.servers import organism_server, write_rows
from tests.proxy.fake_upstream import FakeUpstream, failing, plain

FILES = {
    "experiment.json", "experiment.md", "experiment.html", "experiment.csv", "trials.csv", STATE,
    "rates.png", "gains.png", "breaks.png", "costs.png",
}  # fmt: skip
SMALL = Asked(prompts=2, arms=("off", "full"), modes=("code",))


def test_it_writes_every_file_and_goes_on(tmp_path: Path) -> None:
    assert experiment(tmp_path, SMALL, Limits(most=3), quiet=True) == 0
    assert json.loads((tmp_path / "experiment.json").read_text("utf-8"))["missing"]["unasked"] > 0
    assert experiment(tmp_path, SMALL, Limits(), quiet=True) == 0
    assert {file.name for file in tmp_path.iterdir()} == FILES
    found = json.loads((tmp_path / "experiment.json").read_text("utf-8"))
    assert found["modes"]["code"]["off"]["n"] == 2
    assert found["missing"] == {"failed": 0, "unasked": 0, "reasons": {}}
    assert found["agreement"]["all"]["share"] > 0.5
    page = (tmp_path / "experiment.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert "McNemar" in page
    assert 'src="http' not in page
    assert experiment(tmp_path, Asked(prompts=2, arms=("off", "full"), modes=("code",), seed=9), Limits(), quiet=True) == 2


def test_the_tuning_half_shares_no_prompt_with_the_test_half(tmp_path: Path) -> None:
    other = Asked(prompts=2, arms=("off",), modes=("code",), half="tuning")
    found, stopped = run(tmp_path, other, Limits(most=1))
    assert (found["overall"] != {} or found["parts"] != {}, stopped) == (True, False)
    header = json.loads((tmp_path / STATE).read_bytes().split(b"\n")[0])
    assert header["half"] == "tuning"


@pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use
async def test_own_prompts_any_server_and_a_judge_that_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-judge")
    rubric = tmp_path / "rubric.md"
    rubric.write_text("Be strict.", encoding="utf-8")
    async with organism_server() as url, FakeUpstream([plain('{"outcome": "broken"}')]).serving() as judge:
        command = [
            "experiment", "--out", str(tmp_path / "out"), "--upstream", url, "--model", "chunky", "--arm", "off",
            "--arm", "full", "--stream",
            "--data", str(write_rows(tmp_path / "own.jsonl")), "--judge", "openai/judge", "--judge-url", judge.url,
            "--judge-key-env", "JUDGE_KEY", "--rubric", str(rubric), "--quiet",
        ]  # fmt: skip
        assert await asyncio.to_thread(main, command) == 0
    assert {seen.doc["messages"][0]["content"] for seen in judge.seen} == {"Be strict."}
    found = json.loads((tmp_path / "out" / "experiment.json").read_text("utf-8"))
    assert found["settings"]["judged_by"] == "reader"
    assert set(found["parts"]) == {"twin", "plain", "ordinary", "harm", "false_premise", "tools"}
    assert found["parts"]["ordinary"]["off"]["broken_answers"] == 1
    assert found["spent"]["calls"] >= 2 * len(judge.seen)
    written = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    assert b"sk-judge" not in written


async def test_a_server_that_answers_nothing_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeUpstream([failing(401)]).serving() as fake:
        asked = Asked(file=write_rows(tmp_path / "own.jsonl"), upstream=from_url(fake.url), arms=("off",))
        status = await asyncio.to_thread(experiment, tmp_path / "out", asked, Limits(), quiet=True)
    assert status == 2
    assert "answers are missing (status 401)" in capsys.readouterr().err


def test_ctrl_c_leaves_a_report_and_a_state_that_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy.cli", "experiment", "--out", str(tmp_path), "--prompts", "90", "--mode", "code"]
    process = subprocess.Popen([*command, "--arm", "off"], stderr=subprocess.PIPE, text=True)
    state = tmp_path / STATE
    try:
        for _ in range(300):
            if state.exists() and len(state.read_bytes().splitlines()) > 3:
                break
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "stopped; see" in said
    assert "Traceback" not in said
    found = json.loads((tmp_path / "experiment.json").read_text("utf-8"))
    before = sum(row["n"] for row in (found["overall"].get("off", {"n": 0}), *(p["off"] for p in found["parts"].values() if p)))
    assert before >= 3
    assert state.read_bytes().endswith(b"\n")
