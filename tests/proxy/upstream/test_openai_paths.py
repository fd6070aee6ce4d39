"""Where a client's path goes, for each form that an upstream's base URL may have."""

from __future__ import annotations

import pytest

from proxy.config_model import OpenAISettings
from proxy.upstream.openai import OpenAIUpstream


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("https://h", "/v1/models", "https://h/v1/models"),
        ("https://h/", "/files?x=1", "https://h/files?x=1"),
        ("https://h/v1", "/v1/models?x=%2f", "https://h/v1/models?x=%2f"),
        ("https://h/v1", "/files", "https://h/files"),
        ("https://h/api/v1", "/v1/models", "https://h/api/v1/models"),
        ("https://h/api/v1", "/files", "https://h/api/files"),
        ("https://h/openai", "/v1/models", "https://h/openai/models"),
        ("https://h/openai", "/files", "https://h/openai/files"),
        ("https://h/v1", "/v1", "https://h/v1"),
        ("https://h/v1", "/v1x", "https://h/v1x"),
    ],
)
async def test_paths_map_as_an_openai_client_maps_its_base_url(url: str, path: str, expected: str) -> None:
    upstream = OpenAIUpstream("up", OpenAISettings(kind="openai", url=url))
    assert upstream.url_of(path) == expected
    await upstream.close()
