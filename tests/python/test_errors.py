"""Errors are exceptions with status and message."""

from __future__ import annotations

import copy
import pickle

import pytest
import satchel
from conftest import CONFIG, MODEL, TARGET, begin, chat_body


def test_a_configuration_error_names_the_key() -> None:
    with pytest.raises(satchel.ConfigError, match="max_boddy_bytes") as caught:
        satchel.PromptCache({"max_boddy_bytes": 1})
    error = caught.value
    assert (error.status, error.name, error.os_errno) == (-4, "ERR_CONFIG", 0)
    assert error.reason is satchel.MarkerFault.NONE
    assert str(error) == f"{error.message} [ERR_CONFIG]"
    assert repr(error) == f"ConfigError(ERR_CONFIG: {error.message!r})"


@pytest.mark.parametrize("config", ['{"inject": 1}', "[]", "{"])
def test_a_configuration_may_be_a_text(config: str) -> None:
    with pytest.raises(satchel.ConfigError):
        satchel.PromptCache(config)
    satchel.PromptCache('{"inject": false}').close()


def test_a_log_level_is_checked() -> None:
    with pytest.raises(satchel.ConfigError, match="log_level"):
        satchel.PromptCache(log_level="loud")  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [[], 5, {"index": {1, 2}}, {"max_body_bytes": float("nan")}])
def test_a_configuration_of_the_wrong_type_is_pythons_own_error(config: object) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        satchel.PromptCache(config)  # type: ignore[arg-type]
    assert not isinstance(caught.value, satchel.Error)


@pytest.mark.parametrize("name", ["principals", "models", "log", "clock", "monotonic"])
def test_a_callback_must_be_callable(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be callable, not int"):
        satchel.PromptCache(**{name: 5})  # type: ignore[arg-type]


def test_a_tokenizer_must_have_its_methods() -> None:
    with pytest.raises(TypeError, match="'versions'"):
        satchel.PromptCache(tokenizer=object())  # type: ignore[arg-type]


def test_a_tokenizers_render_must_be_a_method() -> None:
    class Odd:
        render = 5

        def versions(self, model: str) -> dict[str, str | tuple[str, str]]:
            return {model: "1"}

        def tokenize(self, model: str, segments: list[str]) -> list[int]:  # noqa: ARG002
            return [1 for _ in segments]

    with pytest.raises(TypeError, match=r"tokenizer\.render must be callable, not int"):
        satchel.PromptCache(tokenizer=Odd())  # type: ignore[arg-type]


def test_options_are_keyword_only(cache: satchel.PromptCache) -> None:
    with pytest.raises(TypeError):
        satchel.PromptCache({}, None)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        cache.request("POST", TARGET)  # type: ignore[call-arg]


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_a_body_must_be_bytes_like(cache: satchel.PromptCache, data: object) -> None:
    with begin(cache) as request:
        with pytest.raises(TypeError):
            request.body(data)  # type: ignore[arg-type]
        assert request.body(chat_body()) is not None
        request.response(200)
        with pytest.raises(TypeError):
            request.write(data)  # type: ignore[arg-type]


def test_bytes_that_are_not_in_a_row_are_refused() -> None:
    with pytest.raises(BufferError):
        satchel.canonical_json(memoryview(b"[1,2]")[::2])


@pytest.mark.parametrize("name", ["method", "target", "authorization", "api_key", "principal"])
def test_a_head_is_made_of_texts(cache: satchel.PromptCache, name: str) -> None:
    head = {"method": "POST", "target": TARGET, name: 5}
    with pytest.raises(TypeError, match=f"{name} must be str or bytes, not int"):
        cache.request(**head)  # type: ignore[arg-type]


def test_calls_at_the_wrong_moment_are_state_errors(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        with pytest.raises(satchel.StateError):
            request.classify()
        with pytest.raises(satchel.StateError):
            request.write(b"")
        request.body(chat_body())
        with pytest.raises(satchel.StateError):
            request.body(chat_body())
        request.response(200)
        request.end()
        with pytest.raises(satchel.StateError):
            request.write(b"")


def test_a_closed_cache_says_so() -> None:
    cache = satchel.PromptCache(CONFIG)
    outcome = cache.classify(chat_body(), model=MODEL, principal="anna")
    request = begin(cache)
    request.body(chat_body())
    cache.close()
    cache.close()
    assert cache.closed
    for call in (
        lambda: cache.request(method="POST", target=TARGET),
        lambda: cache.parse(chat_body()),
        lambda: cache.validate(chat_body()),
        lambda: cache.forward(chat_body()),
        lambda: cache.classify(chat_body(), model=MODEL),
        cache.flush,
        cache.forget,
        lambda: cache.index_counts,
        lambda: cache.max_body,
        cache.__enter__,
        outcome.commit,
        request.classify,
        lambda: request.response(200),
        lambda: request.result,
    ):
        with pytest.raises(satchel.ClosedError):
            call()
    request.close()
    assert request.closed


def test_a_closed_request_says_so(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        pass
    for call in (
        lambda: request.body(chat_body()),
        request.classify,
        lambda: request.response(200),
        lambda: request.write(b""),
        request.end,
        request.abort,
        request.__enter__,
    ):
        with pytest.raises(satchel.ClosedError):
            call()


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
def test_a_timeout_is_a_number_of_seconds(cache: satchel.PromptCache, timeout: float) -> None:
    with pytest.raises((ValueError, TypeError)):
        cache.flush(timeout=timeout)
    cache.flush(timeout=0.5)


def test_all_exceptions_are_of_one_tree() -> None:
    exceptions = [
        value
        for value in (getattr(satchel, name) for name in satchel.__all__)
        if isinstance(value, type) and issubclass(value, BaseException)
    ]
    assert len(exceptions) == 15
    assert all(issubclass(kind, satchel.Error) for kind in exceptions)


def test_errors_survive_pickling(cache: satchel.PromptCache) -> None:
    with begin(cache) as request, pytest.raises(satchel.Rejected) as caught:
        request.body(chat_body(ttl="2h"))
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is satchel.Rejected
    assert (copied.args, copied.body) == (caught.value.args, caught.value.body)


def test_handles_cannot_be_pickled_or_copied(cache: satchel.PromptCache) -> None:
    outcome = cache.classify(chat_body(), model=MODEL)
    with begin(cache) as request:
        for handle in (cache, request, outcome, satchel.UsageFilter("json")):
            for way in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    way(handle)


def test_reprs_help(cache: satchel.PromptCache) -> None:
    assert "satchel.PromptCache open" in repr(cache)
    with begin(cache, api_key="sk-secret") as request:
        assert repr(request) == f"<satchel.Request POST {TARGET}, open>"
        forward = request.body(chat_body())
        assert f"body=<{len(forward.body)} bytes>" in repr(forward)  # type: ignore[union-attr]
    assert repr(request) == f"<satchel.Request POST {TARGET}, closed>"
    assert "sk-secret" not in repr(request)
    assert repr(cache.parse(chat_body())) == "<satchel.Prompt 2 blocks, 2 breakpoints>"
    outcome = cache.classify(chat_body(), model=MODEL, principal="anna")
    assert repr(outcome) == "<satchel.Outcome active, read=0, created=430, 2 entries>"
    assert repr(satchel.UsageFilter("sse")) == "<satchel.UsageFilter sse>"
