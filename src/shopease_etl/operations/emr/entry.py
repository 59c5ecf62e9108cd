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
    archive_bytes(archive)
    store = open_store(archive.rpartition("/")[0], encryption)
    if not store.find(NAME) or store.read(NAME) != SCRIPT:
        put_stream(store, NAME, [SCRIPT])
    return store.uri(NAME)


def archive_bytes(archive: str) -> int:
    """The size of the packed environment, which this user need not be allowed to read.

    Raises:
        UnreachableError: it does not exist, or the bucket may not be listed.
    """
    folder, _, name = archive.rpartition("/")
    for item in open_store(folder).list(name):
        if item.key == name:
            return item.bytes
    message = f"the packed environment {archive} (SHOPEASE_SPARK_ARCHIVE) does not exist"
    raise UnreachableError(message, hint="docs/EMR.md says how to pack and upload it")
