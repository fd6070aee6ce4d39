"""Own texts: every line has a known class, none stands in two that contradict each other, every language has all topics."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from detectors.training import own
from detectors.training.data import prompt_key

LANGUAGES = {"de", "en", "es", "fr", "it", "ja", "ko", "no", "pl", "pt", "ru", "zh"}
FILES = sorted(path for path in own._OWN.glob("*_*.yaml"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_every_topic_is_there_in_every_language() -> None:
    topics = own.PROMPTS.keys() | own.REPLIES.keys()
    assert {path.stem for path in FILES} == {f"{topic}_{lang}" for topic in topics for lang in LANGUAGES}


@every_file
def test_every_class_of_a_file_is_known_and_has_lines(path: Path) -> None:
    topic = path.stem.split("_")[0]
    known = own.PROMPTS.get(topic, {}).keys() | own.REPLIES.get(topic, {}).keys()
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document.keys() == known
    assert [kind for kind, lines in document.items() if not lines] == []
    assert all(line.text.strip() for line in own._read(path))


def test_no_class_is_both_of_prompts_and_of_replies() -> None:
    for topic in own.PROMPTS.keys() & own.REPLIES.keys():
        assert own.PROMPTS[topic].keys() & own.REPLIES[topic].keys() == set()


def test_every_class_teaches_something_and_every_label_has_both_answers() -> None:
    for table in (own.PROMPTS, own.REPLIES):
        answers: dict[str, set[bool]] = defaultdict(set)
        for classes in table.values():
            for teaches in classes.values():
                assert teaches
                for label, yes in teaches.items():
                    answers[label].add(yes)
        assert all(said == {True, False} for said in answers.values()), answers


@every_file
def test_no_line_teaches_both_answers_to_a_label(path: Path) -> None:
    said: dict[tuple[str, str, str], set[bool]] = defaultdict(set)
    for line in own._read(path):
        kind = "reply" if line.kind in own.REPLIES.get(line.topic, {}) else "prompt"
        for label, yes in line.teaches.items():
            said[f"{kind} {label}", prompt_key(line.text), prompt_key(line.prompt)].add(yes)
    assert [key for key, answers in said.items() if len(answers) > 1] == []


def test_prompts_and_replies_are_all_lines_once() -> None:
    lines = [line for path in FILES for line in own._read(path)]
    assert sorted(map(repr, (*own.prompts(), *own.replies()))) == sorted(map(repr, lines))
    assert {line.lang for line in lines} == LANGUAGES
    assert all(line.prompt == "" for line in own.prompts())
    assert any(line.prompt for line in own.replies())


def test_a_line_is_read_as_its_class_says(tmp_path: Path) -> None:
    path = tmp_path / "reply_en.yaml"
    path.write_text('hard:\n  - "No."\n  - {p: "Do it!", r: "Never."}\n', encoding="utf-8")
    assert [(line.text, line.prompt, line.lang) for line in own._read(path)] == [("No.", "", "en"), ("Never.", "Do it!", "en")]
    assert all(line.teaches == {"refusal": True, "excused": False} for line in own._read(path))


@pytest.mark.parametrize("name", ["reply_en", "surprise_en"])
def test_an_unknown_class_or_topic_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text('surprise:\n  - "No."\n', encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{name}\.yaml: class 'surprise'"):
        list(own._read(path))


def test_frames_and_fillers_are_no_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "harm.yaml"
    path.write_text("frames: {en: [How]}\n", encoding="utf-8")
    assert list(own._read(path)) == []
