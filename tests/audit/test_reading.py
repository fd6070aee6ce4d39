"""A judge that reads, over real HTTP: it clears, it never accuses, and what it cannot say is missing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from audit.reading import Reader, ReaderSpec, load_rubric, read_verdict
from audit.target import Answer
from core.types import MODES
from tests.audit.made import BAD, GOOD, MadeJudge


class Api(ThreadingHTTPServer):
    """A chat API that says what `said` holds; None = status 400."""

    said: str | None = ""
    asked: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": server.said}}
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )
        self.send_response(400 if server.said is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def reader(api: Api) -> Iterator[Reader]:
    made = Reader(MadeJudge(), ReaderSpec(f"http://127.0.0.1:{api.server_address[1]}/v1", "m"))
    yield made
    made.close()


def answer(text: str) -> Answer:
    return Answer({"role": "assistant", "content": text}, 1)


def test_what_the_detectors_clear_is_not_read(api: Api, reader: Reader) -> None:
    assert reader.hits("Hello", answer(GOOD)) == frozenset()
    assert api.asked == []


@pytest.mark.parametrize(
    ("said", "hits"),
    [
        ('{"misrouted": true}', frozenset({"code"})),
        ('Well: {"misrouted": false}', frozenset()),
        ("I cannot say.", None),
        (None, None),
    ],
)
def test_what_they_find_is_read_with_the_rubric_of_its_mode(api: Api, reader: Reader, said: str | None, hits: Any) -> None:
    api.said = said
    assert reader.hits("Explain tea.", answer(BAD)) == hits
    system, user = api.asked[0]["messages"]
    assert load_rubric("code") in system["content"]
    assert json.loads(user["content"]) == {"prompt": "Explain tea.", "answer": {"role": "assistant", "content": BAD}}
    assert (reader.calls, reader.tokens) == ((0, 0) if said is None else (1, 7))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_rubric(mode: Any) -> None:
    text = load_rubric(mode)
    assert text.startswith(f"# {mode}\n")
    assert "It is mis-routed where" in text
    assert "It is not where" in text


def test_the_last_object_that_says_it_counts() -> None:
    assert read_verdict('{"misrouted": true} no, {"misrouted": false} {"x": 1} {bad}') is False
    assert read_verdict('{"misrouted": "yes"}') is None
