"""Errors look the same wherever they arise, and official clients understand them."""

import httpx
import openai
import orjson
import pytest

from proxy import errors
from proxy.errors import ConfigError, GuardError, InvalidRequest, Overloaded, Problem, RateLimited, Rejected

PLAIN = [
    (errors.GuardError, 500, "internal_error", False),
    (errors.InvalidRequest, 400, "invalid_request", False),
    (errors.Unauthorized, 401, "invalid_api_key", False),
    (errors.UnknownModel, 404, "model_not_found", False),
    (errors.NotFound, 404, "not_found", False),
    (errors.RequestTooLarge, 413, "request_too_large", False),
    (errors.RateLimited, 429, "rate_limit_exceeded", False),
    (errors.Unavailable, 502, "upstream_unavailable", True),
    (errors.Timeout, 504, "upstream_timeout", True),
    (errors.ProtocolError, 502, "upstream_protocol_error", True),
    (errors.DetectorTimeout, 500, "detector_timeout", False),
    (errors.DetectorFailed, 500, "detector_failed", False),
    (errors.GuardUnavailable, 503, "guard_unavailable", False),
    (errors.Overloaded, 503, "overloaded", False),
]


@pytest.mark.parametrize(("kind", "status", "code", "retryable"), PLAIN)
def test_status_code_and_body_of_each_error(kind: type[GuardError], status: int, code: str, retryable: bool) -> None:
    error = kind("what happened")
    assert (error.status, error.retryable, str(error)) == (status, retryable, "what happened")
    body = orjson.loads(errors.render(error))
    assert body == {"error": {"message": "what happened", "type": error.shape.type, "param": None, "code": code}}
    assert ("Content-Type", "application/json") in errors.render_headers(error)


def test_every_class_stands_in_the_drawing_with_its_code() -> None:
    def below(kind: type[GuardError]) -> list[type[GuardError]]:
        return [kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))]

    drawing = {line.split()[0]: line for line in (errors.__doc__ or "").splitlines() if line.strip()}
    for kind in below(GuardError):
        assert kind.__name__ in drawing
        if kind.__subclasses__() == [] and kind is not ConfigError:
            assert kind.shape.code in drawing[kind.__name__]
            assert ("*" in drawing[kind.__name__]) == kind.shape.retryable


def test_param_and_own_code_are_rendered() -> None:
    body = orjson.loads(errors.render(InvalidRequest("bad", param="messages[0]", code="invalid_json")))
    assert (body["error"]["param"], body["error"]["code"]) == ("messages[0]", "invalid_json")


@pytest.mark.parametrize(("seconds", "value"), [(0.0, "1"), (0.2, "1"), (2.1, "3")])
def test_retry_after_is_whole_seconds_and_never_zero(seconds: float, value: str) -> None:
    assert ("Retry-After", value) in errors.render_headers(RateLimited("slow down", retry_after_s=seconds))


def test_overloaded_always_says_when_to_come_back() -> None:
    assert ("Retry-After", "1") in errors.render_headers(Overloaded())


def test_config_error_lists_all_problems() -> None:
    error = ConfigError([Problem("a.yaml", "routes.0", "no upstream"), Problem("b.yaml", "", "is no YAML")])
    assert str(error) == "a.yaml: routes.0: no upstream\nb.yaml: is no YAML"
    assert error.problems[1].file == "b.yaml"


def test_config_error_without_problems_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ConfigError([])


def test_rejected_passes_status_body_and_headers_through() -> None:
    error = Rejected(418, b"teapot", [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")])
    assert (error.status, errors.render(error)) == (418, b"teapot")
    assert errors.render_headers(error) == [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")]


def test_upstream_errors_become_failures_for_the_core() -> None:
    failures = [error.failure for error in (errors.Unavailable("u"), errors.Timeout("t"), errors.ProtocolError("p"))]
    assert [(failure.kind, failure.message, failure.status) for failure in failures] == [
        ("unavailable", "u", 502),
        ("timeout", "t", 504),
        ("protocol", "p", 502),
    ]
    assert (Rejected(429, b"").failure.kind, Rejected(429, b"").failure.status) == ("rejected", 429)


def _client(response: httpx.Response) -> openai.OpenAI:
    transport = httpx.MockTransport(lambda request: response)
    return openai.OpenAI(
        api_key="k", base_url="http://proxy.test/v1", max_retries=0, http_client=httpx.Client(transport=transport)
    )


def test_the_official_client_raises_its_own_error_with_our_code() -> None:
    error = InvalidRequest("'n' must be a positive integer.", param="n")
    response = httpx.Response(error.status, content=errors.render(error), headers=errors.render_headers(error))
    with _client(response) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert (caught.value.code, caught.value.param) == ("invalid_request", "n")


def test_the_official_client_raises_on_an_error_event() -> None:
    event = errors.render_event(errors.GuardUnavailable("no verdict"))
    response = httpx.Response(200, content=event, headers={"content-type": "text/event-stream"})
    with _client(response) as client, pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert (caught.value.code, caught.value.message) == ("guard_unavailable", "no verdict")
