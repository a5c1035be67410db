"""`manage.py work` as a child process, and a command for it whose runs a test conducts."""

from __future__ import annotations

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

from .server import ROOT, Server, with_parent

SECONDS = 60


class Worker:
    """`Worker(desk, "kitchen", "--max", "2", command=[…])`; `desk` is a server that need not run."""

    def __init__(self, desk: Server, *arguments: str, command: list[str]) -> None:
        desk.migrate()
        self.lines: list[str] = []
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [*with_parent(), sys.executable, "manage.py", "work", *arguments, "--", *command],
            cwd=ROOT,
            env=desk.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self._news.put(line.rstrip("\n"))
        self._news.put(None)

    def said(self, pattern: str) -> str:
        """The first line from here on that has it; waits for it."""
        while (line := self._news.get(timeout=SECONDS)) is not None:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"it never said {pattern!r}, but:\n" + "\n".join(self.lines))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Its exit status once it has ended, and everything it said is in `lines`."""
        status = self.process.wait(SECONDS)
        while (line := self._news.get(timeout=SECONDS)) is not None:
            self.lines.append(line)
        return status

    def count(self, pattern: str) -> int:
        return sum(bool(re.search(pattern, line)) for line in self.lines)


class Conducted:
    """A command that says when it begins, then waits to be told how to end."""

    def __init__(self, directory: Path) -> None:
        self._begun, self._told = directory / "begun", directory / "told"
        os.mkfifo(self._begun)
        os.mkfifo(self._told)
        # Open at both ends, so that nobody waits for the other to open it.
        self._reader = os.fdopen(os.open(self._begun, os.O_RDWR), "rb")
        self._writer = os.open(self._told, os.O_RDWR)
        begun, told = shlex.quote(str(self._begun)), shlex.quote(str(self._told))
        # dd takes all four bytes at once: of several that wait each gets a whole answer.
        wait = f"dd bs=4 count=1 <{told} 2>/dev/null"
        self.command = ["sh", "-c", f'echo "$ORDER_SEQ $$" >{begun}; exit "$({wait})"']

    def close(self) -> None:
        self._reader.close()
        os.close(self._writer)

    def begun(self) -> tuple[int, int]:
        """Waits for the next run: the order's number, and the process."""
        seq, pid = self._reader.readline().split()
        return int(seq), int(pid)

    def end(self, status: int = 0) -> None:
        """One of those that run ends."""
        os.write(self._writer, f"{status:03d}\n".encode())
