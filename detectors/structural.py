"""The exact shape of an answer: code blocks and what is in them, equations, execution claims, clipped answers.

One rule: nothing is guessed from the topic - only from characters that stand in the answer. Linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal

import re2

from detectors.lazy import lazy
from detectors.lexicons import load_table
from detectors.signs import FENCE, LATEX, LINE_START, PROGRAM, PROGRAM_LINE, SESSION, SIGN_CHARS, find_signs

Kind = Literal["code", "shell", "config", "data", "markup", "diagram", "output", "math", "table", "text"]

#: Blocks read in an answer; a longer answer is one long run of code anyway.
MAX_BLOCKS = 100
#: Fence marks inside lines that are passed over before a block begins.
MAX_MARKS = 1_000
#: Characters of a block body that decide its kind, and of an answer that are searched for unfenced code and equations.
BODY_CHARS, SCAN_CHARS = 2_000, SIGN_CHARS
#: A visible answer of at most this many characters without a second sentence is a label, not an explanation.
LABEL_CHARS = 60

_TABLE = load_table("response_shape")
_LANGUAGES: dict[str, Kind] = {tag: kind for kind, tags in _TABLE["tags"].items() for tag in tags.split()}


def _any(name: str) -> str:
    return "|".join(_TABLE[name])


_FENCE = re.compile(r"^[ \t>]{0,12}(?:[-*+] |[0-9]{1,3}[.)] )?(```+|~~~+)([^\n`]*)$")
_BOXES = re.compile("[\u2500-\u257f\u2580-\u259f\u25a0-\u25ff\u2190-\u21ff]")
_ASCII_BOX = re.compile(r"\+[-=]{3,}|[-=]{3,}>|\|\s*\||^\s*[|v^]\s*$|<-{2,}", re.M)
_HTML = re.compile(r"<(?:!doctype|html|svg|head|body|div|style|script|canvas|table|span|p|h[1-6]|ul)\b", re.I)
#: A line that only program code has.
_CODE_LINE = re2.compile(f"{LINE_START}(?:{_any('code_line')})")
_STRONG_LINE = re2.compile(PROGRAM_LINE)
_SHELL_LINE = re.compile(
    r"^\s*(?:\$ |# |> )?(?:pip3?|npm|yarn|apt(?:-get)?|brew|sudo|git|cd|mkdir|docker|curl|wget|python3?|ls|chmod|export) \S",
    re.M,
)
_CONFIG_LINE = re.compile(r"^\s*[\w.-]+\s*[:=]\s*\S|^\s*\[[\w. -]+\]\s*$|^\s*- \S", re.M)
_TABLE_LINE = re.compile(r"^\s*\|.*\|\s*$", re.M)
_MATHS = re.compile(r"[=≈≤≥∑∫√∂±×÷^]")

# LaTeX that is display or inline maths; a lone price ($5) is none because the closing dollar must touch a non-space.
_LATEX = re2.compile(
    r"(?s)\$\$[^$]+\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?:equation|align|gather|multline)\*?\}|\$[^\s$][^$\n]*\$"
)
_RELATION = re.compile(r"[=<>≈≤≥]|\\(?:frac|sum|int|sqrt|approx|leq?|geq?|times|cdot|partial|lim|log|ln|exp|prod|propto|to\b)")

#: What says that code was really run, and its output follows.
_CLAIM = re2.compile(f"(?i){_any('claim')}")
_OUTPUT_LABEL = re.compile(rf"(?:^|\n)[\s#*_>`-]{{0,8}}(?:{_any('output_label')})[\s*_`]{{0,4}}[:：]?[\s*_`]{{0,6}}$", re.I)
_HYPOTHETICAL = re.compile(_any("hypothetical"), re.I)
_REPL = re2.compile(r"(?m)^>>> [^\n]+\n(?:(?:>>>|\.\.\.) ?[^\n]*\n)*[^>\s.][^\n]*$")
_SENTENCE_END = re.compile(r"[.!?。！？](?:\s|$)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `[start, end)` with its fences, `[body, body_end)` without. An open fence ends with the answer."""

    start: int
    end: int
    body: int
    body_end: int
    language: str
    kind: Kind


