"""A report as a list of blocks, rendered as Markdown and as one self-contained HTML page.

One rule: every text of a block is data: it is escaped here, and nowhere else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. `left`: how many columns hold text; the others hold numbers. `quiet`: rows that are shown fainter.

    `folded`: a title under which the page keeps it closed."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    quiet: frozenset[int] = frozenset()
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture file beside the report; the page carries it inside."""

    file: str
    alt: str


Block = Heading | Paragraph | Grid | Image

#: Control characters, and those that turn the direction of what follows.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MARKS: Final = re.compile(r"([\\`*_\[\]<>|#~$!])")


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The report as Markdown; pictures are linked by their file name."""
    parts = [f"# {_mark(title)}"]
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {_mark(text)}")
            case Paragraph(text):
                parts.append(_mark(text))
            case Image(file, alt):
                parts.append(f"![{_mark(alt)}]({file})")
            case Grid():
                parts.append(_markdown_grid(block))
    return "\n\n".join(parts) + "\n"


def _markdown_grid(grid: Grid) -> str:
    rules = ["---" if column < grid.left else "---:" for column in range(len(grid.head))]
    lines = [grid.head, *grid.rows]
    made = ["| " + " | ".join(_mark(cell) for cell in line) + " |" for line in lines]
    made.insert(1, "|" + "|".join(rules) + "|")
    return "\n".join([f"**{_mark(grid.folded)}**", "", *made] if grid.folded else made)


def _mark(text: str) -> str:
    return _MARKS.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return _CONTROLS.sub(" ", text)


def page(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """The report as HTML that needs no other file and no network. `folder`: where the pictures are."""
    entries = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    nav = "".join(f'<a href="#s{number}">{_html(entry.text)}</a>' for number, entry in enumerate(entries))
    body = []
    number = 0
    for block in blocks:
        match block:
            case Heading(text, level):
                anchor = f' id="s{number}"' if level == 2 else ""
                number += level == 2
                body.append(f"<h{level}{anchor}>{_html(text)}</h{level}>")
            case Paragraph(text):
                body.append(f"<p>{_html(text)}</p>")
            case Image(file, alt):
                data = base64.b64encode((folder / file).read_bytes()).decode()
                body.append(f'<img alt="{_html(alt)}" src="data:image/png;base64,{data}">')
            case Grid():
                body.append(_html_grid(block))
    return _PAGE.format(title=_html(title), style=_STYLE, nav=nav, body="\n".join(body))


def _html_grid(grid: Grid) -> str:
    head = "".join(
        f"<th>{_html(cell)}</th>" if column < grid.left else f'<th class="n">{_html(cell)}</th>'
        for column, cell in enumerate(grid.head)
    )
    lines = []
    for place, row in enumerate(grid.rows):
        cells = "".join(
            f'<td dir="auto">{_html(cell)}</td>' if column < grid.left else f'<td class="n">{_html(cell)}</td>'
            for column, cell in enumerate(row)
        )
        lines.append(f'<tr class="quiet">{cells}</tr>' if place in grid.quiet else f"<tr>{cells}</tr>")
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>"
    return f"<details><summary>{_html(grid.folded)}</summary>{table}</details>" if grid.folded else table


def _html(text: str) -> str:
    return escape(_one_line(text), quote=True)


_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #24292f; margin: 0; background: #f6f8fa; }
main { max-width: 1360px; margin: 0 auto; padding: 1.5rem 2rem 4rem; background: #fff; box-shadow: 0 0 12px #0001; }
h1 { margin: .2rem 0 .6rem; font-size: 1.7rem; } h2 { margin: 2.4rem 0 .5rem; border-bottom: 1px solid #d8dee4; }
h3 { margin: 1.6rem 0 .4rem; }
p { max-width: 78ch; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: .5rem 0; border-block: 1px solid #d8dee4; }
nav a { color: #0b62a4; text-decoration: none; } nav a:hover { text-decoration: underline; }
img { max-width: 100%; height: auto; display: block; margin: .8rem auto; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: .6rem 0; }
th, td { text-align: left; padding: .28rem .6rem; border-bottom: 1px solid #e6e8eb; vertical-align: top; }
th { background: #f6f8fa; font-weight: 600; } tbody tr:hover { background: #f0f6fc; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } tr.quiet { color: #6e7781; }
details { margin: .5rem 0; } summary { cursor: pointer; color: #0b62a4; }
"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1><nav>{nav}</nav>
{body}
</main></body></html>
"""
