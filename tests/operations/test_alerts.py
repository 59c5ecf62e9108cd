"""Alerts are sent for failures and recoveries, and nothing else; a run does not wait for them."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from commands import Shop, copy_of, end, execute
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.operations import alerts_sending, pings
from shopease_etl.operations.alerts_sending import Alert
from shopease_etl.pipeline.events import Event
from shopease_etl.redaction import Secrets

# what apprise imports warns on Python 3.11
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
NOBODY = "postgresql://127.0.0.1:1/nobody?connect_timeout=2"


class Mailbox:
    """A mail server that takes everything."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - SMTP's word
        """Keep a mail."""
        self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=default))
        return "250 OK"

    @property
    def subjects(self) -> list[str]:
        """What the mails are about, in the order in which they came."""
        return [str(mail["Subject"]) for mail in self.mails]

    def text(self, place: int) -> str:
        """A mail's text, line by line."""
        body = self.mails[place].get_body(("plain", "html"))
        assert body is not None
        return unescape(str(body.get_content())).replace("<br/>", "\n").replace("\xa0", " ")


@pytest.fixture
def shop(sales: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop of this test's own, without a lake, which does not wait for a server that is down."""
    with copy_of(sales) as url:
        yield Shop(tmp_path, url, more={"SHOPEASE_SOURCE_WAIT": "0"})


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server, and the address of alerts to it."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"mailto://example.com:{port}/ops@example.com?smtp=127.0.0.1&from=shop@example.com"
    finally:
        controller.stop()


@contextmanager
def listening(status: int = 200, gate: threading.Event | None = None) -> Iterator[tuple[list[tuple[str, str]], str]]:
    """An HTTP server, what it was asked, and its address; with a gate it answers only once that is open."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        """Keeps each request."""

        def do_GET(self) -> None:
            """A ping without a text."""
            self.answer("")

        def do_POST(self) -> None:
            """A ping with a text, or an alert."""
            self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def answer(self, body: str) -> None:
            """Keep it, and answer."""
            asked.append((self.path, body))
            if gate:
                gate.wait(60)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked, f"http://127.0.0.1:{server.server_address[1]}"
        if gate:
            gate.set()
        server.shutdown()


def alerted(shop: Shop, address: str, **more: str) -> Shop:
    return replace(shop, more={**shop.more, "SHOPEASE_ALERTS": address, **more})


def test_a_failure_and_its_recovery_are_sent_once(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert told.run("extract").code == 0
    assert box.subjects == []

    broken = replace(told, database_url=NOBODY)
    assert broken.run("run-all", "--skip-crawl").code == 4
    assert broken.run("run-all", "--skip-crawl").code == 4
    assert box.subjects == [f"shopease: run-all failed: {shop.folder / shop.lake}"]
    assert "127.0.0.1" in box.text(0)
    assert "\nLast success: run 2" in box.text(0)
    assert "shopease retry" in box.text(0)

    assert told.run("run-all", "--skip-crawl").code == 0
    assert told.run("extract").code == 0
    assert box.subjects[1:] == [f"shopease: run-all works again: {shop.folder / shop.lake}"]
    assert "It had failed since 20" in box.text(1)
    assert "gold/customer_analytics/data.parquet: " in box.text(1)


def test_the_alert_of_a_failed_run_has_the_report_attached(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert told.run("run-all", "--skip-crawl", "--report", "report.html").code == 0
    broken = replace(told, database_url=NOBODY)
    ended = broken.run("run-all", "--skip-crawl", "--report", "report.html")
    assert ended.code == 4
    assert ended.stderr.count("Wrote the report to report.html") == 1
    (mail,) = box.mails
    (page,) = mail.iter_attachments()
    assert page.get_filename() == "report.html"
    assert page.get_payload(decode=True) == (shop.folder / "report.html").read_bytes()
    fresh = replace(broken, lake="fresh")
    assert fresh.run("run-all", "--skip-crawl", "--report", "other.html").code == 4
    assert "the report could not be made" in fresh.run("run-all", "--report", "other.html").stderr
    assert [len(list(each.iter_attachments())) for each in box.mails] == [1, 0]


def test_no_alert_is_lost_for_its_attachment(mailbox: tuple[Mailbox, str], tmp_path: Path) -> None:
    box, address = mailbox
    alert = Alert("failed", "It did.", is_failure=True, attachment=tmp_path / "no such file")
    assert alerts_sending.send([SecretStr(address)], alert)
    assert box.subjects == ["failed"]


def test_a_refusal_is_sent_after_another_failure(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert told.run("extract").code == 0
    assert replace(told, database_url=NOBODY).run("extract").code == 4
    execute(shop.database_url, "ALTER TABLE customers ADD COLUMN nickname text DEFAULT 'Bunny'")
    assert told.run("extract").code == 3
    assert box.subjects == [
        f"shopease: extract {verb}: {shop.folder / shop.lake}" for verb in ("failed", "was refused")
    ]
    assert "nickname" in box.text(1)
    assert "\nHint: " in box.text(1)
    assert "Bunny" not in box.text(1)  # no row of the source leaves the house
    assert told.run("extract").code == 3
    execute(shop.database_url, "ALTER TABLE customers DROP COLUMN nickname", "DELETE FROM inventory")
    assert told.run("extract").code == 3
    assert len(box.mails) == 3  # another refusal is another failure
    assert "inventory" in box.text(2)


def test_commands_that_end_together_send_one_alert(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    broken = replace(alerted(shop, address), database_url=NOBODY)
    for each in [broken.start("extract", "--wait", "60") for _ in range(3)]:
        with each:
            assert end(each).code == 4
    assert len(box.mails) == 1


def test_only_the_success_of_what_failed_is_a_recovery(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert told.run("run-all", "--skip-crawl").code == 0
    assert told.run("retry").code == 2  # nothing has failed, so no alert is sent
    assert replace(told, database_url=NOBODY).run("extract").code == 4
    assert told.run("crawl").code == 0
    assert len(box.mails) == 1
    assert told.run("extract").code == 0
    assert box.subjects[1:] == [f"shopease: extract works again: {shop.folder / shop.lake}"]


def test_an_alert_that_cannot_be_remembered_is_sent_again(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    (shop.folder / "home").mkdir()
    (shop.folder / "home" / "alerts").write_text("in the way")
    broken = replace(alerted(shop, address), database_url=NOBODY)
    assert "cannot be remembered" in broken.run("extract", "--quiet").stderr
    assert broken.run("extract").code == 4
    assert len(box.mails) == 2


def test_without_memory_the_manifest_says_how_the_last_run_ended(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert shop.run("extract").code == 0
    assert replace(shop, database_url=NOBODY).run("extract").code == 4
    assert told.run("extract").code == 0
    assert box.subjects == [f"shopease: extract works again: {shop.folder / shop.lake}"]


def test_an_alert_that_was_not_accepted_is_sent_again(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    deaf = alerted(shop, "mailto://user:s3cr3tword@example.com:1/ops@example.com?smtp=127.0.0.1")
    failed = replace(deaf, database_url=NOBODY).run("extract")
    assert failed.code == 4
    assert "could not send an alert by E-Mail: Connection error while submitting" in failed.stderr
    assert "s3cr3tword" not in failed.stderr
    assert replace(alerted(shop, address), database_url=NOBODY).run("extract").code == 4
    assert len(box.mails) == 1


@pytest.mark.parametrize("answer", ["refuses", "does not exist", "is not understood"])
@pytest.mark.quick(1)
def test_failed_alerts_do_not_change_a_run(shop: Shop, answer: str) -> None:
    with listening(500) as (asked, address):
        host = address.removeprefix("http://")
        target = {"refuses": f"json://{host}", "does not exist": "json://127.0.0.1:1", "is not understood": "x://y"}
        told = alerted(shop, target[answer], SHOPEASE_PING_URL=f"{address}/ping")
        ended = replace(told, database_url=NOBODY).run("extract", "--json")
        assert ended.code == 4
        assert "could not send" in ended.stderr
        assert f"{answer} {len([path for path, _ in asked if path == '/'])}" == f"{answer} {answer == 'refuses':d}"
        good = told.run("extract", "--json")
        assert (good.code, json.loads(good.stdout.splitlines()[-1])["status"]) == (0, "succeeded")


def test_pings_report_start_success_and_failure(shop: Shop) -> None:
    with listening() as (asked, address):
        pinged = replace(shop, more={**shop.more, "SHOPEASE_PING_URL": f"{address}/uuid?a=b"})
        assert pinged.run("extract").code == 0
        assert replace(pinged, database_url=NOBODY).run("extract").code == 4
        paths = [path.partition("?")[0] for path, _ in asked]
        assert paths == ["/uuid/start", "/uuid", "/uuid/start", "/uuid/fail"]
        ids = [path.partition("?a=b&rid=")[2] for path, _ in asked]
        assert ids[0] == ids[1] != ids[2] == ids[3]
        assert all(len(one) == 36 for one in ids)
        assert "127.0.0.1" in asked[-1][1]


def test_an_unanswered_ping_does_not_delay_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "PATIENCE_SECONDS", 0.2)
    with listening(gate=threading.Event()) as (asked, address):
        listener = pings.Pings(address, Secrets())
        listener(Event("command_started", command="extract", stages=("extract",)))
        listener(Event("command_ended", command="extract", failure=ShopeaseError("it failed")))
        assert [path.partition("?")[0] for path, _ in asked] == ["/start"]
    for thread in threading.enumerate():  # or they would tell of their failure in another test
        if thread.name in {"ping", "alert"}:
            thread.join(30)


def test_an_unanswered_alert_does_not_delay_a_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts_sending, "PATIENCE_SECONDS", 0.2)
    with listening(gate=threading.Event()) as (_, address):
        told = alerts_sending.send(
            [SecretStr(address.replace("http", "json"))], Alert("title", "text", is_failure=True)
        )
    assert not told
    assert "no answer in 0.2 s" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "alert":
            thread.join(30)


def test_a_test_alert_arrives_or_says_why_not(mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    alerts_sending.send_test([SecretStr(address)], "lake")
    assert box.subjects == ["shopease: a test: lake"]
    with pytest.raises(ConfigurationError, match=r"address 2 of SHOPEASE_ALERTS is not understood \(nonsense://"):
        alerts_sending.send_test([SecretStr(address), SecretStr("nonsense://secret")], "lake")


def test_check_shows_alerts_and_sends_a_test_on_request(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address, SHOPEASE_PING_URL="https://example.com/s3cret-uuid")
    assert told.run("check").stdout.count("E-Mail") == 1
    assert box.mails == []
    checked = told.run("check", "--test-alert")
    assert "accepted a test alert" in checked.stdout
    assert "s3cret-uuid" not in checked.stdout + checked.stderr
    assert box.subjects == [f"shopease: a test: {shop.lake}"]
    assert "SHOPEASE_ALERTS is not set" in shop.run("check", "--test-alert").stdout
    wrong = alerted(shop, "nonsense://s3cret").run("check", "--json")
    line = next(line for line in json.loads(wrong.stdout.splitlines()[-1]) if line["name"] == "alerts")
    assert line["exit_code"] == 2
    assert "s3cret" not in wrong.stdout + wrong.stderr


def test_commands_without_runs_send_no_alerts(shop: Shop, mailbox: tuple[Mailbox, str]) -> None:
    box, address = mailbox
    told = alerted(shop, address)
    assert told.run("query", "nonsense").code != 0
    assert told.run("run-all", "--dry-run", "--database-url", NOBODY).code == 4
    assert told.run("clean", "--table", "nothing").code == 2
    assert box.mails == []
    assert not (Path(shop.environment["SHOPEASE_HOME"]) / "alerts").exists()
