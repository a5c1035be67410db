"""A proxy before PostgreSQL that loses answers: the server did it, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path


class LosingAnswers:
    """Listens on a Unix socket in `directory`, as libpq expects it there. After `lose_next()`
    the answer to the next query `of` is dropped, together with the connection.
    """

    def __init__(self, host: str, port: str, of: bytes) -> None:
        name = f".s.PGSQL.{port}"
        self.lost = 0
        self._server = str(Path(host) / name)
        self._query = of + b"\0"
        self._losing = False
        self._directory = tempfile.TemporaryDirectory(prefix="chatsite-")
        self.directory = self._directory.name
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self.directory) / name))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> LosingAnswers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        self._directory.cleanup()

    def lose_next(self) -> None:
        self._losing = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                asked = threading.Event()
                for pump in (self._ask, self._answer):
                    threading.Thread(target=pump, args=(client, server, asked), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._losing and data.endswith(self._query):
                    self._losing = False
                    asked.set()
                server.sendall(data)
        server.close()

    def _answer(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if asked.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
