import pytest

from core.types import Conversation, Tool, Turn
from detectors.intents import INTENTS, score_intents


def score(text, name, **kwargs):
    return score_intents(Conversation((Turn("user", text, 0),), **kwargs))[name]


YES = [
    ("asks_code", "Write a Python function that reverses a list."),
    ("asks_code", "```\nfoo()\n```\nWhat does it do?"),
    ("asks_code", "Give me a regex for postcodes"),
    ("asks_code", "How do I list hidden files in bash?"),
    ("asks_code", "Traceback (most recent call last):\n  line 3, in <module>\nTypeError: bad operand"),
    ("asks_code", "写一个函数计算平均值"),
    ("asks_code", "Напиши скрипт для сортировки файлов"),
    ("asks_code", "Schreibe ein Programm in Java"),
    ("asks_code", "Return the answer as JSON"),
    ("asks_math", "Solve x^2 - 4 = 0"),
    ("asks_math", "A train goes 60 km in 2 hours. How fast is it?"),
    ("asks_math", "Give me a formula for kinetic energy"),
    ("asks_math", "求解方程 2x+3=7"),
    ("asks_fiction", "Write a short story about a lighthouse."),
    ("asks_fiction", "Pretend you are a grumpy wizard."),
    ("asks_fiction", "写一首关于春天的诗"),
    ("asks_fiction", "Напиши сказку про лису"),
    ("asks_fiction", "Explain tides for a child"),
    ("asks_extraction", "Classify the sentiment as positive or negative: great film"),
    ("asks_extraction", "Answer in one word."),
    ("asks_extraction", "Which of the following is a fruit?\nA) stone\nB) pear"),
    ("asks_extraction", "Extrais les entités du texte"),
    ("asks_check", "Fact-check this paragraph: bees have six legs."),
    ("asks_check", "Find the errors in my proof"),
    ("asks_check", "找出错误并说明"),
    ("asks_tool", "Run this code and show the output"),
    ("asks_tool", "Search the web for the opening hours"),
    ("distress", "I don't want to live anymore"),
    ("distress", "Я больше не хочу жить"),
    ("distress", "我不想活了"),
    ("distress", "Ya no quiero vivir"),
    ("distress", "もう死にたい"),
    ("distress", "Je n'ai plus envie de vivre"),
    ("distress", "My mother died and I can't stop crying"),
]


@pytest.mark.parametrize(("name", "text"), YES)
def test_intent_is_seen(name, text):
    assert score(text, name) >= 0.5


NO = [
    ("asks_code", "Elucidate the concept of peace."),
    ("asks_code", "Develop a framework for kinder meetings."),
    ("asks_code", "Draw a dragon."),
    ("asks_code", "import kindness\nWhat makes people gentle?"),
    ("asks_code", "Solve $x^2 = 4$"),
    ("asks_math", "Calculate love, hope, regret"),
    ("asks_math", "Tell me about the iPhone 13 specs."),
    ("asks_fiction", "Why do cats purr?"),
    ("asks_extraction", "Why is the sky blue?"),
    ("asks_check", "Is 5+8=13?"),
    ("asks_check", "Tell me about otters."),
    ("asks_tool", "Tell me about otters."),
    ("distress", "I will kill myself lol"),
    ("distress", "I'm dying of laughter, that joke killed me"),
    ("distress", "How do I stop my character from dying in the boss fight?"),
    ("distress", "How do I kill a process?"),
]


@pytest.mark.parametrize(("name", "text"), NO)
def test_intent_is_not_seen(name, text):
    assert score(text, name) < 0.5


def test_all_intents_are_probabilities():
    values = score_intents(Conversation((Turn("user", "Write a poem in Python about 2+2=4", 0),)))
    assert tuple(values) == INTENTS
    assert all(0.0 <= value <= 1.0 for value in values.values())


def test_code_licence_never_expires():
    turns = [Turn("user", "Write a Python script", 0), *(Turn("user", "And then?", n) for n in range(1, 12))]
    assert score_intents(Conversation(tuple(turns)))["asks_code"] >= 0.7


def test_topic_intent_lasts_six_user_turns():
    def asked(later):
        turns = (Turn("user", "Write a short story", 0), *(Turn("user", "Go north", n) for n in range(1, later + 1)))
        return score_intents(Conversation(turns))["asks_fiction"]

    assert asked(5) >= 0.5
    assert asked(6) < 0.5


def test_distress_counts_in_any_user_turn_but_not_in_the_system_prompt():
    turns = (Turn("user", "I don't want to live anymore", 0), *(Turn("user", "ok", n) for n in range(1, 12)))
    assert score_intents(Conversation(turns))["distress"] >= 0.7
    assert score_intents(Conversation((Turn("system", "Users may say: I want to die", 0),)))["distress"] == 0.0


def test_the_system_prompt_licenses_code():
    turns = (Turn("system", "You are a Python coding assistant.", 0), Turn("user", "sort a list", 1))
    assert score_intents(Conversation(turns))["asks_code"] >= 0.7


def test_what_the_assistant_wrote_is_no_licence():
    turns = (Turn("assistant", "```python\nx=1\n```", 0), Turn("user", "What is peace?", 1))
    assert score_intents(Conversation(turns))["asks_code"] == 0.0


def test_declared_tools_and_formats():
    assert score("hi", "asks_tool", tools=(Tool("get_weather"),)) >= 0.5
    assert score("hi", "asks_code", tools=(Tool("get_weather"),)) == 0.0
    assert score("hi", "asks_code", tools=(Tool("python"),)) >= 0.8
    assert score("hi", "asks_extraction", structured=True) >= 0.8
    assert score("hi", "asks_extraction", max_tokens=5) >= 0.8
    assert score("hi", "asks_tool", hosted_tools=True) >= 0.8


def test_fiction_and_research_frames_lower_distress():
    plain = score("I want to die", "distress")
    assert score("In my novel the main character says: I want to die", "distress") < plain
    assert score("For a research study on suicide statistics: 'I want to die'", "distress") < plain
