"""What the setting models of every file share: a strict base, names, and secrets.

One rule: an unknown key is an error, and no error text ever holds a value that may be a secret.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr


def _check_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or any(ord(char) <= 32 or ord(char) > 126 for char in text):
        raise ValueError("must be a non-empty key of visible ASCII characters")
    return secret


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Key = Annotated[SecretStr, AfterValidator(_check_secret)]


class Model(BaseModel):
    """A block of settings."""

    # Inputs may hold keys that were interpolated: they must not come back in an error text.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
