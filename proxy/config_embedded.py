"""The settings of an upstream that is a tiny language model in this process.

One rule: nothing here is needed: without any setting it answers from the shipped models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from proxy.config_base import Model


class EmbeddedSettings(Model):
    """The organism, a tiny model with known mis-routings that runs in this process: for demos, tests and experiments."""

    kind: Literal["embedded"] = Field(description="A tiny model with known mis-routings, in this process.")
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="Folder with `tokenizer.json` and one `.onnx` file a model, relative to the configuration file, "
        "instead of the shipped `chunky` and `clean`.",
    )
    models: dict[str, str] = Field(default_factory=dict, description="Model names that clients use -> the folder's.")
    seed: int | None = Field(
        default=None,
        description="For experiments: seeds of requests without one follow from this number, the body and how often it came. "
        "Default: drawn at random.",
    )
    total_s: PositiveFloat = Field(default=600.0, description="Seconds for a whole answer.")
