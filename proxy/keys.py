"""The client keys: made, hashed, and found by what a client offers.

One rule: only hashes are kept and compared. A key that `make_key` makes is 256 random bits, which nobody can guess however fast
the hash is: SHA-256 is enough, where a slow one for passwords would cost each request its milliseconds and strangers could
make us pay them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from core.values import frozen
from proxy.config_keys import ClientKey, KeyLimits, client_key

#: Where a key begins that was made here: a scanner for leaked secrets can tell it.
PREFIX: Final = "cg-"
#: Shortest key that `chunkguard key --hash` accepts: the hash is fast and has no salt, so a short key could be guessed from it.
LEAST_CHARACTERS: Final = 24


@frozen
class Client:
    """Who is asking. `routes`: those it may use, None = all. `limits`: None where nothing is limited."""

    name: str
    routes: frozenset[str] | None = None
    limits: KeyLimits | None = None


class Keys:
    """The client keys. How long `find` takes says nothing of any key."""

    def __init__(self, keys: Mapping[str, SecretStr | ClientKey]) -> None:
        self._clients: dict[bytes, Client] = {}
        for name, entry in keys.items():
            own = client_key(entry)
            routes = frozenset(own.routes) if own.routes is not None else None
            self._clients[digest_of(own)] = Client(name, routes, own.limits if own.limits else None)
        self._digests = {digest: digest for digest in self._clients}

    def __bool__(self) -> bool:
        return bool(self._clients)

    def find(self, offered: str) -> Client | None:
        """Whose key was offered, None for a stranger's."""
        digest = hashlib.sha256(offered.encode(errors="surrogateescape")).digest()
        # The dictionary hashes with a secret of this process, so its timing is of no use; the last word has a compare without.
        stored = self._digests.get(digest, b"")
        return self._clients[stored] if hmac.compare_digest(stored, digest) else None


def digest_of(entry: ClientKey) -> bytes:
    """The SHA-256 of a configured key, given as it is or hashed already."""
    text = entry.key.get_secret_value()
    if text.startswith("sha256:"):
        return bytes.fromhex(text.removeprefix("sha256:"))
    return hashlib.sha256(text.encode()).digest()


def make_key() -> str:
    """A new key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """The hash of a key as the configuration takes it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def offered_key(headers: Mapping[str, str]) -> str:
    """The key in a client's headers (case-insensitive or lower-case names): a bearer token, else `x-api-key` or `api-key`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key") or ""
