"""What the OpenAPI document allows, and what it forbids, sent to a running proxy: every answer is one that it describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from policies.loader import load_library
from proxy.openapi import openapi
from tests.proxy.fake_upstream import completion, message
from tests.proxy.rig import DANUBE

#: `unsupported_method` is not one of them: another method on a known path is another endpoint, which the upstream may have.
CHECKS = [
    checks.not_a_server_error, checks.content_type_conformance, checks.response_headers_conformance,
    checks.response_schema_conformance, checks.status_code_conformance, checks.positive_data_acceptance,
    checks.negative_data_rejection,
]  # fmt: skip
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
DOCUMENT = openapi()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods if method != "servers"]


#: What the upstream answers, whatever it is asked.
BODIES: dict[str, Any] = {
    "/v1/chat/completions": json.loads(completion(message(DANUBE))),
    "/v1/completions": {
        "id": "c", "object": "text_completion", "choices": [{"index": 0, "text": DANUBE, "finish_reason": "stop"}],
    },
    "/v1/responses": {
        "id": "r", "object": "response", "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": DANUBE}]}],
    },
    "/v1/messages": {
        "id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": DANUBE}],
        "stop_reason": "end_turn",
    },
}  # fmt: skip


class Proxy(NamedTuple):
    listen: str
    admin: str


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The command itself, before recorded answers for every API."""
    folder = tmp_path_factory.mktemp("openapi")
    recorded = [{"match": {"path": path}, "body": body} for path, body in BODIES.items()]
    (folder / "exchanges.jsonl").write_text("\n".join(map(json.dumps, recorded)), encoding="utf-8")
    data = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "log_level": "error",
        "upstreams": {"recorded": {"kind": "replay", "file": "exchanges.jsonl"}},
        "routes": [{"name": "r", "upstream": "recorded", "policies": sorted(load_library())}],
    }
    (folder / "gate.yaml").write_text(json.dumps(data), encoding="utf-8")
    command = [sys.executable, "-m", "proxy.cli", "serve", "--config", str(folder / "gate.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        told = process.stderr.readline()
        yield Proxy(told.split()[1].removesuffix("/v1"), told.split()[3])
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_document_describes(proxy: Proxy, path: str, method: str) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation = schema[path][method]
    mode = GenerationMode.NEGATIVE if operation.body else GenerationMode.POSITIVE
    url = proxy.listen if path.startswith("/v1/") or path == "/-/healthy" else proxy.admin

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS)

    run()
