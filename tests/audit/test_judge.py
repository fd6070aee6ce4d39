"""The judge is the guard's own."""

from __future__ import annotations

import pytest

from audit.judge import Judge
from audit.target import Answer
from proxy.scan import warm_checker


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(warm_checker())


def test_it_says_what_the_guard_says(judge: Judge) -> None:
    code = "```python\nclass Peace:\n    def __init__(self):\n        self.present = True\n\nprint(Peace().present)\n```"
    assert judge.hits("Describe peace.", Answer({"role": "assistant", "content": code}, 9)) == {"code"}
    assert judge.hits("Describe peace.", Answer({"role": "assistant", "content": "Peace is rest."}, 9)) == frozenset()
    assert judge.hits("Write Python code for it.", Answer({"role": "assistant", "content": code}, 9)) == frozenset()


def test_what_is_no_message_is_not_judged(judge: Judge) -> None:
    assert judge.hits("Describe peace.", Answer({"role": "assistant", "content": 7}, 0)) is None
