"""The share of retries: a quiet proxy may retry, a busy one only its share, none where the share is 0."""

from __future__ import annotations

import pytest

from proxy import admission
from proxy.admission import QUIET_RETRIES, RetryShare


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(admission, "monotonic", lambda: now[0])
    return now


def taken(share: RetryShare, tries: int = 1000) -> int:
    return sum(share.take() for _ in range(tries))


def test_a_quiet_proxy_may_retry_so_often_and_is_then_denied() -> None:
    share = RetryShare(0.1)
    assert taken(share) == QUIET_RETRIES
    assert share.denied == 1000 - QUIET_RETRIES


def test_a_minute_of_silence_gives_it_all_back_and_no_more(clock: list[float]) -> None:
    share = RetryShare(0.1)
    taken(share)
    clock[0] += 30
    assert taken(share) == QUIET_RETRIES / 2
    clock[0] += 3600
    assert taken(share) == QUIET_RETRIES


def test_a_busy_proxy_may_retry_its_share(clock: list[float]) -> None:
    share = RetryShare(0.1)
    taken(share)
    granted = 0
    for _ in range(10_000):
        share.request()
        granted += share.take()
    assert granted == pytest.approx(1000, abs=2)


def test_requests_cannot_save_up_for_a_storm() -> None:
    share = RetryShare(1.0)
    for _ in range(10_000):
        share.request()
    assert taken(share) == QUIET_RETRIES


def test_a_share_of_nothing_grants_nothing_ever(clock: list[float]) -> None:
    share = RetryShare(0.0)
    for _ in range(1000):
        share.request()
    clock[0] += 3600
    assert taken(share) == 0


def test_a_share_that_is_taken_away_while_running_holds_at_once() -> None:
    share = RetryShare(0.1)
    share.share = 0.0
    assert taken(share) == 0
