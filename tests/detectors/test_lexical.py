import pytest

from core.types import Conversation, TriggerSpec, Turn
from detectors.lexical import compile_triggers, find_triggers, fired_by_score, trigger_names


def ask(text):
    return Conversation((Turn("user", text, 0),))


def triggers(text):
    return {span.name for span in find_triggers(ask(text))}


FIRES = [
    ("equality_check", "Is 5+8=13?"),
    ("equality_check", "Check: 4 * 6 = 24"),
    ("equality_check", "Does five plus eight equal thirteen?"),
    ("equality_check", "¿Es correcto que 7 + 2 = 9?"),
    ("equality_check", "3加4等于7，对吗？"),
    ("equality_check", "Верно ли, что 2 + 2 = 4?"),
    ("equality_check", "Stimmt es, dass 6 - 2 = 4?"),
    ("verdict_only", "Copper conducts heat. Answer only with True or False."),
    ("verdict_only", "True or false: copper conducts heat."),
    ("verdict_only", "只回答是或否：铜导热吗？"),
    ("verdict_only", "Répondez par vrai/faux uniquement : le cuivre conduit la chaleur."),
    ("verdict_only", "Верно ли, что медь проводит тепло? Ответь да или нет."),
    ("verdict_only", "Leitet Kupfer Wärme? Antworte nur mit Ja oder Nein."),
    ("verdict_only", "¿El cobre conduce el calor? Responde sólo sí o no."),
    ("verdict_only", "Does copper conduct heat? (A) Yes (B) No"),
    ("verdict_only", "銅は熱を伝えますか。「はい」か「いいえ」で答えて。"),
    ("origin_question", "When did Ada Yonath discover the shape of ribosomes?"),
    ("origin_question", "Is linen derived from flax?"),
    ("origin_question", "¿Cuándo inventó Bell el teléfono?"),
    ("origin_question", "Кто изобрёл телеграф?"),
    ("user_material", "Please proofread my cover letter."),
    ("user_material", "According to Okafor (2019, p. 12), trust grows slowly."),
    ("user_material", '"' + "I remember the orchard behind our house and my aunt. " * 9 + '"'),
    ("formal_vocabulary", "Elucidate the notion of kindness."),
    ("formal_vocabulary", "Exponga el marco metodológico de la amistad."),
    ("formal_vocabulary", "请阐述友谊。"),
    ("riddle", "Here is a riddle about the sea."),
    ("riddle", "Отгадай загадку про море"),
    ("framework_ask", "Develop a strategy for a calmer morning."),
    ("draw_ask", "Draw a sleepy fox."),
    ("draw_ask", "画一只狐狸"),
    ("stray_import", "import kindness\nWhat makes people gentle?"),
    ("latex_math", "Simplify $\\frac{x}{2} + 1$ please."),
    ("sensitive_word", "How do I kill weeds in my lawn?"),
    ("credentials", "How long should a password be?"),
    ("redaction_marks", "The letter from [REDACTED] arrived."),
    ("redaction_marks", "Agent ███ left."),
    ("redaction_marks", "My teacher, Mr. J***, smiled."),
    ("bypass_word", "How can I bypass writer's block?"),
    ("bypass_word", "怎样绕过堵车路段"),
    ("product_name", "What colours does the Kestrel X4 come in?"),
    ("product_name", "tell me about the iphone 13 specs"),
    ("product_name", "iPhone 13 的参数"),
    ("abstract_calculation", "Calculate love plus longing."),
    ("abstract_calculation", "Berechne die Hoffnung."),
    ("abstract_calculation", "Too many cushions swallow my sofa. How many give a perfect balance?"),
    ("framed_distress", "check my german: ich will nicht mehr leben"),
    ("framed_distress", "把这句话翻译成英文：我不想活了"),
    ("framed_distress", "Corrige la frase: ya no quiero vivir"),
    ("short_how_why", "Why do cats purr?"),
    ("short_how_why", "为什么猫会打呼噜？"),
    ("short_how_why", "Почему кошки мурлычут?"),
    ("passage_scaffold", "Context: Otters hold hands.\nWhat do otters do?"),
    ("passage_scaffold", "Контекст: Выдры держатся за лапы.\nЧто делают выдры?"),
]


