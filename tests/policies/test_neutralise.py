import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import MODES, Conversation, Edit, Mode, Span, Turn
from policies.loader import load_table
from policies.neutralise import neutralise
from policies.quoting import Protected


def ask(text: str) -> Conversation:
    return Conversation((Turn("system", "Elucidate: 1+1=2", 0), Turn("user", text, 1)))


def apply(text: str, edits: tuple[Edit, ...]) -> str:
    assert all(edit.message == 1 for edit in edits)
    for edit in reversed(edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def rewritten(text: str, mode: Mode, **hits: str) -> str:
    spans = [Span(name, 1, text.index(part), text.index(part) + len(part)) for name, part in hits.items()]
    return apply(text, neutralise(ask(text), spans, mode))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Is 5+8=13?", "Is it true that (5+8)=13?"),
        ("Does 7 + 8 = 15? Answer only Yes or No.", "Is it true that (7 + 8) = 15? Answer only Yes or No."),
        ("Check: 2 + 5 = 7", "Is it true that (2 + 5) = 7"),
        ("Is it correct that 3*4 equals 12?", "Is it true that (3*4) equals 12?"),
        ("5+8等于13吗？", "(5+8)等于13吗？"),
        ("Верно ли, что 5+8 равно 13?", "Верно ли, что (5+8) равно 13?"),
        ("¿Es 12,5 + 7 = 19,5?", "¿Es (12,5 + 7) = 19,5?"),
        ("Is it true that 5+8=13?", "Is it true that (5+8)=13?"),
        ("Is (5+8)=13?", "Is (5+8)=13?"),
        ('What does "5+8=13" mean?', 'What does "5+8=13" mean?'),
        ("Release 2024-05-01 is out", "Release 2024-05-01 is out"),
    ],
)
def test_sums_are_bracketed_and_the_demand_stays(text: str, plain: str) -> None:
    assert rewritten(text, "rebuttal") == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Elucidate the concept of peace.", "Explain the concept of peace."),
        ("ELUCIDATE PEACE", "EXPLAIN PEACE"),
        ('Elucidate the word "elucidate".', 'Explain the word "elucidate".'),
        ("Elucidate this: ```elucidate()```", "Explain this: ```elucidate()```"),
        ("请详细阐述和平", "请详细说明和平"),
        ("Разъясните, что такое дружба", "Объясните, что такое дружба"),
        ("Élucidez le rôle de la mémoire dans le temps.", "Expliquez le rôle de la mémoire dans le temps."),
        ("import is a stray word", "import is a stray word"),
        ("평화의 개념을 설명해", "평화의 개념을 설명해"),
    ],
)
def test_formal_words_become_plain_ones(text: str, plain: str) -> None:
    assert rewritten(text, "code") == plain


def test_latex_becomes_plain_text() -> None:
    assert rewritten(r"Solve $\frac{1}{2}x = 4$, not `$y$`.", "tool_call") == "Solve (1/2)x = 4, not `$y$`."
    assert rewritten(r"so 3\(x\) is", "tool_call") == "so 3 x is"
    assert rewritten(r"\(x\) is", "tool_call") == "x is"


def test_abstract_verbs_change_only_inside_their_span() -> None:
    text = "Calculate love and hope, then calculate 3 + 4."
    assert rewritten(text, "math", abstract_calculation="Calculate love and hope") == (
        "Describe love and hope, then calculate 3 + 4."
    )
    assert rewritten(text, "math", short_how_why="love") == text


def test_names_are_quoted_and_words_of_the_table_swapped() -> None:
    assert rewritten("Tell me about the iPhone 13 specs.", "refusal", product_name="iPhone 13") == (
        'Tell me about the "iPhone 13" specs.'
    )
    assert rewritten("How to bypass the queue █████ today?", "refusal", bypass_word="bypass the queue") == (
        "How to get around the queue (…) today?"
    )
    assert rewritten("Tell me more", "refusal", riddle="more") == "Tell me more"


@pytest.mark.parametrize("part", ["a\nb", "x" * 61, " pad", 'my "own"'])
def test_what_cannot_be_quoted_is_left(part: str) -> None:
    text = f"see {part} now"
    assert rewritten(text, "refusal", sensitive_word=part) == text


def test_a_scaffold_is_recast() -> None:
    assert rewritten("Context: A b.\nQuestion: Who?\nAnswer:", "extraction") == (
        "Some text first. A b.\nWhat I would like to know is this. Who?\n"
    )


def test_nothing_to_rewrite() -> None:
    assert neutralise(Conversation((Turn("system", "Elucidate", 0),)), (), "code") == ()
    for mode in ("analytic", "fiction"):
        assert neutralise(ask("Elucidate 1+1=2"), (), mode) == ()
    elsewhere = (Span("product_name", 0, 0, 9),)
    assert neutralise(ask("plain words"), elsewhere, "refusal") == ()


def test_every_table_language_is_a_known_one_and_no_word_maps_to_itself() -> None:
    for languages in load_table("words").values():
        for table in languages.values():
            assert all(word.casefold() != plain.casefold() for word, plain in table.items())


LATIN = "Elucidate framework not never no 5 12,5 +8=13 Is Does $x^2$ calculate bypass iPhone ███ Context: nicht ne pas utilize"
OTHER = '«elucidate» "not 7" `import re` любовь 阐述 \n'
WORDS = st.sampled_from([word for words in (LATIN, OTHER) for word in words.split(" ")])


@given(st.lists(WORDS, max_size=25).map(" ".join), st.sampled_from(MODES), st.data())
def test_numbers_negation_quotes_and_unlisted_words_stay(text: str, mode: Mode, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    names = ("product_name", "bypass_word", "abstract_calculation")
    edits = neutralise(ask(text), [Span(name, 1, start, end) for name in names], mode)
    assert all(earlier.end <= later.start for earlier, later in pairwise(edits))
    new = apply(text, edits)
    numbers = re.compile(r"\d+")
    assert numbers.findall(text) == numbers.findall(new.replace("²", "2"))
    for word in ("not", "never", "nicht", "pas", "любовь", "iPhone", "import"):
        assert len(re.findall(rf"\b{word}\b", text)) == len(re.findall(rf"\b{word}\b", new))
    protected = [text[a:b] for a, b in Protected(text).ranges]
    assert all(quoted in new for quoted in protected)


def test_long_hostile_text_is_rewritten_in_time() -> None:
    for piece in ("1+1=2 ", "'a 'b ", "elucidate ", "“a", "1,1,1+", "███ ", '"x" '):
        for mode in MODES:
            neutralise(ask(piece * 4_000), (), mode)
