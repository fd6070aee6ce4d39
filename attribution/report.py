"""The report of an attribution as blocks: what was read, the strongest links with their figures, pictures and examples.

One rule: a rate never stands without the votes it was counted from, nor a link without what its sources say of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from attribution import behaviours as behaviours_module
from attribution.behaviours import UNASKED, is_mined
from attribution.exemplars import Behind, Shown
from attribution.facts import Summary
from attribution.job import Attribution
from attribution.links import KIND_MEANINGS, KINDS, Bars, Link
from attribution.plots import PICTURES
from attribution.trace import Explanation, Trace
from evaluation.document import Block, Grid, Heading, Image, Paragraph

TITLE: Final = "chunkguard attribution"
#: Openings and closings that have a table of their own, the surest; and names of weaker features in a row.
MOST_MINED: Final = 12
MOST_SAME: Final = 4
_HEAD = (
    "feature",
    "what it is",
    "P(b | feature)",
    "votes",
    "P(b | without)",
    "lift, at least",
    "odds ratio",
    "within sources, at least",
    "q",
    "asked for",
    "missing counter-examples",
    "first source",
    "also",
)
_SHOWN = ("", "example", "source", "prompt", "answer")


def blocks(
    found: Attribution, bars: Bars, behind: Sequence[Behind], traces: Sequence[Trace], *, texts: bool
) -> tuple[Block, ...]:
    """The whole report. `behind`: what stands behind each link of `found.links`."""
    images = {file: Image(file, alt) for file, alt in PICTURES.items()}
    own = [(link, each) for link, each in zip(found.links, behind, strict=True) if not link.intended]
    return (
        *_opening(found, bars),
        *(_traces(traces) if traces else ()),
        Heading("Odds ratios"),
        images["odds.png"],
        Heading("Features and behaviours"),
        images["heat.png"],
        Heading("Sources"),
        images["sources.png"],
        *_kinds(),
        *_links(own, texts=texts),
        *_requests([link for link in found.links if link.intended]),
        *_bad(found.mix.summary),
    )


def _opening(found: Attribution, bars: Bars) -> Iterator[Block]:
    summary, sizes = found.mix.summary, found.mix.sizes
    shown = [link for link in found.links if not link.intended]
    yield Paragraph(
        f"{summary.examples} answers in {summary.rows} rows of {len(summary.sources)} sources. Counted once where they say "
        f"the same: {sizes.exact} without exact duplicates, {sizes.near} without near-duplicates, {sizes.effective} with one "
        f"vote per template. Not counted: {summary.unanswered} rows without an answer, {summary.bad} rows that could not be "
        "read."
    )
    yield Paragraph(
        f"{found.tests} tests of a feature with a behaviour, {len(found.every)} above the bars (false discovery rate at most "
        f"{bars.q:g}, lift surely at least {bars.lift:g}, P(behaviour | feature) at least {bars.rate:g}, {bars.support:g} "
        f"votes with each), {len(shown)} shown: features of the same examples are named once, by the strongest."
    )
    first = next((link for link in shown if link.behaviour.endswith(UNASKED)), shown[0] if shown else None)
    if first is None:
        yield Paragraph("No feature goes with any behaviour more than chance would have it.")
    else:
        yield Paragraph(
            f"First among the behaviours that nobody asked for: {first.feature} goes with {first.behaviour} in "
            f"{_percent(first.rate)} of its {first.with_feature:.0f} votes, against {_percent(first.base)} without it; "
            f"{first.kind}; {_source(first)}."
        )


def _kinds() -> Iterator[Block]:
    yield Heading("Links")
    yield Paragraph(
        "Votes: examples, where what is alike - exactly, nearly, or by its template - shares one. Lift: P(behaviour | feature) "
        "over P(behaviour | without it), shrunk by half an example, with its lower 95% bound. Odds ratios over sources are "
        "Mantel-Haenszel's. q: false discovery rate of the better of two tests, in the whole mix and within sources. Asked "
        "for: share of the examples with both whose prompt asks for the mode. Missing counter-examples: so many more votes "
        "with the feature and without the behaviour bring it down to the target rate."
    )
    yield Grid(("kind", "meaning"), tuple((kind, KIND_MEANINGS[kind]) for kind in KINDS), left=2)


def _links(own: Sequence[tuple[Link, Behind]], *, texts: bool) -> Iterator[Block]:
    mined = 0
    for behaviour, group in groupby(sorted(own, key=lambda pair: _order(pair[0])), key=lambda pair: pair[0].behaviour):
        pairs = list(group)
        if is_mined(behaviour):
            mined += 1
            if mined > MOST_MINED:
                continue
        yield Heading(behaviour, 3)
        meaning = behaviours_module.MEANINGS.get(behaviour)
        yield Paragraph(f"{meaning[0].upper()}{meaning[1:]}." if meaning else _mined_meaning(behaviour))
        quiet = frozenset(place for place, (link, _) in enumerate(pairs) if link.kind == "composition")
        yield Grid(_HEAD, tuple(_row(link) for link, _ in pairs), left=2, quiet=quiet)
        yield Grid(_SHOWN, tuple(_examples(pairs, texts=texts)), left=5, folded="Examples and counter-examples")


def _order(link: Link) -> tuple[int, float, str]:
    """Unasked modes first, then modes, then openings and closings, the surest first; in each the order of the links."""
    if is_mined(link.behaviour):
        return 2, 0.0, link.behaviour
    return (0 if link.behaviour.endswith(UNASKED) else 1), 0.0, ""


def _mined_meaning(behaviour: str) -> str:
    kind, _, words = behaviour.partition(":")
    return f"The answer {'opens' if kind == 'opens' else 'closes'} with the words: {words}."


def _row(link: Link) -> tuple[str, ...]:
    also = ", ".join(link.same[:MOST_SAME]) + (f" and {len(link.same) - MOST_SAME} more" if len(link.same) > MOST_SAME else "")
    return (
        link.feature,
        link.kind,
        _percent(link.rate),
        f"{link.both:.0f} of {link.with_feature:.0f}",
        _percent(link.base),
        f"{_ratio(link.lift)}, {_ratio(link.lift_low)}",
        _ratio(link.odds),
        f"{_ratio(link.odds_within)}, {_ratio(link.odds_within_low)}",
        f"{min(link.q, link.q_within):.1g}",
        "-" if link.asked is None else _percent(link.asked),
        f"{link.deficit:.0f}",
        _source(link),
        also,
    )


def _source(link: Link) -> str:
    first = link.sources[0]
    return f"{first.source} ({_percent(first.both / link.both if link.both else 0.0)})"


def _examples(pairs: Sequence[tuple[Link, Behind]], *, texts: bool) -> Iterator[tuple[str, ...]]:
    for link, behind in pairs:
        for what, shown in (("with", behind.with_it), ("without", behind.without_it)):
            for each in shown:
                yield (f"{link.feature}: {what} it", *_shown(each, texts=texts))


def _shown(each: Shown, *, texts: bool) -> tuple[str, ...]:
    return (f"{each.id} ({each.path}:{each.line})", each.source, *((each.prompt, each.answer) if texts else ("-", "-")))


def _requests(links: Sequence[Link]) -> Iterator[Block]:
    if not links:
        return
    yield Heading("Requests")
    yield Paragraph("What a prompt asks for goes with its behaviour, as it should. These links are no triggers.")
    rows = tuple((link.feature, link.behaviour, *_row(link)[1:9]) for link in links)
    yield Grid((_HEAD[0], "behaviour", *_HEAD[1:9]), rows, left=3, folded=f"{len(links)} links of requests")


def _bad(summary: Summary) -> Iterator[Block]:
    if not summary.named:
        return
    yield Heading("Rows that could not be read")
    rows = tuple((f"{bad.path}:{bad.line}", bad.reason) for bad in summary.named[:100])
    yield Grid(("row", "reason"), rows, left=2, folded=f"{summary.bad} rows, the first {len(rows)} of them")


def _traces(traces: Sequence[Trace]) -> Iterator[Block]:
    yield Heading("Traced failures")
    yield Paragraph(
        "For each failing exchange the links that its prompt has, and where their rows stand. Chance: how many of 100 random "
        "rows seem to be explained as well."
    )
    rows: list[tuple[str, ...]] = []
    for trace in traces:
        if trace.problem:
            rows.append((trace.id, ", ".join(trace.behaviours), trace.problem, "", ""))
        for place, each in enumerate(trace.explanations[:3]):
            rows.append((trace.id if not place else "", *_explanation(each)))
    yield Grid(("exchange", "behaviour", "features, the strongest first", "sources", "chance"), tuple(rows), left=4)


def _explanation(each: Explanation) -> tuple[str, ...]:
    links = "; ".join(f"{link.feature} ({_percent(link.rate)}, lift {_ratio(link.lift)}, {link.kind})" for link in each.links)
    sources = ", ".join(f"{share.source} {_percent(share.share)} (usually {_percent(share.usual)})" for share in each.sources)
    return each.behaviour, links, sources, _percent(each.chance)


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1%"
    return f"{share * 100:.1f}%" if share < 0.1 else f"{share * 100:.0f}%"


def _ratio(value: float) -> str:
    if value >= 10_000:
        return "> 10,000"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
