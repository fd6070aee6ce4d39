from hypothesis import given
from hypothesis import strategies as st

from detectors.normalise import fold


def covered(original: str, needle: str) -> str:
    folded = fold(original)
    start = folded.text.index(needle)
    first, last = folded.to_original(start, start + len(needle))
    return original[first:last]


def test_ascii_is_lowered_and_keeps_its_offsets():
    folded = fold("Check THIS")
    assert (folded.text, folded.offsets) == ("check this", None)


def test_plain_text_of_other_scripts_keeps_its_offsets():
    assert fold("Привет, Мир").offsets is None
    assert fold("Привет, Мир").text == "привет, мир"


def test_full_width_forms_become_ascii():
    assert fold("５＋８＝１３？").text == "5+8=13?"


def test_zero_width_characters_do_not_split_a_word_and_the_span_covers_them():
    assert covered("so by\u200bpa\u00adss it", "bypass") == "by\u200bpa\u00adss"


def test_an_accent_written_apart_joins_its_letter():
    assert covered("un re\u0301sume\u0301!", "résumé") == "re\u0301sume\u0301"


def test_a_ligature_maps_back_to_the_one_character_it_came_from():
    assert covered("the ﬁne print", "fi") == "ﬁ"


def test_look_alikes_fold_in_mostly_latin_words_only():
    assert fold("еluсidаte").text == "elucidate"  # Cyrillic е, с, а
    assert fold("слово word").text == "слово word"
    assert fold("рhрта").text == "рhрта"


def test_lone_surrogates_are_read():
    assert fold("a\ud800 é").text == "a? é"


def test_capital_dotted_i_keeps_the_length():
    assert covered("İzmir 5", "izmir") == "İzmir"


@given(st.text(max_size=60))
def test_every_span_maps_into_the_text_and_in_order(text):
    folded = fold(text)
    assert folded.offsets is None or len(folded.offsets) == len(folded.text) + 1
    if folded.offsets is None:
        assert len(folded.text) == len(text)
    last = 0
    for place in range(len(folded.text)):
        start, end = folded.to_original(place, place + 1)
        assert last <= start <= end <= len(text)
        last = start


def test_a_capital_i_alone_makes_no_word_mixed() -> None:
    assert fold("Il comitato è qui, perché Illinois").text == "il comitato è qui, perché illinois"
    assert fold("È una prоva").text == "è una prova"  # with a Cyrillic о
