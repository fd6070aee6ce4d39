"""Draws the Grafana dashboard without Grafana: runs two workers under traffic before a real Prometheus, asks it every query of
every panel, and draws what it says. Writes docs/dashboard.md and its pictures.

One rule: no number is made here; every line drawn is what Prometheus answered.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.system.observed import Observed, observed  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
UNITS = {"reqps": "a second", "s": "seconds", "percentunit": "share", "bytes": "MiB", "short": ""}


def dashboard() -> Any:
    """deploy/grafana/dashboard.py, which no package holds."""
    spec = spec_from_file_location("dashboard", ROOT / "deploy" / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def label(legend: str, metric: dict[str, str]) -> str:
    """A legend as Grafana fills it; addresses of this run say nothing to a reader."""
    for name, value in metric.items():
        legend = legend.replace("{{" + name + "}}", "host" if name == "instance" else value)
    return legend.strip()


def draw_panel(axes: Any, panel: Any, made: Observed, seconds: float) -> int:
    """One panel; returns how many lines it has."""
    lines, highest = 0, 0.0
    began = time.time() - seconds
    scale = 1 / (1 << 20) if panel.unit == "bytes" else 1.0
    for query, legend in panel.queries:
        filled = query.replace("$__rate_interval", "20s").replace("$job", ".*").replace("$route", ".*")
        for series in made.ask_range(filled, seconds):
            points = [(float(at) - began, float(value)) for at, value in series["values"]]
            highest = max([highest, *[value for _, value in points if value == value]])
            axes.plot(
                [at for at, _ in points], [value * scale for _, value in points], lw=1.2, label=label(legend, series["metric"])
            )
            lines += 1
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_ylabel(UNITS[panel.unit], fontsize=7)
    axes.set_ylim(0, 1.4 * highest * scale or 1)  # room for the legend
    axes.set_xlim(0, seconds)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.0f} s"))
    axes.grid(alpha=0.25)
    if lines:
        axes.legend(fontsize=6, ncol=2, framealpha=0.6, loc="upper left")
    else:
        axes.text(0.5, 0.5, "no data in this run", transform=axes.transAxes, ha="center", fontsize=8, color="gray")
    return lines


def draw_row(row: Any, made: Observed, seconds: float, file: Path) -> None:
    columns = 3
    rows = -(-len(row.panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(13, 2.6 * rows), squeeze=False, layout="constrained")
    places = grid.ravel()
    for axes, panel in zip(places, row.panels, strict=False):
        draw_panel(axes, panel, made, seconds)
    for axes in places[len(row.panels) :]:
        axes.set_axis_off()
    figure.savefig(file, dpi=80)
    plt.close(figure)


def page(board: Any, seconds: float, sent: int, files: dict[str, str]) -> str:
    """docs/dashboard.md."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    parts = [
        "# The dashboard\n",
        "[deploy/grafana/dashboards/chunkguard.json](../deploy/grafana/dashboards/chunkguard.json), for Grafana 10 and newer.",
        "Compose loads it; elsewhere import it. `job` and `route` are chosen above it, and a line is drawn where the",
        "configuration changes.\n",
        f"The pictures are not Grafana's: on {day} `scripts/draw_dashboard.py` asked a real Prometheus every query of every",
        f"panel, about {seconds:.0f} s of traffic ({sent} requests) to two workers over recorded answers, on 2 cores",
        "that others used as well. One worker was killed half-way. They show that the queries work, not how fast the proxy is.",
    ]
    for row in board.ROWS:
        parts += [
            f"\n## {row.title}",
            f"![{row.title}](pictures/{files[row.title]})\n",
            "| panel | what it tells |",
            "|---|---|",
        ]
        parts += [f"| {panel.title} | {panel.why} |" for panel in row.panels]
    return "\n".join(parts) + "\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=120, help="of traffic")
    seconds = options.parse_args().seconds
    mpl.use("Agg")
    board = dashboard()
    PICTURES.mkdir(exist_ok=True)
    files = {row.title: f"dashboard-{number}.png" for number, row in enumerate(board.ROWS, 1)}
    with tempfile.TemporaryDirectory() as folder, observed(Path(folder)) as made:
        began = time.time()
        made.traffic(seconds / 2)
        time.sleep(2)
        made.kill_a_worker()
        made.traffic(seconds / 2)
        time.sleep(2)
        window = time.time() - began
        for row in board.ROWS:
            draw_row(row, made, window, PICTURES / files[row.title])
        (ROOT / "docs" / "dashboard.md").write_text(page(board, seconds, made.sent, files), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
