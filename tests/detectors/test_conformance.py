"""One suite that every detector passes: batch equals single, deterministic, thread-safe; empty, huge and any text is fine."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import thread_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.types import Conversation, Reply, Scores, Tool, ToolCall, Turn
from detectors.base import Detector, Sample
from detectors.encoder import KINDS
from detectors.onnx import PromptModel, ReplyModel
from detectors.runner import PROMPT_NAMES, REPLY_NAMES
from detectors.suite import Suite
from detectors.trained import Trained


class SuiteDetector:
    """The whole suite seen as one detector."""

    name = "suite"
    provides = PROMPT_NAMES | REPLY_NAMES

    def __init__(self) -> None:
        self._suite = Suite()

    def warm(self) -> None:
        self._suite.warm()

    def score(self, batch: Sequence[Sample]) -> list[Scores]:
        return [self._one(sample) for sample in batch]

    @property
    def failures(self) -> Counter[str]:
        return self._suite.failures

    def _one(self, sample: Sample) -> Scores:
        prompt = sample.prompt or self._suite.score_prompt(sample.conversation)
        if sample.reply is None:
            return prompt
        return self._suite.score_reply(sample.conversation, prompt, sample.reply, final=sample.final)


class EncoderDetector:
    """The second tier seen as one detector: what it says of a prompt whose turns are all English, and of a pair."""

    name = "encoder"
    provides = frozenset(KINDS)

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._trained = Trained(self.failures.append)

    def warm(self) -> None:
        self._trained.encoder.warm()

    def score(self, batch: Sequence[Sample]) -> list[Scores]:
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Scores:
        conversation, reply, trained = sample.conversation, sample.reply, self._trained
        if reply is None:
            return Scores(trained.asked_again(conversation))
        user = conversation.last_user
        pair = trained.answered(user.text if user is not None else "", reply, 0)
        return Scores({**trained.said_again(reply, 0), **pair})


#: Every detector of the package; a new one is added here and needs no test of its own for this contract.
DETECTORS: dict[str, Callable[[], Detector]] = {
    "prompt_model": PromptModel,
    "distress_model": lambda: PromptModel("distress"),
    "response_model": ReplyModel,
    "manner_model": lambda: ReplyModel("manner"),
    "encoder": EncoderDetector,
    "suite": SuiteDetector,
}
every_detector = pytest.mark.parametrize("name", sorted(DETECTORS))


@cache
def made(name: str) -> Detector:
    detector = DETECTORS[name]()
    detector.warm()
    return detector


def ask(text: str) -> Conversation:
    return Conversation((Turn("user", text, 0),))


#: Any characters, lone surrogates and controls included.
TEXT = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    [
        "",
        " ",
        "\x00\ufeff\u200b\u202e",
        "```python\nprint(1)\n```",
        "$\\frac{1}{2}$ = 0.5",
        "Is 5+8=13?",
        "I'm sorry, I can't.",
        "e\u0301" * 40,
        "\ud800",
    ]
)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), TEXT), max_size=4).map(
    lambda turns: tuple(Turn(role, text, i, media=role == "tool") for i, (role, text) in enumerate(turns))  # type: ignore[arg-type]
)
CALLS = st.lists(st.builds(ToolCall, name=TEXT, arguments=TEXT), max_size=2).map(tuple)
SAMPLES = st.builds(
    Sample,
    conversation=st.builds(
        Conversation, turns=TURNS, tools=st.lists(st.builds(Tool, name=TEXT), max_size=2).map(tuple), structured=st.booleans()
    ),
    reply=st.none() | st.builds(Reply, text=TEXT, reasoning=TEXT, tool_calls=CALLS, refusal=TEXT),
    final=st.booleans(),
)
quickly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FIXED = [
    Sample(ask("Elucidate the concept of peace.")),
    Sample(ask("Is 5+8=13?"), Reply(text="No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13.")),
    Sample(ask("Tell me about the iPhone 13 specs."), Reply(text="I'm sorry, but I cannot answer that.")),
    Sample(ask("怎么写一个函数？"), Reply(text="```python\ndef f():\n    return 1\n```")),
]


@every_detector
def test_the_name_and_what_it_provides_are_stated(name: str) -> None:
    assert made(name).name == name
    assert made(name).provides


@every_detector
@quickly
@given(sample=SAMPLES)
def test_any_text_gives_probabilities_and_known_names(name: str, sample: Sample) -> None:
    detector = made(name)
    (scores,) = detector.score([sample])
    assert set(scores.values) | scores.missing <= detector.provides
    assert not set(scores.values) & scores.missing
    assert all(0.0 <= value <= 1.0 for value in scores.values.values())
    assert scores.scanned >= 0
    assert not getattr(detector, "failures", None)


@every_detector
@quickly
@given(samples=st.lists(SAMPLES, max_size=4))
def test_a_batch_equals_its_samples_one_by_one(name: str, samples: list[Sample]) -> None:
    detector = made(name)
    assert detector.score(samples) == [detector.score([sample])[0] for sample in samples]


@every_detector
def test_spans_lie_in_their_texts(name: str) -> None:
    for sample in FIXED:
        (scores,) = made(name).score([sample])
        for span in scores.spans:
            text = sample.conversation.turns[span.message].text if span.message >= 0 else (sample.reply or Reply()).text
            assert 0 <= span.start <= span.end <= len(text)


@every_detector
def test_two_instances_agree(name: str) -> None:
    other = DETECTORS[name]()
    other.warm()
    other.warm()
    assert other.score(FIXED) == made(name).score(FIXED)


@every_detector
def test_threads_get_the_scores_of_a_single_one(name: str) -> None:
    fresh = DETECTORS[name]()  # not warm: the first calls race for the lazy work
    alone = made(name).score(FIXED)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fresh.score(FIXED), range(24)))
    assert all(result == alone for result in results)


@every_detector
def test_nothing_is_nothing(name: str) -> None:
    assert made(name).score([]) == []
    (scores,) = made(name).score([Sample(Conversation(()), Reply())])
    assert set(scores.values) | scores.missing <= made(name).provides


@every_detector
@pytest.mark.parametrize("unit", ["a", "word ", "不", "(", "```\n", "$", "1+1=2 ", "e\u0301", "\u200b", "\n"])
def test_a_huge_text_is_scored(name: str, unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    for sample in (Sample(ask(text)), Sample(ask("Why?"), Reply(text=text))):
        (scores,) = made(name).score([sample])
        assert set(scores.values) | scores.missing <= made(name).provides


#: Characters of a short and of a long text; all caps of the detectors lie below the first, or the work is linear.
SHORT, LONG = 50_000, 400_000


def seconds(detector: Detector, sample: Sample) -> float:
    """CPU time of this thread alone, the best of three: other work on the machine does not count."""
    times = []
    for _ in range(3):
        began = thread_time()
        detector.score([sample])
        times.append(thread_time() - began)
    return min(times)


def sized(unit: str, length: int) -> tuple[Sample, Sample]:
    text = (unit * (length // len(unit) + 1))[:length]
    return Sample(ask(text)), Sample(ask("Why is the sky blue?"), Reply(text=text))


@every_detector
@pytest.mark.parametrize("unit", ["The town lies by the river. ", "I can't help, 1+1=2. ", "```a\n", "不好", "("])
def test_time_grows_no_faster_than_the_text(name: str, unit: str) -> None:
    """Eight times the text may take sixteen times the time; something quadratic would take sixty-four."""
    for short, long in zip(sized(unit, SHORT), sized(unit, LONG), strict=True):
        assert seconds(made(name), long) <= 2 * LONG / SHORT * max(seconds(made(name), short), 0.003)


@every_detector
def test_memory_stays_flat_over_many_calls(name: str) -> None:
    """Nothing is kept of a text: neither in a cache nor in a table that grows."""
    detector = made(name)

    def score(numbers: range) -> None:
        for i in numbers:
            question, answer = f"What is the town {i} by the river {i * 7919}?", f"The town {i} has {i * 31} people. " * 20
            detector.score([Sample(ask(question)), Sample(ask(question), Reply(text=answer))])

    score(range(20))  # what is filled once, is filled now
    tracemalloc.start()
    try:
        score(range(20, 40))
        before, _ = tracemalloc.get_traced_memory()
        score(range(40, 140))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # a hundred texts of 600 characters hold 60 kB
    assert after - before < 30_000
