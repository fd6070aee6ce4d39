"""Opens the upstream call of one attempt: body with the change applied, headers, credentials, idempotency key; and deletes
what the upstream stored of it.

One rule: the client's credentials reach the route's primary upstream and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import getrandbits

from core.types import Change
from core.values import frozen
from proxy.errors import Unavailable
from proxy.upstream.base import OF_BYTES, Headers, Upstream, UpstreamReply, UpstreamRequest, without
from proxy.wire.codec import Codec, Request

#: Headers of a request that asks for an answer, and is no request to delete one.
_OF_BODY = OF_BYTES | {"content-type", "idempotency-key"}


def new_key() -> str:
    """A fresh Idempotency-Key."""
    # Seeded by the system and again in every forked worker: unique, not secret, and a tenth of what `secrets` costs.
    return f"{getrandbits(128):032x}"


@frozen
class AttemptCalls:
    """All that attempts of one client request share.

    `raw`: the body exactly as the client sent it, maybe compressed. `path`: what follows the route's prefix, query included.
    `headers`: the client's. `credentials`: the client's own may go to the `primary` upstream. `upstreams`: all, by name.
    `codec`: of the API that is spoken. `identity`: no encoding of the answer is accepted: something will be added to it.
    """

    request: Request
    raw: bytes
    path: str
    headers: Headers
    primary: str
    upstreams: Mapping[str, Upstream]
    codec: Codec
    credentials: bool = True
    identity: bool = False
    key: Callable[[], str] = new_key

    async def open(self, attempt: int, change: Change, timeout_s: float | None = None) -> UpstreamReply:
        """Send the request of an attempt and return its head. Raises UpstreamError."""
        upstream, credentials = self._asked(change)
        body = self.codec.apply_change(self.request, change)
        headers = self.headers
        if body is self.request.body:
            body = self.raw
        else:
            headers = without(headers, OF_BYTES)
        if self.identity:
            headers = without(headers, ("accept-encoding",))
            headers.append(("Accept-Encoding", "identity"))
        if attempt > 1:
            # Each attempt is a request of its own; the client's key would make the provider repeat the first answer.
            headers = without(headers, ("idempotency-key",))
            headers.append(("Idempotency-Key", self.key()))
        asked = self.request.conversation
        rerunnable = not (asked.hosted_tools or asked.stored or self.request.kept)
        return await upstream.open(
            UpstreamRequest("POST", self.path, headers, body, timeout_s, credentials=credentials, rerunnable=rerunnable)
        )

    async def delete(self, path: str, change: Change) -> int:
        """Send DELETE for what the attempt with this change left at its upstream; returns the status. Raises UpstreamError."""
        upstream, credentials = self._asked(change)
        headers = [header for header in self.headers if header[0].lower() not in _OF_BODY]
        reply = await upstream.open(UpstreamRequest("DELETE", path, headers, credentials=credentials))
        reply.release()
        return reply.status

    def _asked(self, change: Change) -> tuple[Upstream, bool]:
        """The upstream of an attempt, and whether the client's credentials may go there. Raises Unavailable."""
        name = change.upstream or self.primary
        upstream = self.upstreams.get(name)
        if upstream is None:
            raise Unavailable(f"there is no upstream {name!r}")
        return upstream, self.credentials and name == self.primary
