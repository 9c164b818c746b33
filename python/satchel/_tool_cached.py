"""Functions whose results are kept: the decorator behind `ToolCache.cached`.

The key of a call is the BLAKE3 of a JSON text: `["satchel.cached/1", kind, name, version,
arguments]`, in which what JSON does not have is spelled so that two different calls never have the
same text.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, TypeVar, Union, cast

from . import _core
from ._errors import Error
from ._tool_computing import _LOG, MISTAKES, Computing

if TYPE_CHECKING:
    from ._tool_cache import ToolCache
    from ._tool_result import Path, RootLike

F = TypeVar("F", bound=Callable[..., Any])
#: The roots of a call: a list, or a function of the call's arguments.
Roots = Union[Callable[..., "Iterable[Path | RootLike]"], "Iterable[Path | RootLike]"]

# A str is stored as UTF-8 behind this signature, bytes as they are: a hit knows which they were.
# Bytes that happen to begin with it get it twice over, with a byte that UTF-8 does not have.
_SIGNATURE = b"\xef\xbb\xbf"
_BYTES_ALL_THE_SAME = _SIGNATURE + b"\xff"
_SUMMARY = 120
# Two surrogates that JSON writes as it writes the one character that they are in UTF-16.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ODD_NAME = re.compile(rf"\A\$|{_PAIR.pattern}")


def payload_of(value: object) -> bytes:
    """The payload that stands for bytes or a str."""
    if isinstance(value, str):
        return _SIGNATURE + value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        plain = bytes(value)
        return _BYTES_ALL_THE_SAME + plain if plain.startswith(_SIGNATURE) else plain
    raise TypeError(
        f"a cached function must return bytes or str, not {type(value).__name__}: "
        "give dumps and loads for other types"
    )


def value_of(payload: bytes) -> bytes | str:
    """The bytes or the str that a payload stands for."""
    if not payload.startswith(_SIGNATURE):
        return payload
    if payload.startswith(_BYTES_ALL_THE_SAME):
        return payload[len(_BYTES_ALL_THE_SAME) :]
    return payload[len(_SIGNATURE) :].decode("utf-8", "surrogatepass")


def spelled(value: object) -> Any:
    """A value as JSON has it, with members `$...` for what JSON does not have.

    Raises:
        TypeError: There is no spelling for it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _PAIR.search(value) is None:
            return value
        return {"$str": value.encode("utf-8", "surrogatepass").hex()}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if isinstance(value, os.PathLike):
        return spelled(os.fspath(value))
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"$set": sorted(map(_dumped, value))}
    if isinstance(value, Mapping):
        if all(isinstance(name, str) and _ODD_NAME.search(name) is None for name in value):
            return {name: spelled(item) for name, item in value.items()}
        return {"$map": sorted([_dumped(name), spelled(item)] for name, item in value.items())}
    raise TypeError(
        f"{type(value).__name__} cannot be part of a key: give key=, a function of the arguments "
        "that returns what tells calls apart"
    )