class Shape:
    """What stands in one answer, from character `start` on. Every part is computed on first use.

    `signs`: those of the answer, where they are at hand."""

    def __init__(self, text: str, start: int = 0, signs: Container[int] | None = None) -> None:
        self.text = text
        self.start = start
        self._signs = find_signs(text, start) if signs is None else signs

    @lazy
    def blocks(self) -> tuple[Block, ...]:
        """All fenced blocks, in order."""
        if FENCE not in self._signs and len(self.text) - self.start <= SIGN_CHARS:
            return ()
        return _blocks(self.text, self.start)

    def of_kind(self, *kinds: Kind) -> tuple[Block, ...]:
        return tuple([block for block in self.blocks if block.kind in kinds])

    @lazy
    def loose_code(self) -> tuple[int, int] | None:
        """A run of program code outside any fence: at least one line that starts a program and three code lines near it."""
        return _loose_code(self.text, self.start, self.blocks) if PROGRAM in self._signs else None

    @lazy
    def equations(self) -> tuple[tuple[int, int], ...]:
        """LaTeX that states a relation or an operation, in order."""
        return _equations(self.text, self.start) if LATEX in self._signs else ()

    @lazy
    def outputs(self) -> tuple[tuple[int, int], ...]:
        """Output presented as real: output blocks or labels after code, REPL sessions; nothing called an example."""
        # A reasoning block before the visible answer may hold a session, too.
        session = SESSION in self._signs or (self.start > 0 and ">>> " in self.text[: self.start])
        return _outputs(self.text, self.blocks, session) if session or len(self.blocks) > 1 else ()

    @lazy
    def claim(self) -> tuple[int, int] | None:
        """The first words that say code was run."""
        return _claim(self.text, self.start)

    @lazy
    def label_only(self) -> bool:
        """The whole answer is a label, a span or one clipped line."""
        return _label_only(self.text[self.start : self.start + 4 * LABEL_CHARS].strip())


def _blocks(text: str, start: int) -> tuple[Block, ...]:
    blocks: list[Block] = []
    position = start
    while len(blocks) < MAX_BLOCKS:
        opening = _fence_at(text, position)
        if opening is None:
            break
        begin, body, mark, info = opening
        close = _closing(text, body, mark)
        body_end, end = close if close is not None else (len(text), len(text))
        language = info.strip().split(" ", 1)[0].strip("{}.").lower()
        blocks.append(
            Block(begin, end, body, body_end, language, kind_of(language, text[body : min(body_end, body + BODY_CHARS)]))
        )
        position = end
    return tuple(blocks)


def _fence_at(text: str, position: int) -> tuple[int, int, str, str] | None:
    """The next opening fence: its start, the start of its body, the mark and the info string."""
    for _ in range(MAX_MARKS):
        # Two plain searches: one regex for both takes 2 ms of 100 kB, all of it with the interpreter locked.
        ticks, tildes = text.find("```", position), text.find("~~~", position)
        place = ticks if tildes < 0 or 0 <= ticks < tildes else tildes
        if place < 0:
            return None
        line_start = text.rfind("\n", 0, place) + 1
        line_end = text.find("\n", place)
        line_end = len(text) if line_end < 0 else line_end
        found = _FENCE.match(text[line_start:line_end]) if line_end - line_start <= 200 else None
        if found is not None:
            return line_start, min(line_end + 1, len(text)), found[1], found[2]
        position = line_end
    return None


def _closing(text: str, body: int, mark: str) -> tuple[int, int] | None:
    """Where the body ends and where its closing fence ends."""
    position = body
    while True:
        place = text.find(mark, position)
        if place < 0:
            return None
        line_start = text.rfind("\n", 0, place) + 1
        if not text[line_start:place].strip(" \t>"):
            end = text.find("\n", place)
            return line_start, len(text) if end < 0 else end
        position = place + len(mark)


