"""`chunkguard doctor`: looks at what the proxy needs and says in words what is wrong and what to do.

One rule: it changes nothing, asks no model anything and sends no key: whoever runs it risks nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from proxy import config, doctor_host, doctor_network, doctor_shared
from proxy.config import Settings
from proxy.doctor_finding import BAD, GOOD, POOR, Finding
from proxy.errors import ConfigError
from proxy.snapshot import prepare

_SIGNS = {GOOD: "[green]ok  [/]", POOR: "[yellow]warn[/]", BAD: "[red]fail[/]"}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found, in the order of the looks."""

    findings: tuple[Finding, ...]

    @property
    def bad(self) -> bool:
        return any(finding.level == BAD for finding in self.findings)

    def to_json(self) -> str:
        counts = {level: sum(finding.level == level for finding in self.findings) for level in (GOOD, POOR, BAD)}
        return json.dumps({"findings": [asdict(finding) for finding in self.findings], "counts": counts}, indent=1)


async def examine(settings: Settings) -> Report:
    """Look at everything that a configuration needs. Never raises for what it finds."""
    findings = [
        Finding("configuration", GOOD, f"{settings.source} has no problem; routes: {', '.join(settings.policies)}"),
        *_weaknesses(settings),
        *await asyncio.to_thread(lambda: list(doctor_host.look(settings))),
        *await doctor_shared.look(settings),
        *await _detectors(settings),
        *await doctor_network.look(settings),
    ]
    return Report(tuple(findings))


def broken(error: ConfigError) -> Report:
    """The report of a configuration that cannot be used."""
    return Report(
        tuple(
            Finding("configuration", BAD, str(problem), "mend it; docs/configuration.md says what may stand there")
            for problem in error.problems
        )
    )


def _weaknesses(settings: Settings) -> Iterator[Finding]:
    """What is allowed and probably not meant."""
    own = settings.config
    for route in own.routes:
        if not settings.policies[route.name]:
            yield Finding(
                "policies",
                POOR,
                f"route {route.name!r} has no policies: its answers pass unguarded",
                "list policies, or leave it if that is meant",
            )
        elif not any(policy.enforcing for policy in settings.policies[route.name]):
            yield Finding(
                "policies",
                POOR,
                f"route {route.name!r} only observes: nothing is put right",
                "set `enforcement: enforce` once you trust its verdicts",
            )
    if own.decisions.content == "full" and own.decisions.file is not None:
        yield Finding(
            "privacy",
            POOR,
            "the decision log holds the texts of prompts and answers",
            "`content: hash` or `none` unless you may keep them",
        )
    if own.tracing is not None and own.tracing.content:
        yield Finding("privacy", POOR, "spans hold the texts of prompts and answers", "`tracing: {content: false}`")


async def _detectors(settings: Settings) -> list[Finding]:
    """Warm everything that serving would, and give it back."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        snapshot = await prepare(settings)
    except ConfigError as error:
        return [
            Finding("detectors", BAD, str(problem), "the models may be broken: install again, or check `detectors.models`")
            for problem in error.problems
        ]
    seconds = loop.time() - began
    await snapshot.close()
    return [Finding("detectors", GOOD, f"warm after {seconds:.1f} s; revision {snapshot.revision}")]


def run(file: Path | None, *, as_json: bool) -> int:
    """Print the report; returns 1 where something keeps the proxy from working, else 0."""
    try:
        settings = config.load(file) if file is not None else config.from_upstream_url("https://api.openai.com/v1")
        report = asyncio.run(examine(settings))
    except ConfigError as error:
        report = broken(error)
    if as_json:
        print(report.to_json())
        return int(report.bad)
    console = Console(soft_wrap=True)
    console.print(f"chunkguard {version('chunkguard')}, Python {sys.version.split()[0]}")
    for finding in report.findings:
        console.print(_SIGNS[finding.level], end=" ")
        console.print(f"{finding.about}: {finding.text}", markup=False, highlight=False)
        if finding.advice:
            console.print(f"     -> {finding.advice}", style="dim", markup=False, highlight=False)
    return int(report.bad)
