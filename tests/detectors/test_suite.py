"""The whole: what is computed, what is missing, and that nothing raises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detectors.combine
import detectors.suite
from core.types import EARLY_MODES, MODES, RESPONSE, Conversation, Reply, Scores, Tool, ToolCall, TriggerSpec, Turn
from detectors.suite import PROMPT_SCORES, Suite

NAMES = frozenset(MODES) | {f"{mode}.present" for mode in MODES}


@pytest.fixture(scope="module")
def suite() -> Suite:
    made = Suite()
    made.warm()
    return made


def ask(text: str, *tools: Tool) -> Conversation:
    return Conversation((Turn("user", text, 0),), tools)


def answer(suite: Suite, question: str, reply: Reply | str) -> Scores:
    conversation = ask(question)
    return suite.score_reply(
        conversation, suite.score_prompt(conversation), reply if isinstance(reply, Reply) else Reply(text=reply)
    )


def test_every_score_is_given_or_missing(suite: Suite) -> None:
    prompt = suite.score_prompt(ask("Why is the sky blue?"))
    assert prompt.values.keys() | prompt.missing == PROMPT_SCORES
    assert not prompt.values.keys() & prompt.missing
    scores = answer(suite, "Why is the sky blue?", "Air scatters blue light most.")
    assert scores.values.keys() | scores.missing == NAMES
    assert all(0 <= value <= 1 for value in scores.values.values())
    assert all(scores.values[mode] < 0.4 for mode in MODES)
    assert suite.failures == {}


@pytest.mark.parametrize(
    ("question", "reply", "mode"),
    [
        ("Is 5+8=13?", "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.", "rebuttal"),
        (
            "Elucidate the concept of peace.",
            "```python\nclass Peace:\n    def __init__(self):\n        self.calm = True\n```",
            "code",
        ),
        (
            "Solve $x^2 + 2x = 8$ for $x$.",
            "```python\nimport sympy\nx = sympy.symbols('x')\nprint(sympy.solve(x**2 + 2*x - 8))\n```\n```output\n[-4, 2]\n```",
            "tool_call",
        ),
    ],
)
def test_the_seed_failures_are_misrouted(suite: Suite, question: str, reply: str, mode: str) -> None:
    scores = answer(suite, question, reply)
    assert scores.values[mode] >= 0.7
    assert any(span.name.startswith(f"{mode}.") for span in scores.spans)


def test_a_refusal_follows_harm(suite: Suite) -> None:
    no = Reply(text="I'm sorry, but I can't help with that.")
    conversation = ask("Tell me about the iPhone 13 specs.")
    for harm, low, high in ((0.01, 0.7, 1.0), (0.95, 0.0, 0.4)):
        prompt = suite.score_prompt(conversation)
        prompt = Scores({**prompt.values, "harm": harm}, prompt.spans)
        assert low <= suite.score_reply(conversation, prompt, no).values["refusal"] < high
    unknown = Scores({name: 0.0 for name in PROMPT_SCORES - {"harm"}}, missing=frozenset({"harm"}))
    assert 0.4 <= suite.score_reply(conversation, unknown, no).values["refusal"] < 0.7


def test_a_prefix_is_judged_for_early_modes_only(suite: Suite) -> None:
    conversation = ask("Is 5+8=13?")
    scores = suite.score_reply(conversation, suite.score_prompt(conversation), Reply(text="No, 5 + 8"), final=False)
    assert scores.values.keys() == EARLY_MODES | {f"{mode}.present" for mode in EARLY_MODES}
    assert scores.values["rebuttal"] >= 0.7


@pytest.mark.parametrize(
    "reply",
    [
        Reply(),
        Reply(text="   "),
        Reply(text="<think>only thoughts"),
        Reply(reasoning="hm"),
        Reply(tool_calls=(ToolCall("f", "{}"),)),
    ],
)
def test_empty_and_call_only_replies(suite: Suite, reply: Reply) -> None:
    scores = answer(suite, "Hello?", reply)
    assert scores.missing == frozenset()
    flagged = {mode for mode in MODES if scores.values[mode] >= 0.4}
    assert flagged == ({"tool_call"} if reply.tool_calls else set())


def test_needs_limit_the_work(suite: Suite) -> None:
    small = Suite(frozenset({"code"}))
    conversation = ask("Elucidate peace.")
    prompt = small.score_prompt(conversation)
    assert prompt.values.keys() == {"asks_code"}
    scores = small.score_reply(conversation, prompt, Reply(text="Calm."))
    assert scores.values.keys() == {"code", "code.present"}
    nothing = Suite(frozenset())
    assert nothing.score_prompt(conversation).values == {}
    assert nothing.score_reply(conversation, prompt, Reply(text="Calm.")).values == {}


def test_user_triggers_by_word_and_by_score() -> None:
    specs = (TriggerSpec("bridge", keywords=("bridge",)), TriggerSpec("maths", score="asks_math", at_least=0.5))
    made = Suite(frozenset(), specs)
    spans = made.score_prompt(ask("Calculate 12 * 7 for the bridge.")).spans
    assert {"bridge", "maths"} <= {span.name for span in spans}
    with pytest.raises(ValueError, match="broken"):
        Suite(triggers=(TriggerSpec("broken", patterns=("(",)),))


def test_a_crash_of_one_detector_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    made = Suite()
    conversation = ask("Is 5+8=13?")
    prompt = made.score_prompt(conversation)
    with monkeypatch.context() as judges:
        judges.setitem(detectors.combine.JUDGES, "code", crash)
        scores = made.score_reply(conversation, prompt, Reply(text="No, it is wrong."))
    assert scores.missing == {"code", "code.present"}
    assert scores.values["rebuttal"] >= 0.7
    monkeypatch.setattr(detectors.suite, "score_distress", crash)
    blind = made.score_prompt(conversation)
    scores = made.score_reply(conversation, blind, Reply(text="x" * 40))
    assert "analytic" in scores.missing
    assert "math" in scores.values
    assert "distress" not in blind.values
    monkeypatch.setattr(detectors.suite, "scan_prompt", crash)
    unread = made.score_prompt(conversation)
    assert (unread.values, unread.spans, unread.missing) == ({}, (), PROMPT_SCORES)
    assert {"math", "analytic"} <= made.score_reply(conversation, unread, Reply(text="x")).missing
    assert made.failures == {"code": 1, "intents": 1, "scan": 1}


def test_an_intent_that_crashes_when_it_is_read_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    made = Suite()
    conversation = ask("Please explain $x$.")
    prompt = made.score_prompt(conversation)
    monkeypatch.setattr(detectors.suite, "score_intents", crash)
    assert "asks_math" in prompt.values
    scores = made.score_reply(conversation, prompt, Reply(text="$$a = b$$ and $$b = c$$ and $$x = y$$"))
    assert {"math", "fiction", "code"} <= scores.missing
    assert "refusal" in scores.values
    assert made.failures["intents"] == 1


def test_lone_surrogates_are_read_over(suite: Suite) -> None:
    scores = answer(suite, "Hi", "\ud800 I'm sorry, but I can't help with that.")
    assert scores.missing == frozenset()
    assert scores.values["refusal.present"] > 0.9
    assert answer(suite, "\udfff = \ud800 1+1=2?", "No.").missing == frozenset()
    assert suite.failures == {}


def test_threads_agree(suite: Suite) -> None:
    rows = [(f"Is {a}+8={a + 8}?", f"No, {a}+8 is not {a + 8}.") for a in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda row: answer(suite, *row), rows))
    assert together == [answer(suite, *row) for row in rows]


@given(st.text(max_size=60), st.text(alphabet=st.characters(), max_size=200), st.booleans())
def test_no_text_raises_or_fails(suite: Suite, question: str, text: str, final: bool) -> None:
    conversation = ask(question)
    scores = suite.score_reply(conversation, suite.score_prompt(conversation), Reply(text=text), final=final)
    assert all(0 <= value <= 1 for value in scores.values.values())
    assert all(0 <= s.start <= s.end <= len(text if s.message == RESPONSE else question) for s in scores.spans)
    assert suite.failures == {}
