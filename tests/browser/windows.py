"""A person's browser window, and what one does and sees in it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from playwright.async_api import BrowserContext, Locator, Page, WebSocket, expect

from tests.support import Person, Server

WAIT = 30_000  # milliseconds; the longest delay before a reconnect included
expect.set_options(timeout=WAIT)


class Window:
    """One tab. `problems` are what the page's scripts complained of."""

    def __init__(self, page: Page, server: Server, person: Person | None = None) -> None:
        self.page = page
        self.server = server
        self.person = person
        self.problems: list[str] = []
        self.expected = ["ERR_CONNECTION", "WebSocket connection"]  # of these it may complain
        self.sent: list[dict[str, Any]] = []  # packets, in the order in which they left
        self.refusals: list[str] = []  # codes of the refusals that came
        self._came = asyncio.Event()
        self._asked: dict[int, str] = {}  # ids of calls of the last connection, and their events
        self._answered: set[int] = set()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("websocket", self._listen)

    def _heard(self, kind: str, text: str) -> None:
        if kind == "error" and not any(words in text for words in self.expected):
            self.problems.append(text)

    def _listen(self, socket: WebSocket) -> None:
        self._asked, self._answered = {}, set()
        socket.on("framesent", lambda frame: self._spoke(packets(frame)))
        socket.on("framereceived", lambda frame: self._hear(packets(frame)))

    def _spoke(self, said: list[dict[str, Any]]) -> None:
        self.sent += said
        self._asked |= {packet["id"]: packet["event"] for packet in said if "id" in packet}
        self._came.set()

    def _hear(self, came: list[dict[str, Any]]) -> None:
        self.refusals += [packet["error"]["code"] for packet in came if "error" in packet]
        self._answered |= {packet["ack"] for packet in came if "ack" in packet}
        self._came.set()

    def sent_events(self, event: str) -> list[dict[str, Any]]:
        return [packet["data"] for packet in self.sent if packet.get("event") == event]

    async def is_refused(self, code: str, times: int) -> None:
        """So often altogether: what the page shows may still be of the time before."""
        await self._until(lambda: self.refusals.count(code) >= times)

    async def has_listed(self) -> None:
        """The list of rooms that a page asks for once it is online has come: nothing of the time
        before can change what it shows."""
        await self._until(
            lambda: any(event == "rooms" and id in self._answered for id, event in self._asked.items())
        )

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT / 1000):
            while not holds():
                self._came.clear()
                await self._came.wait()

    # Doing

    async def goes(self, path: str) -> Window:
        await self.page.goto(self.server.origin + path)
        return self

    async def enters(self, room: str) -> Window:
        await self.goes(f"/rooms/{room}/")
        await self.is_online()
        return self

    async def writes(self, *bodies: str) -> None:
        for body in bodies:
            await self.composer.fill(body)
            await self.composer.press("Enter")

    async def acts(self, body: str, act: str) -> None:
        """One of the buttons that a message shows under the pointer."""
        message = self.message(body)
        await message.hover()
        await message.locator(f'.actions [data-act="{act}"]').click()

    # Seeing

    @property
    def composer(self) -> Locator:
        return self.page.locator("message-composer textarea")

    @property
    def state(self) -> Locator:
        return self.page.locator("connection-state .words")

    def message(self, body: str) -> Locator:
        whole = re.compile(rf"^\s*{re.escape(body)}\s*$")
        return self.page.locator(".message", has=self.page.locator(".body", has_text=whole))

    def room(self, slug: str) -> Locator:
        return self.page.locator(f'room-list a[href$="/rooms/{slug}/"]')

    def dialog(self, name: str) -> Locator:
        return self.page.locator(f"dialog#{name}")

    async def is_online(self) -> None:
        await expect(self.state).to_have_text("online")

    async def sees(self, *bodies: str) -> None:
        for body in bodies:
            await expect(self.message(body)).to_have_count(1)
            await expect(self.message(body)).to_be_visible()

    async def sees_mark(self, body: str, mark: str) -> None:
        marks = {"received": "received|read"}.get(mark, mark)  # who has read it has received it
        await expect(self.message(body).locator(".mark")).to_have_attribute(
            "data-mark", re.compile(f"^({marks})$")
        )

    async def bodies(self) -> list[str]:
        return [text.strip() for text in await self.page.locator(".message .body").all_text_contents()]


async def open_window(context: BrowserContext, server: Server, person: Person | None = None) -> Window:
    return Window(await context.new_page(), server, person)


def packets(frame: str | bytes) -> list[dict[str, Any]]:
    text = frame if isinstance(frame, str) else frame.decode()
    return [json.loads(line) for line in text.splitlines() if line]
