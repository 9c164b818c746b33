"""The host's parts, written in Python."""

from __future__ import annotations

import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from conftest import (
    CONFIG,
    MODEL,
    PROMPT_TOKENS,
    QUESTION,
    SYSTEM,
    begin,
    chat_body,
    json_response,
    put_through,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Words:
    """Counts words."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def versions(self, model: str) -> dict[str, str | tuple[str, str]]:
        return {model: "words-1", "another": ("words-1", "template-1")}

    def tokenize(self, model: str, segments: Sequence[str]) -> list[int]:
        self.asked.append((model, list(segments)))
        return [len(segment.split()) for segment in segments]


def classified(cache: satchel.PromptCache, *, api_key: str = "sk-1") -> satchel.Outcome:
    return cache.classify(chat_body(), model=MODEL, api_key=api_key)


def test_a_tokenizer_counts_the_segments() -> None:
    words = Words()
    with satchel.PromptCache(CONFIG, tokenizer=words) as cache:
        outcome = classified(cache)
    assert words.asked == [(MODEL, [SYSTEM, QUESTION])]
    assert (outcome.creation_5m, outcome.tokenizer_version) == (300 + 4, "words-1")
    assert [entry.cumulative_token_count for entry in outcome.entries] == [300, 304]


def test_a_tokenizer_that_does_not_know_the_model_leaves_it_uncached() -> None:
    class Other(Words):
        def versions(self, model: str) -> dict[str, str | tuple[str, str]]:  # noqa: ARG002
            return {"another": "words-1"}

    with satchel.PromptCache(CONFIG, tokenizer=Other()) as cache:
        outcome = classified(cache)
    assert (outcome.creation_5m, outcome.degraded) == (0, False)


class Rendering(Words):
    """Counts a prompt as a template would write it: ten tokens a message, five to begin."""

    answer: Any = None

    def versions(self, model: str) -> dict[str, str | tuple[str, str]]:
        return {model: ("words-1", "template-1")}

    def render(self, model: str, request: satchel.RenderRequest) -> Any:
        self.rendered = (model, request)
        if self.answer is not None:
            return self.answer
        return satchel.Rendered(100, [10 * (prefix["message"] + 1) for prefix in request.prefixes])


EXACT = {**CONFIG, "exact": True}


def test_a_tokenizer_that_renders_counts_exactly() -> None:
    rendering = Rendering()
    with satchel.PromptCache(EXACT, tokenizer=rendering) as cache:
        outcome = classified(cache)
    model, request = rendering.rendered
    assert model == MODEL
    assert [message["role"] for message in request.messages] == ["system", "user"]
    assert "cache_control" not in json.dumps(request.messages)
    assert request.tools is None
    assert list(request.prefixes) == [{"message": 0}, {"message": 1}]
    assert 0 < request.timeout <= 5
    assert [entry.cumulative_token_count for entry in outcome.entries] == [10, 20]
    assert (outcome.render_total, outcome.tokenizer_version) == (100, "words-1+template-1")
    assert not rendering.asked


def test_what_the_template_refuses_is_estimated() -> None:
    rendering = Rendering()
    rendering.answer = satchel.Rendered(1000, [None, 500])
    with satchel.PromptCache(EXACT, tokenizer=rendering) as cache:
        outcome = classified(cache)
    assert [entry.cumulative_token_count for entry in outcome.entries] == [500 - 4, 500]
    assert rendering.asked == [(MODEL, [SYSTEM, QUESTION])]


@pytest.mark.parametrize(
    ("answer", "degraded"),
    [
        (satchel.RenderFailure.NO_TEMPLATE, False),
        (satchel.RenderFailure.FAILED, False),
        (NotImplemented, False),
        (satchel.RenderFailure.UNMAPPED, True),
    ],
)
def test_what_cannot_be_rendered_is_counted_by_segments_or_not_at_all(
    answer: Any, degraded: bool
) -> None:
    rendering = Rendering()
    rendering.answer = answer
    with satchel.PromptCache(EXACT, tokenizer=rendering) as cache:
        outcome = classified(cache)
    assert outcome.degraded is degraded
    assert outcome.creation_5m == (0 if degraded else 304)
    assert outcome.render_total is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (satchel.Rendered(100, [-1, 2]), ValueError),
        (satchel.Rendered(2**32, [1, 2]), ValueError),
        (satchel.Rendered(100, [1.5, 2]), TypeError),  # type: ignore[list-item]
        ((100, [1, 2]), TypeError),
        (7, TypeError),
    ],
)
def test_a_render_that_is_none_degrades(
    answer: Any, error: type[Exception], unraisable: list[BaseException]
) -> None:
    rendering = Rendering()
    rendering.answer = answer
    with satchel.PromptCache(EXACT, tokenizer=rendering, log_level="off") as cache:
        outcome = classified(cache)
    assert (outcome.creation_5m, outcome.degraded) == (0, True)
    assert [type(value) for value in unraisable] == [error]


def test_exact_counting_needs_somebody_who_renders() -> None:
    with pytest.raises(satchel.ConfigError, match="exact"):
        satchel.PromptCache(EXACT)
    with pytest.raises(satchel.ConfigError, match="exact"):
        satchel.PromptCache(EXACT, tokenizer=Words())


@pytest.mark.parametrize(
    ("counts", "error"),
    [
        ([300], None),  # one is missing
        ([300, -1], ValueError),
        ([2**32, 1], ValueError),
        ([2**32 - 1, 1], ValueError),
        ([1.5, 2], TypeError),
        (None, TypeError),
    ],
)
def test_wrong_counts_degrade(
    counts: Any, error: type[Exception] | None, unraisable: list[BaseException]
) -> None:
    class Wrong(Words):
        def tokenize(self, model: str, segments: Sequence[str]) -> list[int]:  # noqa: ARG002
            return counts  # type: ignore[no-any-return]

    with satchel.PromptCache(CONFIG, tokenizer=Wrong(), log_level="off") as cache:
        outcome = classified(cache)
    assert (outcome.creation_5m, outcome.degraded) == (0, True)
    assert [type(value) for value in unraisable] == ([] if error is None else [error])


def test_a_callback_that_raises_degrades_and_is_reported(unraisable: list[BaseException]) -> None:
    class Broken(Words):
        def versions(self, model: str) -> dict[str, str | tuple[str, str]]:  # noqa: ARG002
            raise ConnectionError("the tokenizer is away")

    lines: list[str] = []
    with satchel.PromptCache(
        CONFIG, tokenizer=Broken(), log=lambda *line: lines.append(line[2])
    ) as cache:
        result = put_through(cache, chat_body(), json_response())[1]
    assert result.degraded
    assert result.creation == 0
    assert {str(error) for error in unraisable} == {"the tokenizer is away"}
    assert lines


def test_principals_name_who_asks(unraisable: list[BaseException]) -> None:
    asked = []

    def principals(api_key: str) -> str | None:
        asked.append(api_key)
        if api_key == "sk-bad":
            return 5  # type: ignore[return-value]
        return {"sk-1": "anna", "sk-2": "anna"}.get(api_key)

    with satchel.PromptCache(CONFIG, principals=principals, log_level="off") as cache:
        assert classified(cache, api_key="sk-1").principal == "anna"
        put_through(cache, chat_body(), json_response(), api_key="sk-1")
        assert classified(cache, api_key="sk-2").read == PROMPT_TOKENS
        assert not classified(cache, api_key="sk-3").active
        assert not unraisable
        assert not classified(cache, api_key="sk-bad").active
        assert "str or None, not int" in str(unraisable[0])
        assert set(asked) == {"sk-1", "sk-2", "sk-3", "sk-bad"}
        asked.clear()
        outcome = cache.classify(chat_body(), model=MODEL, principal="bert")
        assert (outcome.principal, asked) == ("bert", [])


def test_models_say_who_takes_part(unraisable: list[BaseException]) -> None:
    policies: dict[str, Any] = {
        "on": satchel.ModelPolicy(min_prefix_tokens=1),
        "high": satchel.ModelPolicy(min_prefix_tokens=PROMPT_TOKENS + 1),
        "off": satchel.ModelPolicy(enabled=False),
        "bad": (True, 1),
        "worse": satchel.ModelPolicy(min_prefix_tokens=-1),
    }
    with satchel.PromptCache(models=policies.get, log_level="off") as cache:

        def seen(model: str) -> tuple[bool, int]:
            outcome = cache.classify(chat_body(), model=model, principal="anna")
            return outcome.active, outcome.creation_5m

        assert seen("on") == (True, PROMPT_TOKENS)
        assert seen("high") == (True, 0)
        assert seen("off") == (False, 0)
        assert seen("unknown") == (False, 0)
        assert not unraisable
        assert seen("bad") == seen("worse") == (False, 0)
        assert {type(value) for value in unraisable} == {TypeError, ValueError}


def test_not_implemented_asks_for_the_built_in(unraisable: list[BaseException]) -> None:
    class Shy:
        def versions(self, model: str) -> Any:  # noqa: ARG002
            return NotImplemented

        def tokenize(self, model: str, segments: Sequence[str]) -> Any:  # noqa: ARG002
            return NotImplemented

    def shy(*_: object) -> Any:
        return NotImplemented

    with satchel.PromptCache(
        CONFIG, tokenizer=Shy(), principals=shy, models=shy, clock=shy, monotonic=shy
    ) as cache:
        outcome = classified(cache)
    with satchel.PromptCache(CONFIG) as plain:
        expected = classified(plain)
    assert outcome.creation_5m == PROMPT_TOKENS
    assert outcome.principal == expected.principal
    assert outcome.principal.startswith("key-")
    assert outcome.tokenizer_version == expected.tokenizer_version
    assert not unraisable


def test_a_clock_decides_what_has_expired() -> None:
    now = 1_700_000_000 * 10**9
    with satchel.PromptCache(CONFIG, clock=lambda: now, monotonic=lambda: now) as cache:
        outcome = classified(cache)
        assert {entry.expires_at - now for entry in outcome.entries} == {300 * 10**9}
        outcome.commit()
        cache.flush()
        now += 300 * 10**9 - 1
        assert classified(cache).read == PROMPT_TOKENS
        now += 1
        assert classified(cache).read == 0


@pytest.mark.parametrize("answer", ["noon", None, 2**63, 1.5])
def test_a_clock_that_fails_is_replaced_by_the_systems(
    answer: Any, unraisable: list[BaseException]
) -> None:
    with satchel.PromptCache(CONFIG, clock=lambda: answer, log_level="off") as cache:
        outcome = classified(cache)
    assert outcome.entries[0].expires_at > 1_700_000_000 * 10**9
    assert unraisable


def test_the_log_gets_the_levels_of_logging(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    lines: list[tuple[int, str, str]] = []
    config = {**CONFIG, "index": {"kind": "sqlite", "path": tmp_path / "file"}}
    with satchel.PromptCache(config, log=lambda *line: lines.append(line)) as cache:
        put_through(cache, chat_body(), json_response())
    levels = {level for level, _, _ in lines}
    assert levels
    assert levels <= {logging.WARNING, logging.ERROR}
    assert all(component and message for _, component, message in lines)


def test_without_a_log_the_lines_go_to_logging(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    config = {**CONFIG, "index": {"kind": "sqlite", "path": tmp_path / "file"}}
    with satchel.PromptCache(config) as cache:
        put_through(cache, chat_body(), json_response())
    assert caplog.records
    assert all(record.name.startswith("satchel.") for record in caplog.records)


def test_a_log_that_raises_is_reported_and_disturbs_nothing(
    tmp_path: Any, unraisable: list[BaseException]
) -> None:
    (tmp_path / "file").write_text("")

    def log(*_: object) -> None:
        raise OSError("the disk is full")

    config = {**CONFIG, "index": {"kind": "sqlite", "path": tmp_path / "file"}}
    with satchel.PromptCache(config, log=log) as cache:
        assert put_through(cache, chat_body(), json_response())[1].prompt_tokens == PROMPT_TOKENS
    assert {str(error) for error in unraisable} == {"the disk is full"}


def test_a_callback_may_use_the_cache_it_works_for(unraisable: list[BaseException]) -> None:
    blocks = []

    def principals(api_key: str) -> str:
        blocks.append(len(cache.parse(chat_body()).blocks))
        cache.flush()
        return api_key

    with satchel.PromptCache(CONFIG, principals=principals) as cache:
        assert classified(cache).active
    assert blocks == [2]
    assert not unraisable


def test_a_callback_cannot_close_its_cache_or_use_its_request() -> None:
    refused: list[type[satchel.Error]] = []

    def principals(api_key: str) -> str:
        calls = (cache.close, request.close, request.abort, lambda: request.write(b"x"))
        for call in calls:
            try:
                call()
            except satchel.Error as error:
                refused.append(type(error))
        return api_key

    with satchel.PromptCache(CONFIG, principals=principals) as cache:
        with begin(cache) as request:
            request.body(chat_body())
            request.classify()
            assert request.result.active
        assert refused == [satchel.BusyError] * 4
        assert not cache.closed


def test_a_segment_may_hold_any_text() -> None:
    words = Words()
    text = "naïve 🜁 \u0000 end"
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    body = {"messages": [{"role": "user", "content": [block]}]}
    with satchel.PromptCache(CONFIG, tokenizer=words) as cache:
        outcome = cache.classify(json.dumps(body).encode(), model="modèle", principal="anna")
    assert words.asked == [("modèle", [text])]
    assert (outcome.creation_5m, outcome.model) == (4, "modèle")


def test_an_api_key_may_hold_any_bytes() -> None:
    keys = []

    def principals(api_key: str) -> str:
        keys.append(api_key)
        return "anna"

    with satchel.PromptCache(CONFIG, principals=principals) as cache:
        for key in (b"sk-\xe9", "sk-\udce9", "sk-é"):
            assert cache.classify(chat_body(), model=MODEL, api_key=key).active
    unique = [key for key, _ in itertools.groupby(keys)]
    assert unique == ["sk-\udce9", "sk-é"]
