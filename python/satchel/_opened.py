"""What is opened and closed: a cache, a cascade."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Generic, NoReturn, Protocol, TypeVar

from ._errors import closed_error

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class _Closable(Protocol):
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...


Core = TypeVar("Core", bound=_Closable)


class Opened(Generic[Core]):
    """Closed at the end of a `with`, complains when it was forgotten, lives in this process."""

    _core: Core
    _kind: ClassVar[str]  # as in an error: "tool cache"
    _shared: ClassVar[str]  # what another process has of it

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._core.closed

    def close(self) -> None:
        """Closes it. Calling it again does nothing."""
        self._core.close()

    def __enter__(self) -> Self:
        if self.closed:
            raise closed_error(self._kind)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)  # missing where __init__ raised
        if core is not None and not core.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a satchel.{type(self).__name__} cannot be pickled or copied: open one in each "
            f"process; {self._shared}"
        )
