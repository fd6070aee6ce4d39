"""Metrics: everything comes from records, and no client can make a series."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.metric_table import METRICS
from proxy.metrics import MAX_COUNTED, Metrics
from proxy.records import AttemptRecord, DecisionRecord, FindingRecord, Place, Seconds

ATTEMPT = AttemptRecord(1, (), False, "clear", True, "", 100, 50, False)
USUAL = DecisionRecord(
    "d1",
    1.0,
    "default",
    "chat_completions",
    status=200,
    outcome="answered",
    verdict="clear",
    first_verdict="clear",
    triggers=(Place("latex_math", 0, 1, 4), Place("latex_math", 0, 6, 9)),
    attempts=(ATTEMPT,),
    chosen=1,
    hold="all",
    seconds=Seconds(0.002, 0.8, 0.0003, 0.9),
    scanned_characters=2000,
    scans=2,
)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    made.configure("rev1", routes=["default"], policies=["code"], triggers=["own_trigger"])
    return made


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label values}` -> value, labels in the order of METRICS; without buckets and times of creation."""
    labels = {metric.name.removesuffix("_total"): metric.labels for metric in METRICS}
    return {
        f"{sample.name}{{{','.join(sample.labels[label] for label in labels[family.name])}}}": sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_a_usual_record_counts_everything_it_says(metrics: Metrics) -> None:
    metrics.observe(USUAL)
    got = samples(metrics)
    assert got == {
        "chunkguard_requests_total{default,chat_completions,false,answered,2xx}": 1,
        "chunkguard_triggers_total{default,latex_math}": 1,
        "chunkguard_verdicts_total{default,clear}": 1,
        "chunkguard_actions_total{default,observe}": 1,
        "chunkguard_attempts_total{default,none,clear}": 1,
        "chunkguard_holds_total{default,all,false}": 1,
        "chunkguard_tokens_total{default,prompt,true}": 100,
        "chunkguard_tokens_total{default,completion,true}": 50,
        "chunkguard_scans_total{default}": 2,
        "chunkguard_scanned_characters_total{default}": 2000,
        "chunkguard_observer_shed_total{}": 0,
        "chunkguard_cpu_seconds_total{}": 0,
        "chunkguard_worker_restarts_total{}": 0,
        "chunkguard_request_seconds_count{default}": 1,
        "chunkguard_request_seconds_sum{default}": 0.9,
        "chunkguard_upstream_seconds_count{default}": 1,
        "chunkguard_upstream_seconds_sum{default}": 0.8,
        "chunkguard_added_seconds_count{default}": 1,
        "chunkguard_added_seconds_sum{default}": 0.002,
        "chunkguard_detector_seconds_count{default}": 1,
        "chunkguard_detector_seconds_sum{default}": 0.0003,
        "chunkguard_policy_revision_info{rev1}": 1,
    }


def test_records_that_are_alike_add_up_to_the_same_as_each_alone(metrics: Metrics) -> None:
    relayed = dataclasses.replace(USUAL, outcome="relayed", hold="none", triggers=())
    longer = dataclasses.replace(ATTEMPT, prompt_tokens=7, completion_tokens=0)
    unlike = [
        relayed,
        dataclasses.replace(relayed, attempts=(longer,), scanned_characters=1, scans=1, seconds=Seconds(9.0, 9.0, 9.0, 999.0)),
        dataclasses.replace(relayed, streamed=True),
        dataclasses.replace(relayed, status=500),
        dataclasses.replace(relayed, attempts=(), chosen=0),
        dataclasses.replace(relayed, attempts=(dataclasses.replace(ATTEMPT, verdict="unjudged"),), verdict="unjudged"),
        dataclasses.replace(relayed, attempts=(dataclasses.replace(ATTEMPT, change=("boundary",)),)),
        dataclasses.replace(relayed, attempts=(dataclasses.replace(ATTEMPT, failure="timeout"),), outcome="failed"),
        dataclasses.replace(relayed, holdout=True),
        DecisionRecord("d", 1.0, "default", "models", status=200),
        USUAL,
    ] * 3  # fmt: skip
    one_by_one = Metrics()
    one_by_one.configure("rev1", routes=["default"], policies=["code"], triggers=["own_trigger"])
    for record in unlike:
        metrics.observe(record)
        one_by_one.observe(record)
        one_by_one.exposition()
    assert samples(metrics) == pytest.approx(samples(one_by_one))
    assert samples(metrics)["chunkguard_tokens_total{default,prompt,true}"] == 3 * (8 * 100 + 7)


def test_what_went_wrong_and_what_was_mended_is_counted(metrics: Metrics) -> None:
    finding = FindingRecord(1, 0, "code", "misrouted", 0.9, "code", True, ())
    metrics.observe(
        dataclasses.replace(
            USUAL,
            first_verdict="misrouted",
            findings=(finding, dataclasses.replace(finding, choice=1), dataclasses.replace(finding, attempt=2)),
            attempts=(
                dataclasses.replace(ATTEMPT, verdict="misrouted"),
                dataclasses.replace(ATTEMPT, number=2, change=("boundary", "neutralise")),
                AttemptRecord(3, ("probe",), True, "unjudged", False, "timeout", 0, 0, True),
                AttemptRecord(4, (), False, "unjudged", False, "budget", 0, 0, False),
            ),
            chosen=2,
            fixed=("code",),
            worse=("math",),
            unchecked=("code",),
            flagged=True,
            holdout=True,
            hold_expired=True,
            moderation="benign",
            action="retry",
        )
    )
    metrics.shed(3)
    metrics.deleted("default", "failed")
    got = samples(metrics)
    expected = {
        "chunkguard_findings_total{default,code,misrouted,code}": 1,
        "chunkguard_fixes_total{default,code}": 1,
        "chunkguard_made_worse_total{default,math}": 1,
        "chunkguard_unchecked_total{default,code}": 1,
        "chunkguard_flagged_total{default}": 1,
        "chunkguard_moderations_total{default,benign}": 1,
        "chunkguard_deleted_responses_total{default,failed}": 1,
        "chunkguard_holdout_total{default,clear}": 1,
        "chunkguard_holds_total{default,all,true}": 1,
        "chunkguard_actions_total{default,retry}": 1,
        "chunkguard_attempts_total{default,none,misrouted}": 1,
        "chunkguard_attempts_total{default,boundary+neutralise,clear}": 1,
        "chunkguard_attempts_total{default,probe,failed}": 1,
        "chunkguard_failures_total{default,timeout}": 1,
        "chunkguard_failures_total{default,budget}": 1,
        "chunkguard_retries_denied_total{default}": 1,
        "chunkguard_tokens_total{default,prompt,false}": 100,
        "chunkguard_tokens_total{default,prompt,true}": 100,
        "chunkguard_observer_shed_total{}": 3,
    }
    assert {name: got.get(name) for name in expected} == expected
    assert "chunkguard_attempts_total{default,none,unjudged}" not in got


def test_what_no_policy_saw_is_a_request_and_no_verdict(metrics: Metrics) -> None:
    metrics.observe(DecisionRecord("d", 1.0, "default", "models", status=200))
    got = samples(metrics)
    assert got["chunkguard_requests_total{default,models,false,untouched,2xx}"] == 1
    assert not any(name.startswith(("chunkguard_verdicts", "chunkguard_added_seconds_count")) for name in got)


def series(metrics: Metrics) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(metrics.exposition().decode()))


