"""What one guarded request sends: heads, bytes, errors and the opt-in report, for plain and streamed replies alike.

One rule: bytes are written as given; only a rewritten answer, a block, an error and the `chunkguard` field are composed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import orjson

from core.types import Failure, Outcome, Piece
from proxy.errors import CircuitOpen, GuardError, GuardUnavailable, ProtocolError, Timeout, Unavailable, render_headers
from proxy.inflow import DECODED_BYTES, Inflow
from proxy.passthrough import WHOLE_BYTES
from proxy.present import Presenter
from proxy.reply import ClientReply
from proxy.upstream.base import OF_BYTES, Headers, without
from proxy.wire.codec import Codec
from proxy.wire.encoding import decode
from proxy.wire.sse import Splitter

#: Bytes of a relayed answer kept for scoring afterwards; of a longer one nothing is scored, and that is counted.
COPY_BYTES: Final = 8 << 20
_EVENT_STREAM: Final = [("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache")]
_COMMENT: Final = b": keep-alive\n\n"


class Outflow:
    """The client's side of one guarded request. `copy`: a relayed body, None where it is too long to be scored."""

    def __init__(
        self, reply: ClientReply, presenter: Presenter, codec: Codec, *, streamed: bool, report: bool, n: int = 1
    ) -> None:
        self._reply = reply
        self.hold = reply.hold
        self._presenter = presenter
        self._codec = codec
        self._streamed = streamed
        self._n = n
        self.report = report
        self.status = 0
        self.copy: bytes | None = None
        self.inflow: Inflow | None = None
        #: The outcome, once it is certain.
        self.known: Outcome | None = None
        self._sent = False
        self._commented = False
        self._composed = False
        self._body: list[bytes] = []
        self._done = b""
        self._last_event = b""
        self._last = b""

    @property
    def started(self) -> bool:
        return self._reply.started

    async def send(self, inflow: Inflow, data: bytes) -> None:
        """Bytes of an attempt, of whole pieces."""
        self._sent = True
        self.inflow = inflow
        if self._commented and not self._composed and inflow.encoding:
            # The head that is out says nothing of an encoding.
            data = b"".join([piece.data for piece in inflow.plain or ()])
        if not self._streamed or not inflow.event_stream:
            self._body.append(data)
            return
        await self._head(inflow, exact=False)
        if self._reports(inflow):
            splitter = Splitter()
            data = self._without_done([*splitter.feed(data), splitter.flush()])
        self._last = data or self._last
        await self._reply.write(data)

    async def send_rewritten(self, inflow: Inflow, pieces: Sequence[Piece], contents: Sequence[str]) -> None:
        """The attempt's envelope with other contents."""
        self._composed = True
        await self._plain(inflow, self._codec.rewrite(inflow.plain or pieces, contents, bool(inflow.event_stream)))

    async def send_blocked(self, inflow: Inflow, pieces: Sequence[Piece]) -> None:
        """The attempt's envelope with nothing in it."""
        self._composed = True
        await self._plain(inflow, self._codec.block(inflow.plain or pieces, bool(inflow.event_stream), self._n))

    async def _plain(self, inflow: Inflow, data: bytes) -> None:
        if not self._reply.started:
            inflow.encoding = ""
            inflow.headers = without(inflow.headers, OF_BYTES)
        await self.send(inflow, data)

    async def comment(self) -> None:
        """Keep the connection alive without committing to an attempt."""
        if not self._reply.started:
            self.status = 200
            self._commented = True
            await self._reply.start(200, _EVENT_STREAM + self._presenter.headers(None))
        await self._reply.write(_COMMENT)

    async def relay(self, inflow: Inflow) -> None:
        """Everything the upstream sends, as it comes, with a copy kept. Raises UpstreamError."""
        self.inflow = inflow
        if self._commented:
            await self._late_error(inflow)
            return
        if not inflow.event_stream and (self.report or (inflow.length is not None and inflow.length <= WHOLE_BYTES)):
            self.copy = await inflow.read()
            self._body = [self.copy]
            return
        copy: list[bytes] | None = []
        size = 0
        reports = self._reports(inflow)
        await self._head(inflow, exact=not reports)
        self._sent = True
        async for chunk in _events(inflow) if reports else inflow.raw():
            size += len(chunk)
            if copy is not None:
                copy.append(chunk)
                copy = copy if size <= COPY_BYTES else None
            await self._reply.write(self._without_done([chunk]) if reports else chunk)
        if copy is not None:
            self.copy = b"".join(copy)

    async def _late_error(self, inflow: Inflow) -> None:
        """The upstream's own error, of which the head that is out can no longer tell."""
        body = b"".join([chunk async for chunk in inflow.raw()])
        if inflow.encoding:
            body = decode(body, inflow.encoding, max_bytes=DECODED_BYTES)
        try:
            doc = orjson.loads(body)
        except ValueError:
            doc = None
        if isinstance(doc, dict) and doc.get("error"):
            await self._reply.write(self._codec.error_event(doc))
        else:
            await self._reply.write(self._codec.render_event(Unavailable(f"the upstream answered {inflow.status}")))

    def _reports(self, inflow: Inflow) -> bool:
        """Whether this reply gets the report: of a body that is compressed all the same nothing is changed."""
        return self.report and not inflow.encoding and inflow.status < 300

    def _without_done(self, events: Iterable[bytes]) -> bytes:
        """Whole events without the final [DONE] and what follows it, which wait for the report."""
        before: list[bytes] = []
        for event in events:
            if self._done or self._codec.is_done(event):
                self._done += event
                continue
            before.append(event)
            if b"data:" in event:
                self._last_event = event
        return b"".join(before)

    async def _head(self, inflow: Inflow, *, exact: bool) -> None:
        """The upstream's head. `exact`: just its bytes will follow."""
        if not self._reply.started:
            self.status = inflow.status
            headers = inflow.headers
            if not exact:
                headers = without(headers, OF_BYTES - {"content-encoding"})
            await self._reply.start(inflow.status, headers + self._presenter.headers(self.known), inflow.reason)

    # ---- the end

    async def finish(self, outcome: Outcome) -> None:
        """Complete the reply as the outcome says."""
        match outcome.kind:
            case "answered" | "blocked" | "relayed":
                await self._complete(outcome)
            case "failed":
                await self._fail(_error_of(outcome.failure))
            case "unavailable":
                await self._fail(GuardUnavailable(f"a required policy could not judge the answer: {outcome.reason}"))
            case _:
                self._reply.abort()

    async def _complete(self, outcome: Outcome) -> None:
        inflow = self.inflow
        assert inflow is not None
        if self._reply.started:
            if self._body:  # a plain body, but the client was kept alive as the reader of a stream
                await self._reply.write(self._codec.render_event(ProtocolError("the upstream's answer is no stream")))
            elif inflow.event_stream and self._reports(inflow):
                report = self._codec.add_report(self._last_event, self._presenter.report(outcome), streamed=True)
                await self._reply.write(report)
                await self._reply.write(self._done)
            await self._reply.finish()
            return
        self.status = inflow.status
        body = b"".join(self._body)
        headers = inflow.headers
        if self._reports(inflow):
            body = self._codec.add_report(body, self._presenter.report(outcome), streamed=False)
            headers = without(headers, OF_BYTES)
            headers = [*headers, ("Content-Length", str(len(body)))]
        elif self._composed:
            headers = [*headers, ("Content-Length", str(len(body)))]
        self._reply.whole(inflow.status, headers + self._extra(outcome, inflow), body, inflow.reason)

    def _extra(self, outcome: Outcome, inflow: Inflow) -> Headers:
        if outcome.kind == "relayed" and outcome.verdict is None:
            return self._presenter.headers(None)
        return self._presenter.headers(outcome)

    async def _fail(self, error: GuardError) -> None:
        if self._sent and self._reply.started:
            # The client has part of an answer: it must see that the rest is missing, as it would without us.
            if isinstance(error, GuardUnavailable):
                await self._reply.write(self._codec.render_event(error, self._last))
                await self._reply.finish()
            else:
                self._reply.abort()
        elif self._reply.started:
            await self._reply.write(self._codec.render_event(error))
            await self._reply.finish()
        else:
            self.status = error.status
            headers = render_headers(error) + self._presenter.headers(None)[:1]
            self._reply.whole(error.status, headers, self._codec.render(error))


async def _events(inflow: Inflow) -> AsyncIterator[bytes]:
    """The events of a stream, whole, one by one."""
    splitter = Splitter()
    async for chunk in inflow.raw():
        for event in splitter.feed(chunk):
            yield event
    rest = splitter.flush()
    if rest:
        yield rest


def _error_of(failure: Failure | None) -> GuardError:
    """The failure of an attempt as the error a client sees."""
    message = failure.message if failure and failure.message else "the upstream gave no answer"
    if failure is not None and failure.status == CircuitOpen.shape.status:
        return CircuitOpen(message)
    match failure.kind if failure else "unavailable":
        case "timeout" | "budget":
            return Timeout(message)
        case "protocol":
            return ProtocolError(message)
        case _:
            return Unavailable(message)
