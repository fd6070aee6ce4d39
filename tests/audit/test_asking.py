"""Every call is counted, judged, and drawn by a seed of its own."""

from __future__ import annotations

from audit.asking import seed_of
from tests.audit.made import BAD, GOOD, Made, asker


def test_answers_are_counted_and_what_failed_is_missing() -> None:
    asking = asker(Made(lambda prompt: 1.0, fails_every=4))
    rates = asking.ask("x", 8, "first")
    assert (rates.n, rates.missing, rates.hits["code"]) == (6, 2, 6)
    assert (asking.spent.calls, asking.spent.tokens) == (8, 18)
    assert rates.failing == {"code": BAD}
    assert rates.passing == ""


def test_an_answer_that_passes_is_kept_as_an_example() -> None:
    assert asker(Made(lambda prompt: 0.0)).ask("x", 2, "first").passing == GOOD


def test_purposes_and_runs_have_draws_of_their_own() -> None:
    half = Made(lambda prompt: 0.5)
    same = [asker(half).ask("x", 40, "first").hits["code"] for _ in range(2)]
    assert same[0] == same[1]
    assert len({seed_of(run, purpose, "x", 0) for run in (0, 1) for purpose in ("first", "confirm")}) == 4
