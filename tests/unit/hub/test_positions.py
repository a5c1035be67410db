"""Where a socket stands in an ordered room: pushes, windows, acknowledgements, redeliveries."""

from __future__ import annotations

import asyncio

import pytest

from chat.delivery import log
from chat.errors import EventError

from .world import Tab, World, in_a_world

KB = 1024


@in_a_world()
async def test_the_answer_to_a_join_comes_before_the_entries(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    answer = await alice.join(after=1)
    await asyncio.sleep(1)
    assert (answer["head"], answer["cursor"]) == (3, 0)
    assert "ack" in alice.packets[0]
    assert alice.seqs == [2, 3]


@in_a_world()
async def test_a_join_brings_only_what_lies_after_the_cursor_and_then_what_comes(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    world.db.members[1].received = 2
    await alice.join()
    world.say(1)
    await asyncio.sleep(1)
    assert alice.seqs == [3, 4]


@in_a_world()
async def test_entries_that_come_during_a_join_are_neither_lost_nor_doubled(world: World) -> None:
    world.db.delay = 1.0
    world.say(1)
    alice = world.tab()
    joining = asyncio.create_task(alice.join(after=0))
    for _ in range(8):
        await asyncio.sleep(0.3)
        world.say(1)
    await joining
    await asyncio.sleep(3)
    assert alice.seqs == list(range(1, 10))


@in_a_world()
async def test_a_second_join_ends_the_first_reader(world: World) -> None:
    world.db.append(*[100] * 1500)
    alice = world.tab()
    await alice.join(after=0, ack=False)
    alice.reading.clear()  # it is in the middle of its pages
    await asyncio.sleep(1)
    await alice.join(after=1490)
    alice.reading.set()
    await asyncio.sleep(1)
    second = next(n for n, packet in enumerate(alice.packets) if n and "ack" in packet)
    behind = [packet["seq"] for packet in alice.packets[second:] if "seq" in packet]
    assert behind == list(range(1491, 1501))
    assert len(alice.seqs) < 1500


@in_a_world()
async def test_leaving_ends_the_reader(world: World) -> None:
    world.db.append(*[100] * 1500)
    alice = world.tab()
    await alice.join(after=0, ack=False)
    alice.reading.clear()
    await asyncio.sleep(1)
    assert alice.leave()
    assert not alice.leave()
    alice.reading.set()
    await asyncio.sleep(5)
    assert len(alice.seqs) < 1500


@in_a_world(ack_wait=3600.0)
async def test_past_a_thousand_open_entries_a_socket_is_pushed_no_more(world: World) -> None:
    alice, bob = world.tab(1), world.tab(2)
    await alice.join(after=0)
    await bob.join(after=0)
    for batch in range(6):
        world.say(*[1] * 200)
        await asyncio.sleep(0.1)
        bob.received(200 * batch + 200)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 1001))
    assert bob.seqs == list(range(1, 1201))
    alice.received(300)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 1201))


@in_a_world(ack_wait=3600.0)
async def test_a_resume_stops_at_a_thousand_open_entries_and_reads_on_from_the_log(world: World) -> None:
    world.db.append(*[1] * 2500)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 1001))
    for upto in (499, 500, 999, 1400):
        alice.received(upto)
        await asyncio.sleep(5)
        assert alice.seqs == list(range(1, alice.seqs[-1] + 1))
        assert upto + 500 < alice.seqs[-1] <= upto + 1000, "pages are sent whole"
    alice.received(2000)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, 2501))


