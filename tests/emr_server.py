"""An EMR Serverless in a process of the tests: jobs whose states go on, faults, and all that it was sent."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import boto3

from commands import Shop

WAY: Final = ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING")
ROLE: Final = "arn:aws:iam::123456789012:role/shopease-job"
URL: Final = "postgresql://reader@db.example.com:5432/sales"
APPLICATION: Final = "00f1abcdefghij09"
JOB: Final = "00f1jobjobjob01"
_PATH: Final = re.compile(r"/applications/([^/?]+)/jobruns(?:/([^/?]+))?(?:\?(.*))?")


@dataclass
class EmrServer:
    """The service's only application, and its only job.

    The job goes one state further with each question for it; it stays in the last of `states`. When cancelled it says
    so after `until_cancelled` questions, unless it `ends_first`. `faults` are answers to give first, by method, each an
    HTTP status and an error code; the status 0 loses the answer to a request that was done. No job starts before
    `until_started` is set.
    """

    states: list[str] = field(default_factory=lambda: ["RUNNING", "SUCCESS"])
    details: str = ""
    billed: dict[str, float] | None = None
    until_cancelled: int = 1
    ends_first: bool = False
    faults: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    until_started: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    cancelled: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that bring a command here."""
        return {"AWS_ENDPOINT_URL_EMR_SERVERLESS": f"http://127.0.0.1:{self.port}", "AWS_MAX_ATTEMPTS": "2"}

    @property
    def started(self) -> dict[str, Any]:
        """The request that started the job."""
        (body,) = {body for method, _, body in self.requests if method == "POST"}
        document: dict[str, Any] = json.loads(body)
        return document

    @property
    def parameters(self) -> dict[str, str]:
        """The properties of Spark that the job was started with."""
        text = self.started["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
        return dict(part.split("=", 1) for part in text.removeprefix("--conf ").split(" --conf "))

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the job's driver."""
        prefix = "spark.emr-serverless.driverEnv."
        return {name.removeprefix(prefix): value for name, value in self.parameters.items() if name.startswith(prefix)}

    def sent(self, *texts: str) -> list[str]:
        """Which of these texts are in any request."""
        whole = b"\n".join(path.encode() + b"\n" + body for _, path, body in self.requests).decode()
        return [text for text in texts if text in whole]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any], str]:
        """Status, document, and error code."""
        self.requests.append((method, path, body))
        if method == "POST":
            assert self.until_started.wait(30)
        status, code = self.faults[method].pop(0) if self.faults.get(method) else (200, "")
        if status >= 400:
            return status, {"message": "as the test wants it", "__type": code}, code
        found = _PATH.fullmatch(path)
        if not found or found[1] != APPLICATION or (found[2] or JOB) != JOB:
            return 404, {"message": f"{path} does not exist"}, "ResourceNotFoundException"
        document = self._done(method, body, found[3] or "")
        if isinstance(document, str):
            return 400, {"message": document}, "ValidationException"
        return status, document, ""

    def _done(self, method: str, body: bytes, query: str) -> dict[str, Any] | str:
        if method == "POST":
            self.tokens.add(json.loads(body)["clientToken"])
        if method == "DELETE":
            if self.ends_first:
                self.states = ["FAILED"] if "FAILED" in self.states else ["SUCCESS"]
                return "the job has ended"
            self.cancelled = query
            self.states = [*["CANCELLING"] * self.until_cancelled, "CANCELLED"]
        if method != "GET":
            return {"applicationId": APPLICATION, "jobRunId": JOB, "arn": f"arn:aws:emr-serverless:::{JOB}"}
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        ended: dict[str, Any] = {}
        if state in {"SUCCESS", "FAILED", "CANCELLED"}:
            ended = {"totalExecutionDurationSeconds": 213}
            ended |= {"billedResourceUtilization": self.billed} if self.billed else {}
        job = {"applicationId": APPLICATION, "jobRunId": JOB, "state": state, "stateDetails": self.details}
        return {"jobRun": {**job, **ended}}


def submitting(emr: EmrServer, bucket: str, folder: Path) -> Shop:
    """A shop that submits jobs to this server; in the bucket is a packed environment."""
    key = "some/lake/_spark/environment.tar.gz"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"packed")
    settings = {
        **emr.environment,
        "SHOPEASE_EMR_APPLICATION": APPLICATION,
        "SHOPEASE_EMR_ROLE": ROLE,
        "SHOPEASE_SPARK_ARCHIVE": f"s3://{bucket}/{key}",
    }
    return Shop(folder, URL, f"s3://{bucket}/some/lake", settings)


def with_settings(shop: Shop, **more: str) -> Shop:
    """The shop with further settings."""
    return replace(shop, more={**shop.more, **{f"SHOPEASE_{name}": value for name, value in more.items()}})


def with_secret(shop: Shop, name: str) -> dict[str, str]:
    """The shop's environment with a secret in place of the source's URL."""
    environment = with_settings(shop, DATABASE_SECRET=name).environment
    del environment["SHOPEASE_DATABASE_URL"]
    return environment


@contextmanager
def emr_server(**options: Any) -> Iterator[EmrServer]:
    """A server for one test."""
    service = EmrServer(**options)
    service.until_started.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document, code = service.answer(self.command, self.path, body)
            if not status:
                self.close_connection = True
                return
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if code:
                self.send_header("x-amzn-errortype", code)
            with suppress(ConnectionError):  # the command has ended
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield service
        server.shutdown()
