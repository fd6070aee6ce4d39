"""What the matrix calls a difference, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.clients.compare import Run, differences, order
from tests.proxy.fake_upstream import Seen

KEY = ("chat", "plain", False)
ASKED = Seen("POST", "/direct/v1/chat/completions?a=1", [("Host", "a"), ("X-Case", "chat/plain/False")], b"{}")


def line(case: str = "plain", stream: bool = False, **fields: Any) -> dict[str, Any]:
    return {"api": "chat", "case": case, "stream": stream, **(fields or {"seen": "The Danube"})}


def run(*lines: dict[str, Any], asked: int = 1, **fields: Any) -> Run:
    told = order(lines)
    return Run("client", "1", told, {key: [replace(ASKED, **fields)] * asked for key in told})


def faults(direct: Run, through: Run, guarded: bool = False) -> list[str]:
    return [case for (_, case, _), fault in differences(direct, through, guarded).items() if fault]


def test_the_same_is_the_same_by_another_way() -> None:
    through = run(line(), target="/off/v1/chat/completions?a=1", headers=[("host", "b"), ("x-case", "chat/plain/False")])
    assert faults(run(line()), through) == []


@pytest.mark.parametrize(
    "through",
    [
        run(line(seen="The Rhine")),
        run(line(error={"status_code": 502})),
        run(line(), asked=2),
        run(line(), body=b"{ }"),
        run(line(), method="GET"),
        run(line(), target="/off/v1/chat/completions"),
        run(line(), headers=[*ASKED.headers, ("x-new", "1")]),
        Run("client", "1", {}, {}),
    ],
    ids=["object", "error", "retries", "body", "method", "query", "header", "silence"],
)
def test_every_difference_is_a_fault(through: Run) -> None:
    assert faults(run(line()), through) == ["plain"]


def test_a_case_that_only_the_proxy_has_is_a_fault() -> None:
    assert faults(run(line()), run(line(), line("refused", error=1))) == ["refused"]


def test_a_case_that_proves_nothing_is_a_fault() -> None:
    assert faults(run(line(), asked=0), run(line(), asked=0)) == ["plain"]
    failed = line(error={"type": "TypeError"})
    assert faults(run(failed), run(failed)) == ["plain"]
    assert faults(run(line("refused")), run(line("refused"))) == ["refused"]


def test_with_the_guard_on_a_misrouted_answer_must_be_put_right() -> None:
    direct = run(line("misrouted", seen="No"), line("corrected", seen="Yes"))
    right = run(line("misrouted", seen="Yes"), line("corrected", seen="Yes"))
    right.asked[("chat", "misrouted", False)] *= 2
    assert faults(direct, right, guarded=True) == []
    assert faults(direct, direct, guarded=True) == ["misrouted"]
    assert faults(direct, right) == ["misrouted"]


def test_a_case_is_told_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        order([line(), line()])
