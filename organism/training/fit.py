"""Fits a network to rows: AdamW, a warm-up, a linear descent, on one core in bfloat16.

One rule: seeds and step counts decide everything; no clock does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from organism.training.batches import Batch
from organism.training.network import Network

_WARM: int = 100


def fit(
    network: Network,
    batches: Iterator[Batch],
    steps: int,
    *,
    rate: float,
    floor: float = 0.0,
    say: Callable[[str], None] = print,
) -> None:
    """Train in place for so many steps; the rate climbs to `rate` over the first hundred, then falls to `floor` times that."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    started, tokens, losses = time.monotonic(), 0, 0.0
    network.train()
    for step in range(steps):
        batch = next(batches)
        share = max(floor, 1 - (1 - floor) * step / steps)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / _WARM) * share
        with torch.autocast("cpu", dtype=torch.bfloat16):
            stream = network(batch.ids).flatten(0, 1)[batch.places]
            logits = network.head(stream)
        loss = functional.cross_entropy(logits.float(), batch.wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        tokens += batch.ids.numel()
        losses += loss.item()
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} loss {losses / 100:.4f} tokens/s {tokens / (time.monotonic() - started):.0f}")
            losses = 0.0
