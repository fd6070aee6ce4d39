"""Guarded endpoints and codecs are the same set, and every path has errors its client understands."""

from __future__ import annotations

from proxy.routing import GUARDED
from proxy.wire import chat
from proxy.wire.codecs import CODECS, speaking


def test_what_is_guarded_has_a_codec_and_the_other_way_round() -> None:
    assert CODECS.keys() == GUARDED


def test_other_endpoints_speak_as_chat_does() -> None:
    assert speaking("other", "/v1/files") is chat
    assert all(speaking(endpoint, "") is codec for endpoint, codec in CODECS.items())