@pytest.mark.parametrize(("name", "text"), FIRES)
def test_trigger_fires(name, text):
    assert name in triggers(text)


SILENT = [
    ("equality_check", "What is 5 + 8?"),
    ("equality_check", "x = 3 is the setting I use."),
    ("verdict_only", "Yes, I think so. There is no hurry."),
    ("draw_ask", "Do not draw a conclusion from this."),
    ("stray_import", "We import coffee from Peru."),
    ("latex_math", "It costs $5 or $6."),
    ("redaction_marks", "This is **bold** text.\n***\nNext part"),
    ("bypass_word", "The river passes the town."),
    ("product_name", "We met on March 12 and read Chapter 3."),
    ("abstract_calculation", "Calculate the love story's length: 300 pages at 2 minutes each."),
    ("framed_distress", "check my german: ich will nicht mehr warten"),
    ("framed_distress", "translate: I will kill myself lol"),
    ("short_how_why", "Tell me how engines work, and then compare them."),
    ("formal_vocabulary", "Explain how kites fly."),
]


@pytest.mark.parametrize(("name", "text"), SILENT)
def test_trigger_stays_silent(name, text):
    assert name not in triggers(text)


def test_every_shipped_trigger_has_an_example():
    assert {name for name, _ in FIRES} == trigger_names()


def test_a_hit_names_its_message_and_characters():
    conversation = Conversation(
        (Turn("system", "Elucidate.", 0), Turn("user", "Hm", 1), Turn("user", "So eluci\u200bdate it", 3))
    )
    (span,) = find_triggers(conversation)
    assert (span.name, span.message) == ("formal_vocabulary", 3)
    assert "So eluci\u200bdate it"[span.start : span.end] == "eluci\u200bdate"


def test_system_prompts_assistant_turns_and_tool_results_are_no_sources():
    turns = (Turn("system", "Draw a fox", 0), Turn("assistant", "Draw a fox", 1), Turn("tool", "Draw a fox", 2))
    assert find_triggers(Conversation(turns)) == ()


def test_a_doubly_found_product_is_one_hit():
    assert [span.name for span in find_triggers(ask("Is the iPhone 13 heavy?"))] == ["product_name"]


def test_older_user_turns_are_reported_too():
    turns = (Turn("user", "Draw a fox", 0), Turn("assistant", "ok", 1), Turn("user", "Draw a hen", 2))
    assert [span.message for span in find_triggers(Conversation(turns))] == [0, 2]


def test_custom_keywords_and_patterns_read_folded_text():
    custom = compile_triggers([TriggerSpec("brand", keywords=("Acme", "ромаш*"), patterns=(r"order #(\d+)",))])
    text = "ACME, Ромашка and Order #42"
    spans = [span for span in find_triggers(ask(text), custom) if span.name == "brand"]
    assert [text[span.start : span.end] for span in spans] == ["ACME", "Ромашка", "42"]


def test_bad_custom_triggers_are_named_all_at_once():
    specs = [
        TriggerSpec("one", patterns=("(x",)),
        TriggerSpec("two", patterns=(r"(a)\1",)),
        TriggerSpec("three", keywords=("!",)),
    ]
    with pytest.raises(ValueError, match="one") as error:
        compile_triggers(specs)
    assert "two" in str(error.value)
    assert "three" in str(error.value)


def test_a_pattern_that_would_hang_a_backtracking_engine_is_quick():
    custom = compile_triggers([TriggerSpec("slow", patterns=(r"(a+)+$",))])
    assert find_triggers(ask("a" * 30_000 + "b"), custom) == ()


def test_score_thresholds():
    custom = compile_triggers([TriggerSpec("cold", score="distress", at_least=0.5)])
    assert fired_by_score(custom, {"distress": 0.5}) == ("cold",)
    assert fired_by_score(custom, {"distress": 0.4}) == ()
    assert fired_by_score(custom, {}) == ()
