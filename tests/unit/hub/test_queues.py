"""A queue of this process: who has what in hand, and when work is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from chat.delivery import leases, log
from chat.delivery.entries import Person
from chat.delivery.leases import Act, Done, Fail, Leased, Order, Settled, Want
from chat.errors import EventError
from chat.hub import queues as queues_of_hub
from chat.services import presence

from .world import AT, ROOM, Tab, World, in_a_world

BOB = Person(1, "person1")
LEASE = 30.0


class Orders:
    """What the database knows of the orders of one queue, which is as simple as can be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queued: list[int] = []
        self.done: set[int] = set()
        self.failed: dict[int, str] = {}  #: and why
        self.lost: list[str] = []  #: holders whose orders were put back
        self.refusal: EventError | None = None
        self.answers: dict[Callable[..., Any], Callable[..., Any]] = {
            leases.settle_and_take: self._settle_and_take,
            leases.due: lambda ids: dict.fromkeys(ids, 0.0 if self.queued else None),
            queues_of_hub._look_all: self._look,
            queues_of_hub._adopt_all: lambda heirs: [[] for _ in heirs],
            queues_of_hub._put_back_all: self._put_back,
        }
        world.db.answers.update(self.answers)

    def come(self, count: int) -> None:
        self.world.db.append(*[1] * count, kind="item")
        self.queued += range(self.world.db.head - count + 1, self.world.db.head + 1)

    def order(self, seq: int, state: str, attempts: int = 1) -> Order:
        return Order(1, ROOM, seq, None, state, attempts, BOB, AT)

    def _look(self, keys: list[Any]) -> list[Any]:
        return [self.refusal or SimpleNamespace(lease_seconds=LEASE) for _ in keys]

    def _put_back(self, holders: list[str]) -> list[list[Order]]:
        self.lost += holders
        return [[] for _ in holders]

    def _settle_and_take(self, acts: list[Act], wants: list[Want]) -> tuple[list[Settled], list[Leased]]:
        settled = [Settled(self.order(act.seq, "done"), act.seq in self.done) for act in acts]
        self.done |= {act.seq for act in acts if isinstance(act, Done)}
        self.failed |= {act.seq: act.reason for act in acts if isinstance(act, Fail)}
        taken = []
        for want in wants:
            some, self.queued = self.queued[: want.most], self.queued[want.most :]
            taken += [Leased(self.order(seq, "leased"), f"t{seq}", AT, want.holder) for seq in some]
        return settled, taken


def in_a_queue(test: Callable[[World, Orders, Tab], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of a function that takes a world, its queue's orders and a worker."""

    async def play(world: World) -> None:
        tab = world.tab()
        await test(world, Orders(world), tab)

    play.__name__, play.__doc__, play.__module__ = test.__name__, test.__doc__, test.__module__
    return in_a_world()(play)


async def work(tab: Tab, most: int = 1) -> list[int]:
    """Returns what is in this worker's hands."""
    worker, _ = await tab.world.hub.queues.work(tab.socket, ROOM, most)
    worker.queue.wake()
    return list(worker.held)


async def done(tab: Tab, seq: int) -> bool:
    return (await tab.world.hub.queues.done(tab.socket, ROOM, seq, f"t{seq}", None)).duplicate


def given(tab: Tab) -> list[int]:
    return [order["seq"] for order in tab.events("order")]


# Following its log


@in_a_queue
async def test_a_queue_whose_last_watcher_goes_while_it_reads_keeps_its_workers(
    world: World, orders: Orders, bob: Tab
) -> None:
    await work(bob)
    carol = world.tab(2)
    await world.hub.queues.watch(carol.socket, ROOM)
    world.db.held = log.read
    world.hint(world.db.append(1, 1, kind="item"))
    await asyncio.sleep(0.01)
    world.hub.addresses.leave(carol.socket, ROOM)
    world.hint(world.db.append(1, kind="item"))
    await asyncio.sleep(0.01)
    world.db.gate.set()
    await asyncio.sleep(0.1)
    assert not bob.closed
    assert world.room.head == 3


# In hand


@in_a_queue
async def test_who_has_done_an_order_without_hearing_so_is_free_once_that_is_answered_again(
    world: World, orders: Orders, bob: Tab
) -> None:
    orders.come(3)
    await work(bob)
    await asyncio.sleep(0.01)
    orders.done.add(1)  # its answer was lost in an outage
    assert await done(bob, 1)
    await asyncio.sleep(2)
    assert not await done(bob, 2)
    await asyncio.sleep(2)
    assert given(bob) == [1, 2, 3]


@in_a_queue
async def test_who_loses_an_order_to_another_process_gets_the_next_one(
    world: World, orders: Orders, bob: Tab
) -> None:
    orders.come(2)
    await work(bob)
    await asyncio.sleep(0.01)
    # Of how it was put back no word came.
    elsewhere = orders.order(1, "leased", attempts=2).as_dict()
    world.hub._heard({"room": 1, "news": [["order:leased", elsewhere]]})
    await asyncio.sleep(2)
    assert given(bob) == [1, 2]


@in_a_queue
async def test_who_can_not_change_what_they_take_keeps_what_is_in_hand(
    world: World, orders: Orders, bob: Tab
) -> None:
    orders.come(2)
    await work(bob)
    await asyncio.sleep(0.01)
    orders.refusal = EventError("unavailable", "the database can't be reached now")
    with pytest.raises(EventError, match="can't be reached"):
        await work(bob)
    orders.refusal = None
    assert await work(bob) == [1]
    await asyncio.sleep(2)
    assert given(bob) == [1]


@in_a_queue
async def test_who_is_refused_more_work_gives_back_what_is_in_hand(
    world: World, orders: Orders, bob: Tab
) -> None:
    orders.come(1)
    await work(bob)
    await asyncio.sleep(0.01)
    orders.refusal = EventError("banned", "you are banned")
    with pytest.raises(EventError, match="banned"):
        await work(bob)
    await asyncio.sleep(0.1)
    assert orders.failed == {1: "you are banned"}


@in_a_queue
async def test_what_a_refused_socket_still_had_goes_back_when_it_is_lost(
    world: World, orders: Orders, bob: Tab
) -> None:
    await work(bob)
    orders.refusal = EventError("banned", "you are banned")
    with pytest.raises(EventError, match="banned"):
        await work(bob)
    bob.drop()
    world.hub.queues.farewell(bob.socket)
    await asyncio.sleep(0.1)
    assert orders.lost == [f"{world.hub.process}/{bob.socket.id}"]


@in_a_queue
async def test_a_process_that_stops_is_dead_before_its_workers_come_back_elsewhere(
    world: World, orders: Orders, bob: Tab
) -> None:
    closed: list[bool] = []
    world.db.answers[presence.end] = lambda _: closed.append(bob.closed)
    await world.hub.stop()
    assert closed == [False]
    assert bob.closed


@in_a_queue
async def test_who_comes_to_work_takes_nothing_from_their_other_sockets_and_looks_at_nobody_elses(
    world: World, orders: Orders, bob: Tab
) -> None:
    heirs: list[Any] = []

    def adopt(some: list[Any]) -> list[list[Leased]]:
        heirs.extend(some)
        return [[] for _ in some]

    world.db.answers[queues_of_hub._adopt_all] = adopt
    mine = [bob, world.tab(1)]
    for _ in range(3):
        world.tab(2)
    vars(world.hub)["sockets_of"] = None  # which looks at all
    await work(bob)
    (heir,) = heirs
    assert heir.living == {f"{world.hub.process}/{tab.socket.id}" for tab in mine}
