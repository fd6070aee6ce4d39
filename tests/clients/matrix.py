"""The client matrix: every client program against the upstream itself, through an untouched route and through a guarded one.

One rule: everything is real but the model: `chunkguard serve` as a process, official clients as processes, sockets between.

Prints one line for each client x API x stream x guard, then `N bars hold, M fall short`; exits 1 where one falls short.
    python -m tests.clients.matrix --python A/bin/python --openai2 B/bin/python --node-modules DIR [--only openai]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import aiohttp

from core.types import MODES
from tests.clients.answers import answer
from tests.clients.compare import Run, differences, order
from tests.proxy.fake_upstream import Answer, FakeUpstream, Seen
from tests.proxy.rig import write_config

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAM_S = 240
#: Way to the upstream -> what stands between.
WAYS = ("direct", "off", "on")
BEGIN, END = "<!-- generated: clients -->", "<!-- /generated -->"


@dataclass(frozen=True)
class Program:
    """A client program. `needs`: what runs it."""

    needs: str
    file: str
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return " ".join((Path(self.file).stem, *self.arguments))


PROGRAMS = (
    Program("python", "openai_python.py", ("sync",)),
    Program("python", "openai_python.py", ("async",)),
    Program("python", "anthropic_python.py", ("sync",)),
    Program("python", "anthropic_python.py", ("async",)),
    Program("python", "langchain_client.py"),
    Program("openai2", "llamaindex_client.py"),
    Program("python", "pydantic_ai_client.py"),
    Program("openai2", "litellm_client.py"),
    Program("node", "openai_node.mjs"),
    Program("node", "anthropic_node.mjs"),
    Program("node", "vercel_ai.mjs"),
    Program("python", "curl_client.py"),
)


@dataclass
class Upstream:
    """The upstream of all ways; the first segment of a path says by which way a request came."""

    fake: FakeUpstream = field(default_factory=FakeUpstream)
    times: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.fake.respond = self._respond

    def begin(self) -> None:
        """A new client: nothing was asked yet."""
        self.fake.seen.clear()
        self.times.clear()

    def _respond(self, seen: Seen) -> Answer:
        way, _, path = seen.target.partition("?")[0].removeprefix("/").partition("/")
        (case,) = seen.values("x-case")
        self.times[way, path, case] += 1
        return answer(f"/{path}", case.split("/")[1].partition(",")[0], seen, self.times[way, path, case])

    def asked(self, way: str) -> list[Seen]:
        return [seen for seen in self.fake.seen if seen.target.startswith(f"/{way}/")]


@asynccontextmanager
async def serving(upstream: FakeUpstream) -> AsyncIterator[dict[str, str]]:
    """A proxy process with an untouched and a guarded route; gives the base URL of each way."""
    origin = f"http://127.0.0.1:{upstream.port}"
    guard = [{"extends": mode, **({"enforcement": "enforce"} if mode == "refusal" else {})} for mode in MODES]
    settings = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": {way: {"kind": "openai", "url": f"{origin}/{way}/v1"} for way in ("off", "on")},
        "routes": [
            {"name": way, "match": {"path_prefix": f"/{way}"}, "upstream": way, "policies": policies}
            for way, policies in (("off", []), ("on", guard))
        ],
        "limits": {"holdout": 0, "retry_share": 1, "deadline_ms": 10_000},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = write_config(Path(folder, "chunkguard.yaml"), settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from proxy.cli import main; raise SystemExit(main())", "serve", "--config", str(file),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            proxy = await _announced(process)
            drain = asyncio.get_running_loop().create_task(_drain(process))
            yield {"direct": f"{origin}/direct", "off": f"{proxy}/off", "on": f"{proxy}/on"}
            drain.cancel()
        finally:
            process.terminate()
            await process.wait()


async def _announced(process: asyncio.subprocess.Process) -> str:
    """The URL that the proxy says it serves, once it answers."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(PROGRAM_S):
        while line := await process.stdout.readline():
            said += line.decode()
            if found := re.search(r"http://127\.0\.0\.1:\d+", said):
                async with aiohttp.ClientSession() as session, session.get(f"{found[0]}/-/healthy") as answered:
                    answered.raise_for_status()
                return found[0]
    raise RuntimeError(f"the proxy did not start:\n{said}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.readline():
        pass


async def run_program(program: Program, command: Sequence[str], base: str) -> tuple[dict[str, str], list[dict[str, Any]], str]:
    """Run a program; gives what it says of itself, its lines, and its complaint where it failed."""
    environment = {
        **os.environ, "CLIENT_BASE": base, "PYTHONDONTWRITEBYTECODE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "*", "OPENAI_API_KEY": "sk-client", "ANTHROPIC_API_KEY": "sk-client", "LANGSMITH_TRACING": "false",
        "AI_SDK_TELEMETRY_DISABLED": "1",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, str(HERE / "programs" / program.file), *program.arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PROGRAM_S):
            out, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        return {}, [], f"took longer than {PROGRAM_S} s"
    # Some clients tell where an answer came from.
    out = out.replace(base.encode(), b"http://base")
    lines = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    head = lines.pop(0) if lines and "client" in lines[0] else {}
    return head, lines, complaint.decode(errors="replace")[-1500:] if process.returncode else ""


@dataclass
class Bar:
    """One client x API x stream x guard. `faults`: case -> what differs."""

    client: str
    version: str
    api: str
    stream: bool
    guard: str
    cases: int
    faults: dict[str, str]

    def __str__(self) -> str:
        way = "streamed" if self.stream else "plain"
        same = f"{self.cases - len(self.faults)} of {self.cases} the same"
        verdict = "holds" if not self.faults else "SHORT"
        return f"{verdict:6} {self.client:24} {self.version:9} {self.api:11} {way:8} guard {self.guard:3} {same}"


def bars(direct: Run, through: Run, guard: str) -> list[Bar]:
    """The bars of one client and one way through the proxy."""
    found: dict[tuple[str, bool], Bar] = {}
    for (api, case, stream), fault in differences(direct, through, guard == "on").items():
        bar = found.setdefault((api, stream), Bar(direct.client, direct.version, api, stream, guard, 0, {}))
        bar.cases += 1
        if fault:
            bar.faults[case] = fault
    return list(found.values())


async def measure(programs: Iterable[Program], commands: dict[str, list[str]]) -> list[Bar]:
    """Run every program by every way; prints each bar as it is known."""
    upstream = Upstream()
    measured: list[Bar] = []
    async with upstream.fake.serving(), serving(upstream.fake) as bases:
        for program in programs:
            upstream.begin()
            ran = await asyncio.gather(*(run_program(program, commands[program.needs], bases[way]) for way in WAYS))
            complaints = [f"{way}: {complaint}" for way, (_, _, complaint) in zip(WAYS, ran, strict=True) if complaint]
            head, lines, _ = ran[0]
            if complaints or not lines:
                found = [Bar(program.title, "?", "?", False, "?", 1, {"program": "; ".join(complaints) or "told nothing"})]
            else:
                runs = [
                    Run(head["client"], head["version"], order(told), _by_case(told, upstream.asked(way)))
                    for way, (_, told, _) in zip(WAYS, ran, strict=True)
                ]
                found = [bar for run, way in zip(runs[1:], WAYS[1:], strict=True) for bar in bars(runs[0], run, way)]
            for bar in found:
                print(bar, flush=True)
                for case, fault in bar.faults.items():
                    print(f"         {case}: {fault}", flush=True)
            measured += found
    return measured


def _by_case(lines: Sequence[dict[str, Any]], asked: Sequence[Seen]) -> dict[tuple[str, str, bool], list[Seen]]:
    """The requests of each case, by the header that names it."""
    found: dict[tuple[str, str, bool], list[Seen]] = {}
    for line in lines:
        key = (line["api"], line["case"], line["stream"])
        found[key] = [seen for seen in asked if seen.values("x-case") == ["/".join(map(str, key))]]
    return found


def table(measured: Sequence[Bar]) -> str:
    """The README's table: one row a client and API."""
    rows: dict[tuple[str, str, str], dict[tuple[bool, str], Bar]] = {}
    for bar in measured:
        rows.setdefault((bar.client, bar.version, bar.api), {})[bar.stream, bar.guard] = bar
    text = "| client | version | API | plain, off | plain, on | streamed, off | streamed, on |\n|---|---|---|---|---|---|---|\n"
    for (client, number, api), cells in rows.items():
        shown = [cells.get(place) for place in ((False, "off"), (False, "on"), (True, "off"), (True, "on"))]
        told = " | ".join("-" if bar is None else f"{bar.cases - len(bar.faults)}/{bar.cases}" for bar in shown)
        text += f"| {client} | {number} | {api} | {told} |\n"
    return text


def write(readme: Path, measured: Sequence[Bar]) -> None:
    """Put the table between the marks."""
    before, mark, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise SystemExit(f"{readme} has no {BEGIN} ... {END}")
    readme.write_text(f"{before}{BEGIN}\n{table(measured)}{END}{after}", encoding="utf-8")


def node_of(modules: Path) -> str:
    """The Node that package.json pins, else the one on the PATH."""
    found = next(modules.glob("node-linux-*/bin/node"), None)
    return str(found) if found is not None else which("node") or "node"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter with requirements.lock installed")
    parser.add_argument("--openai2", required=True, help="interpreter with requirements-openai2.lock installed")
    parser.add_argument("--node-modules", type=Path, required=True, help="folder that npm ci filled")
    parser.add_argument("--only", default="", help="programs whose title holds this text")
    parser.add_argument("--readme", type=Path, help="file whose table is to be renewed")
    arguments = parser.parse_args()
    commands = {
        "python": [arguments.python],
        "openai2": [arguments.openai2],
        "node": [node_of(arguments.node_modules.resolve())],
    }
    logging.getLogger("aiohttp.server").disabled = True  # the upstream breaks connections off on purpose
    chosen = [program for program in PROGRAMS if arguments.only in program.title]
    measured = asyncio.run(measure(chosen, commands))
    if arguments.readme is not None:
        write(arguments.readme, measured)
    short = sum(bool(bar.faults) for bar in measured)
    print(f"{len(measured) - short} bars hold, {short} fall short")
    return 1 if short or not measured else 0


if __name__ == "__main__":
    raise SystemExit(main())
