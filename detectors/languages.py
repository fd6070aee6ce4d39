"""A cheap guess of the language of a text: the script first, then stop words for Latin and Cyrillic.

One rule: a guess costs microseconds and reads at most `SAMPLE` characters; when unsure it says nothing.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

#: Characters read; more of them change the answer of almost no text.
SAMPLE = 320

# Languages that a script settles, and the code points that speak for them.
_SCRIPTS: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = (
    ("ja", ((0x3041, 0x30FF),)),
    ("ko", ((0xAC00, 0xD7A3),)),
    ("zh", ((0x4E00, 0x9FFF), (0x3400, 0x4DBF))),
    ("ru", ((0x0400, 0x04FF),)),
    ("ar", ((0x0600, 0x06FF),)),
    ("he", ((0x0590, 0x05FF),)),
    ("el", ((0x0370, 0x03FF),)),
    ("hi", ((0x0900, 0x097F),)),
    ("bn", ((0x0980, 0x09FF),)),
    ("th", ((0x0E00, 0x0E7F),)),
)
_LATIN_CLASS = len(_SCRIPTS) + 1


def _classes() -> npt.NDArray[np.uint8]:
    """Of each UTF-16 unit: 0, the number of its script from 1 on, or Latin."""
    classes = np.zeros(0x10000, dtype=np.uint8)
    for number, (_, ranges) in enumerate(_SCRIPTS, 1):
        for first, last in ranges:
            classes[first : last + 1] = number
    classes[ord("a") : ord("z") + 1] = _LATIN_CLASS
    classes[0xE0:0x250] = _LATIN_CLASS
    return classes


_CLASSES = _classes()
# A Han character says as much as about three letters; a little kana is enough to tell Japanese from Chinese.
_WEIGHTS = tuple(3 if language in ("zh", "ja", "ko") else 1 for language, _ in _SCRIPTS)
_UKRAINIAN = re.compile("[іїєґ]")
_PERSIAN = re.compile("[پچژگ]")
_POLISH = re.compile("[ąęłśćźżń]")
_VIETNAMESE = re.compile("[ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]")

_STOP_WORDS = {
    "en": (
        "the of and to is in that it for you what how are this with was be on as have do does why i my me can a an "
        "not if or your give write who when where which there they he she his her we our about would could should "
        "tell"
    ),
    "es": (
        "el los las del una que por para con como es está qué cómo más pero su lo y cuál quién mi yo se al le muy en "
        "un son sin hay este esta eres tiene ser hacer puede cuando donde dime muestra quiero era fue"
    ),
    "fr": (
        "le les des du une est que qui dans pour avec sur pas et ce cette vous je il elle nous plus quel quelle en au "
        "ne se mon ma à sont être fait peut comment pourquoi donne avez ai suis"
    ),
    "de": (
        "der die das und ist ein eine nicht mit den dem von zu für auf wie was ich sie es im sind auch wird warum wer "
        "kann mein bei"
    ),
    "it": (
        "il gli che di è una per con non del della sono come più cosa perché mi si nel alla dei le questo chi anche "
        "un ma io ho da dell nella fare può essere quando dove cui mia mio"
    ),
    "pt": (
        "o os as do da dos das um uma que é em para com não por como mais se na no qual você eu ao são meu minha isso "
        "está foi e de"
    ),
    "nl": (
        "de het een van en is dat niet voor met op zijn hoe wat ik je te aan ook er maar waarom wie kan mijn bij naar "
        "om deze zou geef mij geen over worden heeft"
    ),
    "pl": (
        "i w na z że się nie jest to do jak co czy dla po przez ale od jaki jakie kto dlaczego mi ja mój są był oraz "
        "tego można czym jestem żeby będzie które która jego swoje tym ten ta"
    ),
    "no": (
        "og er det en et som på til av for med ikke har jeg hva hvordan å kan vi hvorfor hvem fra den men min seg ble "
        "etter være"
    ),
    "sv": (
        "och är det en ett som på till av för med inte har jag vad hur att kan vi varför vem från den men min sig "
        "blev efter vara"
    ),
    "da": (
        "og er det en et som på til af for med ikke har jeg hvad hvordan at kan vi hvorfor hvem fra den men min sig "
        "blev efter være"
    ),
    "tr": ("ve bir bu da de için ile ne nasıl mı mi mu neden ben çok daha var olan gibi en kim olarak değil kadar sonra ama"),
    "id": (
        "dan yang di ke dari untuk dengan ini itu adalah tidak apa bagaimana saya pada dalam akan bisa mengapa siapa "
        "atau anda juga"
    ),
    "vi": "và là của có cho không một các với trong được những người tôi này như thế nào gì để khi bạn",
    "cs": "a v na se je že to s z do jak co pro ale nebo jsem by jsou který proč kdo mi můj není si jako",
    "ro": "și este un o de la în cu pe nu ce cum pentru care sunt mai din să se eu sau că cine când al",
    "fi": "ja on ei se että mikä miten miksi olen minä kuka mutta kuin ovat tai voi hän tämä myös mitä",
    "hu": "a az és egy hogy nem van mi mit hogyan miért ki én is ez de vagy meg lehet",
}
# A word's vote is shared by the languages that use it, so that "de" or "en" alone decides little.
_VOTES: dict[str, tuple[tuple[str, float], ...]] = {}
for _language, _words in _STOP_WORDS.items():
    for _word in _words.split():
        _VOTES[_word] = (*_VOTES.get(_word, ()), (_language, 1.0))
_VOTES = {word: tuple((language, 1.0 / len(votes)) for language, _ in votes) for word, votes in _VOTES.items()}
# Equal votes have one number, above 0, so that a list of them is counted without looking inside.
_ALONE = {_votes: _number for _number, _votes in enumerate(dict.fromkeys(_VOTES.values()), 1)}
_BY_NUMBER = {_number: _votes for _votes, _number in _ALONE.items()}
_ENGLISH_ALONE = _ALONE[(("en", 1.0),)]
_NUMBERS = {word: _ALONE[_votes] for word, _votes in _VOTES.items() if len(word) > 1}
_ASCII_NUMBERS = {word.encode(): number for word, number in _NUMBERS.items() if word.isascii()}
_ASCII_LETTERS = bytes(code if chr(code).isalpha() and code < 0x80 else 0x20 for code in range(256))
# Asked for less often here, so that they win no tie.
_RARE = frozenset({"ro", "cs", "fi", "hu", "id", "da", "sv", "tr"})

_WORDS = re.compile(r"[^\W\d_]{2,}")
# What is neither a letter of a script above nor Vietnamese leaves only stop words to decide; that is most text, quotes and all.
_SCRIPTED = re.compile("[\u0370-\u1fff\u3041-\ud7a3ăđơư]")


def guess_language(text: str) -> str:
    """The ISO 639-1 code of the language `text` is most likely written in, or '' where nothing speaks for one.

    `text` may be folded or not. Code and numbers have no language. A mixed text gets the language of most of its letters.
    """
    sample = text[:SAMPLE].lower()
    if sample.isascii() or _SCRIPTED.search(sample) is None:
        return _by_stop_words(sample)
    units = np.frombuffer(sample.encode("utf-16-le", "replace"), dtype="<u2")
    counts = np.bincount(_CLASSES[units], minlength=_LATIN_CLASS + 1).tolist()
    latin = counts[_LATIN_CLASS]
    weights = [count * weight for count, weight in zip(counts[1:_LATIN_CLASS], _WEIGHTS, strict=True)]
    if counts[1]:
        weights[0] += weights[2]
    most = max(weights)
    best = _SCRIPTS[weights.index(most)][0] if most else ""
    if latin > most:
        return "vi" if len(_VIETNAMESE.findall(sample)) * 25 > latin else _by_stop_words(sample)
    if best == "ru" and _UKRAINIAN.search(sample):
        return "uk"
    if best == "ar" and _PERSIAN.search(sample):
        return "fa"
    return best


def _by_stop_words(sample: str) -> str:
    if sample.isascii():
        polish = 0
        numbers = list(filter(None, map(_ASCII_NUMBERS.get, sample.encode().translate(_ASCII_LETTERS).split())))
    else:
        polish = len(_POLISH.findall(sample))
        numbers = list(filter(None, map(_NUMBERS.get, _WORDS.findall(sample))))
    # Words of English alone that are more than all other votes together: no other language can have as many.
    if 2 * numbers.count(_ENGLISH_ALONE) > len(numbers) + polish:
        return "en"
    return _most(numbers, polish)


def _most(numbers: list[int], polish: int) -> str:
    """The language with most votes: of words, and one for every Polish letter."""
    votes: dict[str, float] = {"pl": float(polish)} if polish else {}
    for number in numbers:
        for language, share in _BY_NUMBER[number]:
            votes[language] = votes.get(language, 0.0) + share
    if not votes:
        return ""
    best = max(votes, key=lambda language: votes[language] * (0.75 if language in _RARE else 1.0))
    return best if votes[best] >= 0.5 else ""
