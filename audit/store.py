"""The state of a run on disk.

One rule: the file is whole at every moment, and another audit never continues it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from audit.search import State


def read_state(file: Path, header: dict[str, Any]) -> State:
    """The state that a run goes on from; a new one where there is no file.

    Raises ValueError where the file is none, or belongs to an audit with other settings."""
    if not file.is_file():
        return State()
    try:
        document = orjson.loads(file.read_bytes())
        same = document["header"] == header
        state = State.of(document["state"]) if same else None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no state of an audit") from error
    if state is None:
        raise ValueError(f"{file} belongs to an audit with other settings; choose another folder")
    return state


def write_state(file: Path, header: dict[str, Any], state: State) -> None:
    """Replace the file at once. Raises OSError."""
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as out:
        out.write(orjson.dumps({"header": header, "state": state.document()}))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
