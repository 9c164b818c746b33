"""What a tool cache returns: roots, results, and a payload read piece by piece."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Union

from ._errors import StateError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from . import _core

#: A path: bytes go through unchanged, texts as `os.fsencode` has them.
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
#: How a file or directory is fingerprinted.
Form = Literal["content", "directory", "stat"]
State = Literal["hit", "miss", "invalidated"]

_PREFIXES: dict[Form, str] = {"content": "", "directory": "dir:", "stat": "stat:"}


class _RootFields(NamedTuple):
    path: Path
    expected_hash: str


class Root(_RootFields):
    """A file or directory that a result depends on, and its fingerprint.

    It is a pair of `path` and `expected_hash`, and equal to one.

    Args:
        path: The path, relative to the workspace or absolute.
        expected_hash: Its fingerprint, as `ToolCache.fingerprint` gives it. Left away where the
            library takes it, as in `ToolCache.get_or_begin`.
        form: How it is fingerprinted, where `expected_hash` does not say it.
    """

    __slots__ = ()

    def __new__(
        cls, path: Path, expected_hash: str | None = None, *, form: Form = "content"
    ) -> Root:
        """Makes a root."""
        if form not in _PREFIXES:
            raise ValueError(f"form must be one of {', '.join(map(repr, _PREFIXES))}, not {form!r}")
        if expected_hash is None:
            expected_hash = _PREFIXES[form]
        return super().__new__(cls, path, expected_hash)

    @property
    def form(self) -> Form:
        """How it is fingerprinted."""
        for form in ("directory", "stat"):
            if self.expected_hash.startswith(_PREFIXES[form]):
                return form
        return "content"


#: A root with its fingerprint.
RootLike = Union[Root, tuple[Path, str]]


def path_for_core(path: Path) -> bytes:
    """The bytes of a path."""
    return os.fsencode(path)


def roots_for_core(roots: Iterable[RootLike]) -> list[tuple[bytes, str]]:
    """Checks roots that have their fingerprints."""
    checked = []
    for root in _several(roots, "roots"):
        if not isinstance(root, tuple) or len(root) != 2:
            raise TypeError(
                f"a root must be satchel.Root or a pair of path and expected_hash, not {root!r}"
            )
        checked.append((path_for_core(root[0]), root[1]))
    return checked


def asked_roots_for_core(roots: Iterable[Path | RootLike]) -> list[tuple[bytes, str]]:
    """Checks roots that the library is to fingerprint: paths stand for their content."""
    return [
        (path_for_core(root[0]), root[1]) if isinstance(root, tuple) else (path_for_core(root), "")
        for root in _several(roots, "roots")
    ]


def keys_for_core(keys: Iterable[str]) -> list[str]:
    """Checks a list of keys."""
    return list(_several(keys, "upstreams"))


def _several(values: Iterable[Any], name: str) -> Iterable[Any]:
    # A text is an iterable too, of its characters.
    if isinstance(values, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} must be a list, not a single {type(values).__name__}")
    return values


class Lookup:
    """What a lookup found. True if it is a hit.

    Attributes:
        key: What was asked for.
        state: `"hit"`, `"miss"`, or `"invalidated"`: there is an entry, but a root has changed.
        reason: Of an entry that is invalidated, which root.
    """

    __slots__ = ("__weakref__", "_core", "_info", "_payload", "key", "reason", "state")

    def __init__(
        self, key: str, state: State, core: _core.ToolResult | None, reason: str | None
    ) -> None:
        self.key = key
        self.state: State = state
        self.reason = reason
        self._core = core
        self._info: tuple[str, str, int, int, int] | None = None
        self._payload: bytes | None = None

    def __bool__(self) -> bool:
        return self.state == "hit"

    @property
    def payload(self) -> bytes:
        """The bytes that were stored, all of them.

        Raises:
            StateError: It is no hit.
            IntegrityError: The file was written to since the lookup checked it.
        """
        if self._payload is None:
            self._payload = self._hit().payload()
        return self._payload

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return self._facts()[2]

    @property
    def kind(self) -> str:
        """The kind of tool."""
        return self._facts()[0]

    @property
    def payload_hash(self) -> str:
        """BLAKE3 of the payload, in hexadecimal."""
        return self._facts()[1]

    @property
    def roots(self) -> list[Root]:
        """What it depends on, with the fingerprints that were stored."""
        return [Root(os.fsdecode(path), expected) for path, expected in self._hit().roots()]

    @property
    def upstreams(self) -> list[str]:
        """The keys of the results that it was made from."""
        return self._hit().upstreams()

    def read(self, offset: int = 0, size: int = -1) -> bytes:
        """Reads a part of the payload, without having all of it in memory.

        Args:
            offset: From where.
            size: How many bytes, -1 for all that follow. Fewer are returned at the end only.

        Raises:
            IntegrityError: The file was written to since the lookup checked it; what was read
                before is void too.
        """
        if offset < 0:
            raise ValueError("offset must not be negative")
        return self._hit().read(offset, self.size if size < 0 else size)

    def open(self) -> io.BufferedReader:
        """The payload as a file to read, seekable. What it raises is what `read` raises."""
        return io.BufferedReader(_Payload(self._hit(), self.size), 1 << 16)

    def _hit(self) -> _core.ToolResult:
        if self._core is None:
            answer = "a miss" if self.state == "miss" else self.state
            raise StateError(-3, "ERR_STATE", f"there is no result: the lookup was {answer}")
        return self._core

    def _facts(self) -> tuple[str, str, int, int, int]:
        if self._info is None:
            self._info = self._hit().info()
        return self._info

    def __repr__(self) -> str:
        about = f"{self.state} {self.key[:12]}"
        if self._core is not None:
            about += f", {self.kind}, {self.size} bytes"
        elif self.reason is not None:
            about += f": {self.reason}"
        return f"<satchel.{type(self).__name__} {about}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a satchel.{type(self).__name__} cannot be pickled: its payload can")


class Hit(Lookup):
    """A result that is known and true."""

    __slots__ = ()
    __match_args__ = ("payload",)

    def __init__(self, key: str, core: _core.ToolResult) -> None:
        super().__init__(key, "hit", core, None)


class _Payload(io.RawIOBase):
    """A payload as a raw file."""

    def __init__(self, core: _core.ToolResult, size: int) -> None:
        super().__init__()
        self._core = core
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        got = self._core.read_into(self._at, buffer)
        self._at += got
        return got

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


def lookup_of(key: str, found: tuple[State, _core.ToolResult | None, str | None]) -> Lookup:
    """Makes what `_core` returns into a lookup."""
    state, core, reason = found
    return Lookup(key, state, None, reason) if core is None else Hit(key, core)
