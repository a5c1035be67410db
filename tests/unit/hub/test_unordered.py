"""Where a socket stands in an unordered room: each entry is acknowledged and sent again alone."""

from __future__ import annotations

import asyncio

import pytest

from chat.errors import EventError

from .world import World, in_a_world


@in_a_world(ordering="unordered", ack_wait=10.0)
async def test_each_entry_is_sent_again_alone(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.say(1, 1, 1, 1)
    await asyncio.sleep(1)
    alice.received([4, 2])
    await asyncio.sleep(10)
    assert alice.seqs == [1, 2, 3, 4, 1, 3]
    alice.received([1])
    await asyncio.sleep(20)
    assert alice.seqs == [1, 2, 3, 4, 1, 3, 3]
    assert alice.code is None


@in_a_world(ordering="unordered", ack_wait=10.0, max_deliver=1000)
async def test_one_that_is_never_acknowledged_holds_back_no_other(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for seq in range(1, 3001):
        world.say(1)
        await asyncio.sleep(0.01)
        if seq > 1:
            alice.received([seq])
    assert set(alice.seqs) == set(range(1, 3001))
    await asyncio.sleep(2)
    assert world.db.members[1].received == 0
    assert world.db.members[1].acked == "2-3000"


@in_a_world(ordering="unordered", ack_wait=3600.0)
async def test_a_thousand_open_entries_fill_the_window_and_any_of_them_makes_room(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for _ in range(1100):
        world.say(1)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 1001))
    alice.received(list(range(901, 1001)))
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 1101))


@in_a_world(ordering="unordered")
async def test_a_resume_brings_what_the_member_has_not_acknowledged_below_after(world: World) -> None:
    world.db.append(*[1] * 10)
    world.person(1, received=2, acked="4-5,7")
    alice = world.tab()
    answer = await alice.join(after=8)
    await asyncio.sleep(1)
    assert answer["cursor"] == 2
    assert alice.seqs == [3, 6, 8, 9, 10]
    alice.received([3, 6, 8, 9, 10])
    await asyncio.sleep(2)
    assert (world.db.members[1].received, world.db.members[1].acked) == (10, "")


@in_a_world(ordering="unordered")
async def test_a_second_device_gets_what_lies_after_its_own_place_though_the_person_has_it(
    world: World,
) -> None:
    world.db.append(*[1] * 5)
    world.person(1, received=5)
    device = world.tab()
    await device.join(after=2)
    await asyncio.sleep(1)
    assert device.seqs == [3, 4, 5]


@in_a_world(ordering="unordered", ack_wait=1.0, max_deliver=3)
async def test_after_max_deliver_deliveries_an_entry_is_a_dead_letter_and_comes_no_more(
    world: World,
) -> None:
    alice = world.tab()
    await alice.join()
    world.say(1, 1, 1)
    await asyncio.sleep(0.5)
    alice.received([1, 3])
    await asyncio.sleep(60)
    assert alice.seqs == [1, 2, 3, 2, 2]
    assert world.db.members[1].dead == {2: 3}
    assert world.db.members[1].received == 3
    assert alice.code is None


@in_a_world(ordering="unordered", ack_wait=1000.0, max_deliver=3)
async def test_deliveries_are_counted_across_connections_but_not_time_offline(world: World) -> None:
    world.db.append(1, 1)
    for connection in range(3):
        alice = world.tab()
        await alice.join()
        await asyncio.sleep(2)
        assert alice.seqs == [1, 2], connection
        alice.drop()
        await asyncio.sleep(500)
    assert world.db.members[1].dead == {}
    alice = world.tab()
    await alice.join()
    await asyncio.sleep(2)
    assert alice.seqs == []
    assert world.db.members[1].dead == {1: 3, 2: 3}


@in_a_world(ordering="unordered", ack_wait=1000.0, max_deliver=2)
async def test_two_tabs_at_once_are_one_delivery(world: World) -> None:
    tabs = [world.tab(), world.tab(), world.tab()]
    for tab in tabs:
        await tab.join()
    world.say(1)
    await asyncio.sleep(2)
    assert [tab.seqs for tab in tabs] == [[1], [1], [1]]
    assert world.db.members[1].deliveries == {"1": 1}


@in_a_world(ordering="unordered", ack_wait=10.0, max_deliver=100)
async def test_a_socket_that_acknowledges_nothing_is_closed_after_three_redeliveries(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for _ in range(5):  # entries that fall due one after the other are not rounds of their own
        world.say(1)
        await asyncio.sleep(2)
    await asyncio.sleep(100)
    assert alice.code is None
    assert [alice.seqs.count(seq) for seq in range(1, 6)] == [4, 4, 4, 4, 4]
    await asyncio.sleep(60)
    assert alice.code == 4003


@in_a_world(ordering="unordered", ack_wait=1.0, max_deliver=1000)
async def test_a_socket_that_acknowledges_anything_stays(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.say(1)
    for seq in range(2, 60):
        world.say(1)
        await asyncio.sleep(1)
        alice.received([seq])
    assert alice.code is None
    assert alice.seqs.count(1) > 4


@in_a_world(ordering="unordered")
async def test_received_takes_a_list_of_what_was_sent_and_nothing_else(world: World) -> None:
    world.say(1, 1)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(1)
    for wrong in (2, [3], [1, 3], [0], [-1]):
        with pytest.raises(EventError) as refused:
            alice.received(wrong)
        assert refused.value.code == "bad_data"
    alice.received([])
    await asyncio.sleep(2)
    assert (world.db.members[1].received, world.db.members[1].acked) == (0, "")
    alice.received([2, 2])
    alice.received([1])
    await asyncio.sleep(2)
    assert world.db.members[1].received == 2


@in_a_world(ordering="unordered", ack_wait=1.0, max_deliver=1000)
async def test_one_tabs_list_does_not_excuse_another_tab(world: World) -> None:
    good, bad = world.tab(), world.tab()
    await good.join()
    await bad.join()
    world.say(1)
    await asyncio.sleep(0.5)
    good.received([1])
    await asyncio.sleep(60)
    assert good.seqs == [1] and good.code is None
    assert bad.seqs == [1, 1, 1, 1] and bad.code == 4003


@in_a_world(ordering="unordered", ack_wait=5.0)
async def test_what_was_trimmed_is_not_waited_for(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.say(1, 1, 1)
    await asyncio.sleep(1)
    world.db.first = 3
    await asyncio.sleep(6)
    assert alice.seqs == [1, 2, 3, 3]
    alice.received([3])
    await asyncio.sleep(100)
    assert alice.seqs == [1, 2, 3, 3]
    assert alice.code is None
