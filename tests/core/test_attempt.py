"""What one attempt remembers: its replies, its windows, its verdicts, its rank and its costs."""

from __future__ import annotations

from random import Random

import pytest

from core.attempt import Attempt
from core.types import Change, Delta, Failure, Finding, Level, Piece, ToolDelta, Usage, Verdict
from tests.core.dsl import refuse, say, stop, think, tool, usage


def attempt(*pieces: Piece, number: int = 1) -> Attempt:
    result = Attempt(number, Change())
    for piece in pieces:
        result.feed(piece)
    return result


def found(*findings: tuple[int, Level, float], acting: bool = True) -> Verdict:
    return Verdict(tuple(Finding("code", choice, level, value, acting=acting) for choice, level, value in findings))


def test_deltas_become_one_reply_a_choice() -> None:
    pieces = [
        say("b", 1),
        think("hm"),
        say("Hel"),
        refuse("no"),
        think(" so"),
        say("lo"),
        refuse("pe"),
        stop(1, "length"),
        Piece(b"x"),
    ]
    zero, one = attempt(*pieces).replies()
    assert (zero.text, zero.reasoning, zero.refusal, zero.finish_reason, zero.offset) == ("Hello", "hm so", "nope", None, 0)
    assert (one.choice, one.text, one.finish_reason) == (1, "b", "length")


def test_a_reply_can_be_asked_for_again_and_again() -> None:
    running = attempt(say("a"), say("b"))
    assert running.replies()[0].text == "ab"
    running.feed(say("c"))
    assert running.replies()[0].text == "abc"


def test_tool_calls_are_put_together_by_index_whatever_their_order() -> None:
    pieces = [
        tool('{"b"', index=1, name="g", id="2"),
        tool('{"a"', name="f", id="1"),
        Piece(b"", (Delta(0, tools=(ToolDelta(0, arguments=":1}"), ToolDelta(1, arguments=":2}"))),)),
    ]
    running = attempt(*pieces)
    calls = running.replies()[0].tool_calls
    assert [(call.id, call.name, call.arguments) for call in calls] == [("1", "f", '{"a":1}'), ("2", "g", '{"b":2}')]
    assert running.tools_seen
    assert not attempt(say("a")).tools_seen


def test_an_id_repeated_in_every_fragment_is_taken_once() -> None:
    calls = attempt(tool("{", id="1", name="f"), tool("}", id="1")).replies()[0].tool_calls
    assert [call.id for call in calls] == ["1"]


def test_readiness_counts_each_choice_or_its_end() -> None:
    running = attempt(say("abc"), say("x", 1))
    assert running.ready(1, 2)
    assert not running.ready(2, 2)
    assert not running.ready(1, 3)
    running.feed(stop(1))
    assert running.ready(3, 2)


def test_growth_needs_one_character_at_least() -> None:
    assert not attempt().grown(0)
    assert not attempt(stop()).grown(0)
    assert attempt(say("a")).grown(0)
    assert not attempt(say("a")).grown(2)


def test_only_content_counts_as_said() -> None:
    assert not attempt(think("hm"), stop(), tool("{")).said()
    assert attempt(say("a")).said()
    assert attempt(refuse("no")).said()


def test_windows_cover_every_character_and_carry_context_of_the_window_before_only() -> None:
    running = attempt(say("abcd"))
    assert [(r.text, r.offset) for r in running.window(2)] == [("abcd", 0)]
    running.feed(say("e"))
    assert [(r.text, r.offset) for r in running.window(2)] == [("cde", 2)]
    running.feed(say("f"))
    assert [(r.text, r.offset) for r in running.window(2)] == [("ef", 4)]  # c and d have been read twice
    assert [(r.text, r.offset) for r in running.window(2)] == [("", 6)]


