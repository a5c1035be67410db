"""Calls of the API as they are written in a handler, made by a client of the stage."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from tests.support import Client


class Calls:
    """`await socket(alice).broadcast.to("kitchen").emit("bell", {"rings": 2})`"""

    def __init__(self, client: Client, of: str, steps: tuple[Any, ...] = ()) -> None:
        self._client, self._of, self._steps = client, of, steps

    def __getattr__(self, name: str) -> Calls:
        return Calls(self._client, self._of, (*self._steps, [name]))

    def __call__(self, *args: Any, **named: Any) -> Calls:
        *before, (name,) = self._steps
        return Calls(self._client, self._of, (*before, [name, args, named]))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._client.call("chain", {"of": self._of, "steps": self._steps}).__await__()


def socket(client: Client) -> Calls:
    """The socket at the server's end."""
    return Calls(client, "socket")


def namespace(client: Client) -> Calls:
    return Calls(client, "namespace")
