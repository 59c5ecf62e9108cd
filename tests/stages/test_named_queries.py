"""A user's own queries in a folder: what is one, what is not and why, and how they stand beside the shipped ones."""

import os
from pathlib import Path

import pytest

from shopease_etl.errors import ConfigurationError
from shopease_etl.stages.named_queries import SHIPPED, named_queries, shipped_queries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nightly").mkdir()
    return tmp_path / "nightly"


def test_an_own_query_stands_beside_the_shipped_ones(folder: Path) -> None:
    text = "-- Sales of one store\r\nSELECT 1 AS one -- shopease_catalog.stores\n"
    (folder / "store-sales.sql").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (folder / "plain.SQL").write_text("SELECT 'é'")
    (folder / "notes.txt").write_text("no query")
    (folder / ".#plain.sql").write_text("a lock of an editor")
    found = named_queries("other", folder)
    assert list(found.queries) == [*(query.name for query in shipped_queries()), "plain", "store-sales"]
    assert found.refused == {}
    own = found.find("store-sales")
    assert (own.description, own.source) == ("Sales of one store", str(folder / "store-sales.sql"))
    assert own.sql == text.replace("\r\n", "\n"), "as it is written, whatever the catalog's database is called"
    assert (found.find("plain").description, found.find("plain").sql) == ("", "SELECT 'é'")
    assert found.find("store-mix").source == SHIPPED
    assert '"other".' in found.find("store-mix").sql


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("store-mix.sql", b"SELECT 1", "there is a query store-mix already"),
        ("Store-Mix.sql", b"SELECT 1", "there is a query store-mix already"),
        ("SALES.sql", b"SELECT 1", None),
        ("my query.sql", b"SELECT 1", "letters, digits"),
        ("a\nb.sql", b"SELECT 1", "letters, digits"),
        ("-n.sql", b"SELECT 1", "letters, digits"),
        ("umsätze.2024_1.sql", b"SELECT 1", None),
        (os.fsdecode(b"\xff.sql"), b"SELECT 1", "letters, digits"),
        ("latin.sql", "SELECT 'é'".encode("latin-1"), "it is not UTF-8 text"),
        ("empty.sql", b" \n", "it is empty"),
    ],
)
def test_a_file_that_is_no_query_says_why_and_hides_no_other(
    folder: Path, name: str, content: bytes, why: str | None
) -> None:
    (folder / "good.sql").write_text("SELECT 1")
    (folder / name).write_bytes(content)
    found = named_queries(folder=folder)
    assert found.find("good").sql == "SELECT 1"
    if why is None:
        assert found.find(Path(name).stem).sql == "SELECT 1"
        return
    ((file, reason),) = found.refused.items()
    assert file == folder / name
    assert why in reason
    if Path(name).stem != "store-mix":
        with pytest.raises(ConfigurationError, match="is not a query: "):
            found.find(Path(name).stem)
    else:
        assert found.find("store-mix").source == SHIPPED


def test_two_files_that_differ_in_case_are_not_both_queries(folder: Path) -> None:
    (folder / "Sales.sql").write_text("SELECT 1")
    (folder / "sales.sql").write_text("SELECT 2")
    found = named_queries(folder=folder)
    assert found.find("Sales").sql == "SELECT 1"
    with pytest.raises(ConfigurationError, match="there is a query Sales already"):
        found.find("sales")


def test_what_is_no_regular_file_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe.sql")
    (folder / "folder.sql").mkdir()
    (folder / "gone.sql").symlink_to(folder / "nowhere")
    (folder / "linked.sql").symlink_to(folder.parent / "shared.sql")
    (folder.parent / "shared.sql").write_text("SELECT 1")
    found = named_queries(folder=folder)
    assert found.find("linked").sql == "SELECT 1"
    assert {file.stem: why for file, why in found.refused.items()} == dict.fromkeys(
        ("folder", "gone", "pipe"), "it is not a regular file"
    )


def test_a_file_without_read_permission_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secret.sql").write_text("SELECT 1")
    read = Path.read_text

    def refuse(path: Path, encoding: str | None = None) -> str:
        if path.name == "secret.sql":  # root may read everything
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, encoding)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigurationError, match="it cannot be read: Permission denied"):
        named_queries(folder=folder).find("secret")


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"the folder of queries .*{name} cannot be read") as raised:
        named_queries(folder=tmp_path / name)
    assert "SHOPEASE_QUERIES" in str(raised.value.hint)


def test_an_unknown_query_is_answered_with_the_nearest(folder: Path) -> None:
    (folder / "store-sales.sql").write_text("SELECT 1")
    with pytest.raises(ConfigurationError, match="there is no query named store-sale") as raised:
        named_queries(folder=folder).find("store-sale")
    assert (raised.value.hint or "").startswith("did you mean store-sales or ")
    assert "revenue-days" in (raised.value.hint or "")
