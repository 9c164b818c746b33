"""The command line: `python -m satchel GROUP ...`.

0  it was done, or the answer is yes
1  the answer is no: a damaged payload, no such entry, nothing known of the quota
2  it could not be done: wrong usage, no store, the system said no
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing has it, which costs a status line its time
if TYPE_CHECKING:
    from collections.abc import Sequence


def plain_line(arguments: Sequence[str]) -> int | None:
    """Prints the line for status bars, if it is asked for and nothing needs the parser.

    That is asked for all the time: it goes without the modules of all other commands.

    Returns:
        The exit code; None if it is something else that is to be done.
    """
    if list(arguments[:1]) != ["usage"] or "--line" not in arguments:
        return None
    from .usage_line import plain_options, print_line

    options = plain_options(arguments[1:])
    if options is None:
        return None
    try:
        return print_line(options)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not hasattr(error, "status"):  # no satchel.Error, whose class is not imported here
            raise
        if sys.stderr is not None:  # closed: print would take standard output
            print(f"satchel: {getattr(error, 'message', error)}", file=sys.stderr)
        return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    code = plain_line(given)
    if code is not None:
        return code
    from .program import main as run

    return run(given)
