"""curl, as people type it: bodies and status lines as they come, plain and with -N."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from telling import BASE, KEY, headers, prompt_of
from telling import Teller as PythonTeller

PATHS = {"chat": "chat/completions", "completions": "completions", "responses": "responses", "messages": "messages"}
KEPT = ("content-type", "x-request-id", "request-id", "retry-after", "x-ratelimit-remaining-requests")


class Teller(PythonTeller):
    """curl has no Python package: its version is what it says itself."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.new_event_loop()
        said = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
        print(json.dumps({"client": "curl", "version": said.split()[1]}), flush=True)


def body_of(api: str, case: str, stream: bool) -> dict[str, Any]:
    prompt = prompt_of(case)
    asked = {"prompt": prompt} if api == "completions" else {"input": prompt} if api == "responses" else None
    return {"model": "m", "max_tokens": 100, "stream": stream, **(asked or {"messages": [{"role": "user", "content": prompt}]})}


def ask(api: str, case: str, stream: bool, *options: str) -> Any:
    sent = [f"{name}: {value}" for name, value in {**headers(), "Content-Type": "application/json"}.items()]
    sent.append(f"x-api-key: {KEY}" if api == "messages" else f"Authorization: Bearer {KEY}")
    command = ["curl", "-sS", "-i", *(["-N"] if stream else []), *options]
    for line in sent:
        command += ["-H", line]
    data = json.dumps(body_of(api, case, stream))
    done = subprocess.run([*command, "-d", data, f"{BASE}/v1/{PATHS[api]}"], capture_output=True, timeout=30, check=False)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    # The case of header names has no meaning (RFC 9110, 5.1).
    named = [(line.partition(":")[0].lower(), line.partition(": ")[2]) for line in lines]
    seen = {
        "status": status,
        "headers": sorted(pair for pair in named if pair[0] in KEPT),
        "body": body.decode(),
        "exit": done.returncode,
    }
    match = re.match(r"HTTP/1.1 (\d+)", status)
    if match is None or int(match[1]) >= 400:
        raise Refused(seen)
    return seen


class Refused(Exception):
    """A status of 400 or more."""

    def __init__(self, seen: dict[str, Any]) -> None:
        super().__init__()
        self.body = seen


def main() -> None:
    teller = Teller()
    for api in PATHS:
        for case in (
            "plain",
            "reasoning",
            "misrouted",
            "corrected",
            "exhausted",
            "failing",
            "refused",
            "unauthorised",
            "overloaded",
        ):
            if case == "reasoning" and api == "completions":
                continue
            teller.tell(api, case, False, lambda api=api, case=case: ask(api, case, False))
        for case in ("plain", "misrouted", "corrected", "broken", "complaint", "refused"):
            teller.tell(api, case, True, lambda api=api, case=case: ask(api, case, True))


main()
