"""Blocks to Markdown and to a page: every text is data, whatever it holds."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.document import Block, Grid, Heading, Image, Paragraph, markdown, page

HOSTILE = '<script>alert(1)</script> | **bold** [x](http://y) `a` & "q" \u202e$x$ \x00\n# h'
BLOCKS: tuple[Block, ...] = (
    Heading("One"),
    Paragraph(HOSTILE),
    Grid(("name", "count"), ((HOSTILE, "1"), ("b", "2")), quiet=frozenset({1})),
    Heading("Two"),
    Heading("inner", 3),
    Grid(("a",), (("x",),), folded="more"),
)


class Reader(HTMLParser):
    """Collects the tags and the text of a page; fails on a tag that is closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_a_page_shows_texts_and_runs_none(tmp_path: Path) -> None:
    reader = read(page("<Title>", BLOCKS, tmp_path))
    assert [tag for tag, _ in reader.tags if tag in ("script", "b", "a")] == ["a", "a"]
    shown = " ".join(reader.text)
    assert '<script>alert(1)</script> | **bold** [x](http://y) `a` & "q"' in shown
    assert "\u202e" not in shown
    assert "\x00" not in shown


def test_the_page_links_its_sections_and_folds_long_tables(tmp_path: Path) -> None:
    reader = read(page("t", BLOCKS, tmp_path))
    targets = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert targets == ["#s0", "#s1"]
    assert [attributes["id"] for tag, attributes in reader.tags if tag == "h2"] == ["s0", "s1"]
    assert [tag for tag, _ in reader.tags].count("details") == 1
    assert [attributes.get("class") for tag, attributes in reader.tags if tag == "tr"].count("quiet") == 1


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    text = page("t", [Image("x.png", 'a "plot"')], tmp_path)
    ((_, image),) = [each for each in read(text).tags if each[0] == "img"]
    assert image == {"alt": 'a "plot"', "src": "data:image/png;base64,iVBORw=="}
    assert "http" not in text
    assert '![a "plot"](x.png)' in markdown("t", [Image("x.png", 'a "plot"')])


def test_markdown_tables_keep_their_columns() -> None:
    text = markdown("t", BLOCKS)
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert rows[0] == "| name | count |"
    assert rows[1] == "|---|---:|"
    assert rows[3] == "| b | 2 |"
    assert len(rows) == 7
    assert "\\<script\\>" in rows[2]
    assert "\n# h" not in text
    assert "**more**" in text


@pytest.mark.parametrize("level", [2, 3])
def test_headings_have_their_level(level: int, tmp_path: Path) -> None:
    assert f"\n{'#' * level} x\n" in markdown("t", [Heading("x", level), Paragraph("y")])
    assert f"<h{level}" in page("t", [Heading("x", level)], tmp_path)


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_a_cell_cannot_break_out_of_its_table(cells: list[str]) -> None:
    grid = Grid(("a", "b"), (tuple(cells),), left=2)
    lines = markdown("t", [grid]).rstrip("\n").split("\n")
    assert len(lines) == 5
    assert lines[-1].replace("\\\\", "").replace("\\|", "").count("|") == 3
    reader = read(page("t", [grid], Path()))
    assert [tag for tag, _ in reader.tags].count("td") == 2
