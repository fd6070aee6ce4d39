import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.languages import _NUMBERS, _VOTES, _by_stop_words, _most, guess_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Could you tell me what the weather is like?"),
        ("zh", "请告诉我今天的天气怎么样"),
        ("ja", "今日の天気を教えてください"),
        ("ko", "오늘 날씨가 어떤지 알려 주세요"),
        ("ru", "Расскажи, какая сегодня погода"),
        ("uk", "Розкажи, яка сьогодні погода і де її дивитися"),
        ("es", "¿Puedes decirme cómo está el tiempo hoy?"),
        ("fr", "Est-ce que tu peux me dire quel temps il fait ?"),
        ("de", "Kannst du mir sagen, wie das Wetter heute ist?"),
        ("it", "Mi puoi dire che tempo fa oggi e perché piove?"),
        ("pt", "Você pode me dizer como está o tempo hoje?"),
        ("pl", "Powiedz mi, jaka jest dziś pogoda"),
        ("no", "Kan du si meg hvordan været er og hvorfor det ikke regner?"),
        ("ar", "كيف حال الطقس اليوم"),
    ],
)
def test_language_of_a_sentence(language, text):
    assert guess_language(text) == language


def test_code_and_numbers_have_no_language():
    assert guess_language("5+8=13") == ""
    assert guess_language("x1 := y2[3];") == ""


def test_a_foreign_word_does_not_carry_an_english_sentence():
    assert guess_language("What does the word 愛 mean and where is it used?") == "en"


@given(st.lists(st.sampled_from([*_VOTES, "harbour", "gość", "’", "1", ","]), max_size=25).map(" ".join))
def test_the_early_verdict_for_english_is_the_one_of_a_full_count(text):
    words = re.findall(r"[^\W\d_]{2,}", text)
    votes = [_NUMBERS[word] for word in words if word in _NUMBERS]
    assert _by_stop_words(text) == _most(votes, sum(char in "ąęłśćźżń" for char in text))


def test_typographic_marks_do_not_hide_a_language():
    assert guess_language("“What’s the point of this – and who’d do it?”") == "en"
    assert guess_language("« L’eau est dans le verre… »") == "fr"
    assert guess_language("Ăn cơm chưa bạn ơi, hôm nay trời đẹp quá") == "vi"
