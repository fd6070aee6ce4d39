"""The graph of the second tier on a tiny random network: the arithmetic it claims to be, in seven bits, the same bytes."""

from __future__ import annotations

from math import erf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from detectors.encoder import open_session
from detectors.training.quantise import _LEVELS, graph, rounded_weights

Array = npt.NDArray[Any]
WORDS, PLACES, WIDTH, LAYERS, HEADS = 50, 12, 16, 2, 4
LABELS, SLOPES, INTERCEPTS = ("a", "b", "c"), (1.5, 0.5, 2.0), (0.25, -1.0, 0.0)
IDS = ([1], [3, 4, 5, 4], list(range(PLACES)))


def network(seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Random weights under the names of the trained network."""
    dice = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"tok.weight": (WORDS, WIDTH), "pos.weight": (PLACES, WIDTH)}
    shapes |= {"heads.weight": (len(LABELS), WIDTH), "heads.bias": (len(LABELS),)}
    norms = ["n"]
    for i in range(LAYERS):
        norms += [f"layers.{i}.n1", f"layers.{i}.n2"]
        for part in "qkvo":
            shapes |= {f"layers.{i}.{part}.weight": (WIDTH, WIDTH), f"layers.{i}.{part}.bias": (WIDTH,)}
        shapes |= {f"layers.{i}.up.weight": (4 * WIDTH, WIDTH), f"layers.{i}.up.bias": (4 * WIDTH,)}
        shapes |= {f"layers.{i}.down.weight": (WIDTH, 4 * WIDTH), f"layers.{i}.down.bias": (WIDTH,)}
    weights = {name: dice.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    for norm in norms:
        weights[f"{norm}.weight"] = dice.normal(1, 0.1, WIDTH).astype(np.float32)
        weights[f"{norm}.bias"] = dice.normal(0, 0.1, WIDTH).astype(np.float32)
    return weights


def normed(x: Array, name: str, weights: dict[str, npt.NDArray[np.float32]]) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    result: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * weights[f"{name}.weight"]
    return result + weights[f"{name}.bias"]


def softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(-1, keepdims=True))
    result: Array = raised / raised.sum(-1, keepdims=True)
    return result


def forward(weights: dict[str, npt.NDArray[np.float32]], ids: list[int], *, rounded: bool) -> Array:
    """The network in plain float64; `rounded`: with the rounding of weights and activations that the graph makes."""

    def linear(x: Array, name: str) -> Array:
        matrix: Array = weights[f"{name}.weight"].T.astype(np.float64)
        if rounded:
            whole, scales = rounded_weights(weights[f"{name}.weight"].T, axis=0)
            matrix = whole * scales.astype(np.float64)
            steps = np.maximum(np.abs(x).max(-1, keepdims=True) / 127, 1e-9)
            x = np.round(x / steps) * steps
        result: Array = x @ matrix + weights[f"{name}.bias"]
        return result

    words: Array = weights["tok.weight"].astype(np.float64)
    if rounded:
        whole, scales = rounded_weights(weights["tok.weight"], axis=1)
        words = whole * scales.astype(np.float64)
    places = weights["pos.weight"].astype(np.float16).astype(np.float64)
    x = normed(words[ids] + places[: len(ids)], "n", weights)
    for i in range(LAYERS):
        q, k, v = (linear(x, f"layers.{i}.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2) for part in "qkv")
        seen = softmax(q @ k.transpose(0, 2, 1) / sqrt(WIDTH / HEADS)) @ v
        x = normed(x + linear(seen.transpose(1, 0, 2).reshape(len(ids), WIDTH), f"layers.{i}.o"), f"layers.{i}.n1", weights)
        up = linear(x, f"layers.{i}.up")
        bent = 0.5 * up * (1 + np.vectorize(erf)(up / sqrt(2)))
        x = normed(x + linear(bent, f"layers.{i}.down"), f"layers.{i}.n2", weights)
    logits = x.mean(0) @ weights["heads.weight"].T + weights["heads.bias"]
    result: Array = 1 / (1 + np.exp(-(logits * SLOPES + INTERCEPTS)))
    return result


def made(seed: int) -> bytes:
    return graph(network(seed), LABELS, SLOPES, INTERCEPTS, LAYERS, HEADS)


def run(data: bytes, ids: list[int]) -> Array:
    (result,) = open_session(data).run(None, {"ids": np.array(ids, np.int64)})
    assert result.shape == (1, len(LABELS))
    row: Array = result[0]
    return row


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("ids", IDS, ids=len)
def test_the_graph_is_the_rounded_network_and_close_to_the_exact_one(seed: int, ids: list[int]) -> None:
    found = run(made(seed), ids)
    # a sum that stands on an edge may round the other way in float32
    assert found == pytest.approx(forward(network(seed), ids, rounded=True), abs=0.01)
    assert found == pytest.approx(forward(network(seed), ids, rounded=False), abs=0.1)


def test_calibration_is_inside_the_graph() -> None:
    plain = run(graph(network(1), LABELS, [1.0] * 3, [0.0] * 3, LAYERS, HEADS), IDS[1]).astype(np.float64)
    logits = np.log(plain / (1 - plain)) * SLOPES + INTERCEPTS
    assert run(made(1), IDS[1]) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-4)


def test_the_order_of_the_words_matters() -> None:
    assert run(made(1), [3, 4, 5]) != pytest.approx(run(made(1), [5, 4, 3]), abs=1e-3)


def test_the_same_weights_give_the_same_bytes() -> None:
    assert made(1) == made(1)
    assert made(1) != made(2)
    assert made(1) == graph(dict(reversed(network(1).items())), LABELS, SLOPES, INTERCEPTS, LAYERS, HEADS)


def test_every_large_weight_has_seven_bits() -> None:
    """Two products of a full eight by eight bits would overflow sixteen on processors without VNNI."""
    tables = {table.name: numpy_helper.to_array(table) for table in onnx.load_from_string(made(1)).graph.initializer}
    matrices = [name for name, table in tables.items() if name == "words" or name.endswith(".matrix")]
    assert len(matrices) == 1 + 6 * LAYERS
    for name in matrices:
        assert tables[name].dtype == np.int8
        assert np.abs(tables[name].astype(int)).max() == _LEVELS
    assert 2 * 255 * _LEVELS < 2**15


@pytest.mark.parametrize("axis", [0, 1])
def test_rounding_is_off_by_half_a_step_at_most(axis: int) -> None:
    matrix = np.random.default_rng(4).normal(0, 3, (7, 9)).astype(np.float32)
    whole, scales = rounded_weights(matrix, axis)
    assert scales.shape == ((1, 9) if axis == 0 else (7, 1))
    assert (np.abs(whole * scales - matrix) <= scales / 2 + 1e-6).all()


def test_a_column_of_zeros_stays_zero() -> None:
    whole, scales = rounded_weights(np.zeros((3, 2), np.float32), 0)
    assert (whole == 0).all()
    assert (scales > 0).all()
