"""Late values: what runs when a name is read, in which order, and that threads which race see the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from detectors.late import LateValues, Step

#: Name -> what its steps leave of it.
WHOLE = {"words": 0.1, "both": 0.9, "last": 0.5}


class Scripted:
    """Three steps: words of two names, a better value for one of them, and a last one; what ran is remembered."""

    def __init__(self, crash: str = "", silent: bool = False, act: Callable[[str], None] = lambda step: None) -> None:
        self.ran: list[str] = []
        self.known: dict[str, float] = {}
        self._crash, self._silent, self._act = crash, silent, act
        steps = (
            Step(frozenset({"words", "both"}), lambda: self._work("first", {"words": 0.1, "both": 0.2}), promised=True),
            Step(frozenset({"both"}), lambda: self._work("second", {"both": 0.9})),
            Step(frozenset({"last"}), lambda: self._work("third", {} if self._silent else {"last": 0.5})),
        )
        self.values = LateValues(self.known, steps, dict)

    def _work(self, name: str, found: dict[str, float]) -> bool:
        self.ran.append(name)
        self._act(name)
        if name == self._crash:
            return False
        self.known.update(found)
        return True


def test_nothing_runs_before_a_name_is_read() -> None:
    made = Scripted()
    assert made.ran == []
    assert [made.values.settled(name) for name in WHOLE] == [False, False, False]
    assert made.values.settled("unknown")


@pytest.mark.parametrize(
    ("name", "ran"),
    [
        ("words", ["first"]),
        ("both", ["first", "second"]),
        ("last", ["first", "second", "third"]),
        ("unknown", []),
    ],
)
def test_reading_a_name_runs_the_steps_up_to_the_last_that_gives_it(name: str, ran: list[str]) -> None:
    made = Scripted()
    assert made.values.get(name) == WHOLE.get(name)
    assert made.ran == ran
    assert made.values.settled(name)


def test_every_step_runs_once_whatever_is_read() -> None:
    made = Scripted()
    for name in ("last", "words", "both", "last", "words"):
        assert made.values[name] == WHOLE[name]
    assert dict(made.values) == WHOLE
    assert len(made.values) == 3
    assert made.ran == ["first", "second", "third"]
    assert not made.values.lost


def test_a_promised_name_is_there_before_it_is_computed_and_an_optional_one_is_looked_for() -> None:
    made = Scripted()
    assert "words" in made.values
    assert "both" in made.values
    assert made.ran == []
    assert "last" in made.values
    assert made.ran == ["first", "second", "third"]
    silent = Scripted(silent=True)
    assert "last" not in silent.values
    assert silent.values.get("last", -1.0) == -1.0
    with pytest.raises(KeyError):
        silent.values["last"]
    assert silent.values.keys() == {"words", "both"}
    assert not silent.values.lost


def test_a_step_that_crashes_is_lost_with_what_it_promised() -> None:
    made = Scripted(crash="first")
    assert "words" in made.values
    assert made.values.get("words") is None
    assert made.values.lost
    assert "words" not in made.values
    # what a later step gives is there all the same
    assert made.values["both"] == 0.9
    assert dict(made.values) == {"both": 0.9, "last": 0.5}
    assert made.ran == ["first", "second", "third"]


def test_a_later_crash_leaves_what_came_before() -> None:
    made = Scripted(crash="second")
    assert made.values["words"] == 0.1
    assert not made.values.lost
    assert made.values["both"] == 0.2
    assert made.values.lost


def test_equal_to_the_mapping_it_stands_for() -> None:
    assert Scripted().values == WHOLE
    assert set(Scripted().values.items()) == set(WHOLE.items())


def test_threads_that_race_read_the_same_and_run_every_step_once() -> None:
    for _ in range(50):
        barrier = threading.Barrier(4)
        made = Scripted()

        def read(name: str, made: Scripted = made, barrier: threading.Barrier = barrier) -> float:
            barrier.wait(10)
            return made.values[name]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, ["both", "last", "both", "words"])) == [0.9, 0.5, 0.9, 0.1]
        assert made.ran == ["first", "second", "third"]


def test_a_reader_who_comes_while_a_step_runs_never_sees_half_of_it() -> None:
    """The second reader begins while the first stands in the middle of the first step."""
    inside, go_on = threading.Event(), threading.Event()

    def stop(step: str) -> None:
        if step == "first" and not inside.is_set():
            inside.set()
            go_on.wait(10)

    made = Scripted(act=stop)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: made.values["words"])
        assert inside.wait(10)
        second = pool.submit(lambda: made.values["both"])
        threading.Timer(0.05, go_on.set).start()
        assert (first.result(10), second.result(10)) == (0.1, 0.9)
    assert made.values["both"] == 0.9


def test_what_is_settled_is_read_while_another_step_runs() -> None:
    """The event loop reads intents while a worker waits for the second tier."""
    inside, go_on = threading.Event(), threading.Event()

    def stop(step: str) -> None:
        if step == "third":
            inside.set()
            go_on.wait(10)

    made = Scripted(act=stop)
    assert made.values["both"] == 0.9
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lambda: made.values["last"])
        assert inside.wait(10)
        assert made.values["both"] == 0.9
        assert not made.values.settled("last")
        assert not slow.done()
        go_on.set()
        assert slow.result(10) == 0.5


def test_a_bound_that_the_first_step_reaches_runs_no_other() -> None:
    made = Scripted()
    assert made.values.at_least("both", 0.2)
    assert made.ran == ["first"]


def test_a_bound_that_the_first_step_misses_is_asked_of_the_last() -> None:
    made = Scripted()
    assert made.values.at_least("both", 0.9)
    assert not made.values.at_least("both", 0.91)
    assert not made.values.at_least("unknown", 0.1)
    assert made.ran == ["first", "second"]
