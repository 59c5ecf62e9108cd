"""A lake's present state, read without the code under test: its objects, its manifests, and all other files."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote

from accounts import Account
from commands import is_manifest
from lakes import KEYS
from shopease_etl.contract.layout import GENERATIONS, JOURNAL, RESULTS

STAGING: Final = "_staging/"


class LakeView(Protocol):
    """A lake and the home of its only user."""

    def datasets(self) -> Mapping[str, bytes]:
        """The objects that readers see, by key."""

    def manifests(self) -> Mapping[str, dict[str, Any]]:
        """The manifests by run id; each is written completely or not at all."""

    def journals(self) -> list[dict[str, Any]]:
        """What was to be published."""

    def former(self) -> Mapping[str, bytes] | None:
        """The lake that is kept for a rollback, by key; None where it cannot be seen."""

    def others(self) -> set[str]:
        """What is none of these; `waits: KEY` are outputs that a retry could use."""


@dataclass(frozen=True)
class LocalView:
    """A shop's folder, with the lake and the home in it."""

    folder: Path

    def datasets(self) -> Mapping[str, bytes]:
        return {key: path.read_bytes() for key, path in self._files().items() if key in KEYS}

    def manifests(self) -> Mapping[str, dict[str, Any]]:
        found = {key: path for key, path in self._files().items() if is_manifest(key)}
        return {path.stem: json.loads(path.read_bytes()) for path in found.values()}

    def journals(self) -> list[dict[str, Any]]:
        found = [path for key, path in self._files().items() if key.startswith(JOURNAL)]
        return [json.loads(path.read_bytes().partition(b"\n")[2]) for path in found]

    def former(self) -> Mapping[str, bytes] | None:
        kept = self.folder / "lake" / GENERATIONS
        (generation,) = kept.iterdir()
        return {key: (generation / key).read_bytes() for key in KEYS if (generation / key).exists()}

    def others(self) -> set[str]:
        known = {key for key in self._files() if key in KEYS or is_manifest(key) or key.startswith(GENERATIONS)}
        found = {waiting(key) if key.startswith(STAGING) else key for key in self._files().keys() - known}
        empty = {path.name for path in (self.folder / "lake").iterdir() if path.is_dir() and not any(path.iterdir())}
        return found | empty | in_home(self.folder)

    def _files(self) -> dict[str, Path]:
        lake = self.folder / "lake"
        return {path.relative_to(lake).as_posix(): path for path in sorted(lake.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class S3View:
    """A bucket, and the folder of the shop with the home in it."""

    account: Account
    bucket: str
    folder: Path

    def datasets(self) -> Mapping[str, bytes]:
        return self._read([key for key in self._keys() if key in KEYS])

    def manifests(self) -> Mapping[str, dict[str, Any]]:
        found = self._read([key for key in self._keys() if is_manifest(key)])
        return {Path(key).stem: json.loads(data) for key, data in found.items()}

    def journals(self) -> list[dict[str, Any]]:
        found = self._read([key for key in self._keys() if key.startswith(JOURNAL)])
        return [json.loads(data.partition(b"\n")[2]) for data in found.values()]

    def former(self) -> Mapping[str, bytes] | None:
        return None

    def others(self) -> set[str]:
        uploads = self.account.client("s3").list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        known = {key for key in self._keys() if key in KEYS or is_manifest(key) or key.startswith(RESULTS)}
        return set(self._keys()) - known | {f"upload of {item['Key']}" for item in uploads} | in_home(self.folder)

    def _keys(self) -> list[str]:
        pages = self.account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _read(self, keys: list[str]) -> dict[str, bytes]:
        client = self.account.client("s3")

        def read(key: str) -> bytes:
            body: bytes = client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            return body

        with ThreadPoolExecutor(8) as pool:
            return dict(zip(keys, pool.map(read, keys), strict=True))


def in_home(folder: Path) -> set[str]:
    """What is in a shop's home besides the catalog; copies of a run's objects wait for a retry."""
    home = folder / "home"
    found = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    stray = {path for path in found if path.parts[0] != "catalog" or path.suffix != ".json" or path.name[0] == "."}
    return {waiting(path.name + ".") if path.parts[0] == "spool" else f"home: {path}" for path in stray}


def waiting(name: str) -> str:
    """The key in the name of a half-published file."""
    return f"waits: {unquote(name).removeprefix(STAGING).rpartition('.')[0]}"
