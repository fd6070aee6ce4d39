"""The second tier: what a run reads, that it is one function of its text in any thread, and what it refuses to load."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from detectors.base import ModelError
from detectors.encoder import (
    KINDS,
    MAX_TOKENS,
    MODELS,
    PROMPT_CHARS,
    PROMPT_TOKENS,
    TEXT_CHARS,
    Encoder,
    Kind,
    beginning,
    encode,
    is_english,
    windows,
)

ENCODER = Encoder()
TOKENIZER = ENCODER.tokenizer
CLS, SEP = TOKENIZER.token_to_id("[CLS]"), TOKENIZER.token_to_id("[SEP]")
TEXTS = ("", " ", "Why is the sky blue?", "I'm sorry, but I can't help with that.", "不好意思", "\ud800 of the", "x" * 5_000)
ANY: Final = st.text(st.characters(exclude_categories=()), max_size=200)
every_kind = pytest.mark.parametrize("kind", list(MAX_TOKENS))
quickly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def labels(kind: Kind) -> set[str]:
    return {name for name, of in KINDS.items() if of == kind}


def test_every_label_of_the_model_belongs_to_one_kind_of_run() -> None:
    assert {label.name for label in ENCODER.manifest.labels} == KINDS.keys()
    assert set(KINDS.values()) == MAX_TOKENS.keys()
    assert ENCODER.manifest.limits.max_tokens == max(MAX_TOKENS.values())


@every_kind
@quickly
@given(text=ANY, prompt=ANY)
def test_any_text_gives_a_probability_of_every_label_of_its_kind(kind: Kind, text: str, prompt: str) -> None:
    found = ENCODER.read(kind, text, prompt)
    assert found.keys() == labels(kind)
    assert all(0.0 <= value <= 1.0 for value in found.values())


@every_kind
def test_a_text_scores_the_same_before_after_and_beside_others(kind: Kind) -> None:
    fresh = Encoder()  # not warm: the first runs race for the session
    alone = [ENCODER.read(kind, text, "Why?") for text in TEXTS]
    assert [ENCODER.read(kind, text, "Why?") for text in reversed(TEXTS)] == alone[::-1]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda text: fresh.read(kind, text, "Why?"), TEXTS * 6))
    assert results == alone * 6


def test_warming_twice_changes_nothing() -> None:
    fresh = Encoder()
    fresh.warm()
    session = fresh._session
    fresh.warm()
    assert fresh._session is session
    assert fresh.read("reply", TEXTS[3]) == ENCODER.read("reply", TEXTS[3])


@every_kind
@quickly
@given(text=ANY, prompt=ANY, times=st.integers(1, 300))
def test_no_run_reads_more_tokens_than_its_kind(kind: Kind, text: str, prompt: str, times: int) -> None:
    ids = encode(TOKENIZER, kind, text * times, prompt * times)
    assert len(ids) <= MAX_TOKENS[kind]
    assert (ids[0], ids[-1]) == (CLS, SEP)


def test_a_long_text_fills_its_run_and_the_rest_is_not_read() -> None:
    for kind in ("prompt", "reply"):
        ids = encode(TOKENIZER, kind, "the town " * 200)  # type: ignore[arg-type]
        assert len(ids) == MAX_TOKENS[kind]  # type: ignore[index]
        assert ids == encode(TOKENIZER, kind, "the town " * 200 + "I cannot help.")  # type: ignore[arg-type]
    assert encode(TOKENIZER, "reply", " " * TEXT_CHARS + "word") == [CLS, SEP]


def test_a_pair_keeps_the_start_of_both() -> None:
    ids = encode(TOKENIZER, "pair", "river " * 100, "town " * 100)
    town, river = TOKENIZER.token_to_id("town"), TOKENIZER.token_to_id("river")
    room = MAX_TOKENS["pair"] - 3 - PROMPT_TOKENS
    assert ids == [CLS, *[town] * PROMPT_TOKENS, SEP, *[river] * room, SEP]
    assert encode(TOKENIZER, "pair", "river", "town") == [CLS, town, SEP, river, SEP]
    assert encode(TOKENIZER, "pair", "", "") == [CLS, SEP, SEP]
    assert encode(TOKENIZER, "pair", "river", " " * PROMPT_CHARS + "town") == [CLS, SEP, river, SEP]


def test_only_a_pair_reads_the_prompt() -> None:
    for kind in ("prompt", "reply"):
        assert ENCODER.read(kind, "The river.", "Is it so?") == ENCODER.read(kind, "The river.")  # type: ignore[arg-type]
    assert ENCODER.read("pair", "No, it is not.", "Is it so?") != ENCODER.read("pair", "No, it is not.", "A poem, please.")


@quickly
@given(text=ANY, times=st.integers(1, 40), limit=st.integers(0, 8))
def test_windows_hold_every_token_of_a_prompt_or_there_are_none(text: str, times: int, limit: int) -> None:
    found = windows(TOKENIZER, text * times, limit)
    if found is None:
        return
    assert 0 < len(found) <= limit
    assert all(ids[0] == CLS and ids[-1] == SEP and len(ids) <= MAX_TOKENS["prompt"] for ids in found)
    body = [i for ids in found for i in ids[1:-1]]
    whole = text.encode("utf-8", "replace").decode() * times
    assert body == TOKENIZER.encode(whole, add_special_tokens=False).ids


def test_windows_are_as_many_as_allowed_and_no_more() -> None:
    room = MAX_TOKENS["prompt"] - 2
    assert [len(ids) - 2 for ids in windows(TOKENIZER, "town " * (2 * room), 2) or []] == [room, room]
    assert windows(TOKENIZER, "town " * (2 * room + 1), 2) is None
    assert windows(TOKENIZER, "", 1) == [[CLS, SEP]]
    assert windows(TOKENIZER, "town", 0) is None


def test_a_huge_text_is_never_tokenised_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Counting:
        def token_to_id(self, token: str) -> int | None:
            return TOKENIZER.token_to_id(token)

        def encode(self, text: str, **options: Any) -> Any:
            nonlocal longest
            longest = max(longest, len(text))
            return TOKENIZER.encode(text, **options)

    counting: Any = Counting()
    huge = "word " * 1_000_000
    assert windows(counting, huge, 8) is None
    assert len(encode(counting, "pair", huge, huge)) == MAX_TOKENS["pair"]
    assert longest == TEXT_CHARS


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("What is the capital of this country?", True),
        ("x = 3", True),
        ("ok", True),
        ("", True),
        ("¿Cómo puedo cocinar las lentejas para la familia?", False),
        ("Wie koche ich die Linsen für meine Familie?", False),
        ("怎么写一个函数？", False),
        ("Кто построил этот мост и когда?", False),
        ("☃ ☃", False),
        ("I'd like to see the café on the corner, please — thank you.", True),
    ],
)
def test_english_and_plain_ascii_without_a_language_is_read(text: str, english: bool) -> None:
    assert is_english(text) is english


def test_a_refusal_is_told_from_an_answer_in_both_directions() -> None:
    refused = ENCODER.read("reply", "I'm sorry, but I can't help with that request.")["refusal"]
    answered = ENCODER.read("reply", "The town lies by the river and has a bridge from 1850.")["refusal"]
    assert refused > 0.8 > 0.2 > answered


def copy_of(folder: Path, **changes: Any) -> Path:
    """The shipped files in `folder`, with changes to their manifest."""
    for name in ("encoder.onnx", "encoder.tokenizer.json"):
        shutil.copy(MODELS / name, folder)
    document = {**json.loads((MODELS / "encoder.json").read_text(encoding="utf-8")), **changes}
    (folder / "encoder.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_a_copy_of_the_shipped_files_is_the_same_model(tmp_path: Path) -> None:
    assert Encoder(folder=copy_of(tmp_path)).read("reply", TEXTS[3]) == ENCODER.read("reply", TEXTS[3])


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.tokenizer.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    copy_of(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b" ")
    with pytest.raises(ModelError, match=rf"{name}: sha256"):
        Encoder(folder=tmp_path)


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.tokenizer.json", "encoder.json"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    copy_of(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(OSError, match=name):
        Encoder(folder=tmp_path)


def test_a_manifest_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names no tokenizer"):
        Encoder(folder=copy_of(tmp_path, tokenizer=None))


def test_a_label_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    labels = [label.model_dump(mode="json") for label in ENCODER.manifest.labels]
    labels[2]["name"] = "surprise"
    with pytest.raises(ModelError, match="unknown labels surprise"):
        Encoder(folder=copy_of(tmp_path, labels=labels))


def test_a_word_list_without_marks_is_refused() -> None:
    document = json.loads(TOKENIZER.to_str())
    document["model"]["vocab"] = {"[UNK]": 0, "town": 1}
    document["added_tokens"], document["post_processor"] = [], None
    with pytest.raises(ModelError, match=r"\[CLS\]"):
        encode(Tokenizer.from_str(json.dumps(document)), "reply", "town")


def test_the_beginning_of_a_prompt_is_its_first_runs() -> None:
    room = MAX_TOKENS["prompt"] - 2
    assert [len(ids) - 2 for ids in beginning(TOKENIZER, "town " * (3 * room), 2)] == [room, room]
    assert beginning(TOKENIZER, "town " * 5, 3) == windows(TOKENIZER, "town " * 5, 3)
    assert beginning(TOKENIZER, "", 3) == [[CLS, SEP]]
