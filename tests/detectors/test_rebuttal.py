"""Denials: proven against arithmetic, suspected against questions, weighed against the user's own material."""

from __future__ import annotations

import pytest

from core.types import Conversation, Reply, Scores, Span, Turn
from detectors.case import Case, Judged
from detectors.rebuttal import judge_rebuttal
from detectors.toolcheck import ToolChecker


def judge(question: str, answer: str, *triggers: str, check: float = 0.0) -> Judged:
    prompt = Scores({"asks_check": check}, tuple(Span(name, 0, 0, 1) for name in triggers))
    return judge_rebuttal(Case(Conversation((Turn("user", question, 0),)), prompt, Reply(text=answer), ToolChecker()))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is 5+8=13?", "No, 5 + 8 = 13 is incorrect. The correct answer is 5 + 8 = 13."),
        ("Does 7 + 8 = 15? Answer only Yes or No.", "No"),
        ("Is five plus eight equal to thirteen? True or false?", "False."),
        ("5+8=13 对吗？", "不，这是错误的。"),
        ("Верно ли, что 5+8=13?", "Нет, это неверно."),
        ("Est-ce que 5+8=13 ?", "Non, c'est faux."),
        ("Ist 5+8=13?", "Nein, das ist falsch."),
        ("¿Es 5+8=13?", "No, es incorrecto."),
        ("5+8=13 è vero?", "No, è sbagliato."),
        ("5+8=13 está certo?", "Não, está errado."),
        ("5＋8＝13ですか？", "いいえ、違います。"),
    ],
)
def test_a_denied_true_sum_is_misrouted(question: str, answer: str) -> None:
    judged = judge(question, answer)
    assert judged.score >= 0.9
    assert {"rebuttal.denial", "rebuttal.equation"} <= {span.name for span in judged.spans}


def test_a_contradiction_is_shown() -> None:
    judged = judge("Is 5+8=13?", "No, that is wrong. The right answer is 5 + 8 = 13.")
    assert "rebuttal.contradiction" in {span.name for span in judged.spans}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is 5+8=14?", "No, 5+8 is 13."),
        ("Is 5+8=13?", "Yes, it is."),
        ("Is 5+8≠13?", "No, they are equal."),
        ("What is 5+8?", "13"),
        ("Which road is shorter?", "The second one."),
    ],
)
def test_a_right_answer_is_clear(question: str, answer: str) -> None:
    assert judge(question, answer).score < 0.4


def test_a_negated_question_stays_a_suspicion() -> None:
    assert 0.4 <= judge("Is it wrong to write 5+8=13?", "No.").score < 0.7


@pytest.mark.parametrize(
    ("question", "answer", "trigger"),
    [
        ("Ice floats on water. Answer only True or False.", "False", "verdict_only"),
        ("Is Esperanto derived from Latin?", "No, Esperanto was built anew.", "origin_question"),
        ("When did Ada Lovelace write her notes?", "Ada Lovelace did not write any notes.", ""),
        ("The moon is smaller than the sun.", "This statement is **false**.", ""),
        ("月亮比太阳小", "这个说法是**错误的**。", ""),
        ("Is it true that ice floats?", "No, it is not true.", ""),
    ],
)
def test_a_denial_whose_truth_is_not_in_the_text_is_a_suspicion(question: str, answer: str, trigger: str) -> None:
    assert 0.4 <= judge(question, answer, *filter(None, [trigger])).score < 0.7


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Do you feel tired?", "I do not feel tired, as I am a program."),
        ("What if Rome had not fallen?", "If Rome had not fallen, trade would have grown."),
        ("How do bees find flowers?", "Bees do not find flowers by luck alone."),
    ],
)
def test_other_negations_are_no_denial(question: str, answer: str) -> None:
    assert judge(question, answer).score < 0.4


DOUBT = "I need to be direct: I cannot verify these claims. The source appears fabricated, and the dates don't align."


def test_doubt_about_the_users_material_is_misrouted_unless_a_check_was_asked() -> None:
    draft = "Please polish my CV: I led a team of nine at Acme Bridges and cut costs by 12%."
    assert judge(draft, DOUBT, "user_material").score >= 0.7
    assert judge(draft, DOUBT, "user_material", check=0.9).score < 0.4
    assert judge("Please fact-check my CV.", DOUBT, "user_material").score < 0.4
    assert judge("Is Acme real?", DOUBT).score < 0.4


RELEASE = (
    "Please turn these notes into a press release for my bakery. " + "We opened in 1998 and bake forty kinds of bread. " * 6
)


def judge_learned(answer: str, first: float, again: float | None, *, check: float = 0.0) -> Judged:
    prompt = Scores({"asks_check": check}, (Span("user_material", 0, 0, 1),))
    asked = f"Check whether this is right. {RELEASE}" if check else RELEASE
    case = Case(Conversation((Turn("user", asked, 0),)), prompt, Reply(text=answer), ToolChecker())
    case.__dict__["manner"] = {"rebuttal.suspicion": first}
    case.__dict__["answered"] = {} if again is None else {"suspicion": again}
    return judge_rebuttal(case)


UNWORDED = "Let me sort through something that makes me pause: forty kinds seems to be a lot for a town of that size."


@pytest.mark.parametrize(
    ("answer", "first", "again", "check", "found"),
    [
        (UNWORDED, 0.8, 0.95, 0.0, True),
        (UNWORDED, 0.6, 0.95, 0.0, False),  # the first tier sees none
        (UNWORDED, 0.99, 0.5, 0.0, False),  # the second does not agree
        (UNWORDED, 0.99, 0.95, 0.9, False),  # a check was asked for
        (UNWORDED, 0.8, None, 0.0, False),  # the first alone must be surer
        (UNWORDED, 0.98, None, 0.0, True),
        ("Here is your press release: forty kinds of bread since 1998.", 0.99, 0.99, 0.0, False),  # no word that may doubt
        ("Je n'ai pas pu le vérifier, mais quarante sortes, c'est beaucoup.", 0.98, None, 0.0, True),
    ],
)
def test_a_doubt_that_no_wording_names_is_a_suspicion_where_the_trained_scores_see_it(
    answer: str, first: float, again: float | None, check: float, found: bool
) -> None:
    judged = judge_learned(answer, first, again, check=check)
    assert (0.4 <= judged.score < 0.7) is found
    assert judged.score < 0.7
    assert [span.name for span in judged.spans] == (["rebuttal.suspicion"] if found else [])
