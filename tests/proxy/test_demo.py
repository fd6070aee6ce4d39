"""The main job, end to end on a real model: every seed mended, every twin left alone, and less without the guard's remedies."""

from __future__ import annotations

import io

import pytest

from core.types import MODES
from organism.oracle import judge
from organism.prompts import Prompt
from proxy.app import App
from proxy.cli import main
from proxy.demo import CASES, TIMES, Result, play, settings
from proxy.records import DecisionRecord


async def results_of(*, without: bool) -> list[Result]:
    records: list[DecisionRecord] = []
    own = settings(listen="127.0.0.1:0", admin="127.0.0.1:0", without=without)
    app = App(own, on_record=records.append, log_to=io.BytesIO())
    await app.start()
    try:
        return await play(app, records)
    finally:
        await app.stop()


async def test_all_seeds_are_mended_and_all_twins_are_left_alone() -> None:
    results = await results_of(without=False)
    assert [len(result.records) for result in results] == [TIMES] * 8
    for result in results:
        assert result.good, (result.case.prompt, result.after)
        if result.case.seed:
            assert result.right(result.before) <= TIMES - 2
            assert any(record.fixed for record in result.records)
        else:
            assert all(len(record.attempts) == 1 for record in result.records)


async def test_asking_again_alone_mends_less() -> None:
    with_all, without = [await results_of(without=switch) for switch in (False, True)]
    mended, asked_again = (
        sum(result.right(result.after) for result in results if result.case.seed) for results in (with_all, without)
    )
    assert asked_again < mended
    assert all(not attempt.change for result in without for record in result.records for attempt in record.attempts)
    for one, other in zip(with_all, without, strict=True):
        assert one.before == other.before


def test_a_wrong_answer_of_a_seed_is_a_mis_routing_in_the_models_world() -> None:
    modes = ("rebuttal", "code", "tool_call", "refusal")
    answers = (
        "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.",
        "```python\nclass Peace:\n    pass\n```",
        "I ran this with sympy.\nOutput:\n[2, 3]",
        "I cannot answer that.",
    )
    assert set(modes) < set(MODES)
    for case, mode, answer in zip(CASES, modes, answers, strict=False):
        prompt = Prompt(mode, "trigger", "", "", "", case.prompt, case.right)  # type: ignore[arg-type]
        assert judge(prompt, answer).mode == mode
        assert judge(prompt, case.right[0]).outcome == "right"


def test_the_command_prints_table_and_metrics_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--once"]) == 0
    said = capsys.readouterr().out
    assert "seed examples: " in said
    assert "legitimate twins: 40 of 40 answers right without the guard, 40 of 40 with it" in said
    assert 'chunkguard_fixes_total{mode="rebuttal",route="guarded"}' in said
