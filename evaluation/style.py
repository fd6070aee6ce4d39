"""How every picture of a report looks, and how it is saved.

One rule: the same picture gives the same bytes, whatever style the user has set for plots of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap

_STYLE: Final[Any] = {
    "text.parse_math": False,  # a text may hold a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
#: The same bytes from every version of matplotlib that draws the same.
SAVING: Final[Any] = {"dpi": 130, "metadata": {"Software": None}}
BLUE, RED, GREEN, GREY, DARK = "#0b62a4", "#c2410c", "#1a7f37", "#8a8f98", "#24292f"
#: Colours that stay apart for colour-blind readers (Okabe and Ito).
COLOURS: Final = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#b8a800", "#0072b2", "#d55e00", "#cc79a7", "#666666")
HEAT: Final = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#dbe9f6", "#6baed6", "#08519c"])


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of the reports."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # Names may stand in any script; a glyph that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
