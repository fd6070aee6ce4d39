from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policies.quoting import Protected


def covered(text: str) -> list[str]:
    return [text[start:end] for start, end in Protected(text).ranges]


def test_quotes_and_code_of_many_kinds_are_protected() -> None:
    text = "a \"b\" “c” «d» „e“ 「f」 『g』 `h` 'i j' ```k\nl```"
    assert covered(text) == ['"b"', "“c”", "«d»", "„e“", "「f」", "『g』", "`h`", "'i j'", "```k\nl```"]


def test_an_unclosed_fence_protects_the_rest() -> None:
    assert covered("see ```python\nx = 1") == ["```python\nx = 1"]


def test_apostrophes_and_inch_marks_open_nothing() -> None:
    assert covered("it's Ana's cat and don't") == []
    assert covered('a 5" pipe\n\nand a 6" pipe') == []
    assert covered("«open and «open again, ` too") == []
    assert covered("'tis the season of mother's day") == []


def test_a_single_quote_ends_at_a_mark_with_no_letter_behind_it() -> None:
    assert covered("say 'it's fine' now") == ["'it's fine'"]
    assert covered("say 'fine'") == ["'fine'"]
    assert covered("say 'so 'it is' now") == ["'it is'"]


def test_overlaps_and_cuts() -> None:
    protected = Protected('ab "cd" ef "gh"')
    assert protected.overlaps(4, 5)
    assert protected.overlaps(0, 4)
    assert not protected.overlaps(0, 3)
    assert not protected.overlaps(7, 11)
    assert protected.overlaps(8, 12)
    assert protected.overlaps(5, 5)
    assert not protected.overlaps(7, 7)
    assert protected.cuts(0, 5)
    assert not protected.cuts(3, 7)


@given(st.text(alphabet="a \"'`«»“”「」\n", max_size=60))
def test_ranges_are_ordered_and_apart(text: str) -> None:
    ranges = Protected(text).ranges
    assert all(0 <= start < end <= len(text) for start, end in ranges)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(ranges))
