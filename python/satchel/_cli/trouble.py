"""What ends a command with a line on standard error."""


class Trouble(Exception):  # noqa: N818
    """It cannot be done; the text says why, in one line."""
