"""Who is connected here: what is written of it, when and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from chat.hub.processes import BEAT
from chat.services import presence

from .world import World, in_a_world


class Table:
    """The rows of this process, and what was written to them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: set[int] = set()
        self.registered = True
        self.writes: list[tuple[set[int], set[int]]] = []
        self.times: list[float] = []
        world.db.answers |= {
            presence.change: self._change,
            presence.at: lambda _: set(self.rows),
            presence.register: self._register,
        }

    def _change(self, process: str, came: Iterable[int], went: Iterable[int]) -> bool:
        assert process == self.world.hub.process
        if self.registered:
            self.writes.append((set(came), set(went)))
            self.times.append(self.world.hub.now())
            self.rows = (self.rows | set(came)) - set(went)
        return self.registered

    def _register(self, process: str) -> None:
        self.registered = True


async def next_write() -> None:
    await asyncio.sleep(1.1)


@in_a_world()
async def test_many_who_come_together_are_one_write(world: World) -> None:
    table = Table(world)
    for user in range(1, 401):
        world.tab(user), world.tab(user)
    await next_write()
    assert table.writes == [(set(range(1, 401)), set())]


@in_a_world()
async def test_more_than_one_write_takes_are_written_one_a_second(world: World) -> None:
    table = Table(world)
    for user in range(1, 2 * presence.MOST):
        world.tab(user)
    await asyncio.sleep(10)
    assert [len(came) for came, _ in table.writes] == [presence.MOST, presence.MOST - 1]
    assert table.times[1] - table.times[0] >= 1
    assert table.rows == set(range(1, 2 * presence.MOST))


@in_a_world()
async def test_while_nobody_comes_or_goes_nothing_is_written(world: World) -> None:
    table = Table(world)
    tab = world.tab()
    await next_write()
    for _ in range(20):
        second = world.tab()
        await asyncio.sleep(0.7)
        tab.drop()
        tab = second
    assert table.writes == [({1}, set())]


@in_a_world()
async def test_one_who_does_not_come_back_in_time_has_gone(world: World) -> None:
    table = Table(world)
    tab = world.tab()
    await next_write()
    tab.drop()
    left = world.hub.now()
    await asyncio.sleep(presence.GRACE - 0.1)
    assert table.rows == {1}
    await asyncio.sleep(1.2)
    assert table.writes == [({1}, set()), (set(), {1})]
    assert table.times[1] >= left + presence.GRACE


@in_a_world()
async def test_the_time_to_come_back_begins_anew_with_each_departure(world: World) -> None:
    table = Table(world)
    world.tab().drop()
    await asyncio.sleep(presence.GRACE - 1)
    world.tab().drop()
    await asyncio.sleep(presence.GRACE - 1)
    assert table.rows == {1}
    await asyncio.sleep(2.2)
    assert table.rows == set()


@in_a_world()
async def test_sockets_that_were_never_let_in_do_not_count(world: World) -> None:
    table = Table(world)
    world.tab(1, admitted=False).drop()
    await asyncio.sleep(10)
    assert table.writes == []


@in_a_world()
async def test_what_an_outage_stops_is_written_after_it(world: World) -> None:
    table = Table(world)
    alice, bob = world.tab(1), world.tab(2)
    await next_write()
    world.db.down = True
    alice.drop()
    charlie = world.tab(3)
    world.tab(4).drop()  # of whom nobody will hear
    await asyncio.sleep(30)
    assert not bob.closed and not charlie.closed
    world.db.down = False
    await asyncio.sleep(2)
    assert table.rows == {2, 3}
    assert all(4 not in came for came, _ in table.writes)


@in_a_world()
async def test_one_who_comes_back_while_the_departure_is_written_is_written_again(world: World) -> None:
    table = Table(world)
    world.tab().drop()
    await next_write()
    world.db.held = presence.change
    await asyncio.sleep(presence.GRACE + 1)
    assert table.rows == set()  # the answer is still on its way
    world.tab()
    world.db.gate.set()
    await asyncio.sleep(2)
    assert table.rows == {1}


