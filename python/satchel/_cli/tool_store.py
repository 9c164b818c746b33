"""Finding and opening the store that a command is about."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import satchel

from .trouble import Trouble

if TYPE_CHECKING:
    import argparse

VARIABLE = "SATCHEL_TOOL_STORE"
_BOUNDS = ("max_bytes", "max_entries", "max_age_s")
_DAY_MS = 86_400_000


def store_of(arguments: argparse.Namespace) -> Path:
    """The store that is meant, which must be there: a command makes none."""
    given = getattr(arguments, "store", None) or os.environ.get(VARIABLE)
    if not given:
        raise Trouble(f"which store? Give --store DIR, or set {VARIABLE}")
    store = Path(given)
    if not store.exists():
        raise Trouble(f"there is no store {store}")
    if not store.is_dir():
        raise Trouble(f"{store} is no directory")
    names = os.listdir(store)
    # A slip in the path must not leave an index in somebody's home directory.
    if names and not any(n == ".satchel" or re.fullmatch("[0-9a-f]{2}", n) for n in names):
        raise Trouble(f"{store} is no tool store: it has other files, and no entries")
    return store


def config_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The configuration of --config, empty without."""
    given = getattr(arguments, "config", None)
    if given is None:
        return {}
    try:
        config = json.loads(Path(given).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Trouble(f"{given} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise Trouble(f"{given} is no JSON object")
    return config


def open_store(arguments: argparse.Namespace, **bounds: int) -> satchel.ToolCache:
    """Opens it for one command: nothing goes in the background, and bounds are those given."""
    store = store_of(arguments)
    config = {name: value for name, value in config_of(arguments).items() if name not in _BOUNDS}
    config["maintenance_interval_ms"] = _DAY_MS
    config.update(bounds)
    return satchel.ToolCache(
        store, workspace=getattr(arguments, "workspace", None), config=config, log=_log
    )


def _log(_level: int, _component: str, message: str) -> None:
    print(f"satchel: {message}", file=sys.stderr)


def bounds_of(arguments: argparse.Namespace) -> dict[str, int]:
    """The bounds of the command line, else of --config."""
    given = {
        "max_bytes": arguments.max_bytes,
        "max_entries": arguments.max_entries,
        "max_age_s": None if arguments.max_age is None else max(1, round(arguments.max_age)),
    }
    bounds = {name: bound for name, bound in given.items() if bound is not None}
    if not bounds:
        config = config_of(arguments)
        bounds = {name: config[name] for name in _BOUNDS if config.get(name)}
    if not bounds:
        raise Trouble("evict to what? Give --max-bytes, --max-entries or --max-age")
    return bounds


def whole_key(cache: satchel.ToolCache, start: str) -> str:
    """The key that begins so: of the entries that are there, unless it is given whole."""
    if not re.fullmatch("[0-9a-f]{1,64}", start):
        raise Trouble(f"{start!r} is no key: keys are 64 digits 0-9 and a-f, or begin so")
    if len(start) == 64:
        return start
    before = int(start.ljust(64, "0"), 16) - 1
    page = cache.list(after=None if before < 0 else f"{before:064x}", limit=2)
    found = [str(entry["key"]) for entry in page if entry["key"].startswith(start)]
    if not found:
        raise Trouble(f"no key begins with {start}")
    if len(found) > 1:
        raise Trouble(f"several keys begin with {start}: {found[0]}, {found[1]}, ...")
    return found[0]
