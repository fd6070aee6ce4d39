"""What is loaded and dumped says the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.jsonbytes import clean, dump, load, load_exact, load_text

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES)
def test_every_document_survives_load_exact_and_dump(value: Any) -> None:
    data = json.dumps(value).encode()
    assert json.loads(dump(load_exact(data))) == json.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":123456789012345678901234567890}',
        b'{"a":[0.1000000000000000055511151231257827,-1e-400]}',
        b'{"a":1e999}',
        b'{"z":1,"a":2,"m":{"y":1,"b":2}}',
        b'{"long":12345678901234567890123,"half":"\\ud83d"}',
    ],
)
def test_numbers_and_order_are_kept_to_the_letter(data: bytes) -> None:
    assert dump(load_exact(data)) == data


def test_lone_surrogates_are_read_as_one_character_and_written_as_they_came() -> None:
    data = '{"a":["x\\ud83dy","é",1]}'.encode()
    assert load(data) == {"a": ["x\ud83dy", "é", 1]}
    assert load_text(data) == {"a": ["x\ufffdy", "é", 1]}
    assert json.loads(dump(load(data))) == load(data)
    assert dump({"\ud83d": 1, "a": "\ud83d"}) == '{"\ufffd":1,"a":"\\ud83d"}'.encode()


def test_clean_keeps_length_and_good_text() -> None:
    for good in ("ascii", "你好 🤖", ""):
        assert clean(good) is good
    assert clean("a\ud83d\udc00b") == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":NaN}',
        b'{"\\u0061":NaN}',
        b'{"a":1234567890123456,"b":NaN}',
        b'"\xff"',
        b'"\\u0061\xff"',
        b"\xef\xbb\xbf{}",
    ],
)
def test_junk_raises_value_error(data: bytes) -> None:
    for loader in (load, load_exact, load_text):
        with pytest.raises(ValueError):  # noqa: PT011 - the parsers word it
            loader(data)


def test_deep_nesting_raises_value_error() -> None:
    deep = b"[" * 100_000 + b'"\\ud83d"' + b"]" * 100_000
    for loader in (load, load_text):
        with pytest.raises(ValueError, match="deeply"):
            loader(deep)
    with pytest.raises(ValueError, match="serialised"):
        dump(load(b"[" * 900 + b"]" * 900))


def test_text_nested_deeper_than_it_can_be_cleaned_raises_value_error() -> None:
    # The parser's stack and ours are not the same size: whichever gives in, it is a ValueError or a clean document.
    for depth in range(100, 1000, 50):
        data = b"[" * depth + b'"\\ud83d"' + b"]" * depth
        try:
            text = json.dumps(load_text(data))
        except ValueError:
            continue
        assert "ud83d" not in text
