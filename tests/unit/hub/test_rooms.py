"""A room of this process: how its head advances, and what an entry changes when it is passed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chat.delivery import cursors, log
from chat.delivery.entries import Person
from chat.errors import EventError
from chat.hub import room as rooms_of_hub
from chat.services import rooms

from .world import World, in_a_world

# Advancing


@in_a_world()
async def test_a_gap_is_read_from_the_log_once_for_all(world: World) -> None:
    tabs = [world.tab(user) for user in range(1, 30)]
    for tab in tabs:
        await tab.join()
    before = world.db.reads
    world.db.append(1, 1)  # of which no word comes
    world.say(1)
    await asyncio.sleep(0.1)
    assert [tab.seqs for tab in tabs] == [[1, 2, 3]] * 29
    assert world.db.reads == before + 1


@in_a_world()
async def test_a_hint_that_was_heard_before_changes_nothing(world: World) -> None:
    alice = world.tab()
    await alice.join()
    appended = world.db.append(1, 1)
    for late in (0.0, 0.1, 0.2, 5.0):
        world.hint(appended, late)
    await asyncio.sleep(0.3)
    reads = world.db.reads
    await asyncio.sleep(10)
    assert alice.seqs == [1, 2]
    assert world.db.reads == reads


@in_a_world()
async def test_hints_out_of_order_bring_everything_in_order(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for late in (0.3, 0.2, 0.1, 0.0):
        world.hint(world.db.append(1, 1), late)
    await asyncio.sleep(0.5)
    assert alice.seqs == list(range(1, 9))


@in_a_world()
async def test_what_no_hint_told_comes_with_the_next_poll(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for expected in range(1, 6):
        world.db.append(1)
        await asyncio.sleep(1.1)
        assert alice.seqs[-1:] == [expected]


@in_a_world()
async def test_a_stale_or_short_read_is_tried_again(world: World) -> None:
    alice = world.tab()
    await alice.join(ack=False)
    world.db.shorten = 0.7
    for _ in range(50):
        world.hint(world.db.append(1, 1, 1))
        await asyncio.sleep(0.7)
    world.db.shorten = 0.0
    await asyncio.sleep(3)
    assert alice.seqs == list(range(1, 151))


@in_a_world()
async def test_an_outage_of_the_database_delays_and_loses_nothing(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.db.down = True
    world.hint(world.db.append(1, 1))
    await asyncio.sleep(30)
    assert alice.seqs == []
    world.db.down = False
    await asyncio.sleep(2.1)
    assert alice.seqs == [1, 2]


@in_a_world()
async def test_the_journal_goes_on_while_a_gap_is_read(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.db.append(1)
    world.db.held = log.read
    world.say(1)
    await asyncio.sleep(0.2)
    world.say(1)
    world.say(1)
    world.db.gate.set()
    await asyncio.sleep(1.5)
    assert alice.seqs == [1, 2, 3, 4]


@in_a_world()
async def test_a_join_lifts_the_room_to_the_databases_head_first(world: World) -> None:
    bob = world.tab(2)
    await bob.join()
    world.db.append(1, 1, 1)
    alice = world.tab(1)
    answer = await alice.join(after=3)
    await asyncio.sleep(0.1)
    assert answer["head"] == 3 and "reset" not in answer
    assert alice.seqs == [] and bob.seqs == [1, 2, 3]


@in_a_world()
async def test_a_join_during_an_outage_is_refused_for_now(world: World) -> None:
    bob = world.tab(2)
    await bob.join()
    world.db.append(1)
    alice = world.tab(1)
    world.db.held = rooms.find_seats
    joining = asyncio.create_task(alice.join())
    await asyncio.sleep(0.1)
    world.db.held, world.db.down = None, True
    world.db.gate.set()
    with pytest.raises(EventError) as refused:
        await joining
    assert refused.value.code == "unavailable"


# Epochs


@in_a_world()
async def test_a_hint_of_another_epoch_is_ignored(world: World) -> None:
    alice = world.tab()
    await alice.join()
    appended = world.db.append(1)
    appended.epoch = "another"
    world.told(appended)
    world.hint(appended)
    await asyncio.sleep(0.05)
    assert alice.seqs == []


@in_a_world()
async def test_a_new_epoch_closes_the_sockets_and_their_resume_is_a_reset(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    before = await alice.join(after=0)
    await asyncio.sleep(0.1)
    world.db.restore(3)
    await asyncio.sleep(1.1)
    assert alice.code == 4001
    assert alice.packets[-1]["error"]["code"] == "unavailable"
    back = world.tab()
    answer = await back.join(after=3, epoch=before["epoch"])
    assert (answer["reset"], answer["epoch"]) == (True, "e2")
    await asyncio.sleep(1)
    assert back.seqs == [1, 2, 3]


@in_a_world()
async def test_a_join_finds_a_new_epoch_before_the_poll_does(world: World) -> None:
    world.say(1, 1, 1)
    alice, bob = world.tab(1), world.tab(2)
    await alice.join(after=0)
    await asyncio.sleep(0.1)
    world.db.restore(3)
    with pytest.raises(EventError) as refused:
        await bob.join(after=0)
    assert refused.value.code == "unavailable"
    assert alice.socket.closed == 4001
    assert (await bob.join(after=0))["epoch"] == "e2"


@in_a_world()
async def test_a_head_that_went_back_closes_the_sockets(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(0.5)
    del world.db.log[2:]
    await asyncio.sleep(1.1)
    assert alice.code == 4001
    answer = await world.tab().join(after=3)
    assert (answer["reset"], answer["head"]) == (True, 2)


@in_a_world()
async def test_a_resume_on_another_entry_than_the_client_saw_is_a_reset(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    assert "reset" not in await alice.join(after=2, after_client_id="e1c2")
    assert "reset" not in await alice.join(after=0, after_client_id="e1c2")
    assert (await alice.join(after=2, after_client_id="another"))["reset"] is True


@in_a_world()
async def test_cursors_of_an_old_epoch_do_not_outlive_it(world: World) -> None:
    world.say(1, 1, 1)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(0.5)
    world.db.down = True  # so that the cursor stays unwritten
    alice.received(3)
    await asyncio.sleep(2)
    world.db.down, world.db.epoch = False, "restored"
    world.db.members[1].received = 1
    alice.drop()
    back = world.tab()
    assert (await back.join())["cursor"] == 1
    await asyncio.sleep(3)
    assert world.db.members[1].received == 1


# What an entry changes


@in_a_world()
async def test_nothing_after_the_notice_of_a_removal_reaches_the_member(world: World) -> None:
    alice, bob = world.tab(1), world.tab(2)
    await alice.join()
    await bob.join()
    appended = world.db.append(1)
    about = {"act": "kick", "user": Person(1, "alice").as_dict(), "reason": "spam"}
    appended.entries += world.db.append(1, kind="notice", **about).entries
    appended.entries += world.db.append(1, 1).entries
    world.told(appended)
    await asyncio.sleep(0.1)
    assert alice.seqs == [1, 2]
    assert bob.seqs == [1, 2, 3, 4]
    assert alice.events("room:removed") == [{"room": "room", "code": "kicked", "reason": "spam"}]
    with pytest.raises(EventError):
        alice.received(2)


@in_a_world()
async def test_a_reader_that_is_behind_stops_where_its_member_was_removed(world: World) -> None:
    world.db.append(*[1] * 1200)
    alice = world.tab()
    await alice.join(after=0)
    await asyncio.sleep(1)
    world.db.held = log.read
    alice.received(1000)
    await asyncio.sleep(0)
    world.say(1, kind="notice", act="kick", user={"id": 1, "name": "alice"})
    await asyncio.sleep(0.1)
    world.db.gate.set()
    await asyncio.sleep(3)
    assert alice.seqs == list(range(1, 1001))
    assert alice.events("room:removed")


@in_a_world()
async def test_who_is_removed_during_the_join_does_not_come_in(world: World) -> None:
    bob, alice = world.tab(2), world.tab(1)
    await bob.join()
    world.db.held = rooms.find_seats  # alice's rights are read, and then
    joining = asyncio.create_task(alice.join(after=0))
    await asyncio.sleep(0.1)
    del world.db.members[1]
    world.say(1, kind="notice", act="kick", user={"id": 1, "name": "alice"})
    await asyncio.sleep(0.1)
    world.db.gate.set()
    with pytest.raises(EventError) as refused:
        await joining
    assert refused.value.code == "kicked"
    assert alice.seqs == []


@in_a_world()
async def test_who_is_banned_during_the_join_is_found_when_it_is_done(world: World) -> None:
    bob, alice = world.tab(2), world.tab(1)
    await bob.join()
    world.db.held = rooms.find_seats
    joining = asyncio.create_task(alice.join(after=0))
    await asyncio.sleep(0.1)
    world.db.banned[1] = "spam"
    world.told(world.db.order("reseat", room=1))
    await asyncio.sleep(0.1)
    world.db.gate.set()
    await joining
    world.say(1)
    await asyncio.sleep(0.5)
    world.say(1)
    await asyncio.sleep(0.1)
    assert alice.events("room:removed") == [{"room": "room", "code": "banned"}]
    assert 2 not in alice.seqs


@in_a_world()
async def test_a_deleted_body_reaches_nobody_from_the_tail_or_from_a_page(world: World) -> None:
    world.db.append(*[1] * 1200)
    early, late = world.tab(1), world.tab(2)
    await early.join(after=1100)  # the page that a later reader would share
    world.say(0, body="a secret")
    world.say(0, kind="delete", target=1150)
    world.say(0, kind="delete", target=1201)
    for seq in (1150, 1201):  # as the journal does in the same transaction
        world.db.log[seq - 1] = replace(world.db.log[seq - 1], data={"client_id": f"e1c{seq}", "deleted": {}})
    await late.join(after=1100)
    await asyncio.sleep(0.5)
    assert [late.last(seq)["data"].get("body") for seq in (1150, 1201)] == [None, None]
    again = world.tab(3)
    await again.join(after=1200)  # from the tail
    await asyncio.sleep(0.5)
    assert again.last(1201)["data"]["deleted"]["by"] == {"id": 1, "name": "alice"}
    assert "body" not in again.last(1201)["data"]


@in_a_world()
async def test_an_entry_that_can_not_be_obeyed_stops_nothing(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.told(world.db.order("dance"))
    world.told(world.db.order("recheck", nonsense=1))
    world.say(1, kind="notice", act="kick")  # without a word of whom
    world.db.lost[1] = EventError("session_ended")
    world.told(world.db.order("recheck", users=[1]))
    world.say(1)
    await asyncio.sleep(0.5)
    assert alice.seqs == [1, 2]
    assert alice.code == 4509


# Rights


@in_a_world()
async def test_rights_that_are_lost_while_they_are_read_close_the_socket(world: World) -> None:
    world.person(1)
    alice = world.tab()
    rights, alice.socket._rights, alice.socket.user = alice.socket.rights, None, None
    world.db.lost[1] = EventError("banned", "you are banned: spam")
    world.told(world.db.order("recheck", users=[1]))
    await asyncio.sleep(0.5)
    alice.socket.rights = rights  # as they were read before the ban
    await asyncio.sleep(1.1)
    assert alice.code == 4503
    assert alice.packets[-1]["error"]["code"] == "banned"


@in_a_world()
async def test_every_sockets_rights_and_seats_are_read_again_once_a_minute(world: World) -> None:
    alice, bob = world.tab(1), world.tab(2)
    await alice.join()
    await bob.join()
    await asyncio.sleep(1)
    world.db.lost[1] = EventError("session_ended")
    del world.db.members[2]
    await asyncio.sleep(30)
    assert alice.code is None
    await asyncio.sleep(31)
    assert alice.code == 4509
    assert bob.events("room:removed") == [{"room": "room", "code": "kicked"}]


@in_a_world()
async def test_an_outage_does_not_end_the_polls_and_rechecks(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.db.down = True
    await asyncio.sleep(100)
    world.db.down = False
    world.db.append(1)
    await asyncio.sleep(2)
    assert alice.seqs == [1]
    world.db.lost[1] = EventError("session_ended")
    await asyncio.sleep(60)
    assert alice.code == 4509


@in_a_world()
async def test_rights_that_are_lost_during_an_outage_are_acted_on_right_after_it(world: World) -> None:
    alice, bob = world.tab(1), world.tab(2)
    await alice.join()
    await bob.join()
    world.db.down = True
    world.told(world.db.order("recheck", users=[1]))
    world.told(world.db.order("reseat", room=1))
    await asyncio.sleep(10)
    world.db.lost[1] = EventError("session_ended")
    del world.db.members[2]
    world.db.down = False
    await asyncio.sleep(1.1)
    assert alice.code == 4509
    assert bob.events("room:removed")


@in_a_world()
async def test_an_invitation_reaches_the_persons_sockets_and_nobody_else(world: World) -> None:
    alice, tab, bob, stranger = world.tab(1), world.tab(1), world.tab(2), world.tab(1, admitted=False)
    world.told(world.db.order("added", user=1, namespace="chat", room="room"))
    await asyncio.sleep(0.1)
    assert [each.events("room:added") for each in (alice, tab)] == [[{"room": "room"}]] * 2
    assert bob.packets == [], "another person"
    assert stranger.packets == [], "a socket that is not let in yet gets `connect` first"


@in_a_world()
async def test_orders_that_were_trimmed_unread_close_every_socket(world: World) -> None:
    alice = world.tab()
    await alice.join()
    for _ in range(10):
        world.db.order("recheck", users=[])
    world.db.control_first = 8
    await asyncio.sleep(2.2)
    assert alice.code == 4001


# Cursors


@in_a_world()
async def test_who_comes_back_at_once_finds_the_cursor_that_was_not_yet_written(world: World) -> None:
    world.say(*[1] * 5)
    alice = world.tab()
    await alice.join()
    await asyncio.sleep(2)
    world.db.held = cursors.flush
    alice.received(3)
    await asyncio.sleep(0.5)  # being written
    alice.received(4)
    alice.drop()
    back = world.tab()
    answer = await back.join()
    await asyncio.sleep(0.1)
    assert answer["cursor"] == 4
    assert back.seqs == [5]
    world.db.gate.set()
    await asyncio.sleep(2)
    assert world.db.members[1].received == 4


@in_a_world()
async def test_cursors_stay_dirty_until_their_commit_has_succeeded(world: World) -> None:
    world.say(1)
    alice = world.tab()
    await alice.join()
    await asyncio.sleep(1)
    world.db.down = True
    alice.received(1)
    await asyncio.sleep(30)
    assert world.db.members[1].received == 0
    world.db.down = False
    await asyncio.sleep(1.1)
    assert world.db.members[1].received == 1


@in_a_world()
async def test_a_thousand_acknowledgements_are_a_write_a_second(world: World) -> None:
    alice = world.tab()
    await alice.join()
    world.say(*[1] * 1000)
    await asyncio.sleep(2)
    writes = []
    world.db.watch = lambda function: writes.append(function) if function is cursors.flush else None
    for upto in range(1, 1001):
        alice.received(upto)
        await asyncio.sleep(0.005)
    await asyncio.sleep(1)
    assert len(writes) <= 7
    assert world.db.members[1].received == 1000


# Events without history


@in_a_world()
async def test_receipts_come_at_most_once_a_second_and_only_when_they_rise(world: World) -> None:
    alice, bob = world.tab(1), world.tab(2)
    await alice.join()
    await bob.join()
    world.say(*[1] * 100)
    await asyncio.sleep(0.1)
    for upto in range(1, 101):
        alice.received(upto)
        bob.received(upto)
        await asyncio.sleep(0.05)
    await asyncio.sleep(10)
    told = [each["received_by_all"] for each in bob.events("receipts")]
    assert 3 <= len(told) <= 7
    assert told == sorted(set(told)) and told[-1] == 100


@in_a_world()
async def test_presence_comes_at_most_once_a_second_and_with_at_most_a_hundred_changes(world: World) -> None:
    alice = world.tab(1)
    await alice.join()
    await asyncio.sleep(2)
    alice.packets.clear()
    for user in range(2, 252):
        await world.tab(user).join()
    await asyncio.sleep(1.1)
    assert len(alice.events("presence")) == 1
    await asyncio.sleep(5)
    told = [event["changes"] for event in alice.events("presence")]
    assert [len(changes) for changes in told] == [100, 100, 50]
    assert {change["user"]["id"] for changes in told for change in changes} == set(range(2, 252))


@in_a_world()
async def test_typing_is_said_once_a_second_of_a_person_and_of_a_few_people(world: World) -> None:
    tabs = [world.tab(user) for user in range(1, 31)]
    for tab in tabs:
        await tab.join()
    await asyncio.sleep(2)
    for _ in range(50):
        world.hub.typing(tabs[0].socket, "room")
    assert [event["user"]["id"] for event in tabs[1].events("typing")] == [1]
    assert tabs[0].events("typing") == []
    for tab in tabs:
        world.hub.typing(tab.socket, "room")
    assert len(tabs[29].events("typing")) == rooms_of_hub.TYPING
    await asyncio.sleep(1)
    world.hub.typing(tabs[0].socket, "room")
    assert len(tabs[29].events("typing")) == rooms_of_hub.TYPING + 1


@in_a_world()
async def test_a_connection_that_ended_takes_no_place_in_a_room(world: World) -> None:
    alice = world.tab()
    alice.drop()
    with pytest.raises(EventError) as refused:
        await alice.join()
    assert refused.value.code == "unavailable"
    assert 1 not in world.hub.rooms
    world.db.held = rooms.find_seats
    bob = world.tab(2)
    joining = asyncio.create_task(bob.join())
    await asyncio.sleep(0.1)
    bob.drop()
    world.db.gate.set()
    with pytest.raises(EventError):
        await joining
    await asyncio.sleep(0)
    assert 1 not in world.hub.rooms and world.hub._positions == {}
