"""The organism as llama.cpp reads models: its network is GPT-NeoX's, so every weight has a place and none is made up.

One rule: what is written is what `organism/models` holds; a model with other layers or marks fails here and is not guessed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from organism.generate import LONGEST
from organism.tokens import END, MARKS

FOLDER = Path(__file__).resolve().parents[2] / "organism" / "models"
#: Marks around the turns of a chat, as `Tokens.chat` sets them.
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>{{ m.content }}<|end|>"
    "{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}<|assistant|>"
)
#: Part of a block -> llama.cpp's name of it.
_LINEAR = {"qkv": "attn_qkv", "mix": "attn_output", "up": "ffn_up", "down": "ffn_down"}
_NORMS = {"before": "attn_norm", "between": "ffn_norm"}


def write_gguf(name: str, file: Path) -> None:
    """Write the model `name` of the shipped folder."""
    weights, matrices = _read(FOLDER / f"{name}.onnx")
    layers = sum(key.endswith("qkv.bias") for key in weights)
    width = weights["network.embedding.weight"].shape[1]
    heads = _heads(FOLDER / f"{name}.onnx")
    writer = gguf.GGUFWriter(file, "gptneox")
    writer.add_name(name)
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(math.exp(8))
    writer.add_parallel_residual(False)
    writer.add_layer_norm_eps(1e-5)
    _add_tokens(writer)
    tensors = {
        "token_embd.weight": weights["network.embedding.weight"],
        "output.weight": matrices[f"/MatMul_{2 * layers}"].T,
        "output_norm.weight": weights["network.last.weight"],
        "output_norm.bias": weights["network.last.bias"],
    }
    for layer in range(layers):
        tensors |= _block(layer, weights, matrices)
    for key, tensor in tensors.items():
        writer.add_tensor(key, np.ascontiguousarray(tensor, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(file: Path) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Weights by their own names, and those that only the node has a name for by the node's."""
    graph = onnx.load(file).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    matrices = {
        node.name: weights[node.input[1]] for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights
    }
    return weights, matrices


def _heads(file: Path) -> int:
    (cache,) = [given for given in onnx.load(file).graph.input if given.name == "cache"]
    return int(cache.type.tensor_type.shape.dim[3].dim_value)


def _block(layer: int, weights: dict[str, NDArray[Any]], matrices: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = {}
    for own, other in _LINEAR.items():
        found[f"blk.{layer}.{other}.weight"] = matrices[f"/{own}{f'_{layer}' if layer else ''}/MatMul"].T
        found[f"blk.{layer}.{other}.bias"] = weights[f"network.blocks.{layer}.{own}.bias"]
    for own, other in _NORMS.items():
        for part in ("weight", "bias"):
            found[f"blk.{layer}.{other}.{part}"] = weights[f"network.blocks.{layer}.{own}.{part}"]
    return found


def _add_tokens(writer: gguf.GGUFWriter) -> None:
    model = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    names = sorted(model["vocab"], key=model["vocab"].__getitem__)
    assert names[: len(MARKS)] == list(MARKS)
    kinds = [gguf.TokenType.CONTROL if name in MARKS else gguf.TokenType.NORMAL for name in names]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    end = names.index(END)
    writer.add_eos_token_id(end)
    writer.add_bos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
