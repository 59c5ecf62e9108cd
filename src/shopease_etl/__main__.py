"""`python -m shopease_etl` is the command `shopease`: signals are caught before anything slow is imported."""

import os

from shopease_etl import cancel
from shopease_etl.errors import INTERRUPTED_EXIT_CODE


def main() -> None:
    """The entry point of the program `shopease`."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place
            os.open(os.devnull, flags)
    try:
        cancel.install()
        from shopease_etl.cli import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"shopease: interrupted\n")
        os._exit(INTERRUPTED_EXIT_CODE)


if __name__ == "__main__":
    main()
