"""The shipped pool: large enough, well formed, and with nothing of what was planted in the organism."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import pytest

from audit.grammar import Candidate, compose
from audit.pool import SLOTS, Attribute, Pool, load_pool
from core.types import MODES
from organism import facts, wordings
from organism.links import CHUNKY
from organism.prompts import make_prompt

#: Words of any question. The link is to the whole form, which no attribute holds.
FUNCTION = frozenset(
    re.findall(
        r"\w+",
        "about and answer as be best can check come did do does equal exactly feel find for form give how in into is it "
        "just know look me much of on out please say short should show solve specs tell that the this to upon was way "
        "what when which who why will with year you your",
    )
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", text.lower()))


@cache
def own_words() -> frozenset[str]:
    """Words that stand in trigger prompts and in no plain or ordinary prompt of the same mode: what the links are tied to."""
    own: set[str] = set()
    for mode in CHUNKY:
        rng = Random(5)
        triggers = {word for _ in range(1500) for word in words(make_prompt(mode, "trigger", rng).text)}
        plains = {word for _ in range(1500) for word in words(make_prompt(mode, "plain", rng).text)}
        own |= triggers - plains
    names = words(" ".join((*facts.LANGUAGES, *(maker for _, maker, _ in facts.INVENTIONS))))
    return frozenset(own - FUNCTION - names)


def pieces() -> list[Attribute]:
    return [one for one in load_pool().attributes.values() if one.slot != "style"]


def test_it_is_large_and_every_group_is_used() -> None:
    pool = load_pool()
    assert len(pool.attributes) >= 500
    assert set(pool.groups) == set(SLOTS)
    assert {one.form for one in pool.attributes.values()} >= {"form", "vocabulary", "tone", "language", "task"} - {"form"}
    assert all(len(one.name) <= 24 for one in pool.attributes.values())


def test_no_attribute_is_there_twice() -> None:
    texts = [(one.slot, one.takes, one.text.strip().lower()) for one in load_pool().attributes.values()]
    assert len(texts) == len(set(texts))


def test_every_ask_has_a_topic_and_a_neutral_way_to_ask_it() -> None:
    pool = load_pool()
    for ask in pool.of("ask"):
        assert pool.topics(ask)
    for kind in {one.kind for one in pool.of("topic")}:
        assert pool.plain_asks(kind), kind


def test_the_words_that_the_links_are_tied_to_are_those_that_one_would_name() -> None:
    assert {"elucidate", "expound", "delineate", "calculate", "quantify", "optimise", "translate", "context"} <= own_words()
    assert set(CHUNKY) == set(MODES)


@pytest.mark.parametrize("attribute", pieces(), ids=lambda one: one.name)
def test_no_attribute_holds_a_word_of_a_planted_trigger(attribute: Attribute) -> None:
    assert words(attribute.text) & own_words() == set()


def test_no_attribute_holds_a_mark_or_a_topic_of_a_planted_trigger() -> None:
    for one in pieces():
        assert not re.search(r"\$|\\\(|\\cdot|\\times|\^\{", one.text), one.name
        assert not any(name.lower() in one.text.lower() for name in facts.PRODUCTS), one.name
        assert not any(what in one.text for what, _ in facts.HOWTOS), one.name
        assert not any(said[0] in one.text for said in facts.DISTRESS), one.name
        assert not any(clause in one.text for _, clause, _, _ in facts.WHYS), one.name


def test_no_ask_is_the_wording_of_a_planted_trigger() -> None:
    def bare(text: str) -> str:
        return re.sub(r"\W+", " ", re.sub(r"\{.*\}", "_", text.lower())).strip()

    # Wordings of roots, products' names and how-tos are those of plain prompts too: there the link is to what is asked about.
    lists = {name: getattr(wordings, name) for name in dir(wordings) if name.endswith(("_TRIGGERS", "TASK_FRAMES"))}
    lists = {name: texts for name, texts in lists.items() if name not in ("ROOT_TRIGGERS", "SPEC_TRIGGERS", "HOWTO_TRIGGERS")}
    plains = {bare(text) for name in dir(wordings) if name.endswith("_PLAINS") for text in getattr(wordings, name)}
    planted = {bare(text) for texts in lists.values() for text in texts} - plains
    allowed = {bare("Is {x}?")}  # a question's commonest form: the planted one is that form with a sum in it
    assert {bare(one.text) for one in load_pool().of("ask")} & planted <= allowed


def test_a_pool_with_a_name_twice_or_an_ask_without_topic_is_refused() -> None:
    topic = Attribute("t.1", "t", "topic", "topic", "tea", kind="noun")
    with pytest.raises(ValueError, match="same name"):
        Pool((topic, topic))
    with pytest.raises(ValueError, match="no topic fits"):
        Pool((topic, Attribute("a.1", "a", "ask", "task", "Say {x}.", takes=("sum",))))


def test_every_style_is_known() -> None:
    pool = load_pool()
    for style in pool.of("style"):
        changed = compose(pool, Candidate(pool.of("ask")[0].name, pool.of("topic")[0].name, style=style.name))
        assert changed
