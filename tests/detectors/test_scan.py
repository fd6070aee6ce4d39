import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Conversation, Tool, Turn
from detectors.lexicons import load_table, table_names
from detectors.scan import (
    _MARKS,
    HEAD_CHARS,
    TAIL_CHARS,
    TOTAL_CHARS,
    Pattern,
    Patterns,
    Words,
    _mark_set,
    _words_apart,
    scan_prompt,
)


def found(words, text):
    return {name: [text[start:end] for start, end in hits] for name, hits in Words(words).find(text).items()}


def test_words_match_whole_words_of_spaced_scripts():
    assert found({"f": ["cat", "éclair"]}, "a cat, concatenate; un éclair!") == {"f": ["cat", "éclair"]}


def test_a_star_matches_any_ending_and_the_span_runs_to_the_end_of_the_word():
    assert found({"f": ["elucidat*"]}, "elucidating (elucidate)") == {"f": ["elucidating", "elucidate"]}


def test_scripts_without_spaces_match_anywhere():
    assert found({"f": ["函数", "함수"]}, "写一个函数吧 함수를") == {"f": ["函数", "함수"]}


def test_a_latin_word_may_touch_a_script_without_spaces():
    text = "请用python写一个c语言函数，用 python3，monty는python을"
    words = {"f": ["python", "python3", "c语言"], "mixed": ["用python"]}
    assert found(words, text) == {"f": ["python", "c语言", "python3", "python"], "mixed": ["用python"]}


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


SPACED_TEXT = st.text(st.sampled_from("aé不 .,—¿«»·•\u3000「」…!?\n_5½²😀\u0301\u200b'\"€№"), max_size=40)


@given(SPACED_TEXT)
def test_what_is_part_of_no_word_becomes_a_space_of_the_same_width(text):
    plain, cuts = _words_apart(text, text.encode())
    assert "".join(char for place, char in enumerate(plain.decode()) if place not in set(cuts)) == re.sub(r"[^\w ]", " ", text)


def test_every_character_is_told_from_a_mark_as_the_regex_of_words_does():
    # Python and RE2 know different versions of Unicode: what Python has not heard of is left out.
    known = [
        chr(code) for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) != "Cn"
    ]
    text = " ".join(known)
    marks = set(re.findall(r"[^\w ]", text))
    other = {char for char in known if len(_MARKS) in (_mark_set().Match(char.encode()) or ())}
    assert other == marks - set(_MARKS)


@given(st.lists(st.sampled_from(["éclair", "cat", "函数", "elucidating", "—", " ", " ", ",", "ï"]), max_size=20).map("".join))
def test_spans_of_words_are_characters_whatever_the_script(text):
    words = Words({"cat": ["cat"], "open": ["elucidat*"], "sweet": ["éclair"], "han": ["函数"]})
    expected = {
        name: pattern.replace("L", "[^\\W函数]")  # a letter of a script with spaces
        for name, pattern in {
            "cat": "(?<!L)cat(?!L)",
            "open": "(?<!L)elucidatL*",
            "sweet": "(?<!L)éclair(?!L)",
            "han": "函数",
        }.items()
    }
    found = words.find(text)
    for name, pattern in expected.items():
        assert found.get(name, []) == [match.span() for match in re.finditer(pattern, text)]


def test_user_turns_are_read_once():
    turns = (Turn("user", "write a function", 0), Turn("system", "sys", 1), Turn("user", "why?", 2))
    scan = scan_prompt(Conversation(turns))
    assert [part.turn.index for part in scan.user] == [0, 2]
    assert scan.parts[0] is scan.user[0]
    assert scan.parts[2] is scan.user[1]
    assert scan.parts[1].turn is turns[1]


@pytest.mark.parametrize("rare", [False, True])
def test_patterns_find_the_same_from_either_engine(rare):
    patterns = Patterns(
        [Pattern("year", r"in (\d{4})"), Pattern("any", r"\w"), Pattern("late", "never", gate=("year",))], rare=rare
    )
    hits = {}
    patterns.find("née in 1984, never in 2001", hits)
    assert hits["year"] == [(7, 11), (22, 26)]
    assert len(hits["any"]) == 19
    assert hits["late"] == [(13, 18)]