@in_a_world()
async def test_one_who_leaves_while_their_arrival_is_written_goes_in_time(world: World) -> None:
    table = Table(world)
    world.db.held = presence.change
    tab = world.tab()
    await next_write()
    tab.drop()
    world.db.gate.set()
    await asyncio.sleep(presence.GRACE + 2)
    assert table.writes == [({1}, set()), (set(), {1})]


@in_a_world()
async def test_rows_that_vanished_are_written_again(world: World) -> None:
    table = Table(world)
    world.tab(1), world.tab(2)
    await next_write()
    table.rows = {2, 9}  # as an old backup has them
    await asyncio.sleep(6)
    assert table.rows == {1, 2, 9}
    await asyncio.sleep(presence.GRACE + 1)
    assert table.rows == {1, 2}


@in_a_world()
async def test_a_process_that_was_taken_for_dead_registers_with_all_its_people(world: World) -> None:
    table = Table(world)
    world.tab(1)
    await next_write()
    table.registered, table.rows = False, set()
    world.tab(2)
    await asyncio.sleep(2.2)
    assert table.registered
    assert table.rows == {1, 2}


# The others


class Others:
    """A dead process among the others, whom someone has to sweep."""

    def __init__(self, world: World) -> None:
        self.swept: list[float] = []
        self.left = 3  #: sweeps until all its people are off the list
        self.beats = 0
        world.db.answers |= {
            presence.beat: self._beat,
            presence.anyone_dead: lambda: bool(self.left),
            presence.sweep: lambda: self._sweep(world),
        }

    def _beat(self, process: str, sockets: int) -> bool:
        self.beats += 1
        return True

    def _sweep(self, world: World) -> bool:
        self.swept.append(world.hub.now())
        self.left -= 1
        return bool(self.left)


@in_a_world()
async def test_the_dead_are_swept_a_part_at_a_time_once_people_could_come_back(world: World) -> None:
    others = Others(world)
    began = world.hub.now()
    await asyncio.sleep(presence.GRACE + BEAT + 5)
    assert len(others.swept) == 3
    assert others.swept[0] >= began + presence.GRACE
    assert all(later - former >= 1 for former, later in zip(others.swept, others.swept[1:], strict=False))


@in_a_world()
async def test_after_an_outage_nobody_is_taken_for_dead_before_they_could_speak(world: World) -> None:
    others = Others(world)
    others.left = 0
    await asyncio.sleep(20)
    world.db.down = True
    await asyncio.sleep(60)
    world.db.down, others.left = False, 1
    began, beats = world.hub.now(), others.beats
    await asyncio.sleep(2)
    assert others.beats > beats
    assert others.swept == []
    await asyncio.sleep(15)
    assert others.swept and others.swept[0] >= began + presence.GRACE


@in_a_world()
async def test_during_an_outage_those_count_as_alive_who_were_so_before(world: World) -> None:
    world.db.answers[presence.alive] = lambda: {"b" * 32}
    assert await world.hub.processes.alive() == {"b" * 32, world.hub.process}
    world.db.down = True
    await asyncio.sleep(10)
    assert await world.hub.processes.alive() == {"b" * 32, world.hub.process}


@in_a_world()
async def test_a_process_that_has_stopped_beats_no_more(world: World) -> None:
    others = Others(world)
    await asyncio.sleep(BEAT)
    await world.hub.processes.stop()
    beats = others.beats
    await asyncio.sleep(10 * BEAT)
    assert others.beats == beats


# Telling


@in_a_world()
async def test_of_many_who_come_and_go_everyone_is_told_in_order_while_others_have_their_turn(
    world: World,
) -> None:
    tab = world.tab(admitted=False)
    tab.socket.namespace.path = "users"
    world.hub.admit(tab.socket)
    people = [{"id": number, "name": f"person{number}"} for number in range(300)]
    world.hub.control.obey({"act": "presence", "came": people, "went": []})
    world.hub.control.obey({"act": "presence", "came": [], "went": people[:2]})
    await asyncio.sleep(0)
    assert len(tab.events("user:connected")) < 300
    await asyncio.sleep(1)
    assert [data["user"] for data in tab.events("user:connected")] == people
    assert [data["user"] for data in tab.events("user:disconnected")] == people[:2]
    assert [packet["event"] for packet in tab.packets[-2:]] == ["user:disconnected"] * 2
