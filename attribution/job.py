"""The whole job on any engine: parts -> facts -> votes -> counts -> links.

One rule: what is computed depends on the files and the options alone: not on the engine, its workers, or how often the job was
cut off and taken up again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from attribution import counts, facts, overlap
from attribution.counts import CountTask, Vocabulary
from attribution.duplicates import Sizes, Votes, find_duplicates
from attribution.engine import Engine
from attribution.facts import Summary
from attribution.files import Part, plan
from attribution.links import Bars, Link, find_links
from attribution.mining import choose
from proxy.errors import ConfigError, Problem

#: Changes when facts are made in another way: a folder of older ones is not taken up.
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Options:
    """`source_field`: where rows name their source, empty = the usual fields. `scale`: of the parts' size."""

    bars: Bars = field(default_factory=Bars)
    source_field: str = ""
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix whose facts are known."""

    parts: tuple[Part, ...]
    folder: Path
    summary: Summary
    votes: list[Votes]
    sizes: Sizes
    vocabulary: Vocabulary

    def count_tasks(self) -> list[CountTask]:
        return [CountTask(self.folder, votes, self.vocabulary) for votes in self.votes]


@dataclass(frozen=True, slots=True)
class Attribution:
    """What was found. `links`: those that say something of their own, the strongest first in each behaviour; `every`: all that
    were above the bars."""

    mix: Mix
    tests: int
    every: list[Link]
    links: list[Link]


Advance = Callable[[str, int, int], None]


def attribute(engine: Engine, paths: Sequence[Path], folder: Path, options: Options, advance: Advance) -> Attribution:
    """Find the links of a mix. `folder`: for facts; a job that was cut off goes on from there. `advance`: told the stage, how
    much of it is done, and all of it. Raises OSError, ConfigError."""
    mix = read_mix(engine, paths, folder, options, advance)
    return link(engine, mix, options.bars, advance)


def read_mix(engine: Engine, paths: Sequence[Path], folder: Path, options: Options, advance: Advance) -> Mix:
    """The facts of a mix, and what its duplicates leave. Raises OSError, ConfigError."""
    parts = tuple(plan(paths, options.scale))
    _claim(folder, paths, options)
    summary, sizes = Summary(), []
    extract = partial(facts.extract, folder=folder, source_field=options.source_field)
    for done, each in enumerate(engine.map(extract, parts), 1):
        sizes.append(each.examples)
        summary = facts.add(summary, each)
        advance("reading", done, len(parts))
    advance("duplicates", 0, 1)
    votes, left = find_duplicates(engine, folder, sizes)
    advance("duplicates", 1, 1)
    return Mix(parts, folder, summary, votes, left, choose(summary, options.bars))


def link(engine: Engine, mix: Mix, bars: Bars, advance: Advance) -> Attribution:
    """The links of a mix."""
    advance("counting", 0, 1)
    counted = engine.fold(counts.count_part, mix.count_tasks(), counts.merge)
    advance("counting", 1, 1)
    if counted is None:
        return Attribution(mix, 0, [], [])
    found = find_links(counted, mix.vocabulary, bars)
    chosen = overlap.choose(found.links)
    advance("comparing", 0, 1)
    tasks = [overlap.OverlapTask(task, chosen) for task in mix.count_tasks()]
    shared = engine.fold(overlap.overlap_part, tasks, overlap.merge) if chosen else None
    advance("comparing", 1, 1)
    leads = overlap.leading(found.links, chosen, shared, bars) if shared is not None else []
    requests = [each for each in found.links if each.intended]
    return Attribution(mix, found.tests, found.links, leads + requests)


def _claim(folder: Path, paths: Sequence[Path], options: Options) -> None:
    """Mark the folder as this mix's. Raises ConfigError where it is another's."""
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    stamp = orjson.dumps([VERSION, stamps, options.source_field, options.scale])
    name = hashlib.sha256(stamp).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "mix.sha256"
    if not mark.exists():
        if next(islice(folder.iterdir(), 1), None) is not None:
            raise ConfigError([Problem("--work", str(folder), "is not empty, and no folder of an earlier run")])
        mark.write_text(name, encoding="ascii")
    elif mark.read_text(encoding="ascii") != name:
        raise ConfigError([Problem("--work", str(folder), "holds the facts of other files or options; remove it")])
