"""One run of a worker's command, in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

#: Bytes of stdout that are kept, the first ones, and of stderr, the last ones.
OUTPUT = 32 * 1024
ERRORS = 2 * 1024
#: Seconds from SIGTERM to SIGKILL.
GRACE = 5.0
#: Seconds for what is still in the pipes, where something that left the process group holds them.
REST = 1.0


@dataclass(slots=True, frozen=True)
class Ended:
    """`status` is the exit status, or minus the signal that ended it."""

    status: int
    output: bytes
    cut: bool
    errors: bytes
    timed_out: bool = False


class Program:
    """A command that has been started. Raises OSError where it could not be."""

    def __init__(self, command: Sequence[str], stdin: bytes, environment: Mapping[str, str]) -> None:
        # A file, not a pipe: a command that doesn't read its stdin blocks nobody.
        with tempfile.TemporaryFile() as item:
            item.write(stdin)
            item.seek(0)
            self._process = subprocess.Popen(
                command,
                stdin=item,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self._kill = threading.Timer(GRACE, self._signal, [signal.SIGKILL])
        self._kill.daemon = True
        self._output = _Reader(self._process.stdout, lambda kept: kept[: OUTPUT + 1])
        self._errors = _Reader(self._process.stderr, lambda kept: kept[-ERRORS:], echo=True)

    def wait(self, timeout: float | None = None) -> Ended:
        """Return once it has ended; called once, by a thread of its own. After `timeout` it is
        ended, and with it always goes what it left in its process group."""
        timed_out = False
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.end()
            self._process.wait()
        self._kill.cancel()
        self._signal(signal.SIGKILL)
        output, errors = self._output.rest(), self._errors.rest()
        return Ended(self._process.returncode, output[:OUTPUT], len(output) > OUTPUT, errors, timed_out)

    def end(self) -> None:
        """SIGTERM to its process group, SIGKILL a little later; does not wait."""
        if self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(RuntimeError):  # it was told before
            self._kill.start()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _Reader(threading.Thread):
    """Reads a pipe to its end, whatever comes, and keeps a part. `echo` shows it on our stderr."""

    def __init__(self, pipe: IO[bytes] | None, part: Callable[[bytes], bytes], *, echo: bool = False) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe = pipe
        self._part = part
        self._echo = echo
        self._kept = b""
        self.start()

    def run(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 65536):
                self._kept = self._part(self._kept + chunk)
                if self._echo:
                    with contextlib.suppress(OSError):
                        sys.stderr.buffer.write(chunk)
                        sys.stderr.buffer.flush()

    def rest(self) -> bytes:
        self.join(REST)
        return self._kept
