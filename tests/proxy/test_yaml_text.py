"""YAML that stands for far more than its text, or never ends, is refused at once; usual YAML is read."""

from __future__ import annotations

from time import process_time

import pytest
import yaml

from proxy import config
from proxy.yaml_text import MAX_VALUES, read_yaml


def bomb(levels: int, width: int = 9, merge: bool = False) -> str:
    """`width ** levels` values in as many lines as there are levels."""
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels + 1):
        named = f"[{', '.join([f'*a{level - 1}'] * width)}]"
        lines.append(f"a{level}: &a{level} {f'{{<<: {named}}}' if merge else named}")
    return "\n".join(lines)


HOSTILE = {
    "bomb": bomb(12),
    "merges": bomb(12, merge=True),
    "itself": "a: &a [*a]",
    "itself as a mapping": "a: &a {b: *a}",
    "each other": "a: &a [&b {c: *a}]",
    "lists": "[" * 3000 + "]" * 3000,
    "blocks": "\n".join(" " * level + "a:" for level in range(3000)),
    "chain": "\n".join(["a0: &a0 [x]", *(f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, 200))]),
    "many": f"a: &a [{'x, ' * 1000}]\nb: [{'*a, ' * (MAX_VALUES // 1000)}]",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_yaml_is_refused_in_the_time_of_its_length(text: str) -> None:
    began = process_time()
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
    assert process_time() - began < 10


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_configuration_of_it_is_a_problem_and_no_crash(text: str, tmp_path: pytest.TempPathFactory) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text, source="c.yaml", folder=tmp_path)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert problem.file == "c.yaml"
    assert len(str(problem)) < 300


def test_aliases_and_merges_that_mean_little_are_read() -> None:
    text = "base: &base {a: 1, b: [2]}\nown: {<<: *base, b: 3}\nsame: [*base, *base]\nnone:"
    assert read_yaml(text) == {
        "base": {"a": 1, "b": [2]},
        "own": {"a": 1, "b": 3},
        "same": [{"a": 1, "b": [2]}] * 2,
        "none": None,
    }
    assert read_yaml("") is None


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!x a"])
def test_tags_build_nothing(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
