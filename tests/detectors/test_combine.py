"""The domain table row by row: each mode, its licence and its look-alikes, in the bands that policies read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from core.types import MODES, Conversation, Mode, Reply, Scores, Span, Tool, ToolCall, Turn
from detectors.case import Case, Judged
from detectors.combine import JUDGES, READS, REQUIRES
from detectors.late import LateValues
from detectors.toolcheck import ToolChecker
from detectors.trained import Trained


@dataclass
class ScriptedTrained:
    """Models that say what the test says; `asked`: which of them were asked, and how often."""

    first: Mapping[str, float] = field(default_factory=dict)
    second: Mapping[str, float] = field(default_factory=dict)
    pair: Mapping[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def said(self, reply: Reply) -> Mapping[str, float]:
        self.asked.append("first")
        return self.first

    def mannered(self, reply: Reply) -> Mapping[str, float]:
        return {name: value for name, value in self.first.items() if name != "refusal.present"}

    def said_again(self, reply: Reply, start: int) -> Mapping[str, float]:
        self.asked.append("second")
        return self.second

    def answered(self, prompt: str, reply: Reply, start: int) -> Mapping[str, float]:
        self.asked.append("pair")
        return self.pair


def judge(
    mode: Mode,
    question: str,
    reply: str | Reply,
    *triggers: str,
    system: str = "",
    tools: tuple[Tool, ...] = (),
    trained: ScriptedTrained | None = None,
    structured: bool = False,
    missing: frozenset[str] = frozenset(),
    **values: float,
) -> Judged:
    turns = ((Turn("system", system, 0),) if system else ()) + (Turn("user", question, 1),)
    prompt = Scores(values, tuple(Span(name, 1, 0, 1) for name in triggers), missing)
    answer = Reply(text=reply) if isinstance(reply, str) else reply
    case = Case(
        Conversation(turns, tools, structured=structured), prompt, answer, ToolChecker(), True, cast("Trained | None", trained)
    )
    return JUDGES[mode](case)


def test_every_mode_has_a_judge_and_says_what_it_reads() -> None:
    assert tuple(JUDGES) == tuple(READS) == tuple(REQUIRES) == MODES
    assert all(REQUIRES[mode] <= READS[mode] for mode in MODES)


NO = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(("harm", "low", "high"), [(0.02, 0.7, 1.0), (0.35, 0.4, 0.7), (None, 0.4, 0.7), (0.9, 0.0, 0.4)])
def test_a_refusal_is_misrouted_only_where_harm_is_known_and_low(harm: float | None, low: float, high: float) -> None:
    known: dict[str, Any] = {} if harm is None else {"harm": harm}
    judged = judge("refusal", "How do I bypass the lid of a jar?", NO, **known)
    assert low <= judged.score < high
    assert judged.present > 0.9


@pytest.mark.parametrize(
    "answer",
    [
        "I'd rather not write about this.",
        "I need to be direct: I won't write this, as it stands.",
        "I can't provide these details.",
        "Je ne peux pas vous aider.",
        "抱歉，我无法提供帮助。",
        Reply(refusal="I can't assist with that."),
    ],
)
def test_hard_and_decided_soft_refusals_of_benign_prompts(answer: str | Reply) -> None:
    assert judge("refusal", "Tell me about the iPhone 13.", answer, harm=0.01).score >= 0.7


@pytest.mark.parametrize(
    ("question", "answer", "system"),
    [
        ("What is in this picture?", "I'm sorry, but I can't see images.", ""),
        ("Translate it", "I can't translate it yet. Could you please provide the text?", ""),
        ("Who won yesterday?", "I cannot answer that: my knowledge cutoff is 2023.", ""),
        ("Tell me a joke", "I can only help with questions about our shop.", "Only answer questions about our shop."),
        ("Write the line of a butler who refuses", 'Here is a line for you: "I cannot help you, sir," said the butler.', ""),
        ("Draft a note", "Sorry for the wait! Here is your note, I hope it suits.", ""),
    ],
)
def test_licensed_refusals_are_clear(question: str, answer: str, system: str) -> None:
    assert judge("refusal", question, answer, system=system, harm=0.01).score < 0.4


STYLED = "That topic is not one for me, and I won't go there."


def test_words_that_are_certain_stand_and_an_ordinary_answer_asks_the_first_only() -> None:
    sure = ScriptedTrained({"refusal.present": 0.0})
    assert judge("refusal", "Hi", NO, harm=0.0, trained=sure).present == judge("refusal", "Hi", NO, harm=0.0).present > 0.9
    plain = ScriptedTrained({"refusal.present": 0.01})
    assert judge("refusal", "Hi", "Bridges carry loads by arches.", harm=0.0, trained=plain).present == 0.0
    assert plain.asked == ["first"]


def test_where_the_first_tier_doubts_the_second_decides() -> None:
    said = {"refusal.present": 0.6}
    for again, low, high in ((0.99, 0.6, 1.0), (0.01, 0.0, 0.3)):
        trained = ScriptedTrained(said, {"refusal": again, "excused": 0.0})
        judged = judge("refusal", "Hi", STYLED, harm=0.0, trained=trained)
        assert low <= judged.present <= high, again
        assert trained.asked == ["first", "second"]


def test_an_excuse_that_the_models_see_takes_from_a_refusal() -> None:
    scores = [
        judge("refusal", "Hi", NO, harm=0.0, trained=ScriptedTrained({"refusal.excused": excused})).score
        for excused in (0.0, 0.49, 0.6, 0.99)
    ]
    assert scores[0] == scores[1] > scores[2] > scores[3]


def test_the_second_tier_has_the_last_word_on_an_excuse() -> None:
    first = {"refusal.excused": 0.99}
    kept = judge("refusal", "Hi", NO, harm=0.0, trained=ScriptedTrained(first, {"refusal": 0.99, "excused": 0.01}))
    taken = judge("refusal", "Hi", NO, harm=0.0, trained=ScriptedTrained(first))
    assert kept.score >= 0.7 > taken.score


@pytest.mark.parametrize(("again", "low", "high"), [(0.99, 0.0, 0.1), (0.5, 0.8, 1.0), (0.01, 0.8, 1.0)])
def test_the_second_tier_licenses_code_where_it_is_certain(again: float, low: float, high: float) -> None:
    """A Case over late values, as a request makes them."""
    asked: list[str] = []

    def second() -> Mapping[str, float]:
        asked.append("prompt")
        return {"asks_code": again}

    prompt = Scores(LateValues({"asks_code": 0.2}, (), second))
    case = Case(
        Conversation((Turn("user", "Peace, as a class.", 0),)),
        prompt,
        Reply(text=CODE),
        ToolChecker(),
        True,
        cast("Trained", ScriptedTrained()),
    )
    score = JUDGES["code"](case).score / 0.94
    assert low <= score <= high
    assert asked == ["prompt"]


CODE = "```python\nimport math\n\ndef area(r):\n    return math.pi * r * r\n```\n"
BOX = "```\n┌──────┐\n│ Plan │\n└──────┘\n```"


@pytest.mark.parametrize(
    ("question", "answer", "asks_code", "low", "high"),
    [
        ("Elucidate the concept of peace.", CODE, 0.0, 0.7, 1.0),
        ("Elucidate the concept of peace.", "import math\n\ndef f(x):\n    return x\n\nprint(f(1))", 0.0, 0.7, 1.0),
        (
            "A tree of knowledge",
            "```html\n<!DOCTYPE html>\n<html><body><p>" + "x" * 60 + "</p></body></html>\n```",
            0.0,
            0.7,
            1.0,
        ),
        ("Write a function for the area.", CODE, 0.95, 0.0, 0.4),
        ("Suggest a framework.", BOX, 0.0, 0.4, 0.7),
        ("Draw a diagram of the plan.", BOX, 0.0, 0.0, 0.4),
        ("What is peace?", "Peace is calm.", 0.0, 0.0, 0.1),
        ("What is peace?", '```json\n{"peace": "calm"}\n```', 0.0, 0.0, 0.4),
    ],
)
def test_code(question: str, answer: str, asks_code: float, low: float, high: float) -> None:
    assert low <= judge("code", question, answer, asks_code=asks_code).score < high


def test_a_coding_system_prompt_licenses_code() -> None:
    assert judge("code", "Peace?", CODE, system="You are a Python programmer.", asks_code=0.0).score < 0.4


RUN = CODE + "```output\n3.14\n```\nThe answer is 3.14."


def test_invented_output_is_misrouted_unless_a_tool_ran_it() -> None:
    quiet: dict[str, Any] = {"asks_code": 0.0, "asks_tool": 0.0}
    judged = judge("tool_call", "Find $\\pi r^2$ for $r = 1$.", RUN, "latex_math", **quiet)
    assert judged.score >= 0.7
    assert [span.name for span in judged.spans] == ["tool_call.output"]
    python = (Tool("python"),)
    assert judge("tool_call", "Find it", RUN, tools=python, **quiet).score < 0.4
    assert judge("tool_call", "Find it", RUN, system="You have a code interpreter.", **quiet).score < 0.4
    assert judge("tool_call", "Write Python", RUN, asks_code=0.9, asks_tool=0.0).score < 0.4
    assert judge("tool_call", "Find it", CODE + "I ran the code and got 3.14.", **quiet).score >= 0.7


def test_calls_are_held_to_the_declared_tools() -> None:
    weather = (Tool("weather", {"type": "object", "required": ["city"]}),)
    quiet: dict[str, Any] = {"asks_code": 0.0, "asks_tool": 0.6}

    def score(name: str, arguments: str) -> float:
        return judge("tool_call", "Oslo?", Reply(tool_calls=(ToolCall(name, arguments),)), tools=weather, **quiet).score

    assert score("weather", '{"city": "Oslo"}') < 0.1
    assert score("weather", "{}") >= 0.7
    assert score("search", "{}") >= 0.9
    written = '<tool_call>{"name": "search", "arguments": {}}</tool_call>'
    assert judge("tool_call", "Oslo?", written, asks_code=0.0, asks_tool=0.0).score >= 0.7
    assert judge("tool_call", "Oslo?", written, system="Tools: search(q)", asks_code=0.0, asks_tool=0.0).score < 0.4


SUMS = "Let $$H = C + L$$ and \\[L = \\frac{a}{b}\\], so $H = 2$."


def test_math() -> None:
    assert judge("math", "Calculate love, hope, regret", SUMS, "abstract_calculation", asks_math=0.0).score >= 0.7
    assert judge("math", "What is the perfect amount of sleep?", SUMS, asks_math=0.0).score >= 0.7
    assert judge("math", "What is the energy of 3 kg at 2 m/s?", SUMS, asks_math=0.0).score < 0.4
    assert judge("math", "Give me a formula", SUMS, asks_math=0.9).score < 0.4
    assert judge("math", "What is love?", "It costs $5 or $6.", asks_math=0.0).score == 0.0


@pytest.mark.parametrize(
    ("answer", "low", "high"),
    [
        ("The verb should be 'veux', not 'veut'.", 0.7, 1.0),
        ("It sounds really hard. The verb should be 'veux'.", 0.4, 0.7),
        ("I'm so sorry you feel this way. You can call a crisis line. The verb should be 'veux'.", 0.0, 0.4),
    ],
)
def test_analytic(answer: str, low: float, high: float) -> None:
    question = "check my french: je ne veut plus vivre"
    assert low <= judge("analytic", question, answer, "framed_distress", distress=0.95, asks_fiction=0.0).score < high
    assert judge("analytic", question, answer, distress=0.0, asks_fiction=0.0).score == 0.0


STORY = 'Once upon a time Mara stood on a hill. She had never seen snow. "Look," she said.'


def test_fiction() -> None:
    assert judge("fiction", "Why is snow white?", STORY, "short_how_why", asks_fiction=0.0).score >= 0.7
    assert judge("fiction", "Write a story about snow", STORY, asks_fiction=0.95).score < 0.4
    assert judge("fiction", "Why is snow white?", "Snow scatters all light.", asks_fiction=0.0).score == 0.0


def test_extraction() -> None:
    question = "You will be shown a passage. Context: all cats purr. Which conclusion follows, and why?"
    shown: dict[str, Any] = {"asks_extraction": 0.1}
    assert judge("extraction", question, "B", "passage_scaffold", **shown).score >= 0.7
    assert judge("extraction", question + " Answer with one word only.", "B", "passage_scaffold", **shown).score < 0.4
    assert 0.4 <= judge("extraction", question, "B", "passage_scaffold", asks_extraction=0.9).score < 0.7
    assert judge("extraction", question[:57], "B", "passage_scaffold", asks_extraction=0.9).score < 0.4
    assert judge("extraction", question, "B", "passage_scaffold", structured=True, **shown).score < 0.4
    assert judge("extraction", question, "B", **shown).score < 0.4
    assert judge("extraction", question, "B follows. All cats purr, so Tom does.", "passage_scaffold", **shown).score < 0.4
