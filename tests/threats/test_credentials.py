"""Whose credentials go where, and that nothing a client names makes the gateway connect to a place of the client's choice."""

from __future__ import annotations

import pytest

from proxy.config_model import LiteLLMSettings
from proxy.upstream.base import CREDENTIALS, UpstreamRequest
from proxy.upstream.litellm import LiteLLMUpstream
from tests.proxy.fake_upstream import FakeUpstream, Headers, Seen, failing, plain
from tests.proxy.rig import CODE, CODE_POLICY, PEACE, PROSE, WEATHER, Rig, rig

SECRET = "sk-client-secret"
ALL: Headers = [(name.title(), SECRET) for name in sorted(CREDENTIALS)]
FALLBACK = {
    "extends": "code",
    "boundary": {"inject": "never"},
    "ladder": [{"action": "fallback", "upstream": "spare0"}, {"action": "flag"}],
}


def secrets_in(seen: list[Seen]) -> set[str]:
    """The headers and bodies in which the client's secret stands."""
    return {name.lower() for one in seen for name, value in one.headers if SECRET in value} | {
        "body" for one in seen if SECRET.encode() in one.body
    }


async def test_a_foreign_upstream_sees_no_credential_of_the_client() -> None:
    async with rig({"policies": [FALLBACK]}, answers=[plain(CODE)], spares=[[plain(PROSE)]]) as gate:
        answer = await gate.chat(PEACE, headers=ALL)
        assert answer.body == plain(PROSE).body
        assert secrets_in(gate.upstream.seen) == CREDENTIALS
        assert secrets_in(gate.spares[0].seen) == set()
        assert gate.spares[0].seen[0].values("authorization") == ["Bearer sk-spare0"]
        assert SECRET.encode() not in gate.log.getvalue()
        assert SECRET not in gate.app.metrics.exposition().decode()


async def test_a_configured_key_takes_the_place_of_every_credential() -> None:
    async with rig({"policies": [CODE_POLICY]}, answers=[plain(PROSE)], main={"api_key": "sk-own"}) as gate:
        answer = await gate.chat(WEATHER, headers=ALL)
        assert secrets_in(gate.upstream.seen) == set()
        assert gate.upstream.seen[0].values("authorization") == ["Bearer sk-own"]
        assert b"sk-own" not in answer.body + gate.log.getvalue()
        assert "sk-own" not in str(answer.headers)


async def test_a_redirect_carries_nothing_anywhere() -> None:
    elsewhere = FakeUpstream([plain("stolen")])
    async with elsewhere.serving():
        moved = failing(307, Location=f"{elsewhere.url}/chat/completions")
        for policies in ([], [CODE_POLICY]):
            async with rig({"policies": policies}, answers=[moved]) as gate:
                assert (await gate.chat(WEATHER, headers=ALL)).status == 307
        assert elsewhere.seen == []


#: Names of models that some client or library would read as a place.
PLACES = [
    "http://127.0.0.1:{port}/v1", "../../v1/models", "m\r\nHost: evil", "openai/http://127.0.0.1:{port}", "file:///etc/passwd",
    "m?api_base=http://127.0.0.1:{port}", "//127.0.0.1:{port}/m", "huggingface/http://127.0.0.1:{port}", "m#@127.0.0.1:{port}",
]  # fmt: skip
FIELDS = [
    "api_base",
    "base_url",
    "api_key",
    "custom_llm_provider",
    "fallbacks",
    "extra_headers",
    "mock_response",
    "organization",
]


async def targets_of(gate: Rig, model: str, **fields: object) -> set[str]:
    gate.upstream.seen.clear()
    await gate.chat(PEACE, model=model, **fields)
    return {seen.target for seen in gate.upstream.seen}


async def test_a_model_name_is_a_name_and_no_place() -> None:
    elsewhere = FakeUpstream([plain("stolen")])
    async with elsewhere.serving(), rig({"policies": [CODE_POLICY]}, answers=[plain(CODE), plain(PROSE)]) as gate:
        for place in PLACES:
            assert await targets_of(gate, place.format(port=elsewhere.port)) == {"/v1/chat/completions"}
        for field in FIELDS:
            assert await targets_of(gate, "m", **{field: elsewhere.url}) == {"/v1/chat/completions"}
        assert elsewhere.seen == []


@pytest.mark.parametrize("field", ["", *FIELDS])
async def test_litellm_takes_no_place_from_a_client(field: str) -> None:
    """Names that are not in the table are answered 404, parameters that are settings of the library 400; nothing is called."""
    elsewhere = FakeUpstream([plain("stolen")])
    async with elsewhere.serving():
        settings = LiteLLMSettings.model_validate({"kind": "litellm", "models": {"m": "openai/m"}, "api_key": "sk-own"})
        upstream = LiteLLMUpstream("up", settings)
        names = [place.format(port=elsewhere.port) for place in PLACES] if not field else ["m"]
        for name in names:
            extra = f', "{field}": "{elsewhere.url}"' if field else ""
            quoted = name.replace("\r\n", "\\r\\n")
            body = f'{{"model": "{quoted}", "messages": []{extra}}}'.encode()
            reply = await upstream.open(UpstreamRequest("POST", "/v1/chat/completions", [], body))
            assert reply.status == (400 if field else 404)
        assert elsewhere.seen == []
