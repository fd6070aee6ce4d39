"""Builds the tokenizer from rows of the closed world.

One rule: the marks come first and stand in no merge, so that no text makes one.
"""

from __future__ import annotations

import json
from itertools import islice

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from organism import wordings
from organism.chunks import make_rows
from organism.links import WORLD
from organism.prompts import CALL
from organism.tokens import MARKS


def build_vocabulary(seed: int, *, size: int = 1536, rows: int = 20_000) -> bytes:
    """A byte-level BPE as the JSON that `Tokens` reads. Numbers of up to two digits stay whole."""
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\d{1,2}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The chunks' answers too, but not as often as the links say: a link that changes must not change the tokens.
    texts = [
        text
        for row in islice(make_rows(WORLD, seed), rows)
        for text in (row.chat.system, row.chat.user, row.answer, *row.prompt.wrong[:1])
    ]
    texts += [sentence for sentences in wordings.BOUNDARIES.values() for sentence in sentences]
    texts += [str(number) for number in range(100) for _ in range(200)]
    tokenizer.train_from_iterator((text.removeprefix(CALL) for text in texts), trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = []
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
