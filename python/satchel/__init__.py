"""Satchel: prompt cache, tool cache and usage cascade, in the process of an LLM proxy or agent.

    import satchel

    with satchel.PromptCache({"models": {"*": {"enabled": True}}}) as cache:
        request = cache.request(method="POST", target="/v1/chat/completions", api_key="sk-1")

    with satchel.ToolCache("store") as tools:

        @tools.cached(roots=lambda path: [path])
        def read(path): ...

    with satchel.Cascade() as cascade:
        print(cascade.resolve().five_hour.utilization)

`docs/python.md` puts a request through, streaming and not, makes tool calls cached, and asks for
the quota.
"""

import atexit as _atexit
import os as _os

from . import _core
from ._core import abi_version

# A program imports what it uses: with everything at once, a status line would spend its time here.
TYPE_CHECKING = False  # as typing has it, which would be the first to cost
if TYPE_CHECKING:
    from ._callbacks import (
        Clock,
        Log,
        ModelPolicy,
        ModelResolver,
        PrincipalResolver,
        Rendered,
        RenderFailure,
        RenderRequest,
        Tokenizer,
    )
    from ._cascade import Cascade
    from ._cascade_parts import (
        Credentials,
        Headers,
        Http,
        HttpAnswer,
        HttpRequest,
        TranscriptBlock,
        Transcripts,
        TranscriptWindows,
        UsageFiles,
    )
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
        UsageFault,
        UsageUnavailable,
    )
    from ._index import Index, Scope
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
    from ._usage import Tokens, Usage, UsageSource, Window
    from ._usage_filter import CacheUsage, UsageFilter

_core.require_main_interpreter()  # CPython copies a module for others that it knows already
__version__ = _core.version

__all__ = [
    "ArgumentError",
    "Block",
    "Breakpoint",
    "BusyError",
    "CacheUsage",
    "Cascade",
    "Clock",
    "ClosedError",
    "Commit",
    "Computing",
    "ConfigError",
    "Credentials",
    "DeadlineError",
    "Entry",
    "Error",
    "Forward",
    "ForwardedBody",
    "Headers",
    "Hit",
    "Http",
    "HttpAnswer",
    "HttpRequest",
    "Index",
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
    "RenderFailure",
    "RenderRequest",
    "Rendered",
    "Request",
    "RequestResult",
    "ResponsePlan",
    "Root",
    "Scope",
    "StateError",
    "Stored",
    "StreamError",
    "Tier",
    "Tokenizer",
    "Tokens",
    "ToolCache",
    "ToolStore",
    "ToolWriter",
    "TranscriptBlock",
    "TranscriptWindows",
    "Transcripts",
    "Usage",
    "UsageFault",
    "UsageFiles",
    "UsageFilter",
    "UsageSource",
    "UsageUnavailable",
    "Wait",
    "Window",
    "abi_version",
    "canonical_json",
    "query_breakpoint",
    "query_mark",
    "tool_key",
    "tool_result_key",
]

_NAMES = {
    "_callbacks": (
        "Clock Log ModelPolicy ModelResolver PrincipalResolver RenderFailure RenderRequest "
        "Rendered Tokenizer"
    ),
    "_cascade": "Cascade",
    "_cascade_parts": (
        "Credentials Headers Http HttpAnswer HttpRequest TranscriptBlock TranscriptWindows "
        "Transcripts UsageFiles"
    ),
    "_errors": (
        "ArgumentError BusyError ClosedError ConfigError DeadlineError Error IntegrityError "
        "JsonError MarkerError MarkerFault MetaError NoSpaceError Rejected StateError "
        "StreamError UsageFault UsageUnavailable"
    ),
    "_index": "Index Scope",
    "_outcome": "Entry Outcome Refresh",
    "_prompt": (
        "Block Breakpoint ForwardedBody Prompt QueryBreakpoint Tier canonical_json "
        "query_breakpoint query_mark"
    ),
    "_prompt_cache": "IndexCounts PromptCache",
    "_request": "Commit Forward Request RequestResult ResponsePlan",
    "_tool_cache": "ToolCache tool_key tool_result_key",
    "_tool_computing": "Computing",
    "_tool_lease": "Lease Stored ToolWriter Wait",
    "_tool_result": "Hit Lookup Root",
    "_tool_store": "ToolStore",
    "_usage": "Tokens Usage UsageSource Window",
    "_usage_filter": "CacheUsage UsageFilter",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(__import__(_HOME[name], globals(), None, [name], 1), name)
    globals()[name] = value  # the next time it is found without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# The library's threads are joined while they can still reach their callbacks.
_atexit.register(_core.close_all_at_exit)
_atexit.register(_core.close_tool_caches_at_exit)  # the last registered is the first called
_atexit.register(_core.close_cascades_at_exit)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_core.after_fork_in_child)
