"""Uploads that other processes completed for a run, and that the run publishes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopease_etl.errors import UnreachableError
from shopease_etl.lake.store import LakeStore, PendingWrite, UnfinishedUpload


@dataclass(frozen=True)
class ForeignUpload:
    """A complete upload of another process: what `pending_write` says of it, its size, and its first line."""

    pending: Mapping[str, Any]
    size: int
    head: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """The object's key."""
        return str(self.pending["key"])

    @property
    def upload_id(self) -> str:
        """The store's name for the upload, which is a staged file's in a folder."""
        return str(self.pending.get("upload") or self.pending["staged"])

    def discard(self, store: LakeStore) -> None:
        """Abort the upload; a missing one is no error."""
        store.abort(UnfinishedUpload(self.key, self.upload_id, 0))


class ForeignWriter:
    """A writer that only publishes or discards what another process uploaded."""

    def __init__(self, store: LakeStore, upload: ForeignUpload) -> None:
        files = store.staged(upload.key)
        self.staged = next((path for path in files if path.name == upload.upload_id), None)
        self._store = store
        self._upload = upload
        self._is_published = False

    def write(self, data: bytes | bytearray) -> None:  # noqa: ARG002 - the interface of writers
        """Raise ValueError: the object is complete."""
        message = f"{self._upload.key} is complete"
        raise ValueError(message)

    def complete(self) -> None:
        """Does nothing: the object is complete."""

    def publish(self) -> None:
        """Show readers this object in place of the former one.

        Raises:
            UnreachableError: the store refuses, or the upload is gone.
        """
        if not self._store.finish(self._upload.pending):
            message = f"the upload of {self._upload.key} is gone: something else aborted it"
            raise UnreachableError(message, hint="run the command again")
        self._is_published = True

    def discard(self) -> None:
        """Abort the upload unless it is published."""
        if not self._is_published:
            self._upload.discard(self._store)

    def pending_write(self) -> PendingWrite:
        """What any process needs to publish the object."""
        return self._upload.pending
