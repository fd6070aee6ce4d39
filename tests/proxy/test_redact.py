"""What looks like a key leaves a text, and nothing else does."""

from __future__ import annotations

import time

import pytest

from proxy.redact import GONE, Redactor

SECRETS = [
    "sk-proj-abcdefghijklmnop1234",
    "Bearer abcdefghijklmnop.qrst",
    "AKIAABCDEFGHIJKLMNOP",
    "AIza" + "a" * 35,
    "ghp_" + "a1" * 18,
    "xoxb-1234567890-abc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_are_taken_out(secret: str) -> None:
    text = Redactor()(f"before {secret} after")
    assert GONE in text
    assert secret.split()[-1] not in text
    assert text.startswith("before ")


@pytest.mark.parametrize("text", ["", "sk-8 is a board", "the bearer of good news", "Ask about task-oriented work.", "Ünï ☂"])
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor()(text) == text


def test_an_operator_may_add_patterns_and_never_weakens_the_others() -> None:
    redact = Redactor([r"\b\d{16}\b"])
    assert redact(f"card 4111111111111111, {SECRETS[0]}") == f"card {GONE}, {GONE}"
    with pytest.raises(ValueError, match="no RE2 pattern"):
        Redactor(["(?=x)"])


def test_it_is_linear() -> None:
    began = time.perf_counter()
    Redactor()("-----BEGIN PRIVATE KEY-----" * 20_000 + "sk-" * 100_000)
    assert time.perf_counter() - began < 5
