"""Upstreams of a group as tests script them: what each answers, and what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from proxy.errors import UpstreamError
from proxy.upstream.base import Headers, UpstreamRequest, Whole


class Said(Whole):
    """An answer that is there at once."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.reason = ""
        self.headers: Headers = []
        self.ended = False
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    def release(self) -> None:
        self.ended = True

    abort = release


@dataclass
class Member:
    """Gives `answer`: a status, or an error that it raises."""

    name: str
    answer: int | UpstreamError = 200
    asked: list[UpstreamRequest] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    async def open(self, request: UpstreamRequest) -> Said:
        self.asked.append(request)
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        self.said.append(Said(self.answer, self.name.encode()))
        return self.said[-1]

    async def close(self) -> None:
        raise AssertionError("a group does not own its members")


CHAT = UpstreamRequest("POST", "/v1/chat/completions", [("Authorization", "Bearer sk-client")], b'{"model":"m","messages":[]}')
KEPT = UpstreamRequest("POST", "/v1/responses", [("Authorization", "Bearer sk-client")], b'{"model":"m","input":"x"}')
