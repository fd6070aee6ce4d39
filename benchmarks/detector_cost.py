"""CPU microseconds of the detectors for one exchange, by stage: median, mean, p99 - one thread, no HTTP, no policies.

    python benchmarks/detector_cost.py [FILE.jsonl ...] [--low 1500] [--high 2600] [--rows 400] [--passes 9] [--all-values]

Without files: the 600 exchanges of `corpus.py`. Files: sources as `chunkguard eval` reads them, of which the rows whose
reply has `--low` to `--high` characters are taken. An exchange is `Suite.score_prompt`, the prompt scores that the shipped
policies read of it (all of them with `--all-values`), and `Suite.score_reply` for all eight modes.

Every exchange is run once in each of `--passes` passes over all of them, garbage collection off, and counts with its fastest
run: what other processes take away does not count, while caches stay as cold as traffic makes them. `first` is what the first
pass took, with every score, before the lazily built automata of RE2 have seen these texts. Stages are timed in passes of their
own, each without what it calls of other stages; their clock costs some 0.3 us a call, which the row `total` does not have.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from corpus import exchanges  # noqa: E402  (a script beside this one)

import detectors.case  # noqa: E402
import detectors.combine  # noqa: E402
import detectors.onnx  # noqa: E402
import detectors.phrases  # noqa: E402
import detectors.rebuttal  # noqa: E402
import detectors.structural  # noqa: E402
import detectors.suite  # noqa: E402
from core.types import Conversation, Reply, Scores, Step  # noqa: E402
from detectors.rows import exchange_of, lines_of, read_row  # noqa: E402
from detectors.suite import Suite  # noqa: E402
from policies.loader import load_library  # noqa: E402
from policies.plan import compile_route  # noqa: E402
from proxy.check import read_exchange  # noqa: E402

#: Stage -> where its functions are looked up when they are called: (owner, name).
STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "prompt scan": ((detectors.suite, "scan_prompt"),),
    "triggers": ((detectors.suite, "find_triggers"),),
    "distress": ((detectors.suite, "score_distress"),),
    "intents": ((detectors.suite, "score_intents"),),
    "model, prompt": ((detectors.onnx.PromptModel, "score_prompt"),),
    "model, reply": ((detectors.onnx.ReplyModel, "score_reply"),),
    "phrases": (
        (detectors.case, "Phrases"),
        *((detectors.phrases.Phrases, name) for name in ("hits", "suspects", "words", "narrative")),
    ),
    "cues": ((detectors.case, "prompt_cues"),),
    "shape": tuple((detectors.structural, f"_{name}") for name in ("blocks", "loose_code", "equations", "outputs", "claim")),
    "arithmetic": ((detectors.case, "find_statements"), (detectors.rebuttal, "contradicts")),
    "written calls": ((detectors.combine, "written_calls"),),
    "rebuttal": ((detectors.combine.JUDGES, "rebuttal"),),
    "other judges": tuple((detectors.combine.JUDGES, name) for name in detectors.combine.JUDGES if name != "rebuttal"),
}


@dataclass(slots=True)
class Exchange:
    """One exchange to score. `reads`: names of prompt scores that the shipped policies ask for."""

    conversation: Conversation
    reply: Reply
    reads: tuple[str, ...] = ()


class Recording(Mapping[str, float]):
    """Values that note which of them were asked for."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values_, self.names = values, dict[str, None]()

    def __getitem__(self, name: str) -> float:
        self.names[name] = None
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


