"""Where settings come from, and what is refused."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from shopease_etl.errors import ConfigurationError
from shopease_etl.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert settings.is_embedded
    assert (settings.lake, settings.home) == ("lake", Path(".shopease"))
    assert settings.athena_workgroup == "shopease-analytics"
    assert settings.crawlers == ("shopease-bronze-crawler", "shopease-silver-crawler", "shopease-gold-crawler")
    assert settings.max_memory is None


def test_a_flag_is_over_the_environment_and_that_over_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SHOPEASE_LAKE=from-file\nSHOPEASE_SOURCE_SCHEMA=shop\nAWS_REGION=eu-west-1\n")
    assert load().lake == "from-file"
    monkeypatch.setenv("SHOPEASE_LAKE", "from-environment")
    assert load().lake == "from-environment"
    assert load(lake="from-flag").lake == "from-flag"
    assert load().source_schema == "shop"


def test_secrets_are_in_no_text_of_the_settings_and_of_what_is_refused() -> None:
    secrets = {
        "database_url": "postgresql://me:hunter2@db/sales",
        "alerts": "slack://hunter2/B/C json://me:hunter2@host",
        "ping_url": "https://hc-ping.com/hunter2",
    }
    settings = load(**secrets)
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: f"hunter2 {value}" for name, value in secrets.items()})
    for text in (repr(settings), str(settings.model_dump()), settings.model_dump_json(), str(refused.value)):
        assert "hunter2" not in text


def test_lists_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPEASE_CRAWLERS", "a, b")
    monkeypatch.setenv("SHOPEASE_MAX_MEMORY", "2GB")
    assert load().crawlers == ("a", "b")
    assert load().max_memory == 2_000_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOPEASE_BUSINESS_TIMEZONE", "Mars/Olympus"),
        ("SHOPEASE_LAKE", ""),
        ("SHOPEASE_MAX_MEMORY", "lots"),
        ("SHOPEASE_GLUE_DATABASE", " "),
    ],
)
def test_a_value_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name} is not valid") as caught:
        load()
    assert caught.value.exit_code == 2


def test_a_misspelt_setting_is_refused_with_the_right_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPEASE_LAK", "x")
    with pytest.raises(ConfigurationError, match="SHOPEASE_LAK is not a setting") as caught:
        load()
    assert caught.value.hint == "did you mean SHOPEASE_LAKE?"


def test_a_misspelt_setting_in_dotenv_is_refused() -> None:
    Path(".env").write_text("SHOPEASE_DATABSE_URL=x\n")
    with pytest.raises(ConfigurationError, match="SHOPEASE_DATABSE_URL"):
        load()


def test_the_example_file_names_every_setting() -> None:
    named = re.findall(rf"^#?\s*({PREFIX}\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


def test_the_home_is_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPEASE_HOME", "~/shop")
    assert load().home == Path.home() / "shop"
    monkeypatch.setenv("SHOPEASE_HOME", " ")
    with pytest.raises(ConfigurationError, match="SHOPEASE_HOME is not valid: must not be empty"):
        load()


def test_an_empty_size_is_none_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPEASE_MAX_MEMORY", "")
    assert load().max_memory is None


def test_a_dotenv_that_is_no_text_is_refused() -> None:
    Path(".env").write_bytes(b"SHOPEASE_LAKE=\xff\n")
    with pytest.raises(ConfigurationError, match="is not in UTF-8"):
        load()
