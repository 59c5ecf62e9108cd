"""`python -m shopease_etl` is the command `shopease`: signals are caught before anything slow is imported."""

import os

from shopease_etl import cancel
from shopease_etl.errors import INTERRUPTED_EXIT_CODE


def main() -> None:
    """The entry point of the program `shopease`."""
    try:
        cancel.install()
        from shopease_etl.cli import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"shopease: interrupted\n")
        os._exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
