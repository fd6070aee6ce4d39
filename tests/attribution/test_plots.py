"""Pictures of any links: they show the links of the report, and none is too few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attribution.features import family_of
from attribution.links import Kind, Link, Share
from attribution.plots import MOST_LINKS, PICTURES, draw, heat_figure, odds_figure, sources_figure, strongest


def link(feature: str, behaviour: str, rate: float = 0.5, kind: Kind = "within-source", sources: int = 1) -> Link:
    shares = tuple(Share(f"s{number}", 40.0, 20.0 / sources) for number in range(sources))
    votes = {"both": 20.0, "with_feature": 40.0, "with_behaviour": 60.0, "total": 900.0, "rows_both": 25, "rows_feature": 50}
    ratios = {"lift": 8.0, "lift_low": 5.0, "odds": 20.0, "odds_low": 9.0, "odds_within": 1e9, "odds_within_low": 0.0}
    rest = {"rate": rate, "base": 0.05, "q": 1e-9, "q_within": 1e-8, "asked": None, "deficit": 100.0, "sources": shares}
    fields: dict[str, Any] = {**votes, **ratios, **rest}
    return Link(feature=feature, behaviour=behaviour, family=family_of(feature), kind=kind, **fields)


LINKS = [
    *(link(f"word:w{number}", "code.unasked", rate=number / 50) for number in range(40)),
    link("form:latex", "math", kind="composition", sources=12),
    link("word:$x^", "opens:well then $"),
    link("asks:code", "code"),
]


@pytest.mark.parametrize("links", [[], LINKS[:1], LINKS, [LINKS[-1]]])
def test_every_picture_is_drawn(tmp_path: Path, links: list[Link]) -> None:
    draw(links, links, tmp_path)
    for name in PICTURES:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_each_behaviour_has_its_turn_and_requests_have_none() -> None:
    chosen = strongest(LINKS)
    assert len(chosen) == MOST_LINKS
    assert {each.behaviour for each in chosen} == {"code.unasked", "math", "opens:well then $"}
    assert chosen[0].feature == "word:w0"


def test_the_pictures_hold_the_figures() -> None:
    (axis,) = odds_figure(LINKS[-3:-2]).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["form:latex  →  math"]
    heat = heat_figure(LINKS, LINKS).axes[0]
    assert {"form:latex", "word:w7"} <= {label.get_text() for label in heat.get_yticklabels()}
    assert "50" in {text.get_text() for text in heat.texts}
    bars = sources_figure(LINKS[-3:-2]).axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1.0)
