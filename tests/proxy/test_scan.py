"""Lines in, lines out: order, bad lines, several processes, pipes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from proxy.cli import main
from proxy.scan import batches, scan

ROOT = Path(__file__).parents[2]


def lines(count: int) -> list[bytes]:
    made = []
    for number in range(count):
        code = "```python\nimport math\n\ndef peace(x):\n    return math.sqrt(x)\n\nprint(peace(4))\n```"
        answer = code if number % 3 == 0 else "Peace is when people do not fight."
        made.append(orjson.dumps({"id": number, "prompt": "Elucidate the concept of peace.", "response": answer}))
    return made


def test_order_is_kept_and_verdicts_have_the_documented_shape() -> None:
    target = io.BytesIO()
    tally = scan(io.BytesIO(b"\n".join(lines(9))), target, processes=1, quiet=True)
    verdicts = [orjson.loads(line) for line in target.getvalue().splitlines()]
    assert [verdict["id"] for verdict in verdicts] == list(range(9))
    assert tally.lines == 9
    assert tally.bad == 0
    assert tally.flags["code", "misrouted"] == 3
    for verdict in verdicts:
        assert set(verdict) == {"id", "verdict", "modes", "triggers"}
        assert set(verdict["modes"]["code"]) == {"verdict", "score", "evidence"}
        assert set(verdict["triggers"][0]) == {"name", "message", "start", "end"}


def test_several_processes_give_the_same_lines_in_the_same_order() -> None:
    source = b"\n".join(lines(200))
    one, two = io.BytesIO(), io.BytesIO()
    scan(io.BytesIO(source), one, processes=1, quiet=True)
    scan(io.BytesIO(source), two, processes=2, quiet=True)
    assert one.getvalue() == two.getvalue()


def test_bad_lines_are_named_and_counted_and_the_rest_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = lines(2)
    source.write_bytes(b"\n".join([good[0], b"{broken", b"", b'{"id": 4}', b'{"response": "x"}', b"[]", good[1], b""]))
    assert main(["scan", "--in", str(source), "--out", str(target), "--processes", "1"]) == 1
    assert [orjson.loads(line)["id"] for line in target.read_bytes().splitlines()] == [0, 1]
    said = capfd.readouterr().err
    for number in (2, 4, 5, 6):
        assert f"line {number}:" in said
    assert "4 lines could not be read" in said


def test_missing_file_is_said_with_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["scan", "--in", str(tmp_path / "absent.jsonl"), "--out", "-"]) == 2
    assert "absent.jsonl" in capsys.readouterr().err


def test_source_and_target_must_differ(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "same.jsonl"
    file.write_bytes(lines(1)[0])
    assert main(["scan", "--in", str(file), "--out", str(file)]) == 2
    assert file.read_bytes() == lines(1)[0]


def test_pipes() -> None:
    command = [sys.executable, "-m", "proxy.cli", "scan", "--in", "-", "--out", "-", "--processes", "1"]
    done = subprocess.run(command, input=b"\n".join(lines(2)), capture_output=True, cwd=ROOT, check=True, timeout=50)
    assert [orjson.loads(line)["id"] for line in done.stdout.splitlines()] == [0, 1]
    assert b"2 exchanges judged" in done.stderr


def test_batches_number_lines_from_one_and_skip_blank_ones() -> None:
    assert list(batches([b"a", b" ", b"b", b"c"], 2)) == [[(1, b"a"), (3, b"b")], [(4, b"c")]]
