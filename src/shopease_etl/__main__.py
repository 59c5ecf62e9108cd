"""`python -m shopease_etl` is the command `shopease`."""

from shopease_etl.cli import main

if __name__ == "__main__":
    main()
