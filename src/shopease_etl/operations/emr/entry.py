"""What a job needs in S3: the packed environment, and beside it the script that starts shopease in it."""

from typing import Final

from shopease_etl.errors import UnreachableError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import Encryption, put_stream

NAME: Final = "run_shopease.py"
SCRIPT: Final = b"from shopease_etl.cli.job import main\n\nmain()\n"


def entry_point(archive: str, encryption: Encryption | None) -> str:
    """The address of the script beside the archive; it is uploaded if it is missing or differs.

    Raises:
        UnreachableError: there is no archive, or the script cannot be written.
    """
    folder, _, name = archive.rpartition("/")
    store = open_store(folder, encryption)
    if not any(item.key == name for item in store.list(name)):  # the right to read it is not needed
        message = f"the packed environment {archive} (SHOPEASE_SPARK_ARCHIVE) does not exist"
        raise UnreachableError(message, hint="docs/EMR.md says how to pack and upload it")
    if not store.find(NAME) or store.read(NAME) != SCRIPT:
        put_stream(store, NAME, [SCRIPT])
    return store.uri(NAME)
