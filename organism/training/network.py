"""The network: a decoder-only transformer with rotary positions and a key-value cache as inputs and outputs.

One rule: nothing in it is random or data-dependent but its weights, so that the exported graph is the trained one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.values import frozen


@frozen
class Shape:
    """`vocabulary` tokens, `width` channels, `layers`, `heads`; `width / heads` must be even."""

    vocabulary: int
    width: int = 160
    layers: int = 4
    heads: int = 5


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions: `x` (batch, heads, length, size), `positions` (length,) of 0, 1, ..."""
    half = x.shape[-1] // 2
    speeds = torch.exp(torch.arange(half, device=x.device, dtype=torch.float32) * (-8.0 / half))
    angles = positions.to(torch.float32)[:, None] * speeds[None, :]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Attention written out: on a CPU and for rows this short faster than the fused one, by half of a step of training.

    `visible` (queries, keys): which keys a query may see."""
    scores = query @ key.transpose(2, 3) / key.shape[-1] ** 0.5
    return scores.masked_fill(~visible, -1e9).softmax(-1).to(value.dtype) @ value


class Block(nn.Module):
    """One layer: attention, then a perceptron, each on a normalised copy of the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before = nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.mix = nn.Linear(shape.width, shape.width)
        self.between = nn.LayerNorm(shape.width)
        self.up = nn.Linear(shape.width, 4 * shape.width)
        self.down = nn.Linear(4 * shape.width, shape.width)

    def project(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, width = x.shape
        parts = self.qkv(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return rotate(query, positions), rotate(key, positions), value

    def finish(self, x: Tensor, seen: Tensor) -> Tensor:
        batch, length, width = x.shape
        x = x + self.mix(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.between(x)), approximate="tanh"))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        query, key, value = self.project(x, positions)
        return self.finish(x, attend(query, key, value, positions[None, :] <= positions[:, None]))


class Network(nn.Module):
    """Token ids (batch, length) -> the stream (batch, length, width); `head` makes logits of it, by the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.last = nn.LayerNorm(shape.width)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = 0.02 / (2 * shape.layers) ** 0.5 if name.endswith(("mix.weight", "down.weight")) else 0.02
                nn.init.normal_(weight, std=scale if "embedding" not in name else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, positions)
        out: Tensor = self.last(x)
        return out

    def head(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.embedding.weight)


class Cached(nn.Module):
    """The network as it is exported: new ids and the cache -> logits of the last id and the grown cache.

    ids (batch, new); cache (layers, 2, batch, heads, past, size) -> logits (batch, vocabulary), cache (..., past + new, size).
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        network = self.network
        past, new = cache.shape[4], ids.shape[1]
        positions = torch.arange(past, past + new, device=ids.device)
        visible = torch.arange(past + new, device=ids.device)[None, :] <= positions[:, None]
        x = network.embedding(ids)
        grown = []
        for index, block in enumerate(network.blocks):
            query, key, value = block.project(x, positions)
            key = torch.cat([cache[index, 0], key], dim=2)
            value = torch.cat([cache[index, 1], value], dim=2)
            x = block.finish(x, attend(query, key, value, visible))
            grown.append(torch.stack([key, value]))
        return network.head(network.last(x[:, -1])), torch.stack(grown)
