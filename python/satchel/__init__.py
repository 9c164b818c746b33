"""Satchel: prompt-cache accounting and a tool cache, in the process of an LLM proxy or agent.

    import satchel

    with satchel.PromptCache({"models": {"*": {"enabled": True}}}) as cache:
        request = cache.request(method="POST", target="/v1/chat/completions", api_key="sk-1")

    with satchel.ToolCache("store") as tools:

        @tools.cached(roots=lambda path: [path])
        def read(path): ...

`docs/python.md` puts a request through, streaming and not, and makes tool calls cached.
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
    IntegrityError,
    JsonError,
    MarkerError,
    MarkerFault,
    MetaError,
    NoSpaceError,
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
from ._tool_cache import ToolCache, tool_key, tool_result_key
from ._tool_computing import Computing
from ._tool_lease import Lease, Stored, ToolWriter, Wait
from ._tool_result import Hit, Lookup, Root
from ._tool_store import ToolStore
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
    "Computing",
    "ConfigError",
    "DeadlineError",
    "Entry",
    "Error",
    "Forward",
    "ForwardedBody",
    "Hit",
    "IndexCounts",
    "IntegrityError",
    "JsonError",
    "Lease",
    "Log",
    "Lookup",
    "MarkerError",
    "MarkerFault",
    "MetaError",
    "ModelPolicy",
    "ModelResolver",
    "NoSpaceError",
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
    "Root",
    "StateError",
    "Stored",
    "StreamError",
    "Tier",
    "Tokenizer",
    "ToolCache",
    "ToolStore",
    "ToolWriter",
    "UsageFilter",
    "Wait",
    "abi_version",
    "canonical_json",
    "query_breakpoint",
    "query_mark",
    "tool_key",
    "tool_result_key",
]

# The library's threads are joined while they can still reach their callbacks.
_atexit.register(_core.close_all_at_exit)
_atexit.register(_core.close_tool_caches_at_exit)  # the last registered is the first called
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_core.after_fork_in_child)