class Stages:
    """Replaces the functions of each stage by timed ones, and holds the nanoseconds of the exchange that runs."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(STAGES, 0)
        self._stack = [0]
        self._replaced: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Stages:
        for stage, places in STAGES.items():
            for owner, name in places:
                known = owner[name] if isinstance(owner, dict) else getattr(owner, name)
                self._replaced.append((owner, name, known))
                self._put(owner, name, self._timed(stage, known))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, known in self._replaced:
            self._put(owner, name, known)

    @staticmethod
    def _put(owner: Any, name: str, function: Any) -> None:
        if isinstance(owner, dict):
            owner[name] = function
        else:
            setattr(owner, name, function)

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        spent, stack = self.spent, self._stack

        def timed(*args: Any, **kwargs: Any) -> Any:
            stack.append(0)
            began = perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                took = perf_counter_ns() - began
                spent[stage] += took - stack.pop()
                stack[-1] += took

        return timed


def read(files: list[Path], low: int, high: int, rows: int) -> list[Exchange]:
    """The exchanges to score: of the corpus, or up to `rows` of each file, spread over it."""
    if not files:
        return [_of_corpus(request, reply) for request, reply in exchanges()]
    found: list[Exchange] = []
    for file in files:
        every = [row for label, row in map(read_row, lines_of(file)) if label.answered]
        fitting = [row for row in every if low <= len(row["response"]) <= high]
        for row in fitting[:: max(1, len(fitting) // rows)][:rows]:
            exchanged = read_exchange(exchange_of(row))
            found.append(Exchange(exchanged.conversation, exchanged.reply))
    return found


def _of_corpus(request: dict[str, Any], reply: dict[str, Any]) -> Exchange:
    exchanged = read_exchange({**request, "response": reply["choices"][0]["message"]})
    return Exchange(exchanged.conversation, exchanged.reply)


def note_reads(suite: Suite, found: list[Exchange]) -> None:
    """Find what the shipped policies read of every prompt, by planning and judging once."""
    route = compile_route(tuple(load_library().values()))
    for each in found:
        prompt = suite.score_prompt(each.conversation)
        recording = Recording(prompt.values)
        prompt = replace(prompt, values=recording)
        plan = route.make_plan(each.conversation, prompt, stream=False)
        names = tuple(recording.names)
        scores = suite.score_reply(each.conversation, prompt, each.reply)
        recording.names.clear()
        plan.choose_action(plan.judge((each.reply,), (scores,), final=True), Step(1, committed=False))
        each.reads = tuple(dict.fromkeys((*names, *recording.names)))


def score(suite: Suite, each: Exchange, everything: bool) -> tuple[Scores, Scores]:
    prompt = suite.score_prompt(each.conversation)
    if everything:
        dict(prompt.values)
    else:
        for name in each.reads:
            prompt.values.get(name)
    return prompt, suite.score_reply(each.conversation, prompt, each.reply)


def time_totals(suite: Suite, found: list[Exchange], passes: int, everything: bool) -> tuple[list[int], list[int]]:
    """Nanoseconds of every exchange: of the first pass, and the least of all."""
    first: list[int] = []
    best: list[int] = []
    for _ in range(passes):
        spent: list[int] = []
        for each in found:
            began = thread_time_ns()
            score(suite, each, everything)
            spent.append(thread_time_ns() - began)
        first = first or spent
        best = list(map(min, best, spent)) if best else spent
    return first, best


def time_stages(suite: Suite, found: list[Exchange], passes: int, everything: bool) -> dict[str, list[int]]:
    """Stage -> nanoseconds of every exchange, each of its fastest run."""
    best: dict[str, list[int]] = {}
    with Stages() as stages:
        for _ in range(passes):
            spent: dict[str, list[int]] = {name: [] for name in STAGES}
            for each in found:
                stages.spent.update(dict.fromkeys(STAGES, 0))
                score(suite, each, everything)
                for name, took in stages.spent.items():
                    spent[name].append(took)
            best = {name: list(map(min, best[name], took)) for name, took in spent.items()} if best else spent
    return best


def summary(nanoseconds: list[int]) -> dict[str, float]:
    values = sorted(value / 1000 for value in nanoseconds)
    return {
        "median": round(statistics.median(values), 1),
        "mean": round(statistics.fmean(values), 1),
        "p99": round(values[min(len(values) - 1, int(0.99 * len(values)))], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--low", type=int, default=1500)
    parser.add_argument("--high", type=int, default=2600)
    parser.add_argument("--rows", type=int, default=400, help="of each file")
    parser.add_argument("--passes", type=int, default=9)
    parser.add_argument("--all-values", action="store_true", help="read every prompt score, asked for or not")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    arguments = parser.parse_args()
    suite = Suite()
    suite.warm()
    found = read(arguments.files, arguments.low, arguments.high, arguments.rows)
    if not found:
        raise SystemExit("no row of these files is of that length")
    gc.collect()
    gc.freeze()
    gc.disable()
    # Before what policies read is noted, and so with every score: nothing has seen these texts yet.
    first, _ = time_totals(suite, found, 1, True)
    note_reads(suite, found)
    _, best = time_totals(suite, found, arguments.passes, arguments.all_values)
    stages = time_stages(suite, found, arguments.passes, arguments.all_values)
    rest = [max(0, total - sum(column)) for total, column in zip(best, zip(*stages.values(), strict=True), strict=True)]
    rows = {"total": summary(best), **{name: summary(spent) for name, spent in stages.items()}, "the rest": summary(rest)}
    rows["first, all values"] = summary(first)
    if arguments.json:
        print(json.dumps({"exchanges": len(found), **rows}))
        return 0
    print(f"{len(found)} exchanges, microseconds     median     mean      p99")
    for name, row in rows.items():
        print(f"{name:<32}" + "".join(f"{row[key]:9.1f}" for key in ("median", "mean", "p99")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