def _dumped(value: object) -> str:
    return json.dumps(spelled(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _name_of(function: Callable[..., Any]) -> str:
    module = function.__module__
    if module == "__main__":  # of every program
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        code = getattr(function, "__code__", None)
        if spec is not None:
            module = spec.name
        elif code is not None:
            module = os.path.abspath(code.co_filename)
    return f"{module}.{function.__qualname__}"


Chooser = Callable[[inspect.BoundArguments], Any]


def _chooser(of_arguments: Callable[..., Any], call: inspect.Signature) -> Chooser:
    """Calls `of_arguments` with those arguments of a call that it names, or with all."""

    def with_all(bound: inspect.BoundArguments) -> Any:
        return of_arguments(*bound.args, **bound.kwargs)

    try:
        wanted = inspect.signature(of_arguments).parameters
    except (TypeError, ValueError):  # a function written in C
        return with_all
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    known = {name for name, given in call.parameters.items() if given.kind not in several}
    if known.issuperset(wanted) and all(given.kind in by_name for given in wanted.values()):
        return lambda bound: of_arguments(**{name: bound.arguments[name] for name in wanted})
    return with_all


class _Plan:
    """What a decorated function does around each call."""

    def __init__(
        self,
        cache: ToolCache,
        function: Callable[..., Any],
        *,
        kind: str | None,
        roots: Roots,
        key: Callable[..., object] | None,
        upstreams: Callable[..., Iterable[str]] | None,
        version: object,
        dumps: Callable[[Any], bytes | str] | None,
        loads: Callable[[Any], Any] | None,
        wait: float | None,
        lease: float | None,
    ) -> None:
        if (dumps is None) != (loads is None):
            raise TypeError("dumps and loads go together")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator cannot be cached: return a list")
        self.cache = cache
        self.function = function
        self.kind = function.__name__ if kind is None else kind
        self.name = _name_of(function)
        self.version = _dumped(version)
        self.signature = inspect.signature(function)
        self.dumps = dumps
        self.loads = loads
        self.wait = wait
        self.lease = lease
        self._key = None if key is None else _chooser(key, self.signature)
        self._upstreams = None if upstreams is None else _chooser(upstreams, self.signature)
        if callable(roots):
            self._roots: Chooser = _chooser(roots, self.signature)
        else:
            fixed = roots if isinstance(roots, (str, bytes, os.PathLike)) else list(roots)
            self._roots = lambda _bound: fixed

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

    def arguments(self, bound: inspect.BoundArguments) -> str:
        return _dumped(dict(bound.arguments) if self._key is None else self._key(bound))

    def key(self, arguments: str) -> str:
        kind, name = json.dumps(self.kind), json.dumps(self.name)
        text = f'["satchel.cached/1",{kind},{name},{self.version},{arguments}]'
        return _core.tool_key(text.encode())

    def block(self, bound: inspect.BoundArguments) -> Computing:
        arguments = self.arguments(bound)
        return Computing(
            self.cache,
            self.key(arguments),
            self.kind,
            roots=self._roots(bound),
            args_summary=arguments[:_SUMMARY],
            wait=self.wait,
            lease=self.lease,
            lenient=True,
        )

    def upstreams(self, bound: inspect.BoundArguments) -> Iterable[str]:
        return () if self._upstreams is None else self._upstreams(bound)

    def payload(self, value: Any) -> bytes:
        return payload_of(value if self.dumps is None else self.dumps(value))

    def known(self, block: Computing) -> tuple[bool, Any]:
        """The value of a hit, if it can be read."""
        if block.hit is None:
            return False, None
        try:
            payload = block.hit.payload
        except Error as error:
            if isinstance(error, MISTAKES):
                raise
            _LOG.warning("a result is computed without the cache: %s", error)
            block._forget_hit(str(error))
            return False, None
        value = value_of(payload)
        return True, value if self.loads is None else self.loads(value)


def cached(cache: ToolCache, **options: Any) -> Callable[[F], F]:
    """The decorator; `ToolCache.cached` has its arguments."""

    def decorate(function: F) -> F:
        plan = _Plan(cache, function, **options)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                bound = plan.bind(args, kwargs)
                async with plan.block(bound) as block:
                    known, value = await _in_thread_if(block.hit is not None, plan.known, block)
                    if not known:
                        value = await function(*args, **kwargs)
                        payload = plan.payload(value)
                        await block.acommit(payload, upstreams=plan.upstreams(bound))
                    return value

            wrapper: Any = call_async
        else:

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                bound = plan.bind(args, kwargs)
                with plan.block(bound) as block:
                    known, value = plan.known(block)
                    if not known:
                        value = function(*args, **kwargs)
                        block.commit(plan.payload(value), upstreams=plan.upstreams(bound))
                    return value

            wrapper = call
        wrapper.__satchel_plan__ = plan
        return cast(F, wrapper)

    return decorate


async def _in_thread_if(needed: bool, work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(work, *arguments) if needed else work(*arguments)


def key_of(cache: ToolCache, function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The key of a call of a function that `cache` decorated."""
    plan = getattr(function, "__satchel_plan__", None)
    if not isinstance(plan, _Plan) or plan.cache is not cache:
        raise TypeError(f"{function!r} is not cached by this cache")
    return plan.key(plan.arguments(plan.bind(args, kwargs)))
