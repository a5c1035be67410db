"""Hints over a channel layer that fails, drops and is slow: none of it hurts its users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chat.hub import hints
from chat.hub.hints import Hints


class Layer:
    """A channel layer of one process that hears everything it says, twice."""

    def __init__(self) -> None:
        self.broken = False
        self.groups: set[str] = set()
        self.channels = 0
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def new_channel(self, prefix: str) -> str:
        self.channels += 1
        return f"{prefix}{self.channels}"

    async def group_add(self, group: str, channel: str) -> None:
        self._fail()
        self.groups.add(group)

    async def group_discard(self, group: str, channel: str) -> None:
        self._fail()
        self.groups.discard(group)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self._fail()
        self.sent.append((group, message))
        for _ in range(2):
            self.inbox.put_nowait(message)

    async def receive(self, channel: str) -> dict[str, Any]:
        self._fail()
        return await self.inbox.get()

    def _fail(self) -> None:
        if self.broken:
            raise ConnectionError("Redis is down")


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Layer]:
    layer = Layer()
    monkeypatch.setattr(hints, "get_channel_layer", lambda: layer)
    yield layer


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the layer tells nobody
            await asyncio.sleep(0.001)


async def test_a_hint_is_heard_by_others_and_not_by_whoever_gave_it(layer: Layer) -> None:
    mine: list[Any] = []
    mouth = Hints(mine.append)
    await mouth.start()
    mouth.publish("room", {"room": 1})
    await settled()
    assert [group for group, _ in layer.sent] == ["room"]
    assert mine == []
    layer.inbox.put_nowait({"from": "another", "room": 2})
    await settled()
    assert mine == [{"from": "another", "room": 2}]
    await mouth.stop()


async def test_starting_twice_is_starting_once(layer: Layer) -> None:
    """The hub tries again where the database could not be read."""
    mouth = Hints(lambda hint: None)
    await mouth.start()
    await mouth.start()
    assert layer.channels == 1
    await mouth.stop()


async def test_a_layer_that_is_down_raises_nowhere_and_groups_are_joined_when_it_is_back(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "REJOIN", 0.01)
    layer.broken = True
    mouth = Hints(lambda hint: None)
    await mouth.start()
    await mouth.join("room")
    await mouth.join("left")
    await mouth.leave("left")
    mouth.publish("room", {"room": 1})
    await settled()
    layer.broken = False
    await until(lambda: layer.groups == {hints.SITE, "room"})
    await mouth.stop()


async def test_what_can_not_be_published_in_time_is_dropped(layer: Layer) -> None:
    mouth = Hints(lambda hint: None)
    await mouth.start()
    for number in range(hints.BACKLOG + 10):
        mouth.publish("room", {"room": number})
    await until(lambda: len(layer.sent) >= hints.BACKLOG)
    await settled()
    assert len(layer.sent) == hints.BACKLOG
    await mouth.stop()


async def test_a_listener_that_fails_is_called_again(layer: Layer) -> None:
    heard: list[int] = []

    def hear(hint: dict[str, Any]) -> None:
        heard.append(hint["room"])
        if hint["room"] == 1:
            raise KeyError("a hint of another version")

    mouth = Hints(hear)
    await mouth.start()
    for room in (1, 2):
        layer.inbox.put_nowait({"from": "another", "room": room})
    await until(lambda: heard == [1, 2])
    await mouth.stop()
