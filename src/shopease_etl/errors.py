"""The errors a user may see; each class has the exit code of the command."""

from collections.abc import Mapping


class ShopeaseError(Exception):
    """A failure with a one-line message and, if possible, a hint what to do (exit code 1).

    `details` are further lines, such as a row that the message is about; `facts` are for the document of `--json`.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: tuple[str, ...] = (),
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.details = details
        self.facts = facts or {}


class ConfigurationError(ShopeaseError):
    """Wrong usage or settings (exit code 2)."""

    exit_code = 2


class NothingToRetryError(ConfigurationError):
    """The last run succeeded, or there is none: nothing has failed."""


class DataRefusedError(ShopeaseError):
    """The data breaks a promise: schema, quality or reconciliation (exit code 3)."""

    exit_code = 3


class UnreachableError(ShopeaseError):
    """The database or the store cannot be reached, or refuses (exit code 4)."""

    exit_code = 4


class SourceFaultError(UnreachableError):
    """A temporary failure of the source: what was read can be read again from a new snapshot."""


class SourceDownError(SourceFaultError):
    """The source accepts no connections now: nothing listens, or it is starting up, shutting down or in recovery."""


class LakeLockedError(ShopeaseError):
    """Another run holds the lake (exit code 75, EX_TEMPFAIL: try again later)."""

    exit_code = 75


class TimeLimitError(ShopeaseError):
    """Something took longer than it may (exit code 1)."""


INTERRUPTED_EXIT_CODE = 130
