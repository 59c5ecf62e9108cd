"""Uploads of other processes: a run publishes or discards them, and until then only it sees them."""

from pathlib import Path

import pytest

from shopease_etl.errors import UnreachableError
from shopease_etl.lake.foreign_uploads import ForeignUpload
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore

KEY = "bronze/transactions/sale_month=2024-05/sale_transactions.csv"
DATA = b"transaction_id\n1\n"


def uploaded(store: LakeStore) -> ForeignUpload:
    writer = store.raw_writer(KEY)
    writer.write(DATA)
    writer.complete()
    return ForeignUpload(writer.pending_write(), len(DATA), DATA[:15])


def test_an_adopted_upload_is_the_runs_own(store: LakeStore, tmp_path: Path) -> None:
    staged = Transaction(store, tmp_path / "spool")
    staged.adopt(uploaded(store))
    assert store.find(KEY) is None
    assert [(item.key, item.bytes) for item in staged.list("bronze/")] == [(KEY, len(DATA))]
    assert staged.read(KEY, 0, 15) == DATA[:15]
    staged.publish()
    assert store.read(KEY) == staged.read(KEY) == DATA
    assert list(store.unfinished_uploads()) == []


def test_what_is_not_published_is_discarded_and_what_is_not_adopted_aborted(store: LakeStore, tmp_path: Path) -> None:
    staged = Transaction(store, tmp_path / "spool")
    staged.adopt(uploaded(store))
    uploaded(store)
    assert len(list(store.unfinished_uploads())) == 2
    staged.abort_other_uploads(["bronze/transactions"])
    assert len(list(store.unfinished_uploads())) == 1
    staged.discard()
    assert list(store.unfinished_uploads()) == []
    assert store.find(KEY) is None


def test_an_upload_that_is_gone_is_an_error(store: LakeStore, tmp_path: Path) -> None:
    staged, upload = Transaction(store, tmp_path / "spool"), uploaded(store)
    staged.adopt(upload)
    upload.discard(store)
    # this S3 server has a fault of its own for it
    with pytest.raises(UnreachableError, match=r"the upload of .* is gone|Internal Server Error"):
        staged.publish()
