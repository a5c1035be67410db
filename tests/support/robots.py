"""Clients of Socket.IO that others wrote, unmodified, with one vocabulary for tests."""

from __future__ import annotations

import asyncio
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import socketio
from playwright.async_api import Page

from . import npm
from .client import TIMEOUT, Refused

WEBSOCKET, POLLING, UPGRADE = ("websocket",), ("polling",), ("polling", "websocket")


class Robot(ABC):
    """One socket in one namespace, which comes back by itself when its connection is lost.

    What it hears is kept in `heard` as `(event, arguments)`: the server's events, and its own
    `connect`, `disconnect`, `connect_error` and `upgraded`.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[Any]]] = []
        self._unseen: list[tuple[str, list[Any]]] = []
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._news = asyncio.Condition()

    @abstractmethod
    async def open(
        self,
        url: str,
        *,
        auth: dict[str, Any] | None = None,
        transports: Sequence[str] = UPGRADE,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Begins to connect to `http://HOST:PORT/NAMESPACE`."""

    @abstractmethod
    async def send(self, number: int, event: str, data: Any) -> None:
        """Emits an event whose ack is told to `answered`."""

    @abstractmethod
    async def close(self) -> None: ...

    async def call(self, event: str, data: Any = None) -> Any:
        """The ack's data. Raises `Refused`."""
        number = next(self._ids)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        await self.send(number, event, data)
        async with asyncio.timeout(TIMEOUT):
            answer = await future
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["data"]

    async def expect(self, event: str) -> list[Any]:
        """The arguments of the next event of this name that nobody has asked for yet."""
        found: list[tuple[str, list[Any]]] = []

        def look() -> bool:
            found[:] = [each for each in self._unseen if each[0] == event][:1]
            return bool(found)

        await self.until(look)
        self._unseen.remove(found[0])
        return found[0][1]

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise TimeoutError(f"the last that was heard: {self.heard[-5:]}") from None

    async def gets(self, room: str, seq: int) -> list[tuple[int, str]]:
        """The room's messages, as seq and body, once that one is there."""
        await self.until(lambda: any(each == seq for each, _ in self.messages(room)))
        return self.messages(room)

    def messages(self, room: str) -> list[tuple[int, str]]:
        entries = [arguments[0] for event, arguments in self.heard if event == "message"]
        return [(entry["seq"], entry["data"]["body"]) for entry in entries if entry["room"] == room]

    # What comes

    async def hear(self, event: str, arguments: list[Any]) -> None:
        async with self._news:
            self.heard.append((event, arguments))
            self._unseen.append((event, arguments))
            self._news.notify_all()

    def answered(self, number: int, answer: Any) -> None:
        self._answers.pop(number).set_result(answer)


class PythonRobot(Robot):
    """python-socketio."""

    async def open(
        self,
        url: str,
        *,
        auth: dict[str, Any] | None = None,
        transports: Sequence[str] = UPGRADE,
        headers: dict[str, str] | None = None,
    ) -> None:
        origin, _, namespace = url.rpartition("/")
        self._namespace = f"/{namespace}"
        # Not while the server still stops: an answer that is cut off ends its coming back for good.
        self._client = socketio.AsyncClient(reconnection_delay=1.5, reconnection_delay_max=2)
        self._client.on("*", self._hear_any, self._namespace)
        for event in ("connect", "disconnect", "connect_error"):
            self._client.on(event, self._hearer(event), self._namespace)
        try:
            await self._client.connect(
                origin, headers or {}, auth, list(transports), [self._namespace], wait_timeout=int(TIMEOUT)
            )
        except socketio.exceptions.ConnectionError:
            return  # `connect_error` has been heard
        if self._client.transport() == "websocket":
            await self.hear("upgraded", ["websocket"])

    async def _hear_any(self, event: str, *arguments: Any) -> None:
        await self.hear(event, list(arguments))

    def _hearer(self, event: str) -> Callable[..., Any]:
        async def hear(*arguments: Any) -> None:
            await self.hear(event, list(arguments))

        return hear

    async def send(self, number: int, event: str, data: Any) -> None:
        def answered(answer: Any) -> None:
            self.answered(number, answer)

        await self._client.emit(event, data, self._namespace, callback=answered)

    async def close(self) -> None:
        await self._client.shutdown()


class ScriptRobot(Robot):
    """socket.io-client, which `tests/node/robot.cjs` acts through."""

    @abstractmethod
    async def act(self, act: str, *arguments: Any) -> None: ...

    async def open(
        self,
        url: str,
        *,
        auth: dict[str, Any] | None = None,
        transports: Sequence[str] = UPGRADE,
        headers: dict[str, str] | None = None,
    ) -> None:
        options = {"auth": auth or {}, "transports": list(transports), "extraHeaders": headers or {}}
        await self.act("connect", url, options)

    async def send(self, number: int, event: str, data: Any) -> None:
        await self.act("call", number, event, data)

    async def say(self, line: dict[str, Any]) -> None:
        if "ack" in line:
            self.answered(line["ack"], line["answer"])
        else:
            await self.hear(line["event"], line["args"])


class NodeRobot(ScriptRobot):
    @classmethod
    async def start(cls) -> NodeRobot:
        robot = cls()
        modules = npm.environment()
        robot._process = await asyncio.create_subprocess_exec(
            *npm.node(), str(npm.SOURCE / "robot.cjs"), env=modules,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20,
        )  # fmt: skip
        robot._reader = asyncio.create_task(robot._read())
        return robot

    def __init__(self) -> None:
        super().__init__()
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def act(self, act: str, *arguments: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([act, *arguments]).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            await self.say(json.loads(line))

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reader


class PageRobot(ScriptRobot):
    """In a page of a browser, which is the page's own client as far as cookies and CORS go."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    @classmethod
    async def start(cls, page: Page) -> PageRobot:
        robot = cls(page)
        await page.expose_function("say", robot.say)
        await page.add_script_tag(path=npm.modules() / "socket.io-client" / "dist" / "socket.io.js")
        await page.add_script_tag(path=npm.SOURCE / "robot.cjs")
        await page.evaluate("window.robot = makeRobot(io, (line) => window.say(line))")
        return robot

    async def act(self, act: str, *arguments: Any) -> None:
        await self._page.evaluate("([act, args]) => { robot[act](...args); }", [act, list(arguments)])

    async def close(self) -> None:
        await self._page.close()
