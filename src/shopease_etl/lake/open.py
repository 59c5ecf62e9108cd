"""Opens the store of a lake setting."""

from pathlib import Path

from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.store import Encryption, LakeStore


def open_store(lake: str, encryption: Encryption | None = None) -> LakeStore:
    """The store for a lake setting: `s3://BUCKET[/PREFIX]`, or a local folder, which is never encrypted."""
    if lake.startswith("s3://"):
        from shopease_etl.lake.s3 import S3Store

        bucket, _, prefix = lake.removeprefix("s3://").rstrip("/").partition("/")
        return S3Store(bucket, prefix, encryption)
    from shopease_etl.lake.local import LocalStore

    try:
        return LocalStore(Path(lake))
    except RuntimeError as error:  # of expanduser
        message = f"the lake {lake!r} is in the home folder of an unknown user"
        raise ConfigurationError(message, hint="write the full path of the folder") from error
