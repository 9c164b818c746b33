# The compiled module: the C ABI, thinly. Use the package around it.
from collections.abc import Callable, Iterable
from typing import Any, Literal, final

from typing_extensions import Buffer, TypeAlias

version: str

def abi_version() -> int: ...
def require_main_interpreter() -> None: ...
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
    def index_counts(self) -> tuple[int, int, int, int, int, int, int, int, int, int]: ...
    def max_body(self) -> int: ...
    def metrics(self) -> bytes: ...

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
    index: tuple[Callable[..., Any], ...] | None,
    render: Callable[[str, str, str | None, list[tuple[int, int, int, int]], int], Any] | None,
) -> PromptCache: ...

@final
class Request:
    @property
    def closed(self) -> bool: ...
    # (body, target, body_changed, target_changed); None: pass everything through
    def body(self, data: Buffer, /) -> tuple[bytes, str, bool, bool] | None: ...
    @property
    def pending(self) -> bool: ...
    def classify(self) -> None: ...
    def classify_start(self, done: Callable[[int], object], /) -> None: ...
    def descriptor(self) -> int: ...
    def no_wait(self) -> None: ...
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
    #  (refresh_hash, refresh_expires_at) or None, principal, model, tokenizer_version,
    #  render_total or None)
    def summary(
        self,
    ) -> tuple[
        bool, bool, int, int, int, int, tuple[bytes, int] | None, str, str, str, int | None
    ]: ...
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

@final
class ToolCache:
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    # (state, result, why it is invalidated)
    def lookup(
        self, key: str, revalidate: bool, /
    ) -> tuple[Literal["hit", "miss", "invalidated"], ToolResult | None, str | None]: ...
    # roots: pairs of path and expected hash, here and below
    def persist(
        self,
        key: str,
        payload: Buffer,
        kind: str,
        roots: Iterable[tuple[bytes, str]],
        upstreams: Iterable[str],
        /,
    ) -> None: ...
    def writer(
        self,
        key: str,
        kind: str,
        roots: Iterable[tuple[bytes, str]],
        upstreams: Iterable[str],
        /,
    ) -> ToolWriter: ...
    # None: somebody else is computing, and was not done within `wait` seconds. lease: seconds, 0
    # for the configured time.
    def get_or_begin(
        self,
        key: str,
        kind: str,
        args_summary: str,
        roots: Iterable[tuple[bytes, str]],
        wait: float,
        lease: float,
        /,
    ) -> ToolResult | ToolLease | None: ...
    def contains(self, key: str, /) -> bool: ...
    def mark_dirty(self, key: str, /) -> None: ...
    def invalidate_upstream(self, key: str, /) -> int: ...
    def invalidate_path(self, path: bytes, /) -> int: ...
    # None: oversized
    def fingerprint(self, path: bytes, form: int, /) -> str | None: ...
    def entry_count(self) -> int: ...
    # JSON, as all bytes that are returned below
    def known_kinds(self) -> bytes: ...
    def total_bytes(self) -> int: ...
    def evict_to_cap(self, cap: int, /) -> int: ...
    def evict(self) -> int: ...
    def sweep(self, min_age_ms: int, /) -> int: ...
    def rebuild(self) -> None: ...
    def flush(self, seconds: float, /) -> None: ...
    def stats(self) -> bytes: ...
    def metrics(self) -> bytes: ...
    def list(self, after: str | None, kind: str | None, limit: int, /) -> bytes: ...
    def why(self, key: str, /) -> bytes: ...
    def verify(self, key: str, /) -> bool: ...
    def record(
        self,
        tool: str,
        outcome: str,
        duration_us: int,
        args_summary: str,
        reason: str | None,
        /,
    ) -> None: ...

# host_store: (persist, lookup, remove, contains, iterate, total_bytes, evict_to_cap)
def open_tool_cache(
    config: bytes,
    *,
    store: bytes | None,
    workspace: bytes | None,
    host_config: bytes,
    log: Callable[[int, str, str], object] | None,
    clock: Callable[[], int] | None,
    monotonic: Callable[[], int] | None,
    host_store: tuple[Callable[..., Any], ...] | None,
) -> ToolCache: ...
def close_tool_caches_at_exit() -> None: ...
def tool_key(data: Buffer, /) -> str: ...
def tool_result_key(data: Buffer, /) -> str: ...

# (source, error, age in nanoseconds, utilisation and reset of the five hours and of the seven days,
#  their tokens, start of the block, JSON)
# times: Unix nanoseconds; tokens: (input, output, cache_creation, cache_read)
UsageTuple: TypeAlias = tuple[
    int,
    int,
    int,
    float,
    int,
    float,
    int,
    tuple[int, int, int, int],
    tuple[int, int, int, int],
    int,
    bytes,
]

@final
class Cascade:
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def resolve(self) -> UsageTuple: ...
    # done(usage, None) or done(None, exception), on a thread of the library
    def resolve_start(
        self, done: Callable[[UsageTuple | None, BaseException | None], object], /
    ) -> None: ...
    def observe(self, pairs: Iterable[tuple[str | bytes, str | bytes]], /) -> bool: ...
    # Unix nanoseconds, 0 for no bound; seconds
    def report(self, since: int, until: int, utc_offset_s: int, /) -> bytes: ...
    def metrics(self) -> bytes: ...

# http(method, url, headers, body, max_body, timeout in seconds) -> (status, headers, body), or a
# negative status; files: (read, write, remove)
def open_cascade(
    config: bytes,
    *,
    cache_dir: bytes | None,
    config_dirs: list[bytes] | None,
    host_config: bytes,
    log: Callable[[int, str, str], object] | None,
    clock: Callable[[], int] | None,
    monotonic: Callable[[], int] | None,
    http: Callable[..., Any] | None,
    files: tuple[Callable[..., Any], ...] | None,
    credentials: Callable[[], Any] | None,
    transcripts: Callable[[int], Any] | None,
) -> Cascade: ...
def close_cascades_at_exit() -> None: ...

@final
class ToolResult:
    # (kind, payload_hash, bytes, root_count, upstream_count)
    def info(self) -> tuple[str, str, int, int, int]: ...
    def roots(self) -> list[tuple[bytes, str]]: ...
    def upstreams(self) -> list[str]: ...
    def payload(self) -> bytes: ...
    # fewer than `count` bytes only at the end
    def read(self, offset: int, count: int, /) -> bytes: ...
    def read_into(self, offset: int, buffer: Buffer, /) -> int: ...

@final
class ToolWriter:
    @property
    def closed(self) -> bool: ...
    def write(self, data: Buffer, /) -> int: ...
    # None: stored; else why not, here and below
    def commit(self) -> str | None: ...
    def close(self) -> None: ...

@final
class ToolLease:
    # kind: None for the call's
    def commit(
        self,
        payload: Buffer,
        kind: str | None,
        roots: Iterable[tuple[bytes, str]],
        upstreams: Iterable[str],
        /,
    ) -> str | None: ...
    def writer(
        self,
        kind: str | None,
        roots: Iterable[tuple[bytes, str]],
        upstreams: Iterable[str],
        /,
    ) -> ToolWriter: ...
    def abandon(self) -> None: ...
