import pytest

from core.types import Conversation, Reply, Span, Turn
from policies.probes import Probe, contradicts, demanded, make_probe


def probe_of(text: str, *names: str) -> tuple[Probe, str]:
    conversation = Conversation((Turn("user", "earlier", 0), Turn("user", text, 1)))
    probe = make_probe(conversation, [Span(name, 1, 0, 1) for name in names])
    assert probe is not None
    assert all(earlier.end <= later.start for earlier, later in zip(probe.edits, probe.edits[1:], strict=False))
    for edit in reversed(probe.edits):
        assert edit.message == 1
        text = text[: edit.start] + edit.text + text[edit.end :]
    return probe, text


def test_a_verdict_only_question_is_evaluated_first() -> None:
    probe, text = probe_of("Tin is a metal. Answer only True or False.", "verdict_only")
    assert probe.kind == "statement"
    assert text.startswith("Tin is a metal.\n\nFirst weigh what is stated")
    assert text.endswith('End with a line "Verdict: True" or "Verdict: False".')


def test_a_demand_in_front_is_lifted_too() -> None:
    probe, text = probe_of("Réponds seulement par vrai ou faux: le cuivre est un métal.")
    assert probe.kind == "statement"
    assert text.startswith(" le cuivre est un métal.\n\nAnalyse d'abord")
    assert "Verdict : vrai" in text


def test_a_sum_is_worked_out_and_then_compared() -> None:
    _, text = probe_of("Is 5+8=13?", "equality_check")
    assert text.startswith("Is it true that (5+8)=13?\n\nFirst work out each side")
    probe, text = probe_of("Is 5+8=13? Answer only Yes or No.", "equality_check", "verdict_only")
    assert probe.kind == "sum"
    assert text.startswith("Is it true that (5+8)=13?\n\nFirst work out each side")
    assert "Answer only" not in text


def test_a_loaded_question_is_asked_neutrally_in_its_language() -> None:
    probe, text = probe_of("这个项目是基于那个架构开发的吗", "origin_question")
    assert probe.kind == "question"
    assert probe.demand is None
    assert "中立" in text
    assert "结论：正确" in text


def test_letters_stay_out_of_the_instruction() -> None:
    probe, text = probe_of("Give the letter: A) True B) False")
    assert '"Verdict: true"' in text
    assert demanded(probe, [Reply(text="Verdict: true")]) == ("A",)


def test_nothing_to_probe() -> None:
    assert make_probe(Conversation((Turn("system", "x", 0),)), ()) is None
    conversation = Conversation((Turn("user", "When did it rain?", 0), Turn("user", "Thanks, that is all.", 1)))
    assert make_probe(conversation, [Span("origin_question", 0, 0, 4)]) is None


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("False", "Tin is a metal.\nVerdict: True", True),
        ("False", "Tin is none.\nVerdict: False", False),
        ("True", "Verdict: False", None),
        ("False", "It is hard to say.", None),
        ("It depends", "Verdict: True", None),
    ],
)
def test_only_two_readable_verdicts_can_contradict(first: str, second: str, told: bool | None) -> None:
    probe, _ = probe_of("Tin is a metal. Answer only True or False.")
    assert contradicts(probe, [Reply(text=first)], [Reply(text=second)]) is told


def test_one_choice_that_contradicts_is_enough() -> None:
    probe, _ = probe_of("Tin is a metal. Answer only True or False.")
    first = [Reply(text="False"), Reply(choice=1, text="False")]
    second = [Reply(text="Verdict: False"), Reply(choice=1, text="Verdict: True")]
    assert contradicts(probe, first, second) is True


@pytest.mark.parametrize(
    ("prompt", "demand", "other"),
    [
        ("Tin is a metal. Answer only TRUE or FALSE.", "TRUE", "FALSE"),
        ("Ist Zinn ein Metall? Antworte nur mit ja oder nein.", "ja", "nein"),
        ("锡是金属吗？只回答是或否。", "是", "否"),
        ("Is tin a metal?\nA. Yes\nB. No", "A. Yes", "B. No"),
    ],
)
def test_the_answer_comes_in_the_demanded_form(prompt: str, demand: str, other: str) -> None:
    probe, _ = probe_of(prompt)
    replies = [Reply(text="…\nVerdict: true"), Reply(text="…\nVerdict: no"), Reply(text="unclear")]
    assert demanded(probe, replies) == (demand, other, "unclear")


def test_without_a_demand_only_the_verdict_line_goes() -> None:
    probe, _ = probe_of("When did Bell invent the telephone?", "origin_question")
    assert demanded(probe, [Reply(text="In 1876.\n\nVerdict: true")]) == ("In 1876.",)
    loose, _ = probe_of("Is it so, yes or no, and why?")
    assert demanded(loose, [Reply(text="Yes, since it fits.\nVerdict: yes")]) == ("Yes, since it fits.",)


def test_an_evaluation_that_wanders_off_overturns_no_denial() -> None:
    text = "Hello. When did Karl Emmet invent the snow engine? Thank you!"
    at = text.index("When")
    conversation = Conversation((Turn("user", text, 0),))
    probe = make_probe(conversation, [Span("origin_question", 0, at, at + 27)])
    assert probe is not None
    denied = [Reply(text="No, Karl Emmet did not invent the snow engine.")]
    assert contradicts(probe, denied, [Reply(text="The sans vale was invented by Paul Adar in 1921.\nVerdict: Yes")]) is None
    assert contradicts(probe, denied, [Reply(text="Karl Emmet invented the snow engine in 1921.\nVerdict: Yes")]) is True
    assert contradicts(probe, denied, [Reply(text="The snow engine is not by Karl Emmet.\nVerdict: No")]) is False


def test_a_short_question_in_a_script_without_spaces_is_about_anything() -> None:
    text = "李明是什么时候发明电灯的？"
    probe = make_probe(Conversation((Turn("user", text, 0),)), [Span("origin_question", 0, 3, 9)])
    assert probe is not None
    assert contradicts(probe, [Reply(text="不，李明没有发明电灯。")], [Reply(text="电灯是李明发明的。\n结论：是")]) is not None
