"""What tests of the lease on S3 share."""

import json
from typing import Any, Final
from uuid import uuid4

import pytest

from shopease_etl.contract.layout import LEASE
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.lock.holder import Holder
from shopease_etl.lake.lock.lease import leased
from shopease_etl.lake.s3 import S3Store

SHORT: Final = 1.0


def holder(run_id: str) -> Holder:
    """Somebody on another machine."""
    return Holder(run_id, "somewhere", 4711, "2024-01-02T03:04:05+00:00", uuid4().hex)


def lease_in(store: S3Store) -> Any:
    """The lease as it is told, None where there is none."""
    found = store.tagged(LEASE)
    return json.loads(found.body) if found else None


def refusal(store: S3Store, seconds: float = 60) -> LakeLockedError:
    """What another is told who wants the lease now."""
    with pytest.raises(LakeLockedError) as caught, leased(store, holder("another"), seconds):
        pytest.fail("two hold the lease")
    return caught.value
