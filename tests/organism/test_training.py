"""What of the training runs without torch: the vocabulary. The network is judged by the models it made."""

from __future__ import annotations

from organism.training.vocabulary import build_vocabulary


def test_the_vocabulary_depends_on_its_seed_alone() -> None:
    first, second = (build_vocabulary(1, size=400, rows=50) for _ in range(2))
    assert first == second
    assert first != build_vocabulary(2, size=400, rows=50)
