"""Which attributes are tried."""

from __future__ import annotations

from collections import Counter
from random import Random

from audit.grammar import Candidate
from audit.pool import load_pool
from audit.weights import Weights, uniform


def test_what_fails_is_tried_more_often_and_its_group_with_it() -> None:
    weights = Weights(load_pool())
    for number in range(1, 9):
        weights.add(Candidate("why_clause.1", f"animals.{number}"), 4, {"fiction": 3})
        weights.add(Candidate("plain_noun.1", f"virtues.{number}"), 4, {})
    drawn = Counter(weights.propose("fiction", Random(seed), {}).ask.split(".")[0] for seed in range(200))
    assert drawn["why_clause"] > 20  # of 28 groups, most of them not tried yet
    assert weights.mean("fiction", "why_clause", "why_clause.5") > weights.mean("fiction", "plain_noun") * 5
    other = Counter(weights.propose("code", Random(seed), {}).ask.split(".")[0] for seed in range(200))
    assert other["why_clause"] < drawn["why_clause"] / 3


def test_one_answer_proves_little() -> None:
    weights = Weights(load_pool())
    weights.add(Candidate("why_clause.1", "animals.1"), 1, {"fiction": 1})
    assert weights.mean("fiction", "why_clause", "why_clause.1") < 0.6


def test_a_handicap_keeps_a_group_back() -> None:
    weights = Weights(load_pool())
    for number in range(1, 9):
        weights.add(Candidate("why_clause.1", f"animals.{number}"), 4, {"fiction": 4})
    drawn = Counter(weights.propose("fiction", Random(seed), {"why_clause": 0.01}).ask.split(".")[0] for seed in range(100))
    assert drawn["why_clause"] < 10


def test_draws_follow_from_the_seed() -> None:
    weights = Weights(load_pool())
    assert weights.propose("code", Random(3), {}) == weights.propose("code", Random(3), {})
    assert uniform(load_pool(), Random(3)) == uniform(load_pool(), Random(3))


def test_the_control_arm_reaches_the_whole_pool() -> None:
    asks = {uniform(load_pool(), Random(seed)).ask for seed in range(3000)}
    assert len(asks) > 0.95 * len(load_pool().of("ask"))
