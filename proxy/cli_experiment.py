"""`chunkguard experiment`, as it is typed.

One rule: as thin as `proxy/cli.py`, which it belongs to; what it runs is imported when it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from core.types import MODES

_FAILED = 2


def add(commands: Any) -> None:
    """Add the command to those of the root parser."""
    trial = commands.add_parser(
        "experiment",
        help="what the guard mends and breaks",
        description="Ask a model the same prompts with none, parts and all of the guard, and compare, paired by prompt.",
    )
    trial.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for experiment.html, .md, .json, .csv, the state"
    )
    trial.add_argument(
        "--upstream", metavar="URL", help="base URL of a chat API, or with --config a name (default: the organism)"
    )
    trial.add_argument("--config", type=Path, metavar="FILE", help="configuration whose upstream --upstream names; of any kind")
    trial.add_argument("--key-env", metavar="NAME", help="environment variable that holds the upstream's key")
    trial.add_argument("--model", help="model to ask for; needed with --upstream (default of the organism: chunky)")
    trial.add_argument("--data", type=Path, metavar="FILE", help="JSONL of your own prompts; needed with --upstream")
    trial.add_argument("--prompts", type=_count, default=40, metavar="N", help="without --data: triggers a mode (%(default)s)")
    trial.add_argument(
        "--half", choices=("tuning", "test"), default="test", help="without --data: prompts of this half (%(default)s)"
    )
    trial.add_argument("--samples", type=_count, default=1, metavar="N", help="answers to each prompt (%(default)s)")
    trial.add_argument("--mode", action="append", choices=MODES, help="this mode only; may be repeated")
    trial.add_argument("--arm", action="append", metavar="ARM", help="this arm only; may be repeated (docs/experiments.md)")
    trial.add_argument(
        "--body", type=_object, metavar="JSON", help="further fields of every request, as '{\"temperature\": 1}'"
    )
    trial.add_argument("--seeds", action="store_true", help="send each sample's number as `seed`, the same in every arm")
    trial.add_argument("--stream", action="store_true", help="ask for streams: what a guard that holds back can still change")
    trial.add_argument("--judge", metavar="MODEL", help="a model that judges, as litellm names it (default: the detectors)")
    trial.add_argument("--judge-url", metavar="URL", default="", help="its base URL, where it is not litellm's default")
    trial.add_argument("--judge-key-env", metavar="NAME", default="", help="environment variable that holds its key")
    trial.add_argument("--rubric", type=Path, metavar="FILE", help="what it judges by (default: the shipped rubric)")
    trial.add_argument(
        "--seed", type=int, default=0, help="of the order, and of the organism's prompts and answers (%(default)s)"
    )
    trial.add_argument(
        "--calls", type=_count, default=0, metavar="N", help="begin no request once so many calls were made, in all runs"
    )
    trial.add_argument("--tokens", type=_count, default=0, metavar="N", help="the same of tokens")
    trial.add_argument("--limit", type=_count, default=0, metavar="N", help="stop after N requests; a later run goes on")
    trial.add_argument(
        "--parallel", type=_count, default=0, metavar="N", help="requests under way at once (organism: 1, else 4)"
    )
    trial.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    trial.set_defaults(run=_experiment)


def _count(text: str) -> int:
    """A whole number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return found


def _experiment(arguments: argparse.Namespace) -> int:
    from evaluation.experiment.arms import ARMS
    from evaluation.experiment.command import Asked, Limits, experiment

    arms = tuple(arguments.arm or ARMS)
    if unknown := sorted(set(arms) - set(ARMS)):
        return _say(f"there is no arm {unknown[0]!r}; there are {', '.join(ARMS)}")
    problem = _problem(arguments)
    if problem:
        return _say(problem)
    asked = Asked(
        prompts=arguments.prompts,
        samples=arguments.samples,
        arms=arms,
        modes=tuple(arguments.mode or MODES),
        half=arguments.half,
        file=arguments.data,
        upstream=_upstream(arguments),
        model=arguments.model or "chunky",
        body=arguments.body,
        seeds=arguments.seeds,
        stream=arguments.stream,
        reader=_reader(arguments),
        seed=arguments.seed,
    )
    parallel = arguments.parallel or (4 if arguments.upstream else 1)
    limits = Limits(arguments.calls, arguments.tokens, arguments.limit, parallel)
    return experiment(arguments.out, asked, limits, quiet=arguments.quiet)


def _problem(arguments: argparse.Namespace) -> str:
    """Which options do not go together; empty where all do."""
    if arguments.upstream and not (arguments.model and arguments.data):
        return "--upstream needs --model and --data"
    if (arguments.config or arguments.key_env) and not arguments.upstream:
        return "--config and --key-env need --upstream"
    if arguments.config and arguments.key_env:
        return "with --config the key stands in the configuration"
    if arguments.judge and not arguments.data:
        return "--judge needs --data: the organism has its own judge"
    if (arguments.judge_url or arguments.judge_key_env or arguments.rubric) and not arguments.judge:
        return "--judge-url, --judge-key-env and --rubric need --judge"
    return ""


def _upstream(arguments: argparse.Namespace) -> Any:
    """Whom to ask; None = the organism."""
    from evaluation.experiment.upstream import from_config, from_url

    if not arguments.upstream:
        return None
    if arguments.config:
        return from_config(arguments.config, arguments.upstream)
    return from_url(arguments.upstream, arguments.key_env or "")


def _reader(arguments: argparse.Namespace) -> Any:
    """The judge that reads; None = nobody."""
    from evaluation.experiment.reader import ReaderSpec, load_rubric

    if not arguments.judge:
        return None
    return ReaderSpec(arguments.judge, load_rubric(arguments.rubric), arguments.judge_url, arguments.judge_key_env)


def _say(problem: str) -> int:
    print(f"chunkguard: {problem}", file=sys.stderr)
    return _FAILED
