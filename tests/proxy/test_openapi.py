"""The OpenAPI document: valid, complete, and the answers of a gateway as it says. `tests/fuzz` asks what it allows."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from policies.loader import load_library
from proxy.errors import GuardError
from proxy.openapi import openapi
from proxy.routing import GUARDED
from tests.proxy.fake_upstream import plain
from tests.proxy.rig import CODE, DANUBE, WEATHER, rig

DOCUMENT = openapi()
ROUTE: dict[str, Any] = {"policies": sorted(load_library()), "report": True}


def check(answer: Any, path: str, method: str, status: int) -> None:
    """Hold an answer against the schema that the document gives it."""
    content = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"]
    schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(answer, schema, cls=jsonschema.Draft202012Validator)


def test_every_guarded_endpoint_is_described() -> None:
    named = {one["post"]["operationId"] for one in DOCUMENT["paths"].values() if "post" in one}
    assert named >= GUARDED | {"guard_check", "reload"}


def test_every_error_of_ours_is_described() -> None:
    described = json.dumps(DOCUMENT["paths"]["/v1/chat/completions"])
    inside = {"config_error", "detector_error", "detector_timeout", "detector_failed", "upstream_rejected"}

    def codes(kind: type[GuardError]) -> set[str]:
        return {kind.shape.code}.union(*(codes(below) for below in kind.__subclasses__()))

    assert {code for code in codes(GuardError) if f"`{code}`" not in described} == inside


@pytest.mark.parametrize("text", [DANUBE, CODE])
async def test_verdicts_reports_and_errors_are_as_described(text: str) -> None:
    async with rig(ROUTE, answers=[plain(text)]) as gate:
        answered = await gate.chat(WEATHER)
        check(answered.doc, "/v1/chat/completions", "post", 200)
        assert answered.doc["chunkguard"]["verdict"] == ("clear" if text == DANUBE else "misrouted")
        body = json.dumps({"prompt": WEATHER, "response": text}).encode()
        checked = await gate.fetch("POST", "/v1/guard/check", [("Content-Type", "application/json")], body)
        check(checked.doc, "/v1/guard/check", "post", 200)
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"):
            check((await gate.fetch("POST", path, [], b"[")).doc, path, "post", 400)
        ready = await gate.ask_admin("GET", "/-/ready")
        check(ready.doc, "/-/ready", "get", 200)
        assert ready.doc["coverage"]


async def test_reloads_are_answered_as_described(tmp_path: Any) -> None:
    file = tmp_path / "gate.yaml"
    async with rig(ROUTE, answers=[plain(DANUBE)], file=file) as gate:
        check((await gate.ask_admin("POST", "/-/reload")).doc, "/-/reload", "post", 200)
        file.write_text("[]")
        check((await gate.ask_admin("POST", "/-/reload")).doc, "/-/reload", "post", 422)
