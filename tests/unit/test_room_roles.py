"""Who may do what to whom in a room: its owner and moderators, members, outsiders and the staff."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.models import SLOWEST, Ban, Former, Login, Membership, Message, Room, Token
from chat.services import listing, members, moderation, rooms, tokens, words
from tests.support.refusals import refusal

from .conftest import member

pytestmark = pytest.mark.django_db

Role = Membership.Role

#: What may be done to a person in a room.
TO_PEOPLE: list[Callable[[int, int], Any]] = [
    lambda by, user: moderation.ban(by, user, "general", reason="spam"),
    lambda by, user: moderation.unban(by, user, "general"),
    lambda by, user: moderation.mute(by, user, "general"),
    lambda by, user: moderation.kick(by, user, "general"),
]

#: And to the room by its owners and moderators.
TO_ROOM: list[Callable[[int, str], Any]] = [
    lambda by, room: moderation.set_rules(by, room, slow_mode=5),
    lambda by, room: moderation.delete_message(by, room, 1),
    lambda by, room: members.list_bans(by, room),
]


def person(name: str, **rights: bool) -> User:
    return User.objects.create(username=name, **rights)


@pytest.fixture
def bob(general: Room) -> User:
    return member(general, "bob")


def say(user: User, body: str = "hello") -> int:
    return door.write(Draft("chat", "general", user.pk, uuid.uuid4().hex, "message", body=body))[0].seq


def notices(room: Room) -> list[str]:
    return list(
        Message.objects.filter(room=room, kind="notice").order_by("seq").values_list("extra", flat=True)
    )


def role_of(user: User) -> str:
    return Membership.objects.get(user=user, room__slug="general").role


# Who may, to whom


@pytest.mark.parametrize("role", ["owner", "moderator"])
def test_who_has_a_role_moderates_members(owner: User, moderator: User, bob: User, role: str) -> None:
    by = {"owner": owner, "moderator": moderator}[role]
    moderation.mute(by.pk, bob.pk, "general", seconds=60)
    moderation.mute(by.pk, bob.pk, "general", seconds=0)
    moderation.kick(by.pk, "bob", "general", reason="off topic")
    moderation.ban(by.pk, bob.pk, "general", reason="spam")
    assert Ban.objects.get().by == by
    moderation.unban(by.pk, bob.pk, "general")
    said = [entry.change_message for entry in LogEntry.objects.filter(user=by).order_by("pk")]
    where = "room=general namespace=/chat"
    assert said[2:] == [
        f"a user was removed from a room {where} reason=off topic",
        f"a user was banned {where} reason=spam",
        f"a user was unbanned {where}",
    ]


@pytest.mark.parametrize("act", TO_PEOPLE)
def test_who_has_a_role_acts_on_nobody_of_the_same_or_a_higher_one(
    owner: User, moderator: User, act: Callable[[int, int], Any], general: Room
) -> None:
    second = member(general, "second", Role.MODERATOR)
    for by, whom, above in (
        (moderator, second, "an owner"),
        (moderator, moderator, "an owner"),
        (moderator, owner, "the staff"),
        (owner, owner, "the staff"),
    ):
        error = refusal(act, by.pk, whom.pk)
        assert (error.code, error.message.rpartition(": ")[2]) == ("forbidden", f"only {above} may do this")
    if act is not TO_PEOPLE[1]:  # nobody was banned
        act(owner.pk, second.pk)
    assert not Ban.objects.exclude(user=second).exists()


@pytest.mark.parametrize("act", TO_PEOPLE)
def test_the_staff_are_beyond_all_roles_of_a_room(
    owner: User, general: Room, act: Callable[[int, int], Any]
) -> None:
    member(general, "alice", is_staff=True)
    member(general, "boss", is_superuser=True)
    for name in ("alice", "boss"):
        error = refusal(act, owner.pk, User.objects.get(username=name).pk)
        assert error.code == "forbidden" and name in error.message
    assert general.memberships.count() == 3 and not LogEntry.objects.exists()


@pytest.mark.parametrize("act", TO_PEOPLE)
def test_a_moderator_of_one_room_is_nobody_in_another(
    moderator: User, bob: User, act: Callable[[int, int], Any]
) -> None:
    Membership.objects.filter(user=moderator).delete()
    rooms.create("chat", moderator.pk, "mine")
    rooms.take_seat("chat", "general", moderator.pk)
    assert refusal(act, moderator.pk, bob.pk).code == "forbidden"
    rooms.quit("chat", "general", moderator.pk)
    assert refusal(act, moderator.pk, bob.pk).code == "forbidden"
    Room.objects.filter(slug="general").update(private=True)
    hidden = refusal(act, moderator.pk, bob.pk)
    assert (hidden.code, hidden.message) == ("not_found", rooms.no_room("general").message)


@pytest.mark.parametrize("act", TO_ROOM)
def test_members_and_outsiders_do_nothing_to_a_room(
    owner: User, bob: User, act: Callable[[int, str], Any]
) -> None:
    say(owner)
    assert refusal(act, bob.pk, "general").code == "forbidden"
    charlie = person("charlie")
    assert refusal(act, charlie.pk, "general").code == "forbidden"
    Room.objects.filter(slug="general").update(private=True)
    hidden, absent = refusal(act, charlie.pk, "general"), refusal(act, charlie.pk, "absent")
    assert hidden.code == absent.code == "not_found"
    assert hidden.message.replace("general", "absent") == absent.message and hidden.more == absent.more


def test_a_room_role_gives_no_power_over_the_site(owner: User, bob: User) -> None:
    token = Token.objects.get(digest=tokens.digest(tokens.create(bob)))
    for act in (
        lambda: moderation.ban(owner.pk, bob.pk, reason="spam"),
        lambda: moderation.unban(owner.pk, bob.pk),
        lambda: moderation.send_away(owner.pk, bob.pk),
        lambda: moderation.end_sessions(owner.pk, bob.pk),
        lambda: moderation.revoke_token(owner.pk, token.pk),
        lambda: moderation.reopen_room(owner.pk, "general"),
    ):
        assert refusal(act).code == "forbidden"


def test_who_is_banned_from_the_site_moderates_no_room(owner: User, bob: User) -> None:
    Ban.objects.create(user=owner)
    assert refusal(moderation.kick, owner.pk, bob.pk, "general").code == "forbidden"


def test_a_mute_outlives_a_membership_and_so_does_slow_mode(owner: User, bob: User, general: Room) -> None:
    moderation.set_rules(owner.pk, "general", slow_mode=600)
    say(bob)
    muted = moderation.mute(owner.pk, bob.pk, "general", seconds=600).muted_until
    for leave in (
        lambda: rooms.quit("chat", "general", bob.pk),
        lambda: moderation.kick(owner.pk, bob.pk, "general"),
    ):
        leave()
        rooms.take_seat("chat", "general", bob.pk)
        assert Membership.objects.get(user=bob).muted_until == muted
    moderation.mute(owner.pk, bob.pk, "general", seconds=0)
    rooms.quit("chat", "general", bob.pk)
    rooms.take_seat("chat", "general", bob.pk)
    assert refusal(say, bob).code == "rate_limited"
    moderation.set_rules(owner.pk, "general", slow_mode=0)
    rooms.quit("chat", "general", bob.pk)
    assert not Former.objects.exists()


def test_a_queue_and_the_control_log_are_no_rooms_to_moderate(owner: User, bob: User, staff: User) -> None:
    queue = Room.objects.create(namespace="chat", slug="queue", kind=Room.Kind.QUEUE)
    rooms.seat_person(queue, owner.pk, Role.OWNER)
    assert refusal(moderation.ban, owner.pk, bob.pk, "queue").code == "not_found"
    assert refusal(moderation.set_rules, staff.pk, "queue", slow_mode=5).code == "not_found"
    assert refusal(moderation.ban, staff.pk, bob.pk, "control", namespace="_control").code == "not_found"


def test_what_the_staff_banned_is_not_the_rooms_to_lift_or_shorten(
    owner: User, bob: User, staff: User, general: Room
) -> None:
    moderation.ban(staff.pk, bob.pk, "general", reason="threats")
    for act in (
        lambda: moderation.unban(owner.pk, bob.pk, "general"),
        lambda: moderation.ban(owner.pk, bob.pk, "general", seconds=1),
    ):
        error = refusal(act)
        assert error.code == "forbidden" and "by the staff" in error.message
    Ban.objects.update(until=timezone.now())
    moderation.ban(owner.pk, bob.pk, "general", reason="spam")
    assert Ban.objects.get().by == owner
    moderation.unban(staff.pk, bob.pk, "general")


# Deleting


def test_a_moderator_deletes_anyones_message_and_it_is_on_record(owner: User, moderator: User) -> None:
    seq = say(owner)
    draft = Draft("chat", "general", moderator.pk, "d", "delete", target=seq, extra={"reason": "rude"})
    first, again = moderation.delete_as_member(draft), moderation.delete_as_member(draft)
    assert not first.duplicate and again.duplicate
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message.split(" ", 4)[:4]) == (
        moderator, ["a", "message", "was", "deleted"],
    )  # fmt: skip
    assert f"seq={seq} reason=rude" in entry.change_message


def test_what_the_log_refuses_is_not_on_record(owner: User, bob: User) -> None:
    draft = Draft("chat", "general", bob.pk, "d", "delete", target=say(owner))
    assert refusal(moderation.delete_as_member, draft).code == "forbidden"
    assert not LogEntry.objects.exists()


# Roles


def test_an_owner_says_who_moderates(owner: User, bob: User, general: Room) -> None:
    for role, said in (
        ("moderator", "bob is a moderator now."),
        ("moderator", None),
        ("member", "bob is no longer a moderator."),
        ("owner", "bob is an owner now."),
    ):
        before = len(notices(general))
        assert moderation.set_role(owner.pk, "bob", "general", role).role == role_of(bob) == role
        news = notices(general)[before:]
        assert [said in each for each in news] == ([] if said is None else [True])
    assert refusal(moderation.set_role, owner.pk, bob.pk, "general", "member").code == "forbidden"
    assert LogEntry.objects.filter(user=owner).count() == 3


def test_moderators_give_no_roles(moderator: User, bob: User, general: Room) -> None:
    second = member(general, "second", Role.MODERATOR)
    for user, role in ((bob, "moderator"), (second, "member"), (moderator, "owner")):
        assert refusal(moderation.set_role, moderator.pk, user.pk, "general", role).code == "forbidden"
    assert (role_of(bob), role_of(second), role_of(moderator)) == ("member", "moderator", "moderator")


def test_anyone_may_step_down_but_the_last_owner(owner: User, moderator: User, staff: User) -> None:
    moderation.set_role(moderator.pk, moderator.pk, "general", "member")
    for by in (owner, staff):
        assert "last owner" in refusal(moderation.set_role, by.pk, owner.pk, "general", "member").message
    moderation.set_role(staff.pk, moderator.pk, "general", "owner")
    moderation.set_role(owner.pk, owner.pk, "general", "member")
    assert (role_of(owner), role_of(moderator)) == ("member", "owner")


def test_a_role_is_for_members_and_one_of_three(owner: User, bob: User) -> None:
    charlie = person("charlie")
    assert refusal(moderation.set_role, owner.pk, charlie.pk, "general", "moderator").code == "not_found"
    assert refusal(moderation.set_role, owner.pk, bob.pk, "general", "king").more["field"] == "role"


# Rules


def test_slow_mode_is_told_and_filtered_words_are_not(moderator: User, general: Room) -> None:
    for seconds, said in ((30, "every 30 s."), (120, "every 2 min."), (7200, "every 2 h."), (0, "is off.")):
        moderation.set_rules(moderator.pk, "general", slow_mode=seconds)
        assert said in notices(general)[-1]
    before = len(notices(general))
    changed = moderation.set_rules(
        moderator.pk, "general", filtered_words=[" Darn", "heck ", "Darn", ""], filter_action="refuse"
    )
    assert moderation.rules_of(changed) == {
        "room": "general", "slow_mode": 0, "filtered_words": ["Darn", "heck"], "filter_action": "refuse",
    }  # fmt: skip
    assert len(notices(general)) == before
    assert refusal(words.apply, "chat", "general", "oh darn").code == "forbidden"
    assert "Darn" not in LogEntry.objects.latest("pk").change_message


def test_what_stays_as_it_is_is_no_act(owner: User, general: Room) -> None:
    moderation.set_rules(owner.pk, "general")
    moderation.set_rules(owner.pk, "general", slow_mode=0, filtered_words=[], filter_action="mask")
    assert not notices(general) and not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("rules", "right"),
    [
        ({"slow_mode": -1}, f"from 0 to {SLOWEST}"),
        ({"slow_mode": SLOWEST + 1}, f"from 0 to {SLOWEST}"),
        ({"filtered_words": ["two words"]}, "single words"),
        ({"filtered_words": ["two\nlines"]}, "single words"),
        ({"filtered_words": ["***"]}, "single words"),
        ({"filtered_words": ["x" * 51]}, "at most 50"),
        ({"filtered_words": [f"w{number}" for number in range(201)]}, "at most 200"),
        ({"filter_action": "shout"}, "one of mask, refuse"),
    ],
)
def test_rules_that_make_no_sense_are_refused(owner: User, general: Room, rules: Any, right: str) -> None:
    error = refusal(moderation.set_rules, owner.pk, "general", **rules)
    assert (error.code, error.more["field"]) == ("bad_data", *rules) and right in error.message


def test_only_an_owner_closes_a_room_and_only_the_staff_open_it(
    owner: User, moderator: User, staff: User, general: Room
) -> None:
    assert refusal(moderation.close_room, moderator.pk, "general").code == "forbidden"
    moderation.close_room(owner.pk, "general", reason="moved")
    assert refusal(moderation.set_rules, owner.pk, "general", slow_mode=5).code == "forbidden"
    error = refusal(moderation.reopen_room, owner.pk, "general")
    assert error.code == "forbidden" and "only the staff" in error.message
    moderation.reopen_room(staff.pk, "general")
    assert '"act":"reopen"' in notices(general)[-1]
    assert refusal(moderation.reopen_room, staff.pk, "general").code == "conflict"
    assert say(owner)


# Sessions and tokens


def test_all_sessions_end_and_tokens_where_it_is_asked(staff: User, bob: User) -> None:
    Login.objects.create(user=bob, session_key="k" * 32)
    tokens.create(bob)
    moderation.end_sessions(staff.pk, "bob", reason="a lost phone")
    assert not Login.objects.filter(user=bob).exists()
    assert Token.objects.get(user=bob).revoked_at is None
    moderation.end_sessions(staff.pk, "bob", tokens=True)
    assert Token.objects.get(user=bob).revoked_at is not None
    said = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert said == [
        "a user's sessions were ended reason=a lost phone",
        "a user's sessions were ended tokens=True",
    ]


def test_a_token_is_revoked_once(staff: User, bob: User) -> None:
    tokens.create(bob, "laptop")
    token = Token.objects.get(user=bob)
    assert moderation.revoke_token(staff.pk, token.pk).revoked_at is not None
    assert LogEntry.objects.get().change_message == f"a token was revoked token={token.pk} label=laptop"
    assert refusal(moderation.revoke_token, staff.pk, token.pk).code == "conflict"
    assert refusal(moderation.revoke_token, staff.pk, 10**6).code == "not_found"


def test_the_token_and_sessions_of_a_superuser_are_a_superusers_to_end(staff: User) -> None:
    boss = person("boss", is_superuser=True)
    tokens.create(boss)
    token = Token.objects.get(user=boss)
    assert refusal(moderation.revoke_token, staff.pk, token.pk).code == "forbidden"
    assert refusal(moderation.end_sessions, staff.pk, boss.pk).code == "forbidden"


# Lists


def test_members_see_who_is_there_and_moderators_what_is_to_be_known(
    owner: User, moderator: User, bob: User, staff: User
) -> None:
    moderation.mute(owner.pk, bob.pk, "general", seconds=60)
    seen = members.list_members(bob.pk, "general")["members"]
    assert seen == [
        {"id": each.pk, "name": each.username, "role": role, "online": False}
        for each, role in ((bob, "member"), (moderator, "moderator"), (owner, "owner"))
    ]
    for by in (owner, moderator, staff):
        first = members.list_members(by.pk, "general", limit=1)
        assert first["more"] and first["next"] == "bob"
        assert first["members"][0].keys() - seen[0].keys() == {"staff", "muted_until"}
        rest = members.list_members(by.pk, "general", after=first["next"])["members"]
        assert [each["name"] for each in rest] == ["moderator", "owner"]
    found = members.list_members(bob.pk, "general", query="OWN")["members"]
    assert [each["name"] for each in found] == ["owner"]
    assert members.list_members(bob.pk, "general", query="\0")["members"] == []


def test_only_members_see_the_members_of_a_room(general: Room) -> None:
    charlie = person("charlie")
    assert refusal(members.list_members, charlie.pk, "general").code == "forbidden"
    Room.objects.filter(pk=general.pk).update(private=True)
    hidden = refusal(members.list_members, charlie.pk, "general")
    assert (hidden.code, hidden.message) == ("not_found", rooms.no_room("general").message)


def test_bans_of_a_room_are_listed_while_they_last(owner: User, bob: User, general: Room) -> None:
    dora = person("dora")
    moderation.ban(owner.pk, bob.pk, "general", reason="spam")
    moderation.ban(owner.pk, dora.pk, "general", seconds=0.0001)
    Ban.objects.create(user=dora)
    (listed,) = members.list_bans(owner.pk, "general")["bans"]
    assert (listed["user"]["name"], listed["reason"], listed["until"]) == ("bob", "spam", None)
    assert listed["by"] == {"id": owner.pk, "name": "owner"}
    moderation.ban(owner.pk, dora.pk, "general")
    page = members.list_bans(owner.pk, "general", limit=1)
    assert (
        page["more"]
        and members.list_bans(owner.pk, "general", page["next"])["bans"][0]["user"]["id"] == dora.pk
    )


def test_the_list_of_rooms_says_what_holds_there_for_oneself(owner: User, bob: User, general: Room) -> None:
    moderation.set_rules(owner.pk, "general", slow_mode=10)
    moderation.mute(owner.pk, bob.pk, "general", seconds=60)
    mine, theirs = listing.describe(general.pk, bob.pk), listing.describe(general.pk, owner.pk)
    assert mine["slow_mode"] == 10 and mine["muted_until"] and "open_reports" not in mine
    assert theirs["open_reports"] == 0 and "muted_until" not in theirs
    moderation.mute(owner.pk, bob.pk, "general", seconds=0)
    assert "muted_until" not in listing.describe(general.pk, bob.pk)
