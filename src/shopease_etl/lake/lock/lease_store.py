"""What a lease asks of a store."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TaggedObject:
    """A small object: its bytes, its ETag, and the seconds since it was written, by the server's clock alone."""

    body: bytes
    etag: str
    age: float


class LeaseStore(Protocol):
    """What a lease asks of a store: small objects that change only if nobody else changed them meanwhile.

    Each call raises UnreachableError where the store cannot be asked.
    """

    def uri(self, key: str) -> str:
        """The object's address."""

    def tagged(self, key: str) -> TaggedObject | None:
        """A small object with what `put_if` and `delete_if` ask for, or None."""

    def put_if(self, key: str, body: bytes, etag: str | None) -> str | None:
        """Write an object in place of the one with this ETag, or, where that is None, if there is none.

        Returns its ETag; None where the store refuses, be it only because the answer to a first try was lost.
        """

    def delete_if(self, key: str, etag: str) -> None:
        """Delete an object if it is still the one with this ETag."""

    def impatient(self, timeout: float) -> "LeaseStore":
        """The same store for calls that are of no use after so many seconds."""
