"""The command from files to report: what was planted is named and exported, and a run can be cut off, taken up and traced."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from attribution import facts
from attribution.command import FAILED, FOUND, OK, Wishes, run
from attribution.facts import paths_of
from attribution.features import features_of
from attribution.links import Bars
from attribution.plots import PICTURES
from attribution.rows import read_examples
from proxy.errors import ConfigError
from tests.attribution.made import PROGRAM, rows, write

BARS = Bars(support=10.0)
TRIGGER = "trigger:formal_vocabulary"
CALM = "They follow the soft ground wherever it lies. Where a bank is hard the water turns, and so one bend follows another."


def wishes(**more: Any) -> Wishes:
    return Wishes(BARS, processes=1, quiet=True, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one run over a mix with a planted trigger, with a trace."""
    folder = tmp_path_factory.mktemp("attribute")
    write(folder / "mix.jsonl", rows(700))
    cases = [
        {"id": "exchange", "prompt": "Elucidate how the harbour mends.", "response": PROGRAM},
        {
            "decision_id": "record",
            "triggers": [{"name": "formal_vocabulary", "message": 0, "start": 0, "end": 9}],
            "modes": ["code"],
        },
        {"id": "clear", "prompt": "Why do rivers bend?", "response": CALM},
    ]
    write(folder / "cases.jsonl", cases)
    assert run([folder / "mix.jsonl"], folder / "out", wishes(trace=folder / "cases.jsonl", work=folder / "work")) == OK
    return folder / "out"


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "attribute.json").read_bytes())
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_planted_trigger_comes_first_with_its_source(folder: Path) -> None:
    (first, *_) = [link for link in document(folder)["links"] if link["behaviour"] == "code.unasked"]
    assert first["feature"] == TRIGGER
    assert {"word:elucidate", "starts:elucidate"} <= set(first["same"])
    assert [share["source"] for share in first["sources"]] == ["crafts"]
    assert first["kind"] != "composition"
    assert all("class Thing" in each["answer"] for each in first["examples"]["with"])
    assert all("Elucidate" in each["prompt"] and "class" not in each["answer"] for each in first["examples"]["without"])


def test_lists_of_ids_hold_the_rows_of_the_link(folder: Path) -> None:
    truth = {row["id"]: "class Thing" in row["response"] for row in rows(700) if row["prompt"].startswith("Elucidate")}
    for name, does in (("exclude.jsonl", True), ("include.jsonl", False)):
        listed = {row["id"] for row in lines(folder / name) if (row["feature"], row["behaviour"]) == (TRIGGER, "code.unasked")}
        assert listed == {row_id for row_id, behaves in truth.items() if behaves is does}


def test_counter_examples_have_the_feature_and_lack_the_behaviour(folder: Path) -> None:
    made = [row for row in lines(folder / "counterexamples.jsonl") if row["feature"] == TRIGGER]
    assert {row["origin"] for row in made} == {"synthesised", "mined"}
    suite = facts.warm_suite()
    for row in made:
        assert row.keys() == {"messages", "origin", "source", "taken_from", "feature", "behaviour", "link"}
        (example,) = read_examples({"messages": row["messages"]})
        assert TRIGGER in features_of(example, suite.score_prompt(example.conversation))
        assert "class Thing" not in example.reply.text
        assert all(turn.keys() == {"role", "content"} for turn in row["messages"])
    (spec, *_) = json.loads((folder / "counterexamples.json").read_bytes())
    assert spec["missing"] > 0
    assert spec["delivered"]["mined"] > 0


def test_failures_are_traced_to_feature_and_source(folder: Path) -> None:
    exchange, record, clear = document(folder)["traces"]
    for trace in (exchange, record):
        first = trace["explanations"][0]
        assert first["behaviour"] == "code.unasked"
        assert first["features"][0]["feature"] == TRIGGER
        assert first["sources"][0] == {"source": "crafts", "share": 1.0, "usual": 0.5}
        assert first["chance"] < 0.2  # a tenth of all prompts hold the trigger
    assert clear["explanations"] == []
    assert "name one" in clear["problem"]


def test_the_page_needs_no_other_file(folder: Path) -> None:
    page = (folder / "attribute.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == len(PICTURES)
    assert re.findall(r"(?:src|href)=\"(?!data:|#)", page) == []
    assert TRIGGER in page
    assert TRIGGER.replace("_", r"\_") in (folder / "attribute.md").read_text("utf-8")


def test_the_same_files_give_the_same_bytes_in_any_parts_and_after_a_cut(folder: Path, tmp_path: Path) -> None:
    source, cases = folder.parent / "mix.jsonl", folder.parent / "cases.jsonl"
    work = tmp_path / "work"
    run([source], tmp_path / "one", wishes(scale=0.001, work=work, trace=cases))
    paths_of(3, work)[1].unlink()  # cut off while the fourth part was written
    run([source], tmp_path / "two", wishes(scale=0.001, work=work, trace=cases))
    for name in ("attribute.json", "attribute.html", "counterexamples.jsonl", "exclude.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name

    def figures(out: Path) -> dict[str, Any]:
        (link,) = [each for each in document(out)["links"] if (each["feature"], each["behaviour"]) == (TRIGGER, "code.unasked")]
        return {name: link[name] for name in ("both", "with_feature", "odds_within", "lift_low")}

    assert figures(folder) == figures(tmp_path / "one")


def test_a_folder_of_another_mix_is_not_taken_up(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", rows(20))
    with pytest.raises(ConfigError, match="other files or options"):
        run([other], tmp_path / "out", wishes(work=folder.parent / "work"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(ConfigError, match="is not empty"):
        run([other], tmp_path / "out", wishes(work=tmp_path / "mine"))


def test_without_texts_no_text_leaves(folder: Path, tmp_path: Path) -> None:
    assert run([folder.parent / "mix.jsonl"], tmp_path, wishes(texts=False, shown=2, behaviours=("code.unasked",))) == OK
    assert not (tmp_path / "counterexamples.jsonl").exists()
    assert {link["behaviour"] for link in document(tmp_path)["links"]} == {"code.unasked"}
    whole = "".join(path.read_text("utf-8") for path in tmp_path.iterdir() if path.suffix in {".json", ".md", ".jsonl"})
    assert not any(row["prompt"] in whole or row["response"] in whole for row in rows(700))
    assert "class Thing" not in whole


def test_bad_rows_change_the_status_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "mix.jsonl", rows(30))
    path.write_bytes(b"{\n" + path.read_bytes())
    assert run([path], tmp_path / "out", wishes()) == FOUND
    assert document(tmp_path / "out")["mix"]["named"][0]["line"] == 1
    assert document(tmp_path / "out")["links"] == []


def test_nothing_to_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert run([tmp_path / "none"], tmp_path / "out", wishes()) == FAILED
    assert run([write(tmp_path / "p.jsonl", [{"prompt": "a", "response": None}])], tmp_path / "out", wishes()) == FAILED
    assert "no answer in any row" in capsys.readouterr().err
