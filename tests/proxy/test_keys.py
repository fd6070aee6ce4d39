"""Client keys: what is kept of them, and whose a key is."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import SecretStr, ValidationError

from proxy.config_keys import ClientKey, KeyLimits, client_key
from proxy.keys import PREFIX, Keys, digest_of, hash_of, make_key, offered_key


def test_keys_are_found_by_value() -> None:
    keys = Keys({"a": SecretStr("one"), "b": SecretStr("two")})
    found = [keys.find(value) for value in ("one", "two", "", "three", "on\udcff")]
    assert [client.name if client else None for client in found] == ["a", "b", None, None, None]
    assert keys
    assert not Keys({})


def test_a_hash_stands_for_its_key_and_opens_nothing_itself() -> None:
    key = make_key()
    keys = Keys({"app": SecretStr(hash_of(key))})
    client = keys.find(key)
    assert client is not None
    assert client.name == "app"
    assert keys.find(hash_of(key)) is None
    assert keys.find(hash_of(key).removeprefix("sha256:")) is None


def test_nothing_of_a_key_but_its_hash_is_kept() -> None:
    keys = Keys({"app": SecretStr("sk-plain-in-the-file")})
    held = repr(keys._clients) + repr(keys._digests)
    assert "sk-plain-in-the-file" not in held
    assert list(keys._clients) == [hashlib.sha256(b"sk-plain-in-the-file").digest()]


def test_made_keys_are_long_random_and_can_be_told() -> None:
    made = {make_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith(PREFIX) and len(key) >= 46 for key in made)


def test_what_a_key_may_do_comes_with_it() -> None:
    limits = KeyLimits(requests_per_minute=5)
    keys = Keys({"app": ClientKey(key=SecretStr("sk-a"), routes=["one"], limits=limits), "free": SecretStr("sk-b")})
    app, free = keys.find("sk-a"), keys.find("sk-b")
    assert app is not None
    assert free is not None
    assert (app.routes, app.limits) == (frozenset({"one"}), limits)
    # Without limits there is nothing to ask a store about.
    assert (free.routes, free.limits) == (None, None)


@pytest.mark.parametrize("text", ["sha256:", "sha256:abc", "sha256:" + "A" * 64, "sha256:" + "g" * 64])
def test_a_broken_hash_is_refused_and_not_taken_for_a_key(text: str) -> None:
    with pytest.raises(ValidationError, match="64 lower-case hex"):
        ClientKey.model_validate({"key": text})


def test_long_and_short_form_mean_the_same() -> None:
    assert digest_of(client_key(SecretStr("k"))) == digest_of(ClientKey(key=SecretStr(hash_of("k"))))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"authorization": "Basic k", "x-api-key": "x"}, "x"),
        ({"api-key": "a"}, "a"),
        ({}, ""),
    ],
)
def test_a_key_may_come_in_three_headers(headers: dict[str, str], key: str) -> None:
    assert offered_key(headers) == key
