"""What a lease needs of a store."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TaggedObject:
    """A small object: its bytes, its ETag, and the seconds since it was written, by the server's clock."""

    body: bytes
    etag: str
    age: float


class LeaseStore(Protocol):
    """What a lease needs of a store: small objects that are changed only if they still have a known ETag.

    Each call raises UnreachableError if the store refuses or does not answer.
    """

    def uri(self, key: str) -> str:
        """The object's address."""

    def tagged(self, key: str) -> TaggedObject | None:
        """A small object with the ETag that `put_if` and `delete_if` need, if there is one."""

    def put_if(self, key: str, body: bytes, etag: str | None) -> str | None:
        """Write an object in place of the one with this ETag, or, if that is None, only if there is none.

        Returns the new ETag, or None if the store refuses, which can also mean that the answer to a first, successful
        request was lost.
        """

    def delete_if(self, key: str, etag: str) -> None:
        """Delete an object if it still has this ETag."""

    def with_timeout(self, timeout: float) -> "LeaseStore":
        """The same store, with a time limit in seconds for each call."""
