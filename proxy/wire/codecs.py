"""Which codec reads which guarded endpoint.

One rule: an endpoint is guarded because it stands in this table; nothing else knows all APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.wire import chat, completions, messages, responses
from proxy.wire.codec import Codec

CODECS: Final[Mapping[str, Codec]] = {
    "chat_completions": chat,
    "completions": completions,
    "messages": messages,
    "responses": responses,
}


def speaking(endpoint: str, path: str) -> Codec:
    """The codec whose errors a client of this endpoint understands. `path`: without its prefix."""
    return CODECS.get(endpoint) or (messages if path.startswith("/v1/messages") else chat)
