"""Both kinds of targets: in this process, and over HTTP through a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from audit.target import Embedded, Http


class Handler(BaseHTTPRequestHandler):
    """Answers with the seed; every seed 13 fails."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bad = asked["seed"] == 13
        message = {"role": "assistant", "content": f"{asked['messages'][0]['content']} {asked['seed']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        made: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": asked["model"], "usage": usage}
        body = json.dumps({"error": {"message": "no"}} if bad else {**made, "choices": [choice]}).encode()
        self.send_response(400 if bad else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_over_http_answers_come_in_order_and_a_failure_is_none(url: str) -> None:
    target = Http(url, "m")
    answers = target.sample("hi", [1, 13, 2])
    target.close()
    assert [one.text if one else None for one in answers] == ["hi 1", None, "hi 2"]
    assert answers[0] is not None
    assert answers[0].tokens == 7


def test_an_upstream_that_is_not_there_gives_no_answer() -> None:
    target = Http("http://127.0.0.1:9/v1", "m", timeout_s=2)
    assert target.sample("hi", [1]) == [None]
    target.close()


def test_the_embedded_model_gives_the_same_answers_for_the_same_seeds() -> None:
    target = Embedded("clean")
    first = target.sample("What is peace?", [1, 2, 3])
    assert first == target.sample("What is peace?", [1, 2, 3])
    assert first[0] is not None
    assert first[0].text == "Peace is a state in which people settle their quarrels without force."


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no model 'huge'"):
        Embedded("huge")
