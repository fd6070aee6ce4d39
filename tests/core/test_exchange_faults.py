"""The seeded faults of `scripts/core_faults.py` still fit the source. That each is caught is shown by running the script."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "core_faults.py"))
FAULTS: tuple[Any, ...] = SCRIPT["FAULTS"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_still_applies(fault: Any) -> None:
    assert SCRIPT["applies"](fault)
    assert fault.old != fault.new
    compile(SCRIPT["source"](fault).read_text(encoding="utf-8").replace(fault.old, fault.new), fault.name, "exec")


def test_there_are_enough_of_them_and_no_name_twice() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 12
