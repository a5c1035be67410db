"""`manage.py conformance`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.support.server import KINDS, ROOT, environment, free_port, migrated_file


def test_it_is_refused_without_debug() -> None:
    with pytest.raises(CommandError, match="DEBUG=1"):
        call_command("conformance")


def test_it_is_refused_with_a_database_that_is_not_migrated(tmp_path: Path) -> None:
    env = {**environment(f"sqlite:///{tmp_path / 'new.sqlite3'}"), "DEBUG": "1"}
    command = [sys.executable, "manage.py", "conformance"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "manage.py conformance: the database is not migrated: run manage.py migrate first"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_it_serves_what_the_suites_are_written_for(kind: str, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "conformance", "--server", kind, "--port", str(port)]
    database = shutil.copy(migrated_file(), tmp_path)
    env = {**environment(f"sqlite:///{database}"), "DEBUG": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            handshake = json.loads(first_answer(process, port)[1:])
        finally:
            process.kill()
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (300, 200)


def first_answer(process: subprocess.Popen[bytes], port: int) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/engine.io/?EIO=4&transport=polling")
            return bytes(answer.read())
        except urllib.error.URLError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
