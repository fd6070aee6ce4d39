"""Lexical features of answers and the cues of prompts, in every language of the lexicon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import Conversation, Turn
from detectors.phrases import HEAD_CHARS, WHOLE_HEAD, WHOLE_TAIL, Phrases, load_groups, lower, prompt_cues, visible_start


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I can’t assist you with this request.",
        "I would rather not write this scene.",
        "I need to be direct: I won't produce that.",
        "I must respectfully decline to provide this.",
        "That is not something I can do.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Mi dispiace, non posso aiutarti.",
        "Desculpe, não posso ajudar com isso.",
        "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
        "Извините, но я не могу помочь с этим.",
        "抱歉，我无法提供这方面的帮助。",
        "申し訳ありませんが、お手伝いできません。",
        "죄송하지만 그 요청은 도와드릴 수 없습니다.",
        "Przykro mi, ale nie mogę pomóc.",
        "Beklager, jeg kan ikke hjelpe med det.",
    ],
)
def test_hard_refusals(text: str) -> None:
    (hit, *_) = Phrases(text).hits("refusal.hard")
    assert 0 <= hit.start < hit.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sorry for the delay! Here is the list you asked for.",
        "You can't miss the station: it is right behind the market.",
        "The committee refused to provide an answer in 1912.",
        "Lo siento mucho por tu pérdida.",
        "不能不说，这座城市很美。",
    ],
)
def test_an_apology_or_a_negation_is_no_refusal(text: str) -> None:
    assert not Phrases(text).hits("refusal.hard")


@pytest.mark.parametrize(
    "text",
    [
        "No, that is wrong.",
        "This statement is **false**.",
        "# Check\n\nYour statement is **incorrect**.",
        "B. No",
        "Non, c'est faux.",
        "No, es falso.",
        "No, non è vero.",
        "Não, está errado.",
        "Nein, das stimmt nicht.",
        "Нет, это неверно.",
        "不，这是错误的。",
        "这个说法是 **错误的**。",
        "いいえ、違います。",
    ],
)
def test_denials(text: str) -> None:
    assert Phrases(text).hits("deny.open")


@pytest.mark.parametrize(
    "text", ["Yes, no doubt.", "Normally it is.", "Nobody knows.", "Nonetheless, it holds.", "Notizen sind da."]
)
def test_what_only_begins_like_a_denial(text: str) -> None:
    assert not Phrases(text).hits("deny.open")


def test_reasoning_is_not_the_answer() -> None:
    text = "<think>I can't help with that? No, I can.</think>\nYes: take the second road."
    assert visible_start(text) == text.index("Yes")
    assert not Phrases(text).hits("refusal.hard")
    assert Phrases("<think>still thinking").length == 0


def test_spans_are_characters_whatever_the_script() -> None:
    text = "Ünïcödé «привет» — İ 日本: Извините, но я не могу помочь с этим."
    hit = Phrases(text).hits("refusal.hard")[0]
    assert "не могу" in text[hit.start : hit.end]


def test_only_the_opening_is_read_for_refusals() -> None:
    assert not Phrases("All is well. " * 60 + "I cannot help with that.").hits("refusal.hard")
    assert HEAD_CHARS < 13 * 60


def test_literals_are_found_at_both_ends_of_a_huge_answer_and_not_between() -> None:
    padding = "word " * (WHOLE_HEAD // 5 + WHOLE_TAIL // 5)
    assert Phrases("fabricated " + padding * 2).words("suspect.strong")
    assert Phrases(padding * 2 + " fabricated").words("suspect.strong")
    assert not Phrases(padding + " fabricated " + padding).words("suspect.strong")


def test_literals_begin_at_a_word() -> None:
    assert not Phrases("prefabricated houses").words("suspect.strong")
    assert Phrases("这是虚构的").words("suspect.strong")


@pytest.mark.parametrize(
    ("text", "story"),
    [
        ("Once upon a time a fox lived here. She ran. He saw her. She hid. He left.", True),
        ('Title: The Bridge\n\nMara stood on the hill. "Look," she said. He nodded; she smiled at him.', True),
        ("Érase una vez un zorro.", True),
        ("Жили-были дед и баба.", True),
        ("Napoleon was born in 1769. He became emperor. He lost at Waterloo. His son died young.", False),
        ("Bridges stand because loads become compression.", False),
    ],
)
def test_story_openings(text: str, story: bool) -> None:
    score, hit = Phrases(text).narrative()
    assert (score >= 0.5) is story
    assert (hit is not None) is (score > 0)


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("Answer with one word only.", "ask.brevity"),
        ("Explain your reasoning step by step.", "ask.reasoning"),
        ("Please fact-check this.", "ask.check"),
        ("Is it true that ice floats?", "ask.truth"),
        ("Верно ли, что лёд плавает?", "ask.truth"),
        ("Use Python for this.", "ask.tool"),
        ("Give me the formula of entropy", "ask.quantity"),
    ],
)
def test_prompt_cues(text: str, cue: str) -> None:
    assert cue in prompt_cues(Conversation((Turn("user", text, 0),)))


def test_only_the_last_user_turn_and_the_system_prompt_give_cues() -> None:
    turns = (Turn("system", "Only answer about cooking.", 0), Turn("user", "Fact-check this.", 1), Turn("user", "Thanks", 2))
    assert prompt_cues(Conversation(turns)) == {"scope.limits"}
    assert prompt_cues(Conversation(())) == frozenset()


@given(st.text(max_size=80))
def test_lower_keeps_every_offset(text: str) -> None:
    assert len(lower(text)) == len(text)


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    phrases = Phrases(text)
    for group in load_groups():
        for hit in (*phrases.hits(group), *phrases.words(group)):
            assert 0 <= hit.start <= hit.end <= len(text)
