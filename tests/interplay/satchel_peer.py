"""The library as a program that speaks like the reference's (tests/reference/README.md).

A process of its own: what breaks it fails a test and not the tests, and a store is shared between
processes as it is in life.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, Callable

import satchel

Json = Any

CACHES: dict[str, satchel.ToolCache] = {}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_in(request: Json, name: str) -> bytes:
    return base64.b64decode(request[name])


def path_in(request: Json) -> bytes:
    if "path_b64" in request:
        return data_in(request, "path_b64")
    return os.fsencode(request["path"])


def open_cache(request: Json) -> Json:
    close_cache(request)
    CACHES[request.get("cache", "")] = satchel.ToolCache(
        request["store"], workspace=request["workspace"], config=request.get("config", {})
    )
    return {"ok": True}


def close_cache(request: Json) -> Json:
    before = CACHES.pop(request.get("cache", ""), None)
    if before is not None:
        before.close()
    return {"ok": before is not None}


def looked_up(lookup: Callable[[str], satchel.Lookup], request: Json) -> Json:
    try:
        found = lookup(request["key"])
    except satchel.IntegrityError:
        return {"is": "integrity_error"}
    except satchel.MetaError:
        return {"is": "meta_error"}
    except satchel.Error as error:
        return {"is": "error", "message": str(error)}
    if found.state != "hit":
        return {"is": found.state}
    assert found.payload is not None
    return {
        "is": "hit",
        "payload_b64": encoded(bytes(found.payload)),
        "kind": found.kind,
        "roots": [
            {"path": os.fsdecode(path), "expected_hash": expected} for path, expected in found.roots
        ],
        "upstreams": list(found.upstreams),
    }


def persist(cache: satchel.ToolCache, request: Json) -> Json:
    cache.persist(
        request["key"],
        data_in(request, "payload_b64"),
        request["kind"],
        roots=[
            (root["path"], root["expected_hash"])
            if "path" in root
            else (data_in(root, "path_b64"), root["expected_hash"])
            for root in request["roots"]
        ],
        upstreams=request["upstreams"],
    )
    return {"ok": True}


def fingerprint(cache: satchel.ToolCache, request: Json) -> Json:
    try:
        return {"is": cache.fingerprint(path_in(request), form=request["form"])}
    except (satchel.Error, OSError) as error:
        return {"is": None, "message": str(error)}


def mark_dirty(cache: satchel.ToolCache, request: Json) -> Json:
    cache.mark_dirty(request["key"])
    return {"ok": True}


def flush(cache: satchel.ToolCache, _: Json) -> Json:
    cache.flush()
    return {"ok": True}


WITHOUT_CACHE: dict[str, Callable[[Json], Json]] = {
    "open": open_cache,
    "close": close_cache,
    "key": lambda request: {"is": satchel.tool_key(data_in(request, "input_b64"))},
    "tool_result_key": lambda request: {
        "is": satchel.tool_result_key(data_in(request, "input_b64"))
    },
}
WITH_CACHE: dict[str, Callable[[satchel.ToolCache, Json], Json]] = {
    "persist": persist,
    "lookup": lambda cache, request: looked_up(cache.lookup, request),
    "lookup_revalidate": lambda cache, request: looked_up(cache.lookup_revalidate, request),
    "contains": lambda cache, request: {"is": cache.contains(request["key"])},
    "mark_dirty": mark_dirty,
    "invalidate_upstream": lambda cache, request: {"is": cache.invalidate_upstream(request["key"])},
    "invalidate_path": lambda cache, request: {"is": cache.invalidate_path(path_in(request))},
    "entry_count": lambda cache, _: {"is": cache.entry_count()},
    "known_kinds": lambda cache, _: {"is": list(cache.known_kinds())},
    "total_bytes": lambda cache, _: {"is": cache.total_bytes()},
    "evict_to_cap": lambda cache, request: {"is": cache.evict_to_cap(request["cap"])},
    "sweep": lambda cache, request: {"is": cache.sweep(min_age_s=request["min_age_s"])},
    "flush": flush,
    "fingerprint": fingerprint,
}


def answer(line: str) -> Json:
    try:
        request = json.loads(line)
        op = request["op"]
        if op in WITHOUT_CACHE:
            return WITHOUT_CACHE[op](request)
        return WITH_CACHE[op](CACHES[request.get("cache", "")], request)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> int:
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)
    for cache in CACHES.values():
        cache.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
