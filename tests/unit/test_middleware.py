"""Middleware: the order it runs in, what it may change and refuse, and each one that is shipped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import override_settings
from msgspec import structs

from chat.errors import Close, EventError
from chat.middleware import audit, authenticated, member_of, staff_only, word_filter
from chat.models import Ban, Membership, Room
from chat.namespace import Namespace, Next, Slug, Socket, on
from chat.services.people import Rights
from chat.services.words import Words
from chat.wire.packets import Event

from .test_namespace import Connection


def echo_through(*chain: Any) -> Connection:
    """A socket of a namespace that echoes, behind these."""

    class Echo(Namespace):
        path = "echo"
        middleware = chain

        @on("echo")
        async def echo(self, socket: Socket, body: str = "", room: Slug = "general") -> str:
            return body

        @on("other")
        async def other(self, socket: Socket, body: str = "", topic: str = "") -> list[str]:
            return [body, topic]

        @on("fail")
        async def fail(self, socket: Socket) -> None:
            raise RuntimeError("a secret")

        @on("direct")
        def direct(self, socket: Socket, body: str = "") -> str:
            return body

    return Connection(Echo())


def step(name: str, trace: list[str]) -> Callable[..., Any]:
    async def middleware(socket: Socket, event: Event, next: Next) -> Any:
        trace.append(f"{name} before")
        answer = await next(socket, event)
        trace.append(f"{name} after")
        return f"{answer} {name}"

    return middleware


class TestTheChain:
    async def test_runs_in_the_order_listed_before_an_event_and_backwards_after_it(self) -> None:
        trace: list[str] = []
        socket = echo_through(step("first", trace), step("second", trace))
        assert await socket.call("echo", {"body": "hi"}) == "hi second first"
        assert trace == ["first before", "second before", "second after", "first after"]

    async def test_is_asked_at_the_door_in_that_order_until_one_refuses(self) -> None:
        asked: list[str] = []

        class Door:
            def __init__(self, name: str, opens: bool) -> None:
                self.name, self.opens = name, opens

            async def connect(self, socket: Socket) -> None:
                asked.append(self.name)
                if not self.opens:
                    raise EventError("forbidden", self.name)

        socket = echo_through(Door("first", True), Door("second", False), Door("third", True))
        with pytest.raises(EventError, match="second"):
            await socket.namespace.admit(socket.socket)
        assert asked == ["first", "second"]

    async def test_may_change_the_data_that_the_handler_gets(self) -> None:
        async def shout(socket: Socket, event: Event, next: Next) -> Any:
            return await next(socket, structs.replace(event, data={"body": event.data["body"].upper()}))

        assert await echo_through(shout).call("echo", {"body": "hi"}) == "HI"

    async def test_may_refuse_before_the_handler_and_what_is_behind_it(self) -> None:
        trace: list[str] = []

        async def refuse(socket: Socket, event: Event, next: Next) -> Any:
            raise EventError("forbidden", "not today")

        socket = echo_through(refuse, step("never", trace))
        assert (await socket.call("echo"))["code"] == "forbidden"
        assert trace == []

    async def test_may_refuse_the_answer(self) -> None:
        async def censor(socket: Socket, event: Event, next: Next) -> Any:
            answer = await next(socket, event)
            if "secret" in answer:
                raise EventError("forbidden", "that stays here")
            return answer

        socket = echo_through(censor)
        assert await socket.call("echo", {"body": "hi"}) == "hi"
        assert (await socket.call("echo", {"body": "a secret"}))["message"] == "that stays here"

    async def test_is_passed_by_handlers_that_are_plain_functions(self) -> None:
        trace: list[str] = []
        socket = echo_through(step("never", trace))
        assert await socket.call("direct", {"body": "hi"}) == "hi"
        assert trace == []


class TestStaffOnly:
    async def test_lets_the_staff_in_and_nobody_else(self) -> None:
        socket = echo_through(authenticated, staff_only)
        with pytest.raises(EventError) as refused:
            await socket.namespace.admit(socket.socket)
        assert refused.value.code == "forbidden"
        socket.socket.rights = Rights(7, "alice", True)
        await socket.namespace.admit(socket.socket)

    async def test_refuses_the_events_of_who_lost_the_right_and_closes_their_socket(self) -> None:
        socket = echo_through(staff_only)
        socket.socket.rights = Rights(7, "alice", True)
        assert await socket.call("echo", {"body": "hi"}) == "hi"
        socket.socket.rights = Rights(7, "alice", False)
        assert (await socket.call("echo"))["code"] == "forbidden"
        await socket.until(lambda: bool(socket.codes))
        assert socket.codes == [Close.NOT_ALLOWED]
        assert socket.sent[-1]["error"]["code"] == "forbidden"

    async def test_is_asked_again_when_rights_change(self) -> None:
        socket = echo_through(authenticated, staff_only)
        socket.socket.rights = Rights(7, "alice", True)
        socket.namespace.recheck(socket.socket)
        socket.socket.rights = Rights(7, "alice", False)
        with pytest.raises(EventError):
            socket.namespace.recheck(socket.socket)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
class TestMemberOf:
    @pytest.fixture
    def alice(self) -> User:
        return User.objects.create(username="alice")

    @pytest.fixture
    def room(self, alice: User) -> Room:
        room = Room.objects.create(namespace="echo", slug="general")
        Membership.objects.create(room=room, user=alice, role="moderator")
        return room

    def socket(self, user: User, **options: Any) -> Connection:
        socket = echo_through(member_of(**options))
        socket.socket.rights = Rights(user.pk, user.username, user.is_staff)
        return socket

    async def outcome(self, socket: Connection, room: str = "general", event: str = "echo") -> str:
        answer = await socket.call(event, {"room": room, "body": "done"})
        return answer if isinstance(answer, str) else answer["code"]

    async def test_members_pass_and_others_are_refused(self, alice: User, room: Room) -> None:
        bob = await User.objects.acreate(username="bob")
        assert await self.outcome(self.socket(alice)) == "done"
        assert await self.outcome(self.socket(bob)) == "forbidden"
        assert await self.outcome(self.socket(alice), "absent") == "not_found"

    async def test_a_private_room_of_others_reads_as_none(self, alice: User, room: Room) -> None:
        await Room.objects.aupdate(private=True)
        bob = await User.objects.acreate(username="bob")
        assert await self.outcome(self.socket(bob)) == "not_found"

    async def test_who_is_banned_is_told_so(self, alice: User, room: Room) -> None:
        await Ban.objects.acreate(user=alice, room=room)
        assert await self.outcome(self.socket(alice)) == "banned"

    async def test_roles_may_be_asked_for(self, alice: User, room: Room) -> None:
        assert await self.outcome(self.socket(alice, roles=("owner", "moderator"))) == "done"
        assert await self.outcome(self.socket(alice, roles=("owner",))) == "forbidden"

    async def test_the_staff_pass(self, room: Room) -> None:
        staff = await User.objects.acreate(username="staff", is_staff=True)
        assert await self.outcome(self.socket(staff)) == "done"

    async def test_it_stands_before_the_events_it_was_given(self, alice: User, room: Room) -> None:
        bob = await User.objects.acreate(username="bob")
        assert await self.outcome(self.socket(bob, events=("other",))) == "done"
        assert await self.outcome(self.socket(bob, events=("echo",))) == "forbidden"

    async def test_a_room_of_another_namespace_can_be_meant(self, alice: User, room: Room) -> None:
        await Room.objects.aupdate(namespace="chat")
        assert await self.outcome(self.socket(alice)) == "not_found"
        assert await self.outcome(self.socket(alice, namespace="chat")) == "done"

    async def test_what_is_no_name_is_left_to_the_handler(self, alice: User, room: Room) -> None:
        for room in (7, "Not A Room", "general\0"):
            answer = await self.socket(alice).call("echo", {"room": room})
            assert answer["code"] == "bad_data" and answer["field"] == "room"


class TestWordFilter:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("well, darn it", "well, **** it"),
            ("DARN! Darn; darn.", "****! ****; ****."),
            ("darning is no darn", "darning is no ****"),
            ("_darn_ **darn**", "_****_ ********"),
            ("straße und STRASSE", "****** und *******"),
            ("cafe\u0301 and café", "***** and ****"),
            ("da\u200brn and da\u00adrn", "***** and *****"),
            ("ｄａｒｎ", "****"),
            ("नमस्ते जी", "****** जी"),
            ("👍🏽 ok", "👍🏽 ok"),
            ("", ""),
        ],
    )
    def test_masks_whole_words_however_they_are_written(self, text: str, masked: str) -> None:
        assert Words(["darn", "Straße", "café", "नमस्ते"]).mask(text) == masked

    async def test_changes_its_fields_alone(self) -> None:
        socket = echo_through(word_filter(words=["darn"]))
        assert await socket.call("other", {"body": "darn", "topic": "darn"}) == ["****", "darn"]

    async def test_masks_a_long_text_as_it_does_a_short_one(self) -> None:
        socket = echo_through(word_filter(words=["darn"]))
        assert await socket.call("echo", {"body": "darn " * 1000}) == "**** " * 1000

    async def test_changes_its_events_alone(self) -> None:
        socket = echo_through(word_filter(words=["darn"], events=["other"]))
        assert await socket.call("echo", {"body": "darn"}) == "darn"
        assert await socket.call("other", {"body": "darn"}) == ["****", ""]

    async def test_leaves_data_of_another_shape_to_the_handler(self) -> None:
        socket = echo_through(word_filter(words=["darn"]))
        assert (await socket.call("echo", ["darn"]))["code"] == "bad_data"
        assert (await socket.call("echo", {"body": 7}))["field"] == "body"

    async def test_takes_the_sites_words_and_none_cost_nothing(self) -> None:
        with override_settings(FILTERED_WORDS=["darn"]):
            assert await echo_through(word_filter()).call("echo", {"body": "darn"}) == "****"
        assert not callable(word_filter())

    def test_a_long_text_takes_little_time(self) -> None:
        words = Words(["darn"])
        longest = "é a\u0301 " * 10_000
        began = time.process_time()
        assert words.mask(longest) == longest
        assert words.mask(f"{longest}darn") == f"{longest}****"
        assert time.process_time() - began < 0.5

    @pytest.mark.parametrize("pile", ["\u0315\u0300", "\u0f73", "\uff9e\u0334", "\U0001d165\u0301"])
    def test_marks_piled_on_a_letter_take_little_time(self, pile: str) -> None:
        """To bring 64,000 of them into their order would take minutes."""
        began = time.process_time()
        assert Words(["darn"]).mask(f"o{pile * 32_000} darn") == f"o{pile * 32_000} ****"
        assert time.process_time() - began < 2


class TestAudit:
    async def test_says_what_became_of_each_event(self, caplog: pytest.LogCaptureFixture) -> None:
        async def refuse(socket: Socket, event: Event, next: Next) -> Any:
            if event.data == {"body": "no"}:
                raise EventError("forbidden", "no")
            if event.data == {"body": "away"}:
                raise OperationalError("the database is away")
            return await next(socket, event)

        socket = echo_through(audit, refuse)
        with caplog.at_level(logging.INFO, "chat.events"):
            await socket.call("echo", {"body": "hi"})
            await socket.call("echo", {"body": "no"})
            told = await socket.call("echo", {"body": "away"})
            await socket.call("fail")
            await socket.call("unheard of")
        lines = [record.__dict__["fields"] for record in caplog.records if record.name == "chat.events"]
        assert [(line["event"], line["outcome"]) for line in lines] == [
            ("echo", "ok"),
            ("echo", "forbidden"),
            ("echo", "unavailable"),
            ("fail", "internal"),
            ("unheard of", "unknown_event"),
        ]
        assert told["code"] == "unavailable"
        assert lines[0]["user"] == "alice" and lines[0]["sid"] == socket.socket.id
