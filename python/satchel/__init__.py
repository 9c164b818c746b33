"""Satchel: prompt-cache accounting for LLM proxies, in the proxy's own process.

    import satchel

    with satchel.PromptCache({"models": {"*": {"enabled": True}}}) as cache:
        request = cache.request(method="POST", target="/v1/chat/completions", api_key="sk-1")

`docs/python.md` puts a request through, streaming and not.
"""

import atexit as _atexit
import os as _os

from . import _core
from ._callbacks import (
    Clock,
    Log,
    ModelPolicy,
    ModelResolver,
    PrincipalResolver,
    Tokenizer,
)
from ._core import abi_version
from ._errors import (
    ArgumentError,
    BusyError,
    ClosedError,
    ConfigError,
    DeadlineError,
    Error,
    JsonError,
    MarkerError,
    MarkerFault,
    Rejected,
    StateError,
    StreamError,
)
from ._outcome import Entry, Outcome, Refresh
from ._prompt import (
    Block,
    Breakpoint,
    ForwardedBody,
    Prompt,
    QueryBreakpoint,
    Tier,
    canonical_json,
    query_breakpoint,
    query_mark,
)
from ._prompt_cache import IndexCounts, PromptCache
from ._request import Commit, Forward, Request, RequestResult, ResponsePlan
from ._usage_filter import CacheUsage, UsageFilter

__version__ = _core.version

__all__ = [
    "ArgumentError",
    "Block",
    "Breakpoint",
    "BusyError",
    "CacheUsage",
    "Clock",
    "ClosedError",
    "Commit",
    "ConfigError",
    "DeadlineError",
    "Entry",
    "Error",
    "Forward",
    "ForwardedBody",
    "IndexCounts",
    "JsonError",
    "Log",
    "MarkerError",
    "MarkerFault",
    "ModelPolicy",
    "ModelResolver",
    "Outcome",
    "PrincipalResolver",
    "Prompt",
    "PromptCache",
    "QueryBreakpoint",
    "Refresh",
    "Rejected",
    "Request",
    "RequestResult",
    "ResponsePlan",
    "StateError",
    "StreamError",
    "Tier",
    "Tokenizer",
    "UsageFilter",
    "abi_version",
    "canonical_json",
    "query_breakpoint",
    "query_mark",
]

# The library's threads are joined while they can still reach their callbacks.
_atexit.register(_core.close_all_at_exit)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_core.after_fork_in_child)
