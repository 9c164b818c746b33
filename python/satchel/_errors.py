"""The exceptions, one small tree under `Error`.

Source of the numbers: `include/satchel/satchel.h`.
"""

from __future__ import annotations

from enum import IntEnum


class MarkerFault(IntEnum):
    """What is wrong with a `cache_control` marker. The names are the reference's."""

    NONE = 0
    JSON = 1
    TOO_MANY_BREAKPOINTS = 2
    INVALID_TTL = 3
    UNSUPPORTED_TYPE = 4
    DISABLED_TIER = 5
    MALFORMED = 6
    AUTOMATIC_TTL_CONFLICT = 7
    NO_AUTOMATIC_SLOT = 8


class UsageFault(IntEnum):
    """Why nothing (fresher) is known of a quota. The names are the reference's."""

    NONE = 0
    NO_CREDENTIALS = 1
    SUBPROCESS_FAILED = 2
    IO_ERROR = 3
    PARSE_ERROR = 4
    MISSING_FIELD = 5
    EMPTY_TOKEN = 6
    TIMEOUT = 7
    RATE_LIMITED = 8
    NETWORK_ERROR = 9
    UNAUTHORIZED = 10
    FORBIDDEN = 11
    NO_ENTRIES = 12
    DIRECTORY_MISSING = 13

    @property
    def code(self) -> str:
        """The name as it stands in JSON and in the files, such as `"RateLimited"`."""
        return self.name.title().replace("_", "")


class Error(Exception):
    """A call of the library failed.

    Attributes:
        status: The library's number, negative for errors (`SATCHEL_ERR_*`).
        name: Its name without the prefix, such as `"ERR_CONFIG"`.
        message: What was wrong, and where.
        os_errno: `errno` of the system call that failed, 0 if none did.
        reason: What is wrong with a marker, `MarkerFault.NONE` where none is at fault.
    """

    def __init__(
        self, status: int, name: str, message: str, os_errno: int = 0, reason: int = 0
    ) -> None:
        # All arguments go into args, so that an error survives pickling.
        super().__init__(status, name, message, os_errno, reason)
        self.status = status
        self.name = name
        self.message = message
        self.os_errno = os_errno
        self.reason = MarkerFault(reason)

    def __str__(self) -> str:
        return f"{self.message} [{self.name}]" if self.message else self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {self.message!r})"


class ArgumentError(Error, ValueError):
    """A value is out of its range."""


class ClosedError(Error):
    """The object is closed, or belongs to the parent process of a fork."""


class StateError(Error):
    """The right call at the wrong moment: a second body, a response before the body."""


class ConfigError(Error, ValueError):
    """The configuration is wrong. The message names the key."""


class BusyError(Error):
    """Another thread is inside the request, or this is one of its own callbacks."""


class StreamError(Error):
    """The response cannot go on: break the client's connection, never end it cleanly."""


class JsonError(Error, ValueError):
    """The text is not JSON. The message names the place."""


class DeadlineError(Error, TimeoutError):
    """Not done within the time given."""


class IntegrityError(Error):
    """What is stored is not what was stored. It stays where it is, and is never served."""


class MetaError(Error):
    """What is stored beside a payload cannot be read. It stays where it is."""


class NoSpaceError(Error):
    """Disk or quota is full: nothing was stored, nothing else harmed."""


class UsageUnavailable(Error):  # noqa: N818
    """Nothing is known of the quota.

    Attributes:
        fault: Why.
    """

    def __init__(
        self, status: int, name: str, message: str, os_errno: int = 0, fault: int = 0
    ) -> None:
        super().__init__(status, name, message, os_errno)
        self.args = (status, name, message, os_errno, fault)
        self.fault = UsageFault(fault)


class MarkerError(Error, ValueError):
    """A `cache_control` marker is at fault, `reason` says which way."""


class Rejected(Error):  # noqa: N818
    """The client made a mistake: answer it with this and send nothing upstream.

    Attributes:
        http_status: Status of the answer, 400.
        content_type: Its content type, `"application/json"`.
        body: Its body, an error object as OpenAI's API writes them.
    """

    def __init__(
        self,
        status: int,
        name: str,
        message: str,
        os_errno: int,
        reason: int,
        http_status: int,
        content_type: str,
        body: bytes,
    ) -> None:
        super().__init__(status, name, message, os_errno, reason)
        self.args = (*self.args, http_status, content_type, body)
        self.http_status = http_status
        self.content_type = content_type
        self.body = body


_BY_STATUS: dict[int, type[Error]] = {
    2: MarkerError,
    -1: ArgumentError,
    -2: ClosedError,
    -3: StateError,
    -4: ConfigError,
    -7: BusyError,
    -9: ClosedError,
    -10: StreamError,
    -11: JsonError,
    -12: DeadlineError,
    -15: IntegrityError,
    -16: MetaError,
    -17: NoSpaceError,
    -18: UsageUnavailable,
}


def from_status(status: int, name: str, message: str, os_errno: int, reason: int) -> Error:
    """Makes the exception that belongs to a status. Called by `_core`."""
    return _BY_STATUS.get(status, Error)(status, name, message, os_errno, reason)


def closed_error(what: str) -> ClosedError:
    """The exception for an object that is closed."""
    return ClosedError(-2, "ERR_HANDLE", f"the {what} is closed")
