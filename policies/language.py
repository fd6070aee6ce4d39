"""Which language a prompt is written in, well enough to pick a boundary text.

One rule: a guess by script and by stop words, in one pass over at most `LIMIT` characters; no guess is ever an error.
"""

from __future__ import annotations

import re
from typing import Final

#: Characters looked at: enough for a vote, and a bound on the cost.
LIMIT: Final = 600

_STOP_WORDS: Final[dict[str, str]] = {
    "en": "the of and is are to that what how was it for with this please can you my not do does",
    "es": "el los las es que de y en una por para con cómo qué está mi lo del se al más ¿qué su",
    "fr": "le les des est et une dans pour que qui avec vous je ce pas du au sur mon ma cette comment ou",
    "de": "der die das und ist nicht ein eine ich mit für von zu auf den dem wie was mein bitte sich im",
    "it": "il gli che è di e una per con come sono non mi della nel questo mia ho cosa lo al del",
    "pt": "o os as é que de e uma para com como não do da em meu minha por você isso um se ao",
    "pl": "i w na jest nie że się to z do jak czy po co mi mój dla są proszę",
    "no": "og er det på en som ikke jeg til av for med hva hvordan den et min har kan å",
}
_VOTES: Final[dict[str, tuple[str, ...]]] = {}
for _language, _words in _STOP_WORDS.items():
    for _word in _words.split():
        _VOTES[_word] = (*_VOTES.get(_word, ()), _language)

_WORD: Final = re.compile(r"[^\W\d_]+")
_KANA: Final = re.compile(r"[぀-ヿ]")
_HANGUL: Final = re.compile(r"[가-힯ᄀ-ᇿ]")
_HAN: Final = re.compile(r"[一-鿿㐀-䶿]")
_CYRILLIC: Final = re.compile(r"[Ѐ-ӿ]")
_LATIN: Final = re.compile(r"[A-Za-zÀ-ɏ]")


def pick_language(text: str) -> str:
    """The language of `text` as a two-letter code; `en` where nothing speaks for another one."""
    head = text[:LIMIT]
    if not head.isascii():
        script = _by_script(head)
        if script:
            return script
    votes: dict[str, int] = {}
    for word in _WORD.findall(head.lower()):
        for language in _VOTES.get(word, ()):
            votes[language] = votes.get(language, 0) + 1
    # Ties go to the language listed first, so English wins where nothing tells.
    return max(_STOP_WORDS, key=lambda language: votes.get(language, 0))


def _by_script(head: str) -> str:
    if _KANA.search(head):
        return "ja"
    if _HANGUL.search(head):
        return "ko"
    # One Chinese character says about as much as three Latin letters.
    latin = len(_LATIN.findall(head))
    if 3 * len(_HAN.findall(head)) > latin:
        return "zh"
    return "ru" if len(_CYRILLIC.findall(head)) > latin else ""
