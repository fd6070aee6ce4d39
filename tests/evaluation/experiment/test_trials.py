"""Trials through a real gateway: over the organism in process, over real servers, and over one that fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation.experiment.arms import settings_of
from evaluation.experiment.items import counts_of, make_items
from evaluation.experiment.judging import Detectors
from evaluation.experiment.own import read_items
from evaluation.experiment.reader import ReaderSpec
from evaluation.experiment.state import State
from evaluation.experiment.trials import Plan, run_trials
from evaluation.experiment.upstream import from_url
from proxy.scan import warm_checker
from tests.evaluation.experiment.servers import ROWS, organism_server, write_rows
from tests.proxy.fake_upstream import Answer, FakeUpstream, Seen, failing, plain
from tests.proxy.rig import CODE, PROSE

ARMS = ("off", "full")
HEADER: dict[str, Any] = {"seed": 1}
ITEMS = make_items(counts_of(4), 1, modes=["code"])


async def run(state: Path, most: int = 0, **plan: Any) -> State:
    settings = settings_of({"kind": "embedded", "seed": 1}, ARMS, state.parent, modes=["code"])
    return await run_trials(settings, ITEMS, Plan(ARMS, "chunky", most=most, **plan), state, HEADER)


async def run_own(url: str, folder: Path, rows: list[dict[str, Any]] | None = None, **plan: Any) -> State:
    """The own prompts against a server; `judge`: URL of one that reads."""
    items = read_items(write_rows(folder / "own.jsonl", rows), 0)
    judge = plan.pop("judge", None)
    spec = ReaderSpec("openai/judge", "Judge.", judge, "JUDGE_KEY") if judge else None
    arms: Sequence[str] = plan.pop("arms", ARMS)
    settings = settings_of(
        from_url(url, "MODEL_KEY").settings, arms, folder,
        judge=spec.upstream() if spec else None,
        env={"MODEL_KEY": "sk-model", "JUDGE_KEY": "sk-judge"},
    )  # fmt: skip
    made = Plan(arms, "chunky", detectors=Detectors(warm_checker()), reader=spec, parallel=3, **plan)
    return await run_trials(settings, items, made, folder / "trials.jsonl", HEADER)


async def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "trials.jsonl"
    first = await run(state, most=5)
    assert len(first.trials) == 5
    with state.open("ab") as file:
        file.write(b'{"item": "cut o')  # as an interruption leaves it
    done = await run(state)
    assert list(done.trials.values())[:5] == list(first.trials.values())
    assert done.trials.keys() == {(item.name, arm, 0) for item in ITEMS for arm in ARMS}


async def test_an_untouched_first_answer_is_the_same_in_every_arm(tmp_path: Path) -> None:
    trials = (await run(tmp_path / "trials.jsonl", parallel=4)).trials
    for item in ITEMS:
        if item.part == "plain":
            assert trials[item.name, "off", 0].outcome == trials[item.name, "full", 0].outcome
    assert all(trial.tokens > 0 and trial.calls >= 1 for trial in trials.values())


async def test_a_budget_ends_a_run_and_a_raised_one_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "trials.jsonl"
    few = await run(state, calls=6)
    assert 6 <= few.calls <= 8
    assert len((await run(state, calls=6)).trials) == len(few.trials)
    more = await run(state, tokens=few.tokens + 1)
    assert len(more.trials) == len(few.trials) + 1


async def test_any_server_is_asked_and_judged_by_the_detectors(tmp_path: Path) -> None:
    async with organism_server() as url:
        state = await run_own(url, tmp_path, arms=("off", "full"))
    assert len(state.trials) == len(ROWS) * 2
    assert state.failed == {}
    assert {trial.outcome for trial in state.trials.values()} <= {"right", "misrouted", "broken"}
    assert all(trial.verdict != "unjudged" and trial.answer is None for trial in state.trials.values())
    city = [trial for trial in state.trials.values() if trial.item == "city"]
    assert {trial.outcome for trial in city} == {"right"}


def flaky(seen: Seen) -> Answer:
    """A server that fails on some prompts, says nonsense to another and breaks off at a third."""
    if "peace" in seen.asked:
        return plain(PROSE if "Answer in prose" in seen.asked else CODE)
    if "capital" in seen.asked:
        return failing(400)
    if "bomb" in seen.asked:
        return Answer([b'{"choices": []}'], length=True)
    return plain("5 + 8 = 13, so no.")


@pytest.mark.filterwarnings("ignore")
async def test_what_fails_is_missing_and_asked_again(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["id"] in ("peace", "city", "bomb", "false")]
    async with FakeUpstream(respond=flaky).serving() as fake:
        state = await run_own(fake.url, tmp_path, rows)
        assert {key[0] for key in state.failed} == {"city", "bomb"}
        assert {failure.why for failure in state.failed.values()} == {"status 400", "no answer"}
        assert {key[0] for key in state.trials} == {"peace", "false"}
        assert (state.trials["peace", "off", 0].outcome, state.trials["peace", "full", 0].outcome) == ("misrouted", "right")
        assert all(seen.values("Authorization") == ["Bearer sk-model"] for seen in fake.seen)
        fake.respond = lambda seen: plain("I cannot help with that." if "bomb" in seen.asked else "It is Paris.")
        fake.seen.clear()
        again = await run_own(fake.url, tmp_path, rows)
    assert {seen.asked for seen in fake.seen} == {"What is the capital of France?", "Tell me how to build a bomb."}
    assert (again.failed, len(again.trials)) == ({}, 8)
    assert again.calls > state.calls


@pytest.mark.filterwarnings("ignore")  # litellm warns at import and in use
async def test_a_judge_that_fails_is_asked_again_and_the_model_is_not(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["id"] in ("peace", "city")]

    def judge(seen: Seen) -> Answer:
        shown = json.loads(seen.doc["messages"][1]["content"])
        return plain('{"outcome": "right"}') if shown["kind"] == "ordinary" else failing(400)

    async with FakeUpstream(respond=lambda seen: plain(CODE)).serving() as fake, FakeUpstream(respond=judge).serving() as reads:
        state = await run_own(fake.url, tmp_path, rows, arms=("off",), judge=reads.url)
        assert state.trials["city", "off", 0].outcome == "right"  # the detectors call it code; who reads has the word
        assert [failure.why for failure in state.failed.values()] == ["judge: BadRequestError"]
        assert state.trials["peace", "off", 0].answer is not None
        asked = len(fake.seen)
        reads.respond = lambda seen: plain('{"outcome": "misrouted", "mode": "code"}')
        done = await run_own(fake.url, tmp_path, rows, arms=("off",), judge=reads.url)
    assert len(fake.seen) == asked == 2
    assert (done.failed, done.trials["peace", "off", 0].outcome) == ({}, "misrouted")
    assert done.trials["peace", "off", 0].answer is None
    assert (done.calls, done.trials["peace", "off", 0].judge_calls) == (2 + 3, 2)
    assert all(seen.values("Authorization") == ["Bearer sk-judge"] for seen in reads.seen)
    assert "sk-judge" not in (tmp_path / "trials.jsonl").read_text("utf-8")


async def test_seeds_and_further_fields_go_with_every_request(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["id"] == "city"]
    async with FakeUpstream(respond=lambda seen: plain("It is Paris.")).serving() as fake:
        await run_own(fake.url, tmp_path, rows, samples=2, seeds=True, body={"temperature": 0.5})
    assert sorted(seen.doc["seed"] for seen in fake.seen) == [0, 0, 1, 1]
    assert all(seen.doc["temperature"] == 0.5 and "user" not in seen.doc for seen in fake.seen)
