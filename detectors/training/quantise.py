"""Writes the fine-tuned network as an ONNX graph of 8-bit weights, node by node, with the calibration inside.

One rule: the same weights give the same bytes. Weights have seven bits and activations eight, rounded row by row while it runs:
seven, because processors without VNNI add two products of a full eight by eight bits in sixteen, which overflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[np.float32]]
_LEVELS = 63


class _Graph:
    """Nodes and constants as they are added; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number_{value:g}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def norm(self, x: str, name: str, weights: Weights) -> str:
        scale = self.constant(f"{name}.weight", weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", weights[f"{name}.bias"])
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def rounded(self, x: str) -> tuple[str, str]:
        """Activations as bytes around 128, and the scale of every row."""
        largest = self.add("ReduceMax", self.add("Abs", x), axes=[-1], keepdims=1)
        scale = self.add("Max", self.add("Mul", largest, self.number(1 / 127)), self.number(1e-9))
        whole = self.add("Round", self.add("Div", x, scale))
        return self.add("Cast", self.add("Add", whole, self.number(128)), to=TensorProto.UINT8), scale

    def linear(self, x: tuple[str, str], name: str, weights: Weights) -> str:
        matrix, scales = rounded_weights(weights[f"{name}.weight"].T, axis=0)
        middle = self.constant("middle", np.array(128, np.uint8))
        products = self.add("MatMulInteger", x[0], self.constant(f"{name}.matrix", matrix), middle)
        sums = self.add("Mul", self.add("Cast", products, to=TensorProto.FLOAT), x[1])
        sums = self.add("Mul", sums, self.constant(f"{name}.scales", scales))
        return self.add("Add", sums, self.constant(f"{name}.bias", weights[f"{name}.bias"]))


def rounded_weights(matrix: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Seven-bit integers and the scale of every column (axis 0) or row (axis 1)."""
    scales = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True) / _LEVELS, 1e-12)
    return np.round(matrix / scales).astype(np.int8), scales.astype(np.float32)


def graph(
    weights: Weights, labels: Sequence[str], slopes: Sequence[float], intercepts: Sequence[float], layers: int, heads: int
) -> bytes:
    """`ids` int64[tokens] in, `probabilities` float32[1, labels] out."""
    made = _Graph()
    x = _embedded(made, weights)
    width = weights["tok.weight"].shape[1]
    split = made.constant("split", np.array([-1, heads, width // heads], np.int64))
    joined = made.constant("joined", np.array([-1, width], np.int64))
    for i in range(layers):
        name = f"layers.{i}."
        read = made.rounded(x)
        query = made.add("Mul", made.linear(read, f"{name}q", weights), made.number((width // heads) ** -0.5))
        q = made.add("Transpose", made.add("Reshape", query, split), perm=[1, 0, 2])
        k = made.add("Transpose", made.add("Reshape", made.linear(read, f"{name}k", weights), split), perm=[1, 2, 0])
        v = made.add("Transpose", made.add("Reshape", made.linear(read, f"{name}v", weights), split), perm=[1, 0, 2])
        seen = made.add("MatMul", made.add("Softmax", made.add("MatMul", q, k), axis=-1), v)
        seen = made.add("Reshape", made.add("Transpose", seen, perm=[1, 0, 2]), joined)
        x = made.norm(made.add("Add", x, made.linear(made.rounded(seen), f"{name}o", weights)), f"{name}n1", weights)
        inner = _gelu(made, made.linear(made.rounded(x), f"{name}up", weights))
        x = made.norm(made.add("Add", x, made.linear(made.rounded(inner), f"{name}down", weights)), f"{name}n2", weights)
    slope = np.array(slopes, np.float32)
    head = (weights["heads.weight"].T * slope).astype(np.float32)
    bias = (weights["heads.bias"] * slope + np.array(intercepts, np.float32))[None, :].astype(np.float32)
    mean = made.add("ReduceMean", x, axes=[0], keepdims=1)
    logits = made.add("Add", made.add("MatMul", mean, made.constant("heads", head)), made.constant("bias", bias))
    made.nodes.append(helper.make_node("Sigmoid", [logits], ["probabilities"]))
    return _bytes(made, len(labels))


def _embedded(made: _Graph, weights: Weights) -> str:
    words, scales = rounded_weights(weights["tok.weight"], axis=1)
    word = made.add("Cast", made.add("Gather", made.constant("words", words), "ids", axis=0), to=TensorProto.FLOAT)
    scale = made.add("Gather", made.constant("word_scales", scales), "ids", axis=0)
    length = made.add("Shape", "ids")
    places = made.constant("positions", weights["pos.weight"].astype(np.float16))
    first = made.constant("first", np.array([0], np.int64))
    place = made.add("Cast", made.add("Slice", places, first, length), to=TensorProto.FLOAT)
    return made.norm(made.add("Add", made.add("Mul", word, scale), place), "n", weights)


def _gelu(made: _Graph, x: str) -> str:
    bent = made.add("Add", made.add("Erf", made.add("Mul", x, made.number(0.5**0.5))), made.number(1.0))
    return made.add("Mul", made.add("Mul", x, made.number(0.5)), bent)


def _bytes(made: _Graph, labels: int) -> bytes:
    whole = helper.make_graph(
        made.nodes,
        "chunkguard",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, labels])],
        list(made.constants.values()),
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], producer_name="chunkguard")
    model.ir_version = 8
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
