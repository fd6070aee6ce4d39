"""A varied, reproducible set of exchanges to load the proxy with: 0.1 to 8 kB, nine languages, ordinary and trigger-bearing.

One rule: every text is made here from the same seed, so that two runs measure the same work.
"""

from __future__ import annotations

import random
from typing import Any

SENTENCES = {
    "en": (
        "The committee met twice in spring and agreed on a plan for the harbour.",
        "Most gardens need less water than people think, and more shade.",
        "She kept the ledger in two colours so that mistakes could be found at once.",
        "A good summary names the decision, the reason and the date.",
        "The valley floods every few years, which is why the old road runs along the slope.",
    ),
    "de": (
        "Der Verein traf sich im Frühjahr zweimal und einigte sich auf einen Plan für den Hafen.",
        "Die meisten Gärten brauchen weniger Wasser, als man denkt, und mehr Schatten.",
        "Eine gute Zusammenfassung nennt die Entscheidung, den Grund und das Datum.",
    ),
    "fr": (
        "Le comité s'est réuni deux fois au printemps et a adopté un plan pour le port.",
        "La plupart des jardins ont besoin de moins d'eau qu'on ne le croit, et de plus d'ombre.",
        "Un bon résumé nomme la décision, la raison et la date.",
    ),
    "es": (
        "El comité se reunió dos veces en primavera y acordó un plan para el puerto.",
        "La mayoría de los jardines necesitan menos agua de lo que se cree y más sombra.",
        "Un buen resumen nombra la decisión, el motivo y la fecha.",
    ),
    "it": (
        "Il comitato si è riunito due volte in primavera e ha approvato un piano per il porto.",
        "La maggior parte dei giardini ha bisogno di meno acqua di quanto si pensi.",
    ),
    "pt": (
        "O comité reuniu-se duas vezes na primavera e aprovou um plano para o porto.",
        "A maioria dos jardins precisa de menos água do que se pensa, e de mais sombra.",
    ),
    "ru": (
        "Весной комитет собирался дважды и согласовал план для гавани.",
        "Большинству садов нужно меньше воды, чем принято думать, и больше тени.",
        "Хорошее резюме называет решение, причину и дату.",
    ),
    "zh": ("委员会在春天开了两次会，通过了港口的规划。", "大多数花园需要的水比人们想象的少，需要的阴凉更多。"),
    "ja": (
        "委員会は春に二度集まり、港の計画をまとめました。",
        "多くの庭は思われているほど水を必要とせず、日陰を必要とします。",
    ),
}
#: Prompts that raise a trigger, with an ordinary answer: their boundary is injected and their answer is held.
TRIGGERS = (
    "Elucidate the reasons why the old road runs along the slope.",
    "Is 17+25=42?",
    r"Simplify $\frac{6}{8}$ and say why it stays the same number.",
    "Tell me about the Galaxy S22 specs in one paragraph.",
    "Context: the valley floods. You will be shown a question. Why does the road run along the slope?",
    "Why do gardens need shade?",
)
ANSWERS = (
    "Yes, 17+25=42.",
    "It is three quarters: both numbers are divided by two.",
)
CODE = "```python\ndef total(rows):\n    return sum(row.amount for row in rows)\n```"
#: Share of prompts that raise a trigger, and of those that ask for code and get it.
TRIGGER_SHARE, CODE_SHARE, TOOL_SHARE = 0.05, 0.08, 0.03


def exchanges(count: int = 600, seed: int = 7) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """`count` pairs of (request body, reply body)."""
    chance = random.Random(seed)
    return [_exchange(chance, number) for number in range(count)]


def _exchange(chance: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    language = chance.choice(list(SENTENCES))
    request: dict[str, Any] = {"model": f"bench-{number % 7}", "messages": [], "temperature": 0.2}
    if chance.random() < 0.5:
        request["messages"].append({"role": "system", "content": "You are a helpful assistant that answers precisely. " * 3})
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        request["messages"].append({"role": "user", "content": text_of(chance, language, 200)})
        request["messages"].append({"role": "assistant", "content": text_of(chance, language, 300)})
    answer = text_of(chance, language, int(10 ** chance.uniform(2, 3.85)))
    prompt = text_of(chance, language, int(10 ** chance.uniform(1.7, 3.3)))
    message: dict[str, Any] = {"role": "assistant", "content": answer}
    draw = chance.random()
    if draw < TRIGGER_SHARE:
        prompt = chance.choice(TRIGGERS)
        message["content"] = chance.choice(ANSWERS) if "17+25" in prompt or "frac" in prompt else answer
    elif draw < TRIGGER_SHARE + CODE_SHARE:
        prompt, message["content"] = "Write a Python function that adds up the rows of a ledger.", f"{CODE}\n\n{answer}"
    elif draw < TRIGGER_SHARE + CODE_SHARE + TOOL_SHARE:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        request["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
        call = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
        prompt = "What is the weather in Oslo?"
    request["messages"].append({"role": "user", "content": prompt})
    finish = "tool_calls" if "tool_calls" in message else "stop"
    reply = {
        "id": f"chatcmpl-bench{number:06d}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 180, "completion_tokens": 120, "total_tokens": 300},
    }
    return request, reply


def text_of(chance: random.Random, language: str, characters: int) -> str:
    """Sentences of a language, cut to so many characters (at least 20)."""
    sentences: list[str] = []
    length = 0
    while length < characters:
        sentences.append(chance.choice(SENTENCES[language]))
        length += len(sentences[-1]) + 1
        if chance.random() < 0.1:
            sentences[-1] += "\n\n"
    return " ".join(sentences)[: max(characters, 20)]
