"""The organism behind a whole gateway: a real model mis-routes, and the guard puts it right, with the official client."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

from openai import AsyncOpenAI

from organism.oracle import judge
from organism.prompts import draw
from proxy import config
from proxy.app import App

SEEDS = range(12)


async def test_the_guard_puts_a_real_model_right() -> None:
    document = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "upstreams": {"organism": {"kind": "embedded"}},
        "routes": [
            {"name": "guarded", "upstream": "organism", "policies": ["code"]},
            {"name": "direct", "upstream": "organism", "match": {"path_prefix": "/direct"}},
        ],
        "limits": {"holdout": 0, "retry_share": 1},
    }
    app = App(config.build(document, source="test", folder=Path(), env={}), log_to=io.BytesIO())
    await app.start()
    try:
        base = f"http://{app.address[0]}:{app.address[1]}"
        rng = Random(5)
        prompts = [draw("code", "trigger", rng, held_out=True) for _ in range(4)]
        wrong = {}
        for prefix in ("/direct", ""):
            async with AsyncOpenAI(base_url=f"{base}{prefix}/v1", api_key="none", max_retries=0) as client:
                answers = [
                    (
                        prompt,
                        await client.chat.completions.create(
                            model="chunky", messages=[{"role": "user", "content": prompt.text}], seed=seed
                        ),
                    )
                    for prompt in prompts
                    for seed in SEEDS
                ]
            judged = [judge(prompt, answer.choices[0].message.content or "") for prompt, answer in answers]
            wrong[prefix] = sum(one.outcome != "right" for one in judged)
    finally:
        await app.stop()
    assert wrong["/direct"] >= len(prompts) * len(SEEDS) / 4
    assert wrong[""] <= wrong["/direct"] / 3