@in_a_world(ack_wait=3600.0)
async def test_past_a_mebibyte_of_open_entries_a_socket_is_pushed_no_more(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for _ in range(100):
        world.say(16 * KB)
    await asyncio.sleep(5)
    sizes = [len(packet["data"]["body"]) for packet in alice.packets if "seq" in packet]
    assert 1000 * KB < sum(sizes) <= 1024 * KB
    alice.received(len(sizes) - 10)
    await asyncio.sleep(5)
    assert alice.seqs == list(range(1, alice.seqs[-1] + 1))
    assert alice.seqs[-1] > len(sizes)


@in_a_world(ack_wait=3600.0)
async def test_a_mebibyte_is_counted_in_bytes_not_in_characters(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for _ in range(100):
        world.say(0, body="\N{SNOWMAN}" * 5 * KB)
    await asyncio.sleep(5)
    assert 60 < len(alice.seqs) <= 1024 // 15


@in_a_world()
async def test_a_socket_that_does_not_acknowledge_has_no_window(world: World) -> None:
    alice = world.tab()
    await alice.join(ack=False)
    for _ in range(12):
        world.say(*[1] * 100)
    await asyncio.sleep(600)
    assert alice.seqs == list(range(1, 1201))
    assert alice.code is None
    assert world.db.members[1].received == 0


@in_a_world()
async def test_received_beyond_what_was_sent_is_bad_data(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    await alice.join(after=1)
    await asyncio.sleep(1)
    for beyond in (4, 2**62):
        with pytest.raises(EventError) as refused:
            alice.received(beyond)
        assert (refused.value.code, refused.value.more["field"]) == ("bad_data", "room")
    alice.received(3)
    with pytest.raises(EventError) as refused:
        alice.received([3])
    assert refused.value.code == "bad_data"


@in_a_world(ack_wait=2.0)
async def test_received_is_judged_by_what_was_sent_also_while_a_redelivery_is_behind_that(
    world: World,
) -> None:
    world.db.append(*[1] * 10)
    alice = world.tab()
    await alice.join()
    await asyncio.sleep(1.5)
    world.db.held = log.read
    await asyncio.sleep(2)  # it is to be sent again, but for the database
    assert world.hub.redelivered == 1
    alice.received(7)
    world.db.gate.set()
    await asyncio.sleep(0.5)
    assert alice.seqs == [*range(1, 11), 8, 9, 10]


@in_a_world()
async def test_what_an_earlier_connection_brought_can_be_acknowledged_after_a_resume(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    await alice.join(after=3)
    alice.received(3)
    await asyncio.sleep(2)
    assert world.db.members[1].received == 3
    assert alice.seqs == []


@in_a_world()
async def test_a_cursor_never_goes_back(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    await alice.join()
    await asyncio.sleep(1)
    alice.received(3)
    alice.received(1)
    alice.received(0)
    await asyncio.sleep(2)
    assert world.db.members[1].received == 3


@in_a_world(ack_wait=30.0)
async def test_everything_unacknowledged_comes_again_after_ack_wait_doubling_and_then_4003(
    world: World,
) -> None:
    alice = world.tab()
    await alice.join()
    world.say(1, 1)
    await asyncio.sleep(1)
    alice.received(1)
    came, seconds = await times_of(alice, 2)
    assert alice.code == 4003
    assert came == pytest.approx([0, 30, 90, 210], abs=3)
    assert seconds == pytest.approx(450, abs=4)
    assert alice.seqs == [1, 2, 2, 2, 2]
    assert alice.packets[-1]["error"]["code"] == "unacknowledged"


async def times_of(tab: Tab, seq: int) -> tuple[list[int], int]:
    """The seconds at which an entry came, and after how many the socket was closed."""
    came: list[int] = []
    for second in range(1000):
        came += [second] * (tab.seqs.count(seq) - len(came))
        if tab.code is not None:
            return came, second
        await asyncio.sleep(1)
    return came, 1000


@in_a_world(ack_wait=10.0)
async def test_an_acknowledgement_starts_the_wait_anew(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.say(*[1] * 100)
    for upto in range(1, 51):
        await asyncio.sleep(9)
        alice.received(upto)
    assert world.hub.redelivered == 0
    await asyncio.sleep(13)
    assert alice.seqs == [*range(1, 101), *range(51, 101)]
    alice.received(100)
    await asyncio.sleep(600)
    assert world.hub.redelivered == 1
    assert alice.code is None


@in_a_world(ack_wait=1.0)
async def test_a_client_that_takes_long_to_read_is_not_sent_more_meanwhile(world: World) -> None:
    alice = world.tab()
    await alice.join()
    alice.reading.clear()
    world.say(1)
    await asyncio.sleep(20)
    alice.reading.set()
    await asyncio.sleep(0.5)
    assert alice.seqs == [1]
    alice.received(1)


@in_a_world(ack_wait=1.0)
async def test_one_tabs_received_does_not_excuse_another_tab(world: World) -> None:
    good, bad = world.tab(), world.tab()
    await good.join()
    await bad.join()
    world.say(1)
    await asyncio.sleep(0.5)
    good.received(1)
    await asyncio.sleep(30)
    assert good.seqs == [1] and good.code is None
    assert bad.seqs == [1, 1, 1, 1] and bad.code == 4003
    assert world.db.members[1].received == 1


@in_a_world()
async def test_a_page_that_was_trimmed_under_its_reader_closes_the_socket_to_come_back(world: World) -> None:
    world.db.append(*[1] * 1500)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(1)
    world.db.first = 1400
    alice.received(1000)
    await asyncio.sleep(1)
    assert alice.code == 4001
    assert alice.seqs == list(range(1, 1001))
    back = world.tab()
    answer = await back.join(after=1000)
    await asyncio.sleep(1)
    assert (answer["reset"], answer["first"]) == (True, 1400)
    assert back.seqs == list(range(1400, 1501))


@in_a_world()
async def test_readers_at_the_same_place_share_a_page(world: World) -> None:
    world.db.append(*[1] * 1100)
    for user in range(1, 51):
        await world.tab(user).join(after=1050 if user == 1 else 0)
    before = world.db.reads
    await asyncio.sleep(0.1)
    assert world.db.reads - before <= 2