def held(metrics: Metrics) -> int:
    """Everything of which the metrics keep one for each name they were told."""
    own = vars(metrics)
    return sum(len(own[name]) for name in ("_usual", "_times", "_counted", "_shown", "_spreads"))


def junk(number: int) -> DecisionRecord:
    word: Any = f"junk-{number}"
    finding = FindingRecord(1, 0, word, word, 0.9, word, True, ())
    return dataclasses.replace(
        USUAL,
        route=word,
        endpoint=f"/v1/{word}",
        outcome=word,
        status=number,
        verdict=word,
        action=word,
        hold=word,
        triggers=(Place(word, 0, 0, 1),),
        attempts=(dataclasses.replace(ATTEMPT, change=(word,), verdict=word, failure=word),),
        findings=(finding,),
        fixed=(word,),
        worse=(word,),
        unchecked=(word,),
        moderation=word,
        holdout=True,
    )


def test_ten_thousand_strangers_add_no_series_and_no_memory(metrics: Metrics) -> None:
    for number in range(600):  # all classes of status
        metrics.observe(junk(number))
    before, kept = series(metrics), held(metrics)
    for number in range(600, 10_600):
        metrics.observe(junk(number))
        assert held(metrics) <= kept + 3 * MAX_COUNTED
    assert (series(metrics), held(metrics)) == (before, kept)
    assert samples(metrics)["chunkguard_verdicts_total{other,other}"] == 10_600


def test_a_new_configuration_brings_its_names_and_its_revision(metrics: Metrics) -> None:
    record = dataclasses.replace(USUAL, route="late", triggers=(Place("own_trigger", 0, 0, 1),))
    metrics.observe(record)
    metrics.configure("rev2", routes=["late"])
    metrics.observe(record)
    got = samples(metrics)
    assert (got["chunkguard_verdicts_total{other,clear}"], got["chunkguard_verdicts_total{late,clear}"]) == (1, 1)
    assert got["chunkguard_triggers_total{late,own_trigger}"] == 1
    assert [name for name in got if "revision" in name] == ["chunkguard_policy_revision_info{rev2}"]


def test_observing_a_usual_record_is_cheap(metrics: Metrics) -> None:
    """3 us on an idle core; the bar here leaves room for a busy one."""
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(300):
            metrics.observe(USUAL)
        best = min(best, time.perf_counter() - start)
    assert best / 300 < 60e-6
