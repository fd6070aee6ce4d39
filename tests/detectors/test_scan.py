import time

import pytest

from core.types import Conversation, Tool, Turn
from detectors.lexicons import load_table, table_names
from detectors.scan import HEAD_CHARS, TAIL_CHARS, TOTAL_CHARS, Pattern, Patterns, Words, scan_prompt


def found(words, text):
    return {name: [text[start:end] for start, end in hits] for name, hits in Words(words).find(text).items()}


def test_words_match_whole_words_of_spaced_scripts():
    assert found({"f": ["cat", "éclair"]}, "a cat, concatenate; un éclair!") == {"f": ["cat", "éclair"]}


def test_a_star_matches_any_ending_and_the_span_runs_to_the_end_of_the_word():
    assert found({"f": ["elucidat*"]}, "elucidating (elucidate)") == {"f": ["elucidating", "elucidate"]}


def test_scripts_without_spaces_match_anywhere():
    assert found({"f": ["函数", "함수"]}, "写一个函数吧 함수를") == {"f": ["函数", "함수"]}


def test_phrases_match_across_a_line_break_and_an_apostrophe():
    assert found({"f": ["i don't know"]}, "i don't\nknow") == {"f": ["i don't\nknow"]}


def test_a_word_of_two_features_counts_for_both():
    assert found({"a": ["code"], "b": ["code"]}, "code") == {"a": ["code"], "b": ["code"]}


def test_an_entry_without_a_word_is_refused():
    with pytest.raises(ValueError, match="entry without a word"):
        Words({"f": ["!?"]})


def test_a_bad_pattern_is_named():
    with pytest.raises(ValueError, match=r"mine: bad pattern '\(a'"):
        Patterns([Pattern("mine", "(a")])


def test_a_gated_pattern_waits_for_its_gate():
    patterns = Patterns([Pattern("f", r"\d+", gate=("open",))])
    hits = {}
    patterns.find("12", hits)
    assert hits == {}
    hits = {"open": [(0, 0)]}
    patterns.find("é 12", hits)
    assert hits["f"] == [(2, 4)]


def test_only_system_and_user_turns_are_read():
    turns = (Turn("system", "sys", 0), Turn("user", "use", 1), Turn("assistant", "code", 2), Turn("tool", "tool", 3))
    scan = scan_prompt(Conversation(turns, tools=(Tool("elucidate"),)))
    assert [part.turn.index for part in scan.parts] == [0, 1]
    assert scan.scanned == 6


def test_a_long_turn_is_read_at_both_ends_with_spans_in_the_whole_text():
    text = "elucidate " + "z" * 60_000 + " delineate"
    scan = scan_prompt(Conversation((Turn("user", text, 0),)))
    spans = {part.to_original(hit) for part in scan.parts for hit in part.hits["formal.strong"]}
    assert sorted(text[start:end] for start, end in spans) == ["delineate", "elucidate"]
    assert scan.scanned == HEAD_CHARS + TAIL_CHARS


def test_a_long_history_is_bounded_and_keeps_the_system_prompt_and_the_newest():
    turns = (Turn("system", "be brief", 0), *(Turn("user", "z " * 15_000, n) for n in range(1, 9)))
    scan = scan_prompt(Conversation(turns))
    read = [part.turn.index for part in scan.parts]
    assert read[0] == 0
    assert read[-1] == 8
    assert 1 not in read
    assert scan.scanned <= TOTAL_CHARS + HEAD_CHARS + TAIL_CHARS


def test_spans_of_folded_text_point_into_the_original():
    text = "… ½ Eluci\u200bdate ＸＹ"
    part = scan_prompt(Conversation((Turn("user", text, 0),))).parts[0]
    start, end = part.to_original(part.hits["formal.strong"][0])
    assert text[start:end] == "Eluci\u200bdate"


@pytest.mark.parametrize(
    "unit", ["write function ", "is 1+1=", "$x$ ", "answer only yes or no ", "█", "(a) yes (b) no ", '"', "一加一等于"]
)
def test_crafted_text_is_read_in_linear_time(unit):
    text = (unit * 30_000)[:30_000]
    conversation = Conversation((Turn("user", text, 0),))
    scan_prompt(conversation)
    start = time.process_time()
    scan_prompt(conversation)
    assert time.process_time() - start < 1.0


def test_every_table_lists_words_once_and_only_features_that_something_reads():
    rules = load_table("prompt_rules")
    read = set(rules["triggers"])
    for rule in (*rules["rules"], *rules["gates"]):
        for key in ("first", "second", "needs", "unless"):
            value = rule.get(key, [])
            read.update(value if isinstance(value, list) else [value])
    for pattern in rules["patterns"]:
        read.update(pattern.get("gate", []))
    for intent in rules["intents"].values():
        read.update(intent["evidence"])
        read.update(intent["dampers"])
    for name in table_names("prompt_"):
        for feature, words in load_table(name).get("words", {}).items():
            assert feature in read, f"{name}: {feature} is read by nothing"
            assert all(isinstance(word, str) for word in words), (
                f"{name}: {feature} holds a word that YAML does not read as text"
            )
