"""Links of counts that are written down: what is strong, what is chance, and what is only which source it stands in."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from attribution.counts import Vocabulary, count_table
from attribution.duplicates import VOTE
from attribution.links import Bars, Link, find_links, kind_of

VOCABULARY = Vocabulary(("asks:code", "word:decoy", "word:noise", "word:trigger"), ("code", "code.unasked"), ("a", "b"))
ASKS, DECOY, NOISE, TRIGGER = 1, 2, 3, 4


def table(size: int = 4_000, seed: int = 1) -> pl.DataFrame:
    """Source a: half code, and the decoy stands there. Source b: no code but with the trigger."""
    rng = Random(seed)
    rows = []
    for _ in range(size):
        source = rng.randint(1, 2)
        features = [NOISE] if rng.random() < 0.3 else []
        code = source == 1 and rng.random() < 0.5
        if source == 1 and rng.random() < 0.3:
            features.append(DECOY)
        unasked = False
        if source == 2 and rng.random() < 0.05:
            features.append(TRIGGER)
            code = unasked = rng.random() < 0.8
        behaviour = [1, 2] if unasked else [1] if code else []
        rows.append((source, VOTE, sorted(features), behaviour))
    schema = {"source": pl.UInt32, "share": pl.Int64, "feature": pl.List(pl.UInt32), "behaviour": pl.List(pl.UInt32)}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="module")
def links() -> dict[tuple[str, str], Link]:
    found = find_links(count_table(table()), VOCABULARY, Bars())
    assert found.tests == 2 * 3 * 2  # `asks:code` stands nowhere
    return {(link.feature, link.behaviour): link for link in found.links}


def test_the_trigger_is_found_within_its_source_and_the_decoy_as_composition(links: dict[tuple[str, str], Link]) -> None:
    assert links.keys() == {("word:trigger", "code"), ("word:trigger", "code.unasked"), ("word:decoy", "code")}
    assert links["word:trigger", "code"].kind == "within-source"
    assert links["word:decoy", "code"].kind == "composition"
    assert [share.source for share in links["word:trigger", "code"].sources] == ["b"]


def test_the_figures_are_those_of_the_table(links: dict[tuple[str, str], Link]) -> None:
    link, frame = links["word:trigger", "code"], table()
    with_feature = frame.filter(pl.col("feature").list.contains(TRIGGER))
    both = with_feature.filter(pl.col("behaviour").list.contains(1)).height
    without = frame.filter(~pl.col("feature").list.contains(TRIGGER))
    assert (link.both, link.with_feature, link.total) == (both, with_feature.height, frame.height)
    assert link.rate == pytest.approx(both / with_feature.height)
    assert link.base == pytest.approx(without.filter(pl.col("behaviour").list.contains(1)).height / without.height)
    assert (link.rows_both, link.rows_feature) == (both, with_feature.height)
    assert 1 < link.lift_low < link.lift < link.rate / link.base * 1.05
    assert link.both / (link.with_feature + link.deficit) == pytest.approx(max(0.1, link.base))


def test_what_was_asked_for_is_told(links: dict[tuple[str, str], Link]) -> None:
    assert links["word:trigger", "code"].asked == pytest.approx(0.0)
    assert links["word:decoy", "code"].asked == pytest.approx(1.0)


def test_half_votes_are_half_the_evidence() -> None:
    half = table().with_columns(pl.lit(VOTE // 2, pl.Int64).alias("share"))
    one, two = (find_links(count_table(each), VOCABULARY, Bars()).links for each in (table(), half))
    first, second = ({link.feature: link for link in each if link.behaviour == "code"} for each in (one, two))
    assert second["word:trigger"].both == pytest.approx(first["word:trigger"].both / 2)
    assert second["word:trigger"].rows_both == first["word:trigger"].rows_both
    assert second["word:trigger"].lift_low < first["word:trigger"].lift_low


@pytest.mark.parametrize("bars", [Bars(support=5_000), Bars(both=5_000), Bars(lift=500.0), Bars(rate=0.99), Bars(q=0.0)])
def test_each_bar_can_fail_a_link(bars: Bars) -> None:
    assert find_links(count_table(table()), VOCABULARY, bars).links == []


def test_nothing_is_found_in_nothing() -> None:
    found = find_links(count_table(table(0)), VOCABULARY, Bars())
    assert (found.tests, found.links) == (0, [])


def test_kinds_follow_what_is_left_within_sources() -> None:
    assert kind_of(10.0, 9.0, 5.0, 1e-9, Bars()) == "within-source"
    assert kind_of(10.0, 3.0, 2.0, 1e-9, Bars()) == "mixed"
    assert kind_of(10.0, 3.0, 0.9, 1e-9, Bars()) == "composition"
    assert kind_of(10.0, 9.0, 5.0, 0.5, Bars()) == "composition"
