"""Bodies of requests for upstreams that must read them: whole, decoded, and with the model renamed.

One rule: what need not be read is not, and what cannot be read goes on as it came where somebody else may read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from proxy.errors import InvalidRequest
from proxy.upstream.base import UpstreamRequest, rename_model, without
from proxy.wire.encoding import decode

#: Most of a compressed body that is read, decoded.
_MAX_BYTES: Final = 64 << 20


async def whole(request: UpstreamRequest) -> bytes:
    """The body as JSON is read: all of it, decoded. Raises InvalidRequest for one that cannot be decoded."""
    body = await _gathered(request)
    encoding = _value(request.headers, "content-encoding")
    return decode(body, encoding, max_bytes=_MAX_BYTES, error=InvalidRequest) if encoding and body else body


async def with_model(request: UpstreamRequest, models: Mapping[str, str]) -> UpstreamRequest:
    """The request with its model renamed by the table. One without JSON, or whose model is in no table, stays as it is; one
    that came compressed is renamed unpacked."""
    in_hand = isinstance(request.body, bytes)
    if request.body is None or (not in_hand and "json" not in _value(request.headers, "content-type")):
        return request
    body = await _gathered(request)
    encoding = _value(request.headers, "content-encoding")
    try:
        read = decode(body, encoding, max_bytes=_MAX_BYTES, error=InvalidRequest) if encoding else body
    except InvalidRequest:
        read = b""
    renamed = rename_model(read, models)
    if renamed is read:
        return request if in_hand else replace(request, body=body)
    headers = without(request.headers, ("content-encoding",)) if encoding else request.headers
    return replace(request, body=renamed, headers=headers)


async def _gathered(request: UpstreamRequest) -> bytes:
    if request.body is None or isinstance(request.body, bytes):
        return request.body or b""
    return b"".join([chunk async for chunk in request.body])


def _value(headers: Sequence[tuple[str, str]], name: str) -> str:
    return next((value.lower() for own, value in headers if own.lower() == name), "")