def kind_of(language: str, body: str) -> Kind:
    """What a block holds, by its tag where that is telling, else by its first 2,000 characters."""
    named = _LANGUAGES.get(language)
    if named is not None and named != "text":
        return "diagram" if named == "code" and language in ("pseudocode", "code") and _is_diagram(body) else named
    if _is_diagram(body):
        return "diagram"
    if named == "text":
        return "code" if len(_CODE_LINE.findall(body)) >= 3 and _STRONG_LINE.search(body) else "text"
    return _kind_of_body(body)


def _is_diagram(body: str) -> bool:
    return len(_BOXES.findall(body)) >= 3 or len(_ASCII_BOX.findall(body)) >= 3


def _kind_of_body(body: str) -> Kind:
    lines = max(1, body.count("\n") + (not body.endswith("\n")))
    code = len(_CODE_LINE.findall(body))
    if _HTML.match(body.lstrip()):
        return "markup"
    if _STRONG_LINE.search(body) or (code >= 2 and code * 3 >= lines):
        return "code"
    stripped = body.lstrip()
    if stripped[:1] in ("{", "[") and '"' in stripped and ":" in stripped:
        return "data"
    if len(_TABLE_LINE.findall(body)) >= 2:
        return "table"
    if _SHELL_LINE.search(body):
        return "shell"
    if lines >= 3 and len(_CONFIG_LINE.findall(body)) * 4 >= lines * 3 and body.count(" ") < 6 * lines:
        return "config"
    if _MATHS.search(body):
        return "math"
    return "text"


def _loose_code(text: str, start: int, blocks: tuple[Block, ...]) -> tuple[int, int] | None:
    piece = text[start : start + SCAN_CHARS]
    if "(" not in piece and "import " not in piece:
        return None
    for found in _STRONG_LINE.finditer(piece):
        begin = start + found.start()
        if any(block.start <= begin < block.end for block in blocks):
            continue
        run = text[begin : begin + 1_500]
        if run.lstrip()[:1] == "<":
            return begin, begin + len(run)
        lines = [match.end() for match in islice(_CODE_LINE.finditer(run), 12)]
        if len(lines) >= 3 or (len(lines) == 2 and 2 * lines[-1] > len(text) - start):
            return begin, begin + lines[-1]
    return None


def _equations(text: str, start: int) -> tuple[tuple[int, int], ...]:
    piece = text[start : start + SCAN_CHARS]
    found = []
    for match in _LATEX.finditer(piece):
        begin, end = match.span()
        if piece[begin] == "$" and piece[end - 2] in " \t\\":
            continue
        if piece.startswith("\\begin", begin) or _RELATION.search(piece[begin : min(end, begin + 1_000)]):
            found.append((start + begin, start + end))
            if len(found) >= 50:
                break
    return tuple(found)


def _outputs(text: str, blocks: tuple[Block, ...], session: bool) -> tuple[tuple[int, int], ...]:
    found = []
    for before, block in pairwise(blocks):
        lead = text[max(before.end, block.start - 160) : block.start]
        if before.kind != "code" or _HYPOTHETICAL.search(lead):
            continue
        labelled = block.kind not in ("code", "shell") and _OUTPUT_LABEL.search(lead.rstrip()) is not None
        if block.kind == "output" or (labelled and len(lead) < 160):
            found.append((block.start, block.end))
    if session:
        found.extend(match.span() for match in _REPL.finditer(text[:SCAN_CHARS]))
    return tuple(found)


def _claim(text: str, start: int) -> tuple[int, int] | None:
    for match in _CLAIM.finditer(text[start : start + SCAN_CHARS]):
        begin, end = start + match.start(), start + match.end()
        if not _HYPOTHETICAL.search(text[max(start, begin - 80) : end + 40]):
            return begin, end
    return None


def _label_only(text: str) -> bool:
    text = text.strip("*_`\"'“”()[] \n")
    if not text or len(text) > LABEL_CHARS or "```" in text:
        return False
    ends = _SENTENCE_END.findall(text)
    return len(ends) <= 1 and text.count("\n") <= 2 and len(text.split()) <= 8
