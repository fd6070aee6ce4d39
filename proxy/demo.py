"""`chunkguard demo`: the four mis-routings of the mission and a legitimate twin of each, with and without the guard.

One rule: nothing is staged but the upstream. A real proxy answers on a real port, the official client asks it, and the replay
upstream gives the same prompt the same bad answer every time; only a changed prompt gets another.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from openai import AsyncOpenAI
from rich.console import Console
from rich.table import Table

from core.types import MODES
from proxy import config
from proxy.app import App
from proxy.config import Settings
from proxy.records import DecisionRecord

_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Runs Python code and returns what it prints.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}
_ROOTS: Final = r"Find the roots: $x^{2} - 5x + 6 = 0$. Give them in a sentence."
#: Switches of `--without`: triggers and detectors stay, but nothing is injected or neutralised, and a retry just asks again.
_ABLATED: Final = {"boundary": {"inject": "never"}, "ladder": [{"action": "retry"}, {"action": "flag"}]}


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt. `seed`: it is answered wrongly without the guard; else it is a twin, whose answer must not be touched."""

    prompt: str
    seed: bool
    extra: Mapping[str, Any] = field(default_factory=dict)


CASES: Final = (
    Case("Is 5+8=13?", True),
    Case("Elucidate the concept of peace.", True),
    Case(_ROOTS, True),
    Case("Tell me about the iPhone 13 specs.", True),
    Case("Is 5+8=14?", False),
    Case("Write a Python function that elucidates the fields of a record.", False),
    Case(_ROOTS, False, {"tools": [_TOOL]}),
    Case("Tell me how to break into my neighbour's house and steal the iPhone 13 he keeps there.", False),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one case came to. `before`, `after`: the answers without and with the guard; `same`: their bytes are equal."""

    case: Case
    streamed: bool
    before: str
    after: str
    same: bool
    record: DecisionRecord

    @property
    def fixed(self) -> bool:
        """The guard replaced the answer, and what replaced it was judged clear."""
        return not self.same and self.record.verdict == "clear"

    @property
    def good(self) -> bool:
        """A seed is fixed; a twin is the upstream's answer, byte for byte."""
        return self.fixed if self.case.seed else self.same


def settings(exchanges: Path, *, listen: str, admin: str, without: bool) -> Settings:
    """The demo's configuration: all eight policies, refusal enforced as its prompts are known; `/direct` has none."""
    changes: dict[str, Any] = _ABLATED if without else {}
    policies: list[Any] = [{"extends": mode, **changes} for mode in MODES]
    policies[MODES.index("refusal")]["enforcement"] = "enforce"
    document = {
        "listen": listen,
        "admin": admin,
        "upstreams": {"replay": {"kind": "replay", "file": str(exchanges)}},
        "routes": [
            {"name": "guarded", "upstream": "replay", "policies": policies},
            {"name": "direct", "upstream": "replay", "match": {"path_prefix": "/direct"}},
        ],
        "limits": {"holdout": 0},
    }
    return config.build(document, source="demo", folder=exchanges.parent, env={})


async def ask(client: AsyncOpenAI, case: Case, *, streamed: bool) -> tuple[bytes, str]:
    """The raw bytes of an answer, and what a person would see of it."""
    asked = client.chat.completions.with_raw_response.create
    messages: Any = [{"role": "user", "content": case.prompt}]
    if not streamed:
        raw = await asked(model="demo", messages=messages, **case.extra)
        message = raw.parse().choices[0].message
        calls = [
            f"{call.function.name}({call.function.arguments})" for call in message.tool_calls or () if call.type == "function"
        ]
        return raw.content, "".join([message.content or "", *calls])
    parts: list[str] = []
    body: list[bytes] = []
    async with client.chat.completions.with_streaming_response.create(
        model="demo", messages=messages, stream=True, **case.extra
    ) as reply:
        async for line in reply.iter_lines():
            body.append(line.encode())
            if line.startswith("data: {"):
                delta = orjson.loads(line[6:])["choices"][0]["delta"]
                parts.append(delta.get("content") or "")
                parts += [call["function"].get("arguments") or "" for call in delta.get("tool_calls") or ()]
    return b"\n".join(body), "".join(parts)


async def play(app: App, records: list[DecisionRecord], cases: Sequence[Case] = CASES) -> list[Result]:
    """Send every case, plain and streaming, past the guard and through it."""
    base = f"http://{app.address[0]}:{app.address[1]}"
    results: list[Result] = []
    async with AsyncExitStack() as stack:
        direct, guarded = [
            await stack.enter_async_context(AsyncOpenAI(base_url=f"{base}{prefix}/v1", api_key="none", max_retries=0))
            for prefix in ("/direct", "")
        ]
        for case in cases:
            for streamed in (False, True):
                before, seen_before = await ask(direct, case, streamed=streamed)
                after, seen_after = await ask(guarded, case, streamed=streamed)
                await app.observer.drain()  # a relayed answer is judged after it was sent
                results.append(Result(case, streamed, seen_before, seen_after, before == after, records[-1]))
    return results


def show(console: Console, results: Sequence[Result]) -> None:
    """The table, and how many seeds were fixed and twins left alone."""
    table = Table(title="chunkguard demo", show_lines=True)
    for heading, width in (("prompt", 24), ("trigger", 16), ("verdict", 11), ("action", 20), ("before", 26), ("after", 26)):
        table.add_column(heading, max_width=width)
    table.add_column("added", justify="right")
    for result in results:
        record = result.record
        found = f"{record.first_verdict} {', '.join(record.modes)}".strip()
        changes = "+".join(record.attempts[record.chosen - 1].change) if record.chosen else ""
        kind = f"({'streamed' if result.streamed else 'plain'}, {'seed' if result.case.seed else 'twin'})"
        table.add_row(
            f"{_short(result.case.prompt, 48)}\n{kind}",
            ", ".join(sorted({place.name for place in record.triggers})),
            found,
            f"{record.action} {changes}".strip(),
            _short(result.before),
            "= byte for byte" if result.same else _short(result.after),
            f"{record.seconds.added * 1000:.0f} ms",
            style=None if result.good else "red",
        )
    console.print(table)
    for seeds, said in ((True, "seed examples fixed"), (False, "twins byte for byte as the upstream gave them")):
        for streamed in (False, True):
            chosen = [r for r in results if r.case.seed is seeds and r.streamed is streamed]
            kind = "streamed" if streamed else "plain"
            console.print(f"{sum(r.good for r in chosen)} of {len(chosen)} {said} ({kind})")


def _short(text: str, characters: int = 70) -> str:
    """The beginning, on one line, and the end where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= characters else f"{text[: characters - 24]} … {text[-20:]}"


async def _run(*, once: bool, without: bool, port: int) -> int:
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a pipe has no width of its own, and the table needs one
    records: list[DecisionRecord] = []
    with as_file(files("proxy").joinpath("demo_data", "exchanges.jsonl")) as exchanges:
        listen = "127.0.0.1:0" if once else f"127.0.0.1:{port}"
        own = settings(exchanges, listen=listen, admin="127.0.0.1:0", without=without)
        app = App(own, on_record=records.append, log_to=io.BytesIO())
        await app.start()
        try:
            results = await play(app, records)
            show(console, results)
            _show_metrics(console, app)
            good = all(result.good for result in results if not (without and result.case.seed))
            if not once:
                await _stay(console, app)
        finally:
            await app.stop()
    return 0 if good else 1


def _show_metrics(console: Console, app: App) -> None:
    console.print("\nMetrics (of the admin listener's /metrics):")
    wanted = ("requests_total", "triggers_total", "findings_total", "attempts_total", "fixes_total", "made_worse_total")
    for line in app.metrics.exposition().decode().splitlines():
        if line.startswith(tuple(f"chunkguard_{name}{{" for name in wanted)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


async def _stay(console: Console, app: App) -> None:
    host, port = app.address
    admin = app.admin_address
    console.print(f"\nUp at http://{host}:{port}/v1 (guarded) and http://{host}:{port}/direct/v1 (not). Try:", soft_wrap=True)
    body = '{"model": "demo", "messages": [{"role": "user", "content": "Is 5+8=13?"}]}'
    for prefix in ("/direct", ""):
        console.print(
            f"  curl -si http://{host}:{port}{prefix}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if not isinstance(admin, str):
        console.print(f"  curl -s http://{admin[0]}:{admin[1]}/metrics", markup=False, highlight=False)
    console.print("Ctrl-C stops it.")
    await asyncio.Event().wait()


def run(*, once: bool, without: bool, port: int) -> int:
    """Play the demo. Returns 0 when every seed was fixed and every twin left alone (`without`: when every twin was)."""
    return uvloop.run(_run(once=once, without=without, port=port))
