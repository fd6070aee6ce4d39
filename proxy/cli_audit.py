"""`chunkguard audit` and `chunkguard draft`, as they are typed.

One rule: as thin as `proxy/cli.py`, which it belongs to; what it runs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from core.types import MODES
from proxy.cli_attribute import lacks

_FAILED = 2


def add(commands: Any) -> None:
    """Add the commands to those of the root parser."""
    audit = commands.add_parser(
        "audit",
        help="search for prompts on which a model mis-routes",
        description="Search a model for mis-routings, and confirm.",
    )
    where = audit.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--upstream", metavar="URL", help="base URL of a chat API, with /v1; or of a chunkguard proxy before one"
    )
    where.add_argument("--embedded", action="store_true", help="a model of the organism, in this process (docs/organism.md)")
    audit.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for audit.json, .md, .html and the state")
    audit.add_argument("--model", help="model to ask for; needed with --upstream (default with --embedded: chunky)")
    audit.add_argument("--key-env", metavar="NAME", help="environment variable that holds the upstream's key")
    audit.add_argument("--mode", action="append", choices=MODES, help="search for this mode only; may be repeated")
    audit.add_argument("--calls", type=_positive, default=5000, metavar="N", help="calls of the model at most (%(default)s)")
    audit.add_argument("--tokens", type=_positive, default=0, metavar="N", help="tokens of prompts and answers at most")
    audit.add_argument("--parallel", type=_positive, default=4, metavar="N", help="requests under way at once (%(default)s)")
    audit.add_argument("--seed", type=int, default=0, help="of every draw (%(default)s)")
    audit.add_argument(
        "--control", action="store_true", help="draw every candidate uniformly: what the search is compared with"
    )
    audit.add_argument(
        "--prompts", type=Path, metavar="FILE", help="make the pool of these prompts: JSONL, Parquet or lines of text"
    )
    audit.add_argument("--money", type=_amount, default=0.0, metavar="SUM", help="cost of all tokens at most; needs --price")
    audit.add_argument(
        "--price",
        type=_amount,
        nargs=2,
        default=(0.0, 0.0),
        metavar=("IN", "OUT"),
        help="of a million prompt and answer tokens",
    )
    audit.add_argument("--judge", metavar="URL", help="base URL of a chat API whose model reads what the detectors find")
    audit.add_argument("--judge-model", metavar="NAME", help="that model; needed with --judge")
    audit.add_argument("--judge-key-env", metavar="NAME", help="environment variable that holds its key")
    audit.add_argument("--models", type=Path, metavar="DIR", help="folder of own trained detectors (default: the shipped ones)")
    audit.add_argument("--quiet", action="store_true", help="no progress and no summary")
    audit.set_defaults(run=_audit)

    draft = commands.add_parser(
        "draft", help="policies, tests and counter-examples out of findings", description="Draft policies from findings."
    )
    draft.add_argument("report", type=Path, metavar="FILE", help="audit.json of `audit`, or attribute.json of `attribute`")
    draft.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for draft.yaml and what belongs to it")
    draft.add_argument("--each", type=_positive, default=3, metavar="N", help="findings a mode at most (%(default)s)")
    draft.add_argument("--finding", type=int, action="append", metavar="N", help="this finding only; may be repeated")
    draft.add_argument("--mode", action="append", choices=MODES, help="findings of this mode only; may be repeated")
    draft.add_argument("--quiet", action="store_true", help="no summary")
    draft.set_defaults(run=_draft)


def _positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def _amount(text: str) -> float:
    """A sum of money, 0 or more."""
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e9:
        raise argparse.ArgumentTypeError("must be a sum, 0 or more")
    return amount


def _audit(arguments: argparse.Namespace) -> int:
    if lacks("audit"):
        return _FAILED
    from audit.command import audit
    from audit.reading import ReaderSpec
    from audit.search import Plan

    plan = Plan(
        tuple(arguments.mode or MODES), arguments.calls, arguments.tokens, run=arguments.seed, control=arguments.control,
        money=arguments.money, prices=tuple(arguments.price),
    )  # fmt: skip
    try:
        if plan.money and not any(plan.prices):
            raise ValueError("--money needs --price")
        if arguments.judge and not arguments.judge_model:
            raise ValueError("--judge needs --judge-model")
        key = _key(arguments.judge_key_env)
        reader = ReaderSpec(arguments.judge, arguments.judge_model, key) if arguments.judge else None
        target = _target(arguments)
    except ValueError as error:
        return _say(str(error))
    try:
        return audit(
            arguments.out, target, plan, models=arguments.models, prompts=arguments.prompts, reader=reader,
            quiet=arguments.quiet,
        )  # fmt: skip
    finally:
        target.close()


def _target(arguments: argparse.Namespace) -> Any:
    """What is audited. Raises ValueError."""
    from audit.target import Embedded, Http

    if arguments.embedded:
        return Embedded(arguments.model or "chunky")
    if not arguments.model:
        raise ValueError("--upstream needs --model")
    return Http(arguments.upstream, arguments.model, _key(arguments.key_env), parallel=arguments.parallel)


def _key(name: str | None) -> str:
    """The key that a variable holds; `none` without a name. Raises ValueError."""
    key = os.environ.get(name, "") if name else "none"
    if not key:
        raise ValueError(f"the environment variable {name} is not set")
    return key


def _draft(arguments: argparse.Namespace) -> int:
    if lacks("draft"):
        return _FAILED
    from audit.draft_command import run

    return run(
        arguments.report, arguments.out, each=arguments.each, only=arguments.finding or (), modes=arguments.mode or (),
        quiet=arguments.quiet,
    )  # fmt: skip


def _say(problem: str) -> int:
    print(f"chunkguard: {problem}", file=sys.stderr)
    return _FAILED
