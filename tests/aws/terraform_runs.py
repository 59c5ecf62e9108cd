"""Terraform's commands on copies of the configurations in `terraform/`; nothing is left in the repository."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from accounts import Account

CONFIGURATIONS: Final = Path(__file__).parents[2] / "terraform"
STACK: Final = "."
BUCKET: Final = "bucket"
SPARK: Final = "spark"

# What init tells where it cannot fetch the provider, as opposed to a configuration with an error.
_UNREACHABLE: Final = ("Failed to query available provider packages", "Failed to install provider")
# Nothing of the caller's account, of its variables or of its workspace may reach a test.
_OF_THE_CALLER: Final = ("AWS_", "TF_VAR_", "TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR")


@dataclass(frozen=True)
class Root:
    """A root configuration in a folder that is a test's own, with its state."""

    folder: Path

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command of Terraform from its start to its end, however it ends."""
        command = [_terraform(), *arguments]
        variables = {**_environment(), **(environment or {})}
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)

    def done(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What a command that ends well tells."""
        ended = self.run(*arguments, environment=environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


def initialised(root: str, folder: Path) -> Root:
    """A copy of a root configuration (STACK, BUCKET or SPARK) below `folder`, ready to be applied.

    The provider comes from the folder TERRAFORM_PLUGIN_DIR if that is set, else from a mirror on this machine, else
    from where `terraform init` finds it; the test is skipped where it cannot be had.
    """
    _terraform()
    kept_out = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
    shutil.copytree(CONFIGURATIONS, folder, ignore=kept_out)
    copied = Root(folder / root)
    plugins = _plugin_folder()
    ended = copied.run("init", "-input=false", "-no-color", *([f"-plugin-dir={plugins}"] if plugins else []))
    if any(told in ended.stderr for told in _UNREACHABLE):
        pytest.skip("needs Terraform's AWS provider: a network, or TERRAFORM_PLUGIN_DIR with a mirror that has it")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return copied


def emulated_stack(folder: Path) -> Root:
    """The stack, initialised, without what ministack does not know: the calls that rid a user of its keys."""
    stack = initialised(STACK, folder)
    user = 'resource "aws_iam_user" "shopease" {\n  force_destroy = false\n}\n'
    (stack.folder / "emulator_override.tf").write_text(user)
    return stack


def apply(root: Root, account: Account, **variables: str) -> dict[str, Any]:
    """Apply a root configuration on an account; returns its outputs."""
    root.done("apply", "-auto-approve", *_unattended(variables), environment=account.environment)
    outputs = json.loads(root.done("output", "-json"))
    return {name: output["value"] for name, output in outputs.items()}


def planned(root: Root, account: Account, **variables: str) -> dict[str, list[str]]:
    """What the next apply would do, such as ["update"], by address; without what it would leave as it is."""
    root.done("plan", "-out=plan", *_unattended(variables), environment=account.environment)
    changes = json.loads(root.done("show", "-json", "plan"))["resource_changes"]
    return {
        change["address"]: change["change"]["actions"] for change in changes if change["change"]["actions"] != ["no-op"]
    }


def destroy(root: Root, account: Account, **variables: str) -> subprocess.CompletedProcess[str]:
    """Destroy what a root configuration has made on an account, however that ends."""
    return root.run("destroy", "-auto-approve", *_unattended(variables), environment=account.environment)


def _unattended(variables: Mapping[str, str]) -> list[str]:
    return ["-input=false", "-no-color", *(f"-var={name}={value}" for name, value in variables.items())]


def _terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("needs terraform on the PATH")
    return found


def _plugin_folder() -> str | None:
    """The mirror that is named or found; Terraform itself looks in the folders that are usual for one."""
    named = os.environ.get("TERRAFORM_PLUGIN_DIR")
    found = sorted(Path("/opt").glob("*/registry.terraform.io/hashicorp/aws"))
    return named or (str(found[0].parents[2]) if found else None)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
    if not Path(kept.get("TF_CLI_CONFIG_FILE", "")).is_file():
        kept.pop("TF_CLI_CONFIG_FILE", None)
    return {**kept, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
