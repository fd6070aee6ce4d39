"""A user's own rows: what each teaches, what makes a line bad, and that bad lines leave nothing behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.types import Reply
from detectors.base import load_manifest
from detectors.encoder import MODELS
from detectors.onnx import ReplyModel
from detectors.rows import BEHAVIOURS
from detectors.training import examples, prompt_labels, reply_labels, user
from detectors.training.__main__ import main
from detectors.training.data import Row

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
LABELS = ("asks_code", "asks_math", "asks_fiction", "asks_extraction", "asks_check", "asks_tool", "distress", "harm",
          "refusal", "excused", "denial", "suspicion", "warm")  # fmt: skip


def write(file: Path, *rows: Any) -> Path:
    file.write_bytes(b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows))
    return file


def read(folder: Path, *rows: Any) -> dict[str, list[Row]]:
    return user.read([write(folder / "tickets.jsonl", *rows)])


def lessons(folder: Path, *rows: Any) -> dict[str, list[bool]]:
    """Label -> what the rows say of it."""
    found = read(folder, *rows)
    said = {label: [says for _, says in user.taught(found, label)] for label in LABELS}
    return {label: says for label, says in said.items() if says}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"behaviour": "code", "appropriate": True}, {"asks_code": [True]}),
        ({"behaviour": "code", "appropriate": False}, {"asks_code": [False]}),
        ({"behaviour": "code", "appropriate": None}, {}),
        ({"behaviour": "math", "appropriate": True}, {"asks_math": [True]}),
        ({"behaviour": "fiction", "appropriate": False}, {"asks_fiction": [False]}),
        ({"behaviour": "extraction", "appropriate": True}, {"asks_extraction": [True]}),
        ({"behaviour": "tool_call", "appropriate": True}, {"asks_tool": [True]}),
        ({"behaviour": "tool_call", "appropriate": False}, {}),
        ({"behaviour": "refusal", "appropriate": False}, {"refusal": [True]}),
        ({"behaviour": "refusal"}, {"refusal": [True]}),
        ({"behaviour": "refusal", "response": None}, {}),
        ({"behaviour": "rebuttal", "appropriate": True}, {"denial": [True]}),
        ({"behaviour": "none"}, {"refusal": [False], "denial": [False]}),
        ({"behaviour": "analytic", "appropriate": False}, {"distress": [True], "warm": [False]}),
        ({"behaviour": "analytic"}, {"distress": [True], "warm": [False]}),
        ({"behaviour": "analytic", "appropriate": True}, {"warm": [False]}),
        ({"prompt_harm": True}, {"harm": [True]}),
        ({"behaviour": "refusal", "prompt_harm": False}, {"harm": [False], "refusal": [True]}),
        ({"behaviour": "unknown"}, {}),
    ],
)
def test_a_row_teaches_what_it_says_and_no_more(
    tmp_path: Path, fields: dict[str, Any], expected: dict[str, list[bool]]
) -> None:
    assert lessons(tmp_path, {"prompt": "Why?", "response": "So.", **fields}) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"behaviour": "code", "appropriate": True}, {}),
        ({"behaviour": "code", "appropriate": False}, {"asks_code": [False]}),
        ({"behaviour": "analytic", "appropriate": False}, {"warm": [False]}),
        ({"prompt_harm": True}, {}),
        ({"prompt_harm": False}, {"harm": [False]}),
    ],
)
def test_which_of_several_turns_asks_is_not_known(
    tmp_path: Path, fields: dict[str, Any], expected: dict[str, list[bool]]
) -> None:
    messages = [{"role": "user", "content": "Sort this."}, {"role": "user", "content": "Thanks, go on."}]
    assert lessons(tmp_path, {"messages": messages, "response": "So.", **fields}) == expected


def test_a_good_answer_beside_a_cold_one_is_warm(tmp_path: Path) -> None:
    cold = {"prompt": "My dog died.", "response": "List the steps.", "behaviour": "analytic", "appropriate": False}
    good = {"prompt": "my dog died", "response": "I am so sorry.", "behaviour": "none", "appropriate": True}
    found = read(tmp_path, cold, good, {**good, "prompt": "Why?"}, {**good, "appropriate": None, "response": "Hm."})
    assert {row.response: says for row, says in user.taught(found, "warm")} == {
        "List the steps.": False,
        "I am so sorry.": True,
    }


def test_both_formats_are_read_and_markers_are_not_seen(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Warum ist der Himmel denn eigentlich blau?"}]},
    ]
    found = read(
        tmp_path,
        {"messages": messages, "response": {"role": "assistant", "content": "Darum."}, "behaviour": "none"},
        {"prompt": "Human: one\n\nAssistant: two\n\nHuman: three", "response": "x", "behaviour": "none", "source": "old",
         "license": "MIT", "lang": "fr"},
    )  # fmt: skip
    (first,), (second,) = found["user/tickets"], found["user/tickets/old"]
    assert (first.turns, first.response, first.lang) == (("Warum ist der Himmel denn eigentlich blau?",), "Darum.", "de")
    assert (second.turns, second.licence, second.lang) == (("one", "three"), "MIT", "fr")


def test_rows_join_the_corpora_under_their_own_name_and_by_prompt(tmp_path: Path) -> None:
    row = {"prompt": "The usual for hall seven.", "response": "print(7)", "behaviour": "code", "appropriate": True}
    found = read(tmp_path, row, {**row, "prompt": "The usual for hall eight."})
    mine = [e for e in prompt_labels.asks_code(found).train if e.source == "user/tickets"]
    assert {(e.text, e.positive) for e in mine} == {("The usual for hall seven.", True), ("The usual for hall eight.", True)}
    assert all(0 <= e.fold < examples.FOLDS for e in mine)
    refused = read(tmp_path, {**row, "behaviour": "refusal", "response": "House rule nine."})
    (reply,) = [e for e in reply_labels.refusal(refused).train if e.source == "user/tickets"]
    assert (reply.text, reply.prompt) == ("House rule nine.", "The usual for hall seven.")


def test_a_row_of_another_licence_class_is_only_measured(tmp_path: Path) -> None:
    row = {"prompt": "The usual.", "response": "x", "behaviour": "code", "appropriate": True, "license_class": "nc"}
    corpus = prompt_labels.asks_code(read(tmp_path, row))
    assert [e.text for e in corpus.held_out] == ["The usual."]
    assert not [e for e in corpus.train if e.source == "user/tickets"]


def test_a_large_source_is_capped_by_class(tmp_path: Path) -> None:
    row = {"response": "x", "behaviour": "code", "appropriate": True}
    wanted = [{**row, "prompt": f"Prompt {i}."} for i in range(user.CAP + 5)]
    found = read(tmp_path, *wanted, {**row, "prompt": "No.", "appropriate": False})
    says = [says for _, says in user.taught(found, "asks_code")]
    assert (says.count(True), says.count(False)) == (user.CAP, 1)


GOOD = {"prompt": "Why?", "response": "So.", "behaviour": "none"}
BAD: list[tuple[Any, str]] = [
    (b"{broken", "not JSON"),
    ([], "not an object"),
    ({"prompt": "Why?", "response": "So."}, "says nothing"),
    ({**GOOD, "behaviour": "rant"}, "'behaviour' must be one of"),
    ({**GOOD, "appropriate": "yes"}, "'appropriate' must be true, false or null"),
    ({**GOOD, "prompt_harm": 1}, "'prompt_harm' must be true, false or null"),
    ({**GOOD, "prompt": 3}, "give 'messages' (an array) or 'prompt' (a string)"),
    ({**GOOD, "prompt": " "}, "no user turn with text"),
    ({"messages": "x", "response": "x", "behaviour": "none"}, "'messages' must be an array of objects"),
    ({**GOOD, "response": 3}, "'response' must be a string, null, or a message"),
]


def test_all_bad_lines_are_said_at_once_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "bad.jsonl", GOOD, *(row for row, _ in BAD))
    assert main(["--rows", str(file), "--out", str(tmp_path / "out"), "--tier", "first"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(BAD)
    for number, (line, (_, reason)) in enumerate(zip(lines, BAD, strict=True), 2):
        assert line.startswith(f"{file}:{number}: ")
        assert reason in line
    assert not (tmp_path / "out").exists()


def test_no_file_and_no_row_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out"), "--tier", "first"]
    assert main(["--rows", str(tmp_path / "absent.jsonl"), *out]) == 2
    assert main(["--rows", str(write(tmp_path / "empty.jsonl")), *out]) == 2
    said = capsys.readouterr().err
    assert "absent.jsonl: No such file" in said
    assert "no row" in said


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "rows.jsonl", GOOD)
    (tmp_path / "taken").touch()
    options = ["--rows", str(rows), "--tier", "first", "--labels", "warm"]
    assert main([*options, "--out", str(tmp_path / "taken" / "out")]) == 2
    assert f"{tmp_path / 'taken' / 'out'}: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "give --rows, --data or both"),
        (["--rows", "x"], "give --base, or --tier first"),
        (["--rows", "x", "--base", "b"], "give --data, or --tier first"),
        (["--rows", "x", "--labels", "asks_code"], "give --tier first"),
        (["--rows", "x", "--labels", "asks_tea"], "no such label: asks_tea"),
    ],
)
def test_options_that_make_no_model_are_refused(options: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--out", "out", *options])
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_other_labels_stay_as_they_are_shipped_and_the_card_names_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"response": "x", "behaviour": "refusal", "lang": "en"}
    refused = [{**row, "prompt": f"Order {i}?", "response": f"This is for the desk of hall {i}."} for i in range(20)]
    file = write(tmp_path / "tickets.jsonl", *refused)
    out, card = tmp_path / "out", tmp_path / "card.md"
    options = ["--tier", "first", "--labels", "refusal", "--card", str(card)]
    assert main(["--rows", str(file), "--out", str(out), *options]) == 0
    assert "own rows teach refusal: 20 yes, 0 no\n" in capsys.readouterr().err
    made, shipped = load_manifest(out / "response.json"), load_manifest(MODELS / "response.json")
    assert made.label("denial") == shipped.label("denial")
    assert made.label("refusal") != shipped.label("refusal")
    assert made.base == f"denial of the shipped model, sha256 {shipped.sha256}"
    (mine,) = [source for source in made.sources if source.name == "user/tickets"]
    assert (mine.licence, mine.use, mine.rows) == ("the user's own", "train refusal", 20)
    for name in ("prompt", "distress", "manner"):
        for ending in ("json", "onnx"):
            assert (out / f"{name}.{ending}").read_bytes() == (MODELS / f"{name}.{ending}").read_bytes()
    reply = Reply(text="This is for the desk of hall thirty.")
    said, before = ReplyModel("response", out).score_reply(reply).values, ReplyModel().score_reply(reply).values
    assert said["refusal.present"] > before["refusal.present"]
    assert said["rebuttal.denial"] == pytest.approx(before["rebuttal.denial"], abs=1e-4)
    text = card.read_text("utf-8")
    assert "- Own rows: `user/tickets`." in text
    assert "| user/tickets | the user's own | response | train refusal | 20 |" in text
    assert "| user/tickets | en | cross-fit | recall |" in text


def documented() -> Iterator[tuple[dict[str, Any], dict[str, list[bool]]]]:
    """What docs/training.md says that a row teaches: fields of a row, and label -> yes or no."""
    said = {"appropriate: true": True, "appropriate: false": False, "not said": None}
    table = PAGE[PAGE.index("| `behaviour` | `appropriate: true` |") :].split("\n\n")[0].splitlines()
    head = [cell.strip(" `") for cell in table[0].strip("|").split("|")]
    for line in table[2:]:
        behaviour, *cells = (cell.strip() for cell in line[1:-1].split("|"))
        for column, cell in zip(head[1:], cells, strict=True):
            lessons = {label: [word == "yes"] for word, label in re.findall(r"(yes|no) `(\w+)`", cell)}
            yield {"behaviour": behaviour.strip("`"), "appropriate": said[column]}, lessons


def test_the_page_says_what_rows_teach(tmp_path: Path) -> None:
    rows = list(documented())
    assert sorted(fields["behaviour"] for fields, _ in rows) == sorted(BEHAVIOURS * 3)
    for fields, expected in rows:
        assert lessons(tmp_path, {"prompt": "Why?", "response": "So.", **fields}) == expected, fields


def test_the_row_on_the_page_is_one(tmp_path: Path) -> None:
    (row,) = re.findall(r"```json\n(.*)\n```", PAGE)
    assert lessons(tmp_path, row.encode()) == {"asks_code": [True]}
