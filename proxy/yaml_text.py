"""Reads the YAML that an operator writes.

One rule: a text costs what its length says. Aliases that stand for each other again and again, or for themselves, and nesting
without end are refused before anything is built from them; so is a key that stands twice, of which YAML would keep the last.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml

#: Values that a text may stand for, aliases replaced by what they name. A configuration of a hundred routes has 5,000.
MAX_VALUES: Final = 200_000
#: Levels of mappings and lists within each other. A configuration has ten.
MAX_DEPTH: Final = 100
_DEEP: Final = "it is nested too deeply"
#: Of a node: the values it stands for, and its levels.
_Size = tuple[int, int]


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen and key != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> object:
    """The plain data of a text. Raises yaml.YAMLError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        values, depth = _size(node, {})
        if values > MAX_VALUES:
            raise yaml.YAMLError(f"its aliases stand for more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(_DEEP)
        data: object = loader.construct_document(node)
        return data
    except RecursionError:
        raise yaml.YAMLError(_DEEP) from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, _Size | None]) -> _Size:
    """Each node is looked at once. `known`: sizes by the identity of nodes, None while one is being looked at."""
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise yaml.composer.ComposerError(None, None, "an alias stands within what it names", node.start_mark)
        return found
    known[id(node)] = None
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [item for pair in node.value for item in pair]
    sizes = [_size(item, known) for item in inner]
    size = known[id(node)] = (1 + sum(values for values, _ in sizes), 1 + max((depth for _, depth in sizes), default=0))
    return size
