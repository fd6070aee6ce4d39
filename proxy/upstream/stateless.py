"""Whether another upstream than the first may answer a request.

One rule: what an upstream keeps stays with it, and what may have had an effect is not asked twice. A request that moves names
nothing that one provider knows, leaves nothing behind there, and runs no tool but the client's.
"""

from __future__ import annotations

from typing import Final

from proxy.errors import InvalidRequest
from proxy.upstream.base import UpstreamRequest
from proxy.wire.codecs import CODECS
from proxy.wire.encoding import decode

#: Paths that generate -> their codec's name.
_GENERATING: Final = {
    "/v1/chat/completions": "chat_completions",
    "/v1/completions": "completions",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
}
#: Others that answer and keep nothing.
_FREE: Final = frozenset({"/v1/embeddings", "/v1/moderations", "/v1/messages/count_tokens"})
#: Fields that name what only one provider knows.
_KNOWN_THERE: Final = frozenset({"previous_response_id", "conversation", "prompt"})
_MAX_BYTES: Final = 64 << 20


def may_move(request: UpstreamRequest) -> bool:
    """Whether the request may be answered by any upstream of a group: its body is in hand and nothing ties it to one."""
    path = request.path.partition("?")[0]
    if request.method == "GET":
        return path == "/v1/models"
    if request.method != "POST" or not isinstance(request.body, bytes):
        return False
    return path in _FREE or _leaves_nothing(path, request, request.body)


def _leaves_nothing(path: str, request: UpstreamRequest, body: bytes) -> bool:
    name = _GENERATING.get(path)
    if name is None:
        return False
    encoding = next((value for own, value in request.headers if own.lower() == "content-encoding"), "")
    try:
        asked = CODECS[name].parse_request(
            decode(body, encoding, max_bytes=_MAX_BYTES, error=InvalidRequest) if encoding else body
        )
    except InvalidRequest:
        return False  # the first upstream says what is wrong with it
    conversation = asked.conversation
    tied = name == "responses" and not _KNOWN_THERE.isdisjoint(key for key, value in asked.doc.items() if value)
    return not (tied or asked.kept or conversation.stored or conversation.hosted_tools)
