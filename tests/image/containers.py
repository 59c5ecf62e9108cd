"""Builds the images and runs them as compose.yaml does: read-only, without rights, as the image's own user."""

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
USER: Final = 10001
_BASE: Final = "localhost/shopease-base"
_HYBRID: Final = Path("/sys/fs/cgroup/unified")
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Service:
    """What one container is made of; the entrypoint is the image's own where it is empty."""

    image: str
    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    volume: str = ""


class Engine(ABC):
    """Docker, podman, or buildah with crun."""

    def __init__(self, program: str) -> None:
        self.program = program

    @abstractmethod
    def base(self, folder: Path) -> str:
        """The image that ours are built upon; skips where there is none."""

    @abstractmethod
    def command(self, service: Service, name: str, arguments: Sequence[str], folder: Path) -> list[str]:
        """The command that runs a container in the foreground."""

    @abstractmethod
    def send(self, name: str, signal: str) -> None:
        """Sends a signal to the first process of a container."""

    @abstractmethod
    def tidy(self) -> None:
        """Removes what containers left behind."""

    def build(self, target: str, image: str, folder: Path) -> None:
        """Builds one target of the Dockerfile by `make image`."""
        pip = Path("/etc/pip.conf")
        options = [f"--secret id=pip.conf,src={pip}"] if pip.exists() else []
        settings = {"TARGET": target, "IMAGE": image, "BASE": self.base(folder), "IMAGE_OPTIONS": " ".join(options)}
        made = [f"{name}={value}" for name, value in settings.items()]
        _run("make", "-C", str(ROOT), "image", *made, env={**os.environ, "BUILDAH_ISOLATION": "chroot"})


class Daemon(Engine):
    """Docker or podman."""

    def __init__(self, program: str) -> None:
        super().__init__(program)
        self._volumes: set[str] = set()

    def base(self, folder: Path) -> str:  # noqa: ARG002
        base = os.environ.get("BASE", "python:3.13-slim")
        pulled = subprocess.run([self.program, "pull", base], capture_output=True, text=True)
        if pulled.returncode:
            pytest.skip(f"{self.program} cannot pull {base}: {pulled.stderr.strip().splitlines()[-1]}")
        return base

    def command(self, service: Service, name: str, arguments: Sequence[str], folder: Path) -> list[str]:  # noqa: ARG002
        confined = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp"]
        variables = [f"--env={name}={value}" for name, value in service.environment.items()]
        program, *rest = service.entrypoint or [""]
        entrypoint = [f"--entrypoint={program}"] if program else []
        volume = [f"--volume={service.volume}:/data"] if service.volume else []
        self._volumes |= {service.volume} - {""}
        run = [self.program, "run", "--rm", "--network=host", f"--name={name}"]
        return [*run, *confined, *variables, *volume, *entrypoint, service.image, *rest, *arguments]

    def send(self, name: str, signal: str) -> None:
        _run(self.program, "kill", f"--signal={signal}", name)

    def tidy(self) -> None:
        for volume in self._volumes:
            _run(self.program, "volume", "rm", "--force", volume)


class Bundles(Engine):
    """Buildah builds; crun runs the image's files as an OCI bundle. Both without a daemon, as root."""

    def __init__(self, program: str) -> None:
        super().__init__(program)
        self._containers: list[str] = []

    def base(self, folder: Path) -> str:
        if given := os.environ.get("BASE"):
            return given
        if not shutil.which("mmdebstrap"):
            pytest.skip("needs BASE=name of an image at hand, or mmdebstrap to make one")
        archive = folder / "base.tar"
        if not archive.exists():
            packages = "--include=python3,python3-venv,ca-certificates"
            trust = f"--customize-hook=copy-in {_CERTIFICATES} {_CERTIFICATES.parent}"
            _run("mmdebstrap", "--variant=minbase", packages, trust, "bookworm", str(archive))
            container = _run("buildah", "from", "scratch")
            _run("buildah", "add", "--quiet", container, str(archive), "/")
            _run("buildah", "commit", "--quiet", "--rm", container, _BASE)
        return _BASE

    def command(self, service: Service, name: str, arguments: Sequence[str], folder: Path) -> list[str]:
        container = _run("buildah", "from", "--pull-never", service.image)
        self._containers.append(container)
        image = json.loads(_run("buildah", "inspect", "--type", "image", service.image))["OCIv1"]["config"]
        bundle = folder / name
        bundle.mkdir()
        _run("crun", "spec", cwd=bundle)
        config = json.loads((bundle / "config.json").read_text())
        _confine(config, image, Path(_run("buildah", "mount", container)))
        process = config["process"]
        process["args"] = [*(service.entrypoint or image["Entrypoint"]), *arguments]
        process["env"] = [*image["Env"], *(f"{key}={value}" for key, value in service.environment.items())]
        if service.volume:
            config["mounts"].append(_bound(folder / service.volume))
        (bundle / "config.json").write_text(json.dumps(config))
        crun = ["crun", "--cgroup-manager=disabled", "run", f"--bundle={bundle}", name]
        # crun refuses version 1 and 2 of cgroups side by side; in mounts of its own it sees one of them
        apart = ["unshare", "--mount", "sh", "-c", f'umount {_HYBRID}; exec "$@"', "sh"] if _HYBRID.exists() else []
        return [*apart, *crun]

    def send(self, name: str, signal: str) -> None:
        _run("crun", "kill", name, signal)

    def tidy(self) -> None:
        for container in self._containers:
            _run("buildah", "rm", container)


def _confine(config: dict[str, Any], image: dict[str, Any], files: Path) -> None:
    """What `docker run --read-only --cap-drop=ALL --network=host --tmpfs=/tmp` asks for."""
    uid, gid = map(int, image["User"].split(":"))
    nothing: dict[str, list[str]] = {kind: [] for kind in config["process"]["capabilities"]}
    cwd = image.get("WorkingDir", "/")
    config["process"].update(terminal=False, user={"uid": uid, "gid": gid}, cwd=cwd, capabilities=nothing)
    config["root"] = {"path": str(files), "readonly": True}
    config["linux"]["namespaces"] = [kind for kind in config["linux"]["namespaces"] if kind["type"] != "network"]
    config["linux"].pop("resources", None)
    config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/sys")]
    options = ["nosuid", "nodev", "mode=1777"]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})


def _bound(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        folder.mkdir()
        os.chown(folder, USER, USER)
    return {"destination": "/data", "type": "bind", "source": str(folder), "options": ["rbind", "rw"]}


def _run(*command: str, **options: Any) -> str:
    ended: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, text=True, **options)
    assert ended.returncode == 0, (command, ended.stdout[-3000:], ended.stderr[-3000:])
    return ended.stdout.strip()


@contextmanager
def found_engine() -> Iterator[Engine]:
    """The engine that `make image` would take; skips where none is at hand."""
    for program in ("docker", "podman", "buildah"):
        if shutil.which(program) and not subprocess.run([program, "info"], capture_output=True).returncode:
            break
    else:
        pytest.skip("needs docker with its daemon, podman or buildah")
    if program == "buildah" and (os.geteuid() or not shutil.which("crun")):
        pytest.skip("buildah alone runs no images: needs crun, and root")
    engine = Bundles(program) if program == "buildah" else Daemon(program)
    try:
        yield engine
    finally:
        engine.tidy()
