"""Which lines are judged, and that each is counted once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evaluation.judge import Problem
from evaluation.run import Run, choose, judge_all
from tests.evaluation.made import ROWS, write


def test_every_line_is_counted_once(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "a.jsonl", ROWS), tmp_path / "b.jsonl"
    bad.write_bytes(b'{broken\n\n{"prompt": 5, "response": "x", "behaviour": "none"}\n')
    problems: list[Problem] = []
    done: list[int] = []
    run = Run(seed=0, limit=0, texts=True)
    lines = choose(run, [good, bad], problems.append)
    rows = list(judge_all(run, lines, 1, problems.append, done.append))
    counts = run.counts
    assert (counts.lines, counts.usable, counts.judged, counts.failed) == (14, 11, 10, 1)
    assert (counts.bad, counts.unlabelled, counts.prompts) == (2, 1, 1)
    assert counts.lines == counts.bad + counts.unlabelled + counts.prompts + counts.judged
    assert len(rows) == counts.judged
    assert sum(done) == counts.usable
    assert [(problem.path, problem.number) for problem in problems] == [(str(bad), 1), (str(bad), 3)]
    assert run.problems == problems


def test_files_are_named_with_their_digest(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", ROWS)
    run = Run(seed=0, limit=0, texts=True)
    choose(run, [file], lambda _: None)
    (noted,) = run.files
    assert (noted.path, noted.lines) == (str(file), len(ROWS))
    assert noted.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_limit_draws_usable_lines_in_order_the_same_for_a_seed(tmp_path: Path) -> None:
    rows = [{**ROWS[number % len(ROWS)], "id": str(number)} for number in range(120)]
    file = write(tmp_path / "a.jsonl", rows)

    def drawn(seed: int, limit: int) -> list[int]:
        run = Run(seed, limit, texts=True)
        lines = choose(run, [file], lambda _: None)
        assert run.counts.usable == 100
        return [line.number for line in lines]

    assert len(drawn(1, 20)) == 20
    assert drawn(1, 20) == sorted(drawn(1, 20))
    assert drawn(1, 20) == drawn(1, 20) != drawn(2, 20)
    assert len(drawn(1, 500)) == 100
