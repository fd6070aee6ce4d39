"""The command as a user types it: outputs, exit statuses, bad lines, poor and strange inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluation.plots import PICTURES
from proxy.cli import main
from tests.evaluation.made import ROWS, write

ROOT = Path(__file__).parents[2]
OUTPUTS = {"eval.json", "eval.md", "eval.html", *PICTURES}


def run(source: Path, out: Path, *options: str) -> int:
    return main(["eval", str(source), "--out", str(out), "--processes", "1", *options])


def figures(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "eval.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    assert run(write(folder / "rows.jsonl", ROWS), folder / "out", "--quiet") == 0
    return folder / "out"


def test_all_outputs_are_written(measured: Path) -> None:
    assert {file.name for file in measured.iterdir()} == OUTPUTS


def test_figures_count_what_the_labels_say(measured: Path) -> None:
    doc = figures(measured)
    counts = doc["run"]["counts"]
    assert (counts["judged"], counts["unlabelled"], counts["prompts"], counts["bad"]) == (10, 1, 1, 0)
    code = doc["figures"]["modes"]["code"]
    assert (code["positives"], code["look_alikes"], code["left_out"], code["ordinary"]) == (2, 1, 1, 6)
    recall = code["systems"]["suspect or misrouted"]["recall"]
    assert (recall["hits"], recall["n"], recall["rate"]) == (1, 2, 0.5)
    assert code["systems"]["every code fence"]["look_alikes"]["rate"] == 1.0
    assert code["systems"]["suspect or misrouted"]["look_alikes"]["rate"] == 0.0
    assert doc["figures"]["modes"]["fiction"]["auc"] is None
    assert list(doc["figures"]["languages"]["any"]) == ["en", "?", "fr", "ja"]
    (missed,) = doc["worst"]["code"]["misses"]
    assert (missed["id"], missed["prompt"], missed["response"]) == (
        "missed",
        "Elucidate the concept of peace.",
        "peace = calm + time",
    )


def test_the_page_and_the_text_say_the_same(measured: Path) -> None:
    page, text = (measured / "eval.html").read_text("utf-8"), (measured / "eval.md").read_text("utf-8")
    assert page.count("data:image/png;base64,") == len(PICTURES)
    assert 'src="http' not in page
    for said in ("50.0% [9.5-90.5] of 2", "peace = calm + time"):
        assert said in page
    assert "50.0% \\[9.5-90.5\\] of 2" in text


def test_the_same_input_gives_the_same_bytes_in_any_number_of_processes(measured: Path, tmp_path: Path) -> None:
    source = measured.parent / "rows.jsonl"
    assert main(["eval", str(source), "--out", str(tmp_path), "--processes", "2", "--quiet"]) == 0
    for name in OUTPUTS:
        assert (tmp_path / name).read_bytes() == (measured / name).read_bytes(), name


def test_no_text_leaves_every_text_out(tmp_path: Path) -> None:
    secret = "zanzibar"
    rows = [{**row, "response": f"{row['response']} {secret}"} for row in ROWS if row["response"]]
    source = write(tmp_path / "rows.jsonl", rows)
    assert run(source, tmp_path / "bare", "--no-text", "--quiet") == 0
    assert run(source, tmp_path / "full", "--quiet") == 0
    for name in ("eval.json", "eval.md", "eval.html"):
        assert secret not in (tmp_path / "bare" / name).read_text("utf-8")
        assert secret in (tmp_path / "full" / name).read_text("utf-8")
        assert "Elucidate" not in (tmp_path / "bare" / name).read_text("utf-8")
    assert figures(tmp_path / "bare")["worst"]["code"]["misses"][0]["id"] == "missed"


def test_bad_lines_are_named_counted_and_do_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    source = write(tmp_path / "rows.jsonl", ROWS[:2])
    with source.open("a", encoding="utf-8") as file:
        file.write('{broken\n\n{"response": "x", "behaviour": "none"}\n{"prompt": "x", "response": "y", "behaviour": "rant"}\n')
        file.write('[]\n{"prompt": "Why?", "response": "So.", "behaviour": "none"}\n')
    assert run(source, tmp_path / "out") == 1
    said = capsys.readouterr()
    for number in (3, 5, 6, 7):
        assert f"{source}:{number}: " in said.err
    assert "4 lines that could not be read" in said.out
    doc = figures(tmp_path / "out")
    assert doc["run"]["counts"]["judged"] == 3
    assert [(problem["path"], problem["number"]) for problem in doc["run"]["problems"]] == [
        (str(source), number) for number in (3, 6, 7, 5)
    ]


def test_the_summary_fits_a_terminal(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(measured.parent / "rows.jsonl", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines if str(tmp_path) not in line)
    text = "\n".join(lines)
    assert "…" not in text
    for said in ("any mode", "every code fence", "refusal phrases", "50 [9.5-91]", "10 exchanges judged"):
        assert said in text


def test_modes_can_be_chosen(measured: Path, tmp_path: Path) -> None:
    assert run(measured.parent / "rows.jsonl", tmp_path, "--mode", "refusal", "--mode", "code", "--quiet") == 0
    doc, whole = figures(tmp_path)["figures"], figures(measured)["figures"]
    assert list(doc["modes"]) == ["any", "code", "refusal"]
    assert doc["modes"]["code"] == whole["modes"]["code"]
    assert doc["modes"]["any"]["positives"] == 3


def test_a_limit_and_a_number_of_errors(measured: Path, tmp_path: Path) -> None:
    assert run(measured.parent / "rows.jsonl", tmp_path, "--limit", "4", "--seed", "3", "--errors", "0", "--quiet") == 0
    doc = figures(tmp_path)
    assert (doc["run"]["counts"]["judged"], doc["run"]["counts"]["usable"]) == (4, 10)
    assert doc["worst"]["code"]["misses"] == []


@pytest.mark.parametrize("keep", ["plain", "sum"])
def test_one_class_is_enough(tmp_path: Path, keep: str) -> None:
    source = write(tmp_path / "rows.jsonl", [row for row in ROWS if row["id"] == keep])
    assert run(source, tmp_path / "out", "--quiet") == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == OUTPUTS


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", ROWS[:2])
    write(tmp_path / "a.jsonl", ROWS[2:4])
    assert run(tmp_path, tmp_path / "out", "--quiet") == 0
    doc = figures(tmp_path / "out")
    assert [Path(file["path"]).name for file in doc["run"]["files"]] == ["a.jsonl", "b.jsonl"]
    assert {row["source"] for row in doc["figures"]["sources"]} == {"a", "b"}


@pytest.mark.parametrize("rows", [[], [ROWS[-1], ROWS[-2]]], ids=["empty", "unlabelled"])
def test_nothing_labelled_is_an_error(tmp_path: Path, rows: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write(tmp_path / "rows.jsonl", rows), tmp_path / "out") == 2
    assert "no labelled exchange" in capsys.readouterr().err


def test_a_missing_file_and_an_empty_folder_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "absent.jsonl", tmp_path / "out") == 2
    assert "absent.jsonl" in capsys.readouterr().err
    assert run(tmp_path, tmp_path / "out") == 2
    assert "no *.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--mode", "rant"], ["--limit", "-1"], ["--errors", "many"]])
def test_bad_options_are_refused(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, tmp_path / "out", *options)
    assert ended.value.code == 2


def test_a_missing_matplotlib_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(tmp_path / "absent.jsonl", tmp_path / "out") == 2
    assert "with the extra 'eval'" in capsys.readouterr().err


def test_it_runs_as_a_program(measured: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy.cli", "eval", str(measured.parent), "--out", str(tmp_path), "--processes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=50)
    assert "10 exchanges judged" in done.stdout
    assert done.stderr == ""
