# The compiled module: the C ABI, thinly. Use the package around it.
from collections.abc import Callable, Iterable
from typing import Any, final

from typing_extensions import Buffer

version: str

def abi_version() -> int: ...
def after_fork_in_child() -> None: ...
def close_all_at_exit() -> None: ...

@final
class PromptCache:
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def flush(self, seconds: float, /) -> None: ...
    def forget(self) -> None: ...
    # (lookups, lookup_failures, hits, written, refreshed, dropped, swept, waiting)
    def index_counts(self) -> tuple[int, int, int, int, int, int, int, int]: ...
    def max_body(self) -> int: ...

def open_prompt_cache(
    config: bytes,
    *,
    host_config: bytes,
    log: Callable[[int, str, str], object] | None,
    clock: Callable[[], int] | None,
    monotonic: Callable[[], int] | None,
    principals: Callable[[str], Any] | None,
    models: Callable[[str], Any] | None,
    versions: Callable[[str], Any] | None,
    tokenize: Callable[[str, list[str]], Any] | None,
) -> PromptCache: ...

@final
class Request:
    @property
    def closed(self) -> bool: ...
    # (body, target, body_changed, target_changed); None: pass everything through
    def body(self, data: Buffer, /) -> tuple[bytes, str, bool, bool] | None: ...
    def classify(self) -> None: ...
    def response(
        self,
        http_status: int,
        content_type: str | bytes | None,
        content_encoding: str | bytes | None,
        /,
    ) -> int: ...
    def write(self, data: Buffer, /) -> bytes: ...
    def end(self) -> bytes: ...
    def abort(self) -> None: ...
    # (classified, active, degraded, had_markers, saw_usage, saw_error, commit, read, creation_5m,
    #  creation_1h, creation_24h, prompt_tokens, upstream_cached_tokens, library_ns)
    def result(
        self,
    ) -> tuple[bool, bool, bool, bool, bool, bool, int, int, int, int, int, int, int, int]: ...
    def close(self) -> None: ...

# None: not the library's business.
def new_request(
    cache: PromptCache,
    method: str | bytes,
    target: str | bytes,
    authorization: str | bytes | None,
    api_key: str | bytes | None,
    principal: str | bytes | None,
    /,
) -> Request | None: ...

# ([(role, text, message_index, hash)],
#  [(block, candidate_count, tier, tools, message, message_block, tool_call)])
def parse(
    cache: PromptCache, body: Buffer, /
) -> tuple[
    list[tuple[str, str, int, bytes]],
    list[tuple[int, int, int, int, int, int, int]],
]: ...
def validate(cache: PromptCache, body: Buffer, /) -> None: ...

# (body or None for unchanged, had_markers)
def forward(cache: PromptCache, body: Buffer, /) -> tuple[bytes | None, bool]: ...

# (status, value, target)
def query_breakpoint(target: str | bytes, /) -> tuple[int, str, str]: ...
def query_mark(body: Buffer, /) -> bytes | None: ...
def canonical_json(json: Buffer, /) -> bytes: ...

@final
class Outcome:
    # (active, degraded, read, creation_5m, creation_1h, creation_24h,
    #  (refresh_hash, refresh_expires_at) or None, principal, model, tokenizer_version)
    def summary(
        self,
    ) -> tuple[bool, bool, int, int, int, int, tuple[bytes, int] | None, str, str, str]: ...
    # [(hash, cumulative_token_count, tier, expires_at)]
    def entries(self) -> list[tuple[bytes, int, int, int]]: ...
    def commit(self) -> None: ...

def classify(
    cache: PromptCache,
    model: str | bytes,
    body: Buffer,
    authorization: str | bytes | None,
    api_key: str | bytes | None,
    principal: str | bytes | None,
    /,
) -> Outcome: ...

@final
class UsageFilter:
    def write(self, data: Buffer, /) -> bytes: ...
    def end(self) -> bytes: ...
    # (changed, usage, error_frame)
    def saw(self) -> tuple[bool, bool, bool]: ...

# counts: (read, creation_5m, creation_1h, creation_24h), None to scrub only
def new_usage_filter(sse: bool, counts: Iterable[int] | None, /) -> UsageFilter: ...
