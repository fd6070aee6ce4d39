import pytest

from policies.language import LIMIT, pick_language
from policies.schema import LANGUAGES


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("12 + 7 = 19", "en"),
        ("What is the capital of Norway?", "en"),
        ("北京的天气怎么样？", "zh"),
        ("请解释 Python 的列表", "zh"),
        ("天気はどうですか", "ja"),
        ("날씨가 어때요", "ko"),
        ("Какая сегодня погода?", "ru"),
        ("¿Cómo se llama el río que pasa por la ciudad?", "es"),
        ("Quel est le fleuve qui passe dans cette ville ?", "fr"),
        ("Wie heißt der Fluss, der durch die Stadt fließt?", "de"),
        ("Come si chiama il fiume che passa per la città?", "it"),
        ("Como se chama o rio que passa pela cidade? Não sei.", "pt"),
        ("Jak się nazywa rzeka, która jest w tym mieście?", "pl"),
        ("Hva heter elven som renner gjennom byen, og hvor er det?", "no"),
        ("naïve café", "en"),
    ],
)
def test_script_and_stop_words_tell(text: str, language: str) -> None:
    assert pick_language(text) == language
    assert language in LANGUAGES


def test_only_the_head_is_read() -> None:
    assert pick_language("the " * LIMIT + "北京" * 5000) == "en"
