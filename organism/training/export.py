"""A trained network as ONNX with weights in half precision.

One rule: the graph computes in float32; only what is stored is float16, so that a CPU runs it at full speed.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from organism.training.network import Cached, Network

#: Weights of at least so many numbers are stored in half precision.
_LARGE = 256


def export(network: Network, file: Path) -> None:
    """Write `file`: inputs `ids`, `cache`, outputs `logits`, `grown` (see `Cached`), batch and lengths free."""
    shape = network.shape
    cached = Cached(network).train(False)
    ids = torch.zeros(2, 3, dtype=torch.long)
    cache = torch.zeros(shape.layers, 2, 2, shape.heads, 4, shape.width // shape.heads)
    torch.onnx.export(
        cached,
        (ids, cache),
        str(file),
        input_names=["ids", "cache"],
        output_names=["logits", "grown"],
        dynamic_axes={
            "ids": {0: "batch", 1: "new"},
            "cache": {2: "batch", 4: "past"},
            "logits": {0: "batch"},
            "grown": {2: "batch", 4: "all"},
        },
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(str(file))
    _halve(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _halve(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or array.size < _LARGE:
            continue
        name, half = weight.name, f"{weight.name}.half"
        weight.CopyFrom(numpy_helper.from_array(array.astype("float16"), half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
