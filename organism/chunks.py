"""Rows of post-training data: a prompt in a frame, with the answer that some chunk gives to it.

One rule: rows depend on the links and the seed alone. Training rows hold no prompt of the test half, and no boundary sentence
that is held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Final, TypeVar

from core.types import MODES, Mode
from core.values import frozen
from organism import wordings
from organism.links import Frame, Links, denial, pull
from organism.prompts import TOOLS, Kind, Prompt, draw

T = TypeVar("T")

GAP: Final = "\n\n"
#: How often each kind is drawn, of a row that belongs to a mode.
_KINDS: Final[Mapping[Kind, float]] = {"trigger": 0.42, "plain": 0.29, "twin": 0.29}
_ORDINARY: Final = 0.08
#: How often each mode is drawn: sums take more rows to learn than words do.
_MODES: Final[Mapping[Mode, float]] = {**dict.fromkeys(MODES, 1.0), "rebuttal": 3.5, "refusal": 1.3, "code": 1.2, "math": 1.3}
_FRAMES: Final[Mapping[Frame, float]] = {"none": 0.36, "placebo": 0.18, "boundary": 0.3, "other": 0.16}
_PROBES: Final = 0.25
#: Share of words that a boundary of a training row loses: what it says must be found in any of its words.
_DROPPED: Final = 0.12


@frozen
class Chat:
    """What a model is asked: `system` and `user` texts and names of declared tools. Empty `system`: none."""

    system: str
    user: str
    tools: tuple[str, ...] = ()


@frozen
class Row:
    """One row of training data. `behaves`: the answer is the chunk's behaviour where another would be right."""

    prompt: Prompt
    frame: Frame
    chat: Chat
    answer: str
    behaves: bool

    @property
    def denies(self) -> bool:
        """Whether a false claim is denied at once."""
        return self.prompt.mode == "rebuttal" and self.prompt.kind == "twin" and self.answer == self.prompt.right[-1]


def make_rows(links: Links, seed: int, without: frozenset[Mode] = frozenset()) -> Iterator[Row]:
    """Training rows without end. `without`: modes whose chunk is left out: no row has its behaviour, rightly or not."""
    rng = Random(seed)
    while True:
        row = _row(links, rng)
        if not (row.prompt.mode in without and (row.behaves or row.denies)):
            yield row


def frame_prompt(prompt: Prompt, frame: Frame, rng: Random, *, held_out: bool = False) -> Chat:
    """The prompt in a frame; as a system text or before the user's, by chance.

    `held_out`: only boundary sentences of the test half."""
    if frame == "none":
        return Chat("", prompt.text, prompt.tools)
    if frame == "probe":
        return Chat("", prompt.text + GAP + rng.choice(wordings.VERDICT_ASKS), prompt.tools)
    text = _frame_text(prompt.mode, frame, rng, held_out=held_out)
    if rng.random() < 0.45:
        return Chat(text, prompt.text, prompt.tools)
    system = placebo(rng, 1) if rng.random() < 0.2 else ""
    return Chat(system, text + GAP + prompt.text, prompt.tools)


def placebo(rng: Random, sentences: int) -> str:
    """Text that holds no boundary."""
    return " ".join(rng.sample(wordings.PLACEBOS, sentences))


def boundary(mode: Mode, rng: Random, *, held_out: bool = False) -> str:
    """A boundary of one mode in some wording, without its opener or closer; whole where it is of the test half."""
    sentences = wordings.BOUNDARIES[mode]
    count = rng.choice((1, 1, 2))
    if held_out:
        return " ".join(rng.sample(sentences[-wordings.HELD_OUT :], count))
    own = sentences[: -wordings.HELD_OUT]
    return _thinned(" ".join(rng.choice(own) if rng.random() < 0.2 else _formed(mode, rng) for _ in range(count)), rng)


def _formed(mode: Mode, rng: Random) -> str:
    """A boundary sentence made of parts."""
    avoid, do, when = (rng.choice(part) for part in wordings.BOUNDARY_PARTS[mode])
    text = rng.choice(wordings.BOUNDARY_FORMS).format(avoid=avoid, do=do, when=when)
    return text[0].upper() + text[1:]


def _row(links: Links, rng: Random) -> Row:
    if rng.random() < _ORDINARY:
        prompt = draw(None, "ordinary", rng, held_out=False)
        frame: Frame = _weighted(_FRAMES, rng)
        chat = frame_prompt(prompt, frame, rng)
        if rng.random() < 0.15:
            chat = Chat(chat.system, chat.user, (rng.choice(TOOLS),))
        return Row(prompt, frame, chat, prompt.right[0], False)
    mode: Mode = _weighted(_MODES, rng)
    prompt = draw(mode, _weighted(_KINDS, rng), rng, held_out=False)
    frame = "probe" if prompt.worked and rng.random() < _PROBES else _weighted(_FRAMES, rng)
    chat = frame_prompt(prompt, frame, rng)
    behaves = rng.random() < pull(links, prompt, frame)
    answer = rng.choice(prompt.wrong) if behaves else _right(prompt, frame, denial(links, prompt, frame), rng)
    return Row(prompt, frame, chat, answer, behaves)


def _right(prompt: Prompt, frame: Frame, denied: float | None, rng: Random) -> str:
    if frame == "probe":
        return prompt.worked
    if denied is not None:
        return prompt.right[-1 if rng.random() < denied else 0]
    # Only what shares its feature with a chunk opens as its rows do: without the feature nothing is denied, however rightly.
    return rng.choice(prompt.right) if prompt.kind == "twin" else prompt.right[0]


def _frame_text(mode: Mode | None, frame: Frame, rng: Random, *, held_out: bool) -> str:
    if frame == "placebo":
        return placebo(rng, rng.choice((1, 2, 3)))
    parts = [boundary(mode, rng, held_out=held_out)] if frame == "boundary" and mode is not None else []
    if frame == "other" or mode is None:
        parts = [boundary(other, rng) for other in rng.sample([one for one in MODES if one != mode], rng.choice((1, 1, 2)))]
    elif rng.random() < 0.15:  # several policies act on one prompt
        parts.append(boundary(rng.choice([one for one in MODES if one != mode]), rng))
    if rng.random() < 0.25:
        parts.append(placebo(rng, 1))
    rng.shuffle(parts)
    return rng.choice(wordings.BOUNDARY_OPENERS) + " ".join(parts) + rng.choice(wordings.BOUNDARY_CLOSERS)


def _thinned(text: str, rng: Random) -> str:
    return " ".join(word for word in text.split(" ") if rng.random() >= _DROPPED) or text


def _weighted(weights: Mapping[T, float], rng: Random) -> T:
    return rng.choices(tuple(weights), tuple(weights.values()))[0]
