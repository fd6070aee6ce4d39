"""`chunkguard validate`: reads a configuration as `serve` would, runs its policies' examples, says what is enforceable.

One rule: every problem is shown, with file, key and reason; nothing is started and no upstream is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from core.types import Conversation, Reply, Scores
from detectors.modelset import ModelSet
from detectors.suite import Suite
from policies.examples import verify_examples
from policies.loader import load_library
from policies.plan import compile_route
from policies.schema import Policy
from proxy import config
from proxy.errors import ConfigError, Problem
from proxy.snapshot import coverage_rows


def check_examples(policies: Sequence[Policy], source: str, models: ModelSet | None = None) -> list[Problem]:
    """Every example that the detectors and these policies do not decide as it says. `models`: None = the shipped ones."""
    problems: list[Problem] = []
    for policy in policies:
        compiled = compile_route((policy,))
        suite = Suite(needs=compiled.needs, triggers=compiled.triggers, models=models)

        def score(conversation: Conversation, reply: Reply | None, suite: Suite = suite) -> tuple[Scores, Scores | None]:
            prompt = suite.score_prompt(conversation)
            return prompt, suite.score_reply(conversation, prompt, reply) if reply is not None else None

        problems += [Problem(source, f"{found.source}.{found.key}", found.reason) for found in verify_examples(policy, score)]
    return problems


def run(file: Path | None) -> int:
    """Validate a file, or the shipped policies. Prints problems and the coverage table; 0 when there is no problem, else 1."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140, soft_wrap=True)
    routes: Mapping[str, Sequence[Policy]]
    models = None
    if file is None:
        routes, source = {"shipped": tuple(load_library().values())}, "policies/library"
    else:
        try:
            settings = config.load(file)
        except ConfigError as error:
            return _report(console, error.problems)
        routes, source, models = settings.policies, settings.source, settings.models
    problems = [problem for policies in routes.values() for problem in check_examples(policies, source, models)]
    table = Table("route", "endpoint", "stream", "policy", "hold", "on trigger", "enforceable")
    for row in coverage_rows(routes):
        cells = ("route", "endpoint", "stream", "policy", "hold", "hold_on_trigger", "enforceable")
        table.add_row(*(str(row[cell]).lower() if isinstance(row[cell], bool) else row[cell] for cell in cells))
    console.print(table)
    return _report(console, problems)


def _report(console: Console, problems: Sequence[Problem]) -> int:
    for problem in dict.fromkeys(problems):
        console.print(str(problem), style="red", markup=False, highlight=False)
    console.print("no problems" if not problems else f"{len(dict.fromkeys(problems))} problems")
    return 1 if problems else 0
