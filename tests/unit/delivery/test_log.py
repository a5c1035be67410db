"""Appending to a log and reading it."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.delivery import door, log
from chat.delivery.entries import Appended, Draft, Receipt
from chat.models import Membership, Mention, Message, Room

from .conftest import MakeRoom
from .support import act, bodies, check_dense, codes, draft, entries, now, place, refused, say, send

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
MORE = st.dictionaries(st.sampled_from(["reply_to", "text", "reason"]), TEXT | st.integers(1, 9), max_size=2)


def append(*drafts: Draft) -> tuple[list[log.Answer], list[Appended]]:
    with transaction.atomic():
        return log.append(drafts)


# Numbers


def test_the_log_is_numbered_from_one_without_gaps(room: Room, alice: User, bob: User) -> None:
    assert [say(room, alice), say(room, bob), say(room, None)] == [1, 2, 3]
    check_dense(room)


def test_each_room_has_numbers_of_its_own(make_room: MakeRoom, alice: User) -> None:
    one, two = make_room(), make_room()
    answers, appended = append(draft(one, alice), draft(two, alice), draft(one, alice))
    assert [answer.seq for answer in answers if isinstance(answer, Receipt)] == [1, 1, 2]
    assert sorted((each.room_id, each.first, each.last) for each in appended) == [
        (one.pk, 1, 2),
        (two.pk, 1, 1),
    ]


def test_only_messages_are_counted_as_messages(room: Room, alice: User) -> None:
    target = say(room, alice)
    door.write(act("edit", room, alice, target, "better"), act("react", room, alice, target))
    door.write(draft(room, None, kind="notice", extra={"text": "so it is"}), draft(room, alice))
    assert (now(room).head, now(room).messages) == (5, 2)
    check_dense(room)


def test_a_refused_draft_takes_no_number(room: Room, alice: User, charlie: User) -> None:
    assert codes(send(draft(room, alice), draft(room, charlie), draft(room, alice))) == [
        "ok",
        "forbidden",
        "ok",
    ]
    check_dense(room)
    assert now(room).head == 2


def test_a_rollback_leaves_no_gap(room: Room, alice: User) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        say(room, alice, "never was")
        raise ZeroDivisionError
    assert say(room, alice, "the first") == 1
    check_dense(room)


def test_nothing_to_append_is_nothing_done() -> None:
    assert append() == ([], [])


# Once


def test_a_retry_gets_the_first_answer_as_a_duplicate(room: Room, alice: User) -> None:
    message = draft(room, alice, "once")
    first, again = door.write(message)[0], door.write(message)[0]
    assert (first.seq, first.duplicate) == (1, False)
    assert (again.seq, again.duplicate) == (1, True)
    assert bodies(room) == ["once"]


def test_a_known_client_id_gets_its_first_answer_whatever_else_is_said(room: Room, alice: User) -> None:
    say(room, alice, "one", client_id="same")
    retry = act("delete", room, alice, 99, client_id="same")
    assert door.write(retry) == [Receipt("general", 1, "same", duplicate=True)]
    assert bodies(room) == ["one"]


def test_duplicates_inside_a_batch_are_found(room: Room, alice: User) -> None:
    message = draft(room, alice, "once")
    answers = send(message, draft(room, alice, "between"), message)
    assert codes(answers) == ["ok", "ok", "duplicate"]
    assert bodies(room) == ["once", "between"]


def test_a_client_id_is_one_persons_in_one_room(make_room: MakeRoom, alice: User, bob: User) -> None:
    one, two = make_room(), make_room()
    answers = send(*(draft(room, user, client_id="same") for room in (one, two) for user in (alice, bob)))
    assert codes(answers) == ["ok"] * 4


def test_the_database_itself_refuses_a_second_entry_of_a_client_id(room: Room, alice: User) -> None:
    say(room, alice, client_id="same")
    row = Message.objects.get(room=room)
    for changed in ({"seq": 2}, {"client_id": "other"}):  # the other unique column stays the same
        twin = {"room": room, "seq": 1, "sender": alice, "client_id": "same", "kind": "message"}
        with pytest.raises(IntegrityError), transaction.atomic():
            Message.objects.create(**{**twin, "ordinal": 1, "at": row.at, **changed})


def leave(room: Room, user: User) -> None:
    Membership.objects.filter(room=room, user=user).delete()


def be_deactivated(room: Room, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def see_it_closed(room: Room, user: User) -> None:
    Room.objects.filter(pk=room.pk).update(closed_at=Message.objects.latest("seq").at)


@pytest.mark.parametrize("loss", [leave, be_deactivated, see_it_closed])
def test_a_known_client_id_is_answered_before_rights_are_checked(room: Room, bob: User, loss: object) -> None:
    message = draft(room, bob)
    door.write(message)
    loss(room, bob)  # type: ignore[operator]
    assert codes(send(message, draft(room, bob)))[0] == "duplicate"
    assert codes(send(draft(room, bob)))[0] in ("forbidden", "session_ended")


def test_a_retry_of_a_deleted_message_gets_its_first_answer(room: Room, alice: User) -> None:
    message = draft(room, alice)
    door.write(message)
    door.write(act("delete", room, alice, 1))
    assert door.write(message) == [Receipt("general", 1, message.client_id, duplicate=True)]


# Edits, deletions and reactions speak of a living message


@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
def test_what_speaks_of_a_message_needs_one(kind: str, make_room: MakeRoom, alice: User) -> None:
    room, other = make_room(), make_room()
    say(room, alice, "gone")  # 1
    door.write(act("delete", room, alice, 1))  # 2, no message
    door.write(draft(room, None, kind="notice", extra={"text": "no message either"}))  # 3
    for _ in range(4):
        say(other, alice, "a message 4, but elsewhere")
    for target in (0, 1, 2, 3, 4, 99, 2**63 - 1):
        error = refused(door.write, act(kind, room, alice, target))
        assert error.code == "not_found", target


def test_a_trimmed_message_is_no_target(room: Room, alice: User) -> None:
    say(room, alice)
    Room.objects.filter(pk=room.pk).update(first=2)
    assert refused(door.write, act("react", room, alice, 1)).code == "not_found"


def test_people_edit_only_their_own_messages(room: Room, alice: User, bob: User) -> None:
    say(room, bob)
    assert codes(send(act("edit", room, alice, 1), act("edit", room, bob, 1))) == ["forbidden", "ok"]


def test_people_delete_their_own_messages_and_moderators_everyones(
    room: Room, alice: User, bob: User
) -> None:
    for author in (bob, alice, bob):
        say(room, author)
    assert codes(send(act("delete", room, bob, 1), act("delete", room, bob, 2))) == ["ok", "forbidden"]
    assert codes(send(act("delete", room, alice, 3))) == ["ok"]


@pytest.mark.parametrize(("role", "staff"), [("moderator", False), ("member", True)])
def test_a_moderator_or_staff_who_is_a_member_deletes_what_others_wrote(
    room: Room, alice: User, bob: User, role: str, staff: bool
) -> None:
    Membership.objects.filter(room=room, user=bob).update(role=role)
    User.objects.filter(pk=bob.pk).update(is_staff=staff)
    say(room, alice)
    assert codes(send(act("delete", room, bob, 1))) == ["ok"]


def test_anyone_in_the_room_reacts(room: Room, alice: User, bob: User) -> None:
    say(room, alice)
    door.write(act("react", room, bob, 1))
    assert entries(room)[-1].data.items() >= {"target": 1, "emoji": "👍", "on": True}.items()


def test_a_deletion_acts_on_what_stands_behind_it_in_a_batch(room: Room, alice: User, bob: User) -> None:
    say(room, alice)
    answers = send(act("react", room, bob, 1), act("delete", room, alice, 1), act("react", room, bob, 1))
    assert codes(answers) == ["ok", "ok", "not_found"]


# Deletion


def test_a_deletion_takes_the_body_out_of_the_log_with_every_edit_of_it(room: Room, alice: User) -> None:
    more = {"reply_to": 1, "mentions": [{"id": alice.pk, "name": "alice"}]}
    say(room, alice, "secret 1", html="<b>secret</b>", extra=more)
    say(room, alice, "not secret", extra=more)
    door.write(act("edit", room, alice, 1, "secret 2", html="<i>secret</i>"))
    door.write(act("edit", room, alice, 2, "better"))
    send(act("edit", room, alice, 1, "secret 3"), act("delete", room, alice, 1, extra={"reason": "a slip"}))
    rows = Message.objects.filter(room=room)
    assert not [row for row in rows.values_list() if "secret" in str(row) and "not secret" not in str(row)]
    assert [row.seq for row in rows.order_by("seq") if row.body] == [2, 4]
    assert list(Mention.objects.values_list("seq", flat=True)) == [2]


def test_a_deleted_message_is_sent_with_who_deleted_it_when_and_why(
    room: Room, alice: User, bob: User
) -> None:
    say(room, bob, "oh", client_id="c")
    door.write(act("edit", room, bob, 1, "oh no", client_id="e"))
    door.write(act("delete", room, alice, 1, extra={"reason": "rude"}))
    message, edit, deletion = entries(room)
    by = {"by": {"id": alice.pk, "name": "alice"}, "at": deletion.at, "reason": "rude"}
    assert message.data == {"client_id": "c", "deleted": by}
    assert edit.data == {"client_id": "e", "target": 1, "deleted": by}
    assert deletion.data.items() >= {"target": 1, "reason": "rude"}.items()
    assert (message.sender.name, message.kind, message.seq) == ("bob", "message", 1)


def test_a_message_is_deleted_once(room: Room, alice: User, bob: User) -> None:
    say(room, bob)
    door.write(act("delete", room, bob, 1))
    assert refused(door.write, act("delete", room, alice, 1)).code == "not_found"
    assert json.loads(Message.objects.get(room=room, seq=1).deleted)["by"]["name"] == "bob"


# Mentions


def test_a_mention_is_kept_for_the_people_it_names(room: Room, alice: User, bob: User) -> None:
    named = [{"id": person.pk, "name": person.username} for person in (alice, bob, alice)]
    seq = say(room, alice, extra={"mentions": named})
    assert sorted(Mention.objects.values_list("user", "seq")) == [(alice.pk, seq), (bob.pk, seq)]


# Reading


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["message", "notice", "edit"]), TEXT, TEXT, MORE), min_size=1, max_size=6
    )
)
def test_what_is_pushed_is_what_is_read(
    make_room: MakeRoom, alice: User, said: list[tuple[str, str, str, dict[str, object]]]
) -> None:
    room = make_room()
    say(room, alice)
    drafts = [
        draft(room, None, body, kind=kind, html=html, extra=dict(more), target=1 if kind == "edit" else None)
        for kind, body, html, more in said
    ]
    _, (appended,) = append(*drafts)
    assert appended.entries == entries(room, after=1)
    assert (appended.first, appended.last, appended.epoch) == (2, len(said) + 1, room.epoch)


def test_a_page_is_what_lies_after_a_seq_and_no_more_than_asked(room: Room, alice: User) -> None:
    for _ in range(6):
        say(room, alice)
    assert [entry.seq for entry in log.read(room.pk, 2, 5)] == [3, 4, 5]
    assert [entry.seq for entry in log.read(room.pk, 2, 5, limit=2)] == [3, 4]
    assert log.read(room.pk, 6, 99) == []


def test_some_entries_are_read_in_their_order(room: Room, alice: User) -> None:
    for _ in range(4):
        say(room, alice)
    assert [entry.seq for entry in log.read_some(room.pk, [4, 2, 99])] == [2, 4]
    assert log.read_some(room.pk, []) == []


def test_what_was_trimmed_is_not_read(room: Room, alice: User) -> None:
    for _ in range(4):
        say(room, alice)
    Room.objects.filter(pk=room.pk).update(first=3)
    assert [entry.seq for entry in log.read(room.pk, 0, 4)] == [3, 4]
    assert [entry.seq for entry in log.read_some(room.pk, [2, 3])] == [3]


def test_an_entry_can_be_known_by_its_client_id(room: Room, alice: User) -> None:
    say(room, alice, client_id="first")
    assert log.client_id_at(room.pk, 1) == "first"
    assert log.client_id_at(room.pk, 2) is None


def test_the_heads_of_many_rooms_are_read_at_once(room: Room, alice: User, bob: User) -> None:
    say(room, alice)
    Membership.objects.filter(room=room, user=bob).update(received=1, read=1)
    many = [*range(10**6, 10**6 + 1500), room.pk]
    epoch = room.epoch
    assert log.heads(many) == {room.pk: log.Heads(head=1, first=1, epoch=epoch, received=0, read=0)}
    Membership.objects.filter(room=room).update(received=1)
    assert log.heads([room.pk])[room.pk].received == 1
    assert log.heads([]) == {}


def test_a_rooms_state_is_found_by_its_name(room: Room, alice: User) -> None:
    say(room, alice)
    state = log.state("chat", "general")
    assert state is not None
    assert (state.id, state.head, state.first, state.epoch) == (room.pk, 1, 1, room.epoch)
    assert (state.ordering, state.ack_wait, state.max_deliver) == ("ordered", 30.0, 5)
    assert log.state("chat", "elsewhere") is None
    assert log.state("orders", "general") is None


# Who spoke


def test_a_person_who_has_spoken_cannot_be_erased_from_the_log(room: Room, bob: User) -> None:
    say(room, bob)
    with pytest.raises(ProtectedError):
        bob.delete()
    assert entries(room)[0].sender.as_dict() == {"id": bob.pk, "name": "bob"}


def test_an_entry_has_a_sender(room: Room, alice: User) -> None:
    say(room, alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(room=room).update(sender=None)


def test_the_system_person_speaks_for_notices(room: Room) -> None:
    door.write(draft(room, None, kind="notice", extra={"text": "hear, hear"}))
    (entry,) = entries(room)
    assert entry.as_packet() == {
        "event": "notice",
        "room": "general",
        "seq": 1,
        "at": entry.at,
        "from": {"id": 0, "name": "system"},
        "data": {"client_id": entry.data["client_id"], "text": "hear, hear"},
    }


# What is delivery's own to write


def test_a_stale_save_of_a_room_does_not_move_its_log(room: Room, alice: User) -> None:
    stale = now(room)
    say(room, alice)
    Room.objects.filter(pk=room.pk).update(first=2, epoch="newer")
    stale.topic = "changed"
    stale.save()
    fresh = now(room)
    assert (fresh.topic, fresh.head, fresh.messages, fresh.first, fresh.epoch) == (
        "changed",
        1,
        1,
        2,
        "newer",
    )
    assert say(room, alice) == 2


def test_a_stale_save_of_a_membership_does_not_move_its_cursors(room: Room, bob: User) -> None:
    stale = place(room, bob)
    moved = {"received": 5, "acked": "7", "deliveries": {"6": 1}, "read": 4, "read_messages": 3}
    Membership.objects.filter(pk=stale.pk).update(**moved)
    stale.notify = False
    stale.save()
    fresh = place(room, bob)
    assert fresh.notify is False
    assert {name: getattr(fresh, name) for name in moved} == moved
