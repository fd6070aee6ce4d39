"""Headers go on as they came, but for what has a reason to stay."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.headers import CREDENTIALS, HOP_BY_HOP, end_to_end, reply_headers, request_headers, value_of

PLAIN = [("Accept", "a"), ("X-Twice", "1"), ("content-length", "5"), ("X-Twice", "2"), ("Accept-Encoding", "gzip, br")]


def test_hop_by_hop_fields_and_those_connection_names_are_dropped() -> None:
    hop = [(name.title(), "x") for name in sorted(HOP_BY_HOP - {"connection"})]
    named = [("Connection", "keep-alive, X-Private"), ("x-private", "1"), ("connection", "x-Other"), ("X-OTHER", "1")]
    assert end_to_end([*hop, *PLAIN[:2], *named, *PLAIN[2:]]) == PLAIN


@given(st.lists(st.tuples(st.sampled_from(["A", "a", "B", "X-C"]), st.text("xyz", max_size=2))))
def test_other_fields_keep_spelling_order_and_duplicates(headers: list[tuple[str, str]]) -> None:
    assert end_to_end(headers) == headers
    assert request_headers(headers, length=None) == headers
    assert reply_headers(headers) == headers


def test_an_unchanged_request_keeps_its_headers_as_they_are() -> None:
    client = [("Host", "proxy"), ("Authorization", "Bearer k"), *PLAIN, ("Expect", "100-continue"), ("X-ChunkGuard-Key", "1")]
    want = [("Authorization", "Bearer k"), *PLAIN]
    assert request_headers([*client, ("Proxy-Something", "1")], length=5) == want


def test_a_changed_body_has_its_own_length_and_no_claims_of_the_old_one() -> None:
    client = [("Content-Length", "5"), ("Content-Encoding", "gzip"), ("Content-MD5", "x"), ("Content-Digest", "y"), ("A", "1")]
    assert request_headers(client, length=99, changed=True) == [("Content-Length", "99"), ("A", "1")]
    assert request_headers([("A", "1")], length=99, changed=True) == [("A", "1"), ("Content-Length", "99")]


def test_contradicting_lengths_become_one() -> None:
    assert request_headers([("Content-Length", "5"), ("A", "1"), ("content-length", "6")], length=7) == [
        ("Content-Length", "7"),
        ("A", "1"),
    ]


def test_credentials_stay_with_the_primary_upstream() -> None:
    client = [(name.upper(), "secret") for name in sorted(CREDENTIALS)]
    assert request_headers(client, length=None) == client
    replaced = [("Authorization", "Bearer own"), ("Idempotency-Key", "fresh")]
    assert request_headers([*client, ("A", "1")], length=None, foreign=True, replace=replaced) == [("A", "1"), *replaced]


def test_replaced_fields_replace_all_of_their_name() -> None:
    client = [("authorization", "Bearer a"), ("A", "1"), ("AUTHORIZATION", "Bearer b")]
    assert request_headers(client, length=None, replace=[("Authorization", "own")]) == [("A", "1"), ("Authorization", "own")]


def test_replies_keep_their_headers_unless_their_body_changed() -> None:
    upstream = [
        ("Content-Length", "5"),
        ("ETag", "e"),
        ("Content-Encoding", "br"),
        ("X-Chunkguard-Verdict", "old"),
        ("Via", "v"),
    ]
    assert reply_headers([*upstream, ("Transfer-Encoding", "chunked")]) == upstream
    own = [("x-chunkguard-verdict", "clear")]
    assert reply_headers(upstream, changed=True, replace=own) == [("Via", "v"), *own]
    assert reply_headers(upstream, changed=True, length=7) == [*upstream[3:], ("Content-Length", "7")]


def test_value_of_joins() -> None:
    assert value_of(PLAIN, "x-twice") == "1, 2"
    assert value_of(PLAIN, "absent") is None