@pytest.mark.parametrize("seed", range(20))
def test_no_window_reads_a_character_a_third_time(seed: int) -> None:
    random, running, read = Random(seed), Attempt(1, Change()), dict[tuple[int, int], int]()
    for _ in range(60):
        running.feed(say("x" * random.randint(0, 4), random.randrange(3)))
        if random.random() < 0.5:
            for reply in running.window(random.randint(0, 6)):
                for place in range(reply.offset, reply.offset + len(reply.text)):
                    read[reply.choice, place] = read.get((reply.choice, place), 0) + 1
    running.window(0)
    assert set(read.values()) == {1, 2}


def test_verdicts_of_windows_add_up_and_one_over_the_whole_stands_alone() -> None:
    running = attempt()
    running.judged(Verdict((), frozenset({"a"})), whole=False)
    running.judged(found((0, Level.SUSPECT, 0.5)), whole=False)
    assert running.verdict == Verdict(found((0, Level.SUSPECT, 0.5)).findings, frozenset({"a"}))
    assert running.judged(found(), whole=True) == Verdict() == running.verdict


def test_what_is_settled_stays_settled_but_not_what_is_certain() -> None:
    running = attempt()
    running.judged(found((0, Level.SUSPECT, 0.5), (1, Level.MISROUTED, 0.9)), whole=True)
    running.settle("code")
    assert running.verdict == found((1, Level.MISROUTED, 0.9))
    running.judged(found((0, Level.SUSPECT, 0.6)), whole=False)
    assert running.verdict == found((1, Level.MISROUTED, 0.9))


def ranked(number: int, verdict: Verdict | None = None, *, ended: bool = True, valid: bool = True) -> Attempt:
    result = attempt(number=number)
    result.ended, result.valid = ended, valid
    if verdict is not None:
        result.judged(verdict, whole=True)
    return result


def test_the_best_attempt_is_chosen_in_the_documented_order() -> None:
    bad, worse = (0, Level.MISROUTED, 0.7), (1, Level.MISROUTED, 0.9)
    order = [
        ranked(8),
        ranked(9),
        ranked(7, found((0, Level.SUSPECT, 0.5))),
        ranked(6, found((0, Level.SUSPECT, 0.6))),
        ranked(5, found(worse)),
        ranked(3, found(bad, (1, Level.MISROUTED, 0.7))),
        ranked(4, found(bad, worse)),
        ranked(1, valid=False),
        ranked(2, ended=False),
    ]
    assert sorted(reversed(order), key=Attempt.rank) == order


def test_two_findings_in_one_choice_are_one_misrouted_choice() -> None:
    twice = found((0, Level.MISROUTED, 0.8), (0, Level.MISROUTED, 0.8), (1, Level.SUSPECT, 0.5))
    assert ranked(1, twice).rank() == (False, Level.MISROUTED, 1, 0.8, 1)


def test_observing_policies_do_not_rank() -> None:
    assert ranked(1, found((0, Level.MISROUTED, 0.9), acting=False)).rank() == ranked(1).rank()
    assert ranked(1).level is Level.CLEAR


def test_what_is_running_and_usable() -> None:
    running = attempt()
    assert (running.running, running.usable) == (True, False)
    running.started = True
    assert (running.running, running.usable) == (True, True)
    running.ended = True
    assert (running.running, running.usable) == (False, True)
    running.failure = Failure("timeout")
    assert (running.running, running.usable) == (False, False)


def test_reported_usage_stands_and_missing_usage_is_estimated_from_everything_generated() -> None:
    assert attempt(say("a"), usage(3, 2)).total_usage() == Usage(3, 2)
    everything = attempt(say("12345"), think("12"), tool("123"), refuse("1"))
    assert everything.total_usage() == Usage(0, 3, estimated=True)
    assert everything.summary().usage is None  # never started: nothing was generated for us
    everything.started = True
    assert everything.summary().usage == Usage(0, 3, estimated=True)


def test_a_summary_tells_why_there_is_no_answer() -> None:
    dropped = attempt()
    assert dropped.summary().failure is None
    dropped.cancelled = True
    assert dropped.summary().failure == Failure("cancelled")
    dropped.failure = Failure("rejected", status=429)
    assert dropped.summary().failure == Failure("rejected", status=429)
