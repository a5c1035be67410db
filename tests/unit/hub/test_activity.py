"""The event log: who is told of it, and at what price when nobody is."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from chat.delivery.entries import Person
from chat.hub import activity
from chat.hub.activity import ADMIN, WATCHERS, Activity
from chat.hub.addresses import Addresses
from chat.wire.lines import lines


class Outbox:
    wire = lines
    busy = False

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def put(self, text: str) -> None:
        self.sent.append(json.loads(text))


class Watcher:
    namespace_path = ADMIN
    user = Person(1, "alice")

    def __init__(self) -> None:
        self.id = f"S{id(self)}"
        self.outbox = Outbox()

    @property
    def texts(self) -> list[str]:
        return [packet["data"]["text"] for packet in self.outbox.sent]


class Hub:
    """As much of a hub as the event log asks for; `told` is what went to the other processes."""

    def __init__(self) -> None:
        self.addresses = Addresses(lambda *_: ())
        self.events = self
        self.told: list[tuple[str, Any]] = []
        self.activity = Activity(self)  # type: ignore[arg-type]

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def server_emit(self, namespace: str, event: str, data: Any) -> None:
        assert namespace == ADMIN
        self.told.append((event, data))

    def watcher(self) -> Watcher:
        watcher = Watcher()
        self.addresses.add(watcher)
        self.activity.watch(watcher)
        return watcher

    async def tick(self) -> None:
        while self.activity._flushing is not None:  # noqa: ASYNC110 - the loop is stepped
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "TICK", 0)


@pytest.fixture
async def hub() -> Hub:
    return Hub()


async def test_a_line_has_its_fields_and_none_that_are_not_known(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = hub.watcher()
    with caplog.at_level(logging.INFO, "chat.events"):
        hub.activity.note("an order died", user=None, room="kitchen", seq=7, reason=None)
        hub.activity.note("a user left", user=Person(2, "bob"))
    await hub.tick()
    first, second = (packet["data"] for packet in watcher.outbox.sent)
    assert first == {"at": first["at"], "text": "an order died", "room": "kitchen", "seq": 7}
    assert second == {"at": second["at"], "text": "a user left", "user": "bob", "id": 2}
    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"room": "kitchen", "seq": 7},
        {"user": "bob", "id": 2},
    ]


async def test_where_nobody_watches_nothing_is_kept_or_sent(hub: Hub) -> None:
    for _ in range(100):
        hub.activity.note("a user connected")
    assert hub.activity._waiting == [] and hub.activity._flushing is None
    assert hub.told == []
    await hub.activity.say_watched()
    assert hub.told == []


async def test_other_processes_are_told_while_somebody_watches_there(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.activity.watched_elsewhere()
    hub.activity.note("one")
    hub.activity.note("two")
    await hub.tick()
    ((event, told),) = hub.told
    assert event == "log" and [line["text"] for line in told] == ["one", "two"]
    monkeypatch.setattr(activity, "COUNTS", 0)
    hub.activity.watched_elsewhere()  # and then no word of it any more
    hub.activity.note("three")
    await hub.tick()
    assert len(hub.told) == 1


async def test_who_watches_says_so_now_and_again(hub: Hub) -> None:
    watcher = hub.watcher()
    await hub.activity.say_watched()
    assert [event for event, _ in hub.told] == ["log:watched", "log:watched"]
    assert hub.activity.unwatch(watcher)
    await hub.activity.say_watched()
    assert len(hub.told) == 2
    assert not hub.activity.unwatch(watcher)


async def test_lines_of_other_processes_are_shown_and_not_passed_on(hub: Hub) -> None:
    watcher = hub.watcher()
    hub.told.clear()
    hub.activity.heard([{"at": "then", "text": "one"}])
    hub.activity.told("two", {"by": "alice"})
    await hub.tick()
    assert watcher.texts == ["one", "two"]
    assert hub.told == []


async def test_more_lines_than_can_be_shown_are_counted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "MOST", 2)
    watcher = hub.watcher()
    for number in range(5):
        hub.activity.note(str(number))
    await hub.tick()
    assert watcher.texts[:2] == ["0", "1"]
    assert watcher.outbox.sent[2]["data"]["lines"] == 3
    assert len(watcher.texts) == 3


async def test_who_is_gone_watches_no_more(hub: Hub) -> None:
    watcher = hub.watcher()
    hub.addresses.remove(watcher)
    hub.activity.note("a user connected")
    assert hub.activity._waiting == []
    assert WATCHERS not in hub.addresses.joined(watcher)
