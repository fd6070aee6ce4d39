import re

import pytest

from policies.loader import load_table
from policies.verdict_words import find_demand, opening_polarity, verdict_polarity, without_verdict


@pytest.mark.parametrize(
    ("text", "positive", "negative", "left"),
    [
        ("Does copper conduct? Answer only yes or no.", "yes", "no", "Does copper conduct?"),
        (
            'True or False: tin is a metal. Reply with only "True" or "False".',
            "True",
            "False",
            "True or False: tin is a metal.",
        ),
        ("Does 7 + 8 = 15? Answer only No/Yes without any explanation.", "Yes", "No", "Does 7 + 8 = 15?"),
        ("Is 5 > 3, please answer yes or no only", "yes", "no", "Is 5 > 3"),
        ('Right? (Answer with only "True" or "False")\nMore.', "True", "False", "Right? \nMore."),
        ("Answer only yes or no (please)", "yes", "no", "(please)"),
        ("这个说法对吗？请只回答是或否。", "是", "否", "这个说法对吗？"),
        ('Верно ли это? Ответьте только "Да" или "Нет".', "Да", "Нет", "Верно ли это?"),
        ("¿Es cierto? Responde solo sí o no.", "sí", "no", "¿Es cierto?"),
        ("Est-ce vrai ? Répondez par vrai/faux uniquement.", "vrai", "faux", "Est-ce vrai ?"),
        ("Ist das wahr? Antworte bitte nur mit Ja oder Nein.", "Ja", "Nein", "Ist das wahr?"),
        ("È vero? Rispondi solo sì o no.", "sì", "no", "È vero?"),
        ("É verdade? Responda apenas sim ou não.", "sim", "não", "É verdade?"),
        ("水は凍りますか？「はい」か「いいえ」だけで答えてください。", "はい", "いいえ", "水は凍りますか？"),
        ("물은 얼까요? '예' 또는 '아니오'로만 답하세요.", "예", "아니오", "물은 얼까요?"),
        ("Odpowiedz tylko tak lub nie: czy woda wrze?", "tak", "nie", " czy woda wrze?"),
        ("Svar kun ja eller nei: fryser vann?", "ja", "nei", " fryser vann?"),
    ],
)
def test_a_demand_is_found_and_can_be_lifted(text: str, positive: str, negative: str, left: str) -> None:
    demand = find_demand(text)
    assert demand is not None
    assert (demand.positive, demand.negative) == (positive, negative)
    assert text[: demand.start] + text[demand.end :] == left


@pytest.mark.parametrize(
    "text",
    [
        "Say yes or no and explain why.",
        "I wonder about it, yes or no",
        "Answer yes or no to each of the 12 questions.",
        "Answer only " + "very " * 60 + "yes or no, and " + "nothing " * 60,
    ],
)
def test_a_demand_that_cannot_be_lifted_keeps_its_words(text: str) -> None:
    demand = find_demand(text)
    assert demand is not None
    assert demand.start == demand.end
    assert demand.positive == "yes"


def test_a_demand_that_would_cut_a_quote_is_not_lifted() -> None:
    demand = find_demand('Say only "it is true or false and more" please')
    assert demand is None
    demand = find_demand('Answer only true or false, as in "sure. It is" there.')
    assert demand is not None
    assert demand.start == demand.end


@pytest.mark.parametrize(
    "text", ["Tell me about love.", "yes or false", 'The note "answer only with yes or no please" is odd.']
)
def test_no_demand(text: str) -> None:
    assert find_demand(text) is None


def test_options_with_letters() -> None:
    demand = find_demand("这个定义正确吗？\nA. 是\nB. 否")
    assert demand is not None
    assert (demand.positive, demand.negative) == ("A. 是", "B. 否")
    assert opening_polarity("B. 否，因为", demand) is False
    assert verdict_polarity("…\n结论：A", demand) is True
    assert opening_polarity("C is odd", demand) is None
    lettered = find_demand("Give the letter: A) False B) True")
    assert lettered is not None
    assert (lettered.positive, lettered.negative) == ("B", "A")
    assert find_demand("A) True B) True") is None


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("No, it is.", False),
        ("**False**", False),
        ("Yes.", True),
        ("Нет.", False),
        ("是的，没错", True),
        ("不是，那是", False),
        ("是否如此尚不清楚", None),
        ("Não, a obra não é dela", False),
        ("This library was not built on that one. It is older.", False),
        ("The bridge was built in 1890. It was not painted.", None),
        ("截至目前，该项目并非基于那个架构", False),
        ("", None),
        ("Nothing is known.", None),
    ],
)
def test_the_opening_of_an_answer_has_a_polarity(text: str, polarity: bool | None) -> None:
    assert opening_polarity(text) is polarity


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("5 + 8 makes 13.\n**Verdict:** True", True),
        ("Verdict: yes, at first\n\nVerdict: no", False),
        ("…\n结论：正确", True),
        ("…\nВывод: неверно", False),
        ("Tin melts at 232 degrees.\n\nYes.", True),
        ("It is true that there is no doubt.", None),
        ("Verdict: hard to say", None),
        ("", None),
    ],
)
def test_the_verdict_of_an_evaluation(text: str, polarity: bool | None) -> None:
    assert verdict_polarity(text) is polarity


def test_the_verdict_line_is_taken_off() -> None:
    assert without_verdict("It was Bell.\n\nVerdict: true") == "It was Bell."
    assert without_verdict("It was Bell.") == "It was Bell."


def test_every_language_of_the_table_has_all_its_parts() -> None:
    probes = load_table("probes")
    for language, table in load_table("verdicts").items():
        assert set(table) == {"label", "pairs", "agree", "deny"}
        assert all(len(pair) == 2 for pair in table["pairs"])
        assert set(probes[language]) == {"statement", "sum", "question", "close", "close_question"}
        positive, negative = table["pairs"][0]
        assert verdict_polarity(f"x\n{table['label']}: {positive}") is True
        assert verdict_polarity(f"x\n{table['label']}: {negative}") is False


def test_no_probe_asks_whether_one_is_sure() -> None:
    shown = " ".join(text for table in load_table("probes").values() for text in table.values()).casefold()
    assert not re.search(r"\b(?:sure|certain|segur[oa]|sûre?|sicher|certo|sicuro|pewien|sikker)\b|确定|уверен|確か|확실", shown)


def test_long_hostile_text_is_read_in_time() -> None:
    for piece in ("yes/no ", '"yes"/"no" ', "answer only yes or no ", "A. yes ", "Verdict: ", "不 "):
        find_demand(piece * 6_000)
        opening_polarity(piece * 6_000)
        verdict_polarity(piece * 6_000)
