"""`python -m satchel`."""

import os
import sys

from ._cli import main, plain_line

if __name__ == "__main__":
    code = plain_line(sys.argv[1:])
    if code is not None:
        # Everything is printed and closed. What the interpreter would do yet takes as long as all
        # that was done for the line.
        os._exit(code)
    sys.exit(main())
