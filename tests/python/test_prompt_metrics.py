"""What the prompt cache counts, read as strictly as Prometheus reads it."""

from __future__ import annotations

import contextlib
import re

import satchel
from conftest import CONFIG, MODEL, PROMPT_TOKENS, TARGET, chat_body, json_response, put_through

NAME = r"satchel_prompt_cache_[a-z0-9_]+"
SAMPLE = re.compile(rf'^({NAME})(?:\{{((?:[a-z0-9]+="[^"\\\n]*",?)*)\}})? (\d+(?:\.\d+)?)$')

Samples = dict[tuple[str, str], float]


def parsed(text: str) -> tuple[dict[str, str], Samples]:
    """The families with their types, and every sample; fails on what the format does not allow."""
    types: dict[str, str] = {}
    samples: Samples = {}
    family = ""
    helped: set[str] = set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in helped, f"{family} twice"
            assert re.fullmatch(rf"# HELP {NAME} [^\\]+\.", line), line
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == family, line
            assert name not in types, f"{name} twice"
            assert kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match[1], match[2] or "", float(match[3])
            suffixes = ("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
            assert name in [family + suffix for suffix in suffixes], line
            assert (types[family] == "counter") == family.endswith("_total"), family
            assert (name, labels) not in samples, line
            samples[name, labels] = value
    assert helped == set(types)
    return types, samples


def check_histogram(samples: Samples, name: str) -> None:
    buckets = [
        (float(labels[4:-1]), value)
        for (sample, labels), value in samples.items()
        if sample == f"{name}_bucket"
    ]
    assert buckets == sorted(buckets)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1][0] == float("inf")
    assert buckets[-1][1] == samples[f"{name}_count", ""]


def read(cache: satchel.PromptCache) -> Samples:
    types, samples = parsed(cache.metrics())
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(samples, name)
        else:
            assert any(sample == name for sample, _ in samples), name
    return samples


def value(samples: Samples, name: str, labels: str = "") -> float:
    return samples[f"satchel_prompt_cache_{name}", labels]


def test_known_requests_give_known_numbers() -> None:
    policy = {"enabled": True, "min_prefix_tokens": 1}
    config = {**CONFIG, "models": {"*": policy, MODEL: policy}, "max_body_bytes": 10_000}
    with satchel.PromptCache(config) as cache:
        before = read(cache)
        assert value(before, "requests_total", 'outcome="create_only"') == 0
        put_through(cache, chat_body(), json_response())
        put_through(cache, chat_body(), json_response())
        other = chat_body().replace(MODEL.encode(), b"made-up-by-a-client")
        put_through(cache, other, json_response())
        for bad in (b'{"cache_control":{"type":"ephemeral","ttl":"9h"}}', b" " * 10_001):
            request = cache.request(method="POST", target=TARGET, api_key="k")
            assert request is not None
            with request, contextlib.suppress(satchel.Rejected):
                request.body(bad)
        now = read(cache)
    assert value(now, "requests_total", 'outcome="create_only"') == 2
    assert value(now, "requests_total", 'outcome="read"') == 1
    assert value(now, "marker_requests_total", 'marked="true"') == 3
    assert value(now, "body_read_failed_total") == 1
    assert value(now, "markers_rejected_total", 'reason="invalid_ttl"') == 1
    assert value(now, "read_input_tokens_total", f'model="{MODEL}"') == PROMPT_TOKENS
    assert value(now, "creation_input_tokens_total", f'model="{MODEL}",tier="5m"') == PROMPT_TOKENS
    # A model that only a client names is no label.
    assert value(now, "creation_input_tokens_total", 'model="other",tier="5m"') == PROMPT_TOKENS
    assert not any("made-up" in labels for _, labels in now)
    assert value(now, "classify_total", 'outcome="ok"') == 3
    assert value(now, "classify_duration_seconds_count") == 3
    assert value(now, "commit_total", 'result="ok"') == 3
    assert value(now, "index_lookups_total") == 3
    assert value(now, "index_hits_total") == 1
    # The same samples, whatever has happened: nothing appears or vanishes.
    assert before.keys() == now.keys()
