"""Headers on their way through: what goes on, what stays behind.

One rule: a field nobody has a reason to touch keeps its name's spelling, its value, its place and its duplicates. Headers are
lists of (name, value) pairs throughout. Hop-by-hop fields are those of RFC 9110 section 7.6.1 and all that `Connection` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Header = tuple[str, str]

#: Ours; stripped from requests, so that no client can pass for the guard.
PREFIX = "x-chunkguard-"

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

#: Go to the route's primary upstream only.
CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "ocp-apim-subscription-key",
        "openai-organization",
        "openai-project",
        "x-amz-security-token",
        "x-api-key",
        "x-goog-api-key",
    }
)

#: Say something of the exact bytes of a body, so they are wrong of any other.
_OF_THE_BYTES = frozenset({"content-digest", "content-encoding", "content-md5", "digest", "etag", "repr-digest"})


def end_to_end(headers: Sequence[Header]) -> list[Header]:
    """The headers without the hop-by-hop ones."""
    dropped = HOP_BY_HOP | _connection_options(headers)
    return [header for header in headers if header[0].lower() not in dropped]


def request_headers(
    headers: Sequence[Header],
    *,
    length: int | None,
    changed: bool = False,
    foreign: bool = False,
    replace: Sequence[Header] = (),
) -> list[Header]:
    """A client's headers for an upstream.

    Left out: hop-by-hop, `x-chunkguard-*`, Host (the connection sets it), Expect (the body is here already), Proxy-*.
    `length`: of the body that will be sent, None for a body that is streamed or absent, whose Content-Length then stays as it
    was.
    `changed`: the body is not the client's bytes, so what was said of those goes (Content-Encoding, digests).
    `foreign`: not the route's primary upstream, so no credential of the client goes.
    `replace`: set after all of that (an upstream's own key, a fresh Idempotency-Key), each in place of the client's of that
    name.
    """
    dropped = {"host", "expect"}
    if changed:
        dropped |= _OF_THE_BYTES
    if foreign:
        dropped |= CREDENTIALS
    kept = [header for header in end_to_end(headers) if not _starts(header, (PREFIX, "proxy-"))]
    return _with_length(_without(kept, dropped), length, replace)


def reply_headers(
    headers: Sequence[Header], *, length: int | None = None, changed: bool = False, replace: Sequence[Header] = ()
) -> list[Header]:
    """An upstream's headers for the client: end-to-end ones, in place and order.

    `length`: of the body if it is known here, None to leave Content-Length as it was. `changed`: the body is not the upstream's
    bytes or may end early, so Content-Length (unless given), Content-Encoding and digests go. `replace`: as in
    request_headers."""
    kept = end_to_end(headers)
    if changed:
        kept = _without(kept, _OF_THE_BYTES | {"content-length"})
    return _with_length(kept, length, replace)


def value_of(headers: Sequence[Header], name: str) -> str | None:
    """The values of a field, joined by commas as RFC 9110 allows; None where it is absent. `name`: lower case."""
    values = [value for own, value in headers if own.lower() == name]
    return ", ".join(values) if values else None


def _connection_options(headers: Sequence[Header]) -> frozenset[str]:
    options = value_of(headers, "connection")
    return frozenset(option.strip().lower() for option in options.split(",")) if options else frozenset()


def _starts(header: Header, prefixes: tuple[str, ...]) -> bool:
    return header[0].lower().startswith(prefixes)


def _without(headers: Sequence[Header], names: Iterable[str]) -> list[Header]:
    return [header for header in headers if header[0].lower() not in names]


def _with_length(headers: Sequence[Header], length: int | None, replace: Sequence[Header]) -> list[Header]:
    """Content-Length keeps its place where the headers have it, so that an unchanged body has unchanged headers."""
    kept = _without(headers, {name.lower() for name, _ in replace})
    if length is not None:
        own = [place for place, (name, _) in enumerate(kept) if name.lower() == "content-length"]
        header = (kept[own[0]][0] if own else "Content-Length", str(length))
        at = own[0] if own else len(kept)
        kept = [*kept[:at], header, *_without(kept[at:], {"content-length"})]
    return [*kept, *replace]
