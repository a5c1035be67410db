"""Namespaces: what handlers get, in which order they are entered, and how they are answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Literal

import pytest
from django.db import OperationalError

from chat.errors import EventError
from chat.hub.outbox import Outbox
from chat.middleware import Bucket, Buckets, RateLimit, Unlimited, authenticated, parse_rate, rate_limit
from chat.namespace import Body, ClientId, Limit, Namespace, Next, Seq, Slug, Socket, after_answer, on
from chat.namespace.sockets import LANES
from chat.services.people import Rights
from chat.wire.lines import lines
from chat.wire.packets import Ack, Event


class Connection:
    """A socket of a namespace whose packets are kept instead of sent."""

    def __init__(self, namespace: Namespace) -> None:
        self.sent: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self.namespace = namespace
        self.socket = Socket(namespace, Outbox(self._send, lines))
        self.socket.rights = Rights(7, "alice", False)

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.codes.append(message["code"])
        else:
            self.sent += [json.loads(line) for line in message["text"].split("\n")]

    def event(self, name: str, data: Any = None, id: int | None = 1) -> None:
        self.namespace.dispatch(self.socket, Event(name, data, id))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the loop is stepped, nothing is waited for
                await asyncio.sleep(0)

    async def idle(self) -> None:
        await self.until(lambda: not self.socket.in_work)

    async def call(self, name: str, data: Any = None) -> Any:
        """The ack's data, or its error."""
        before = len(self.sent)
        self.event(name, data)
        await self.until(lambda: len(self.sent) > before)
        assert self.sent[before]["ack"] == 1
        return self.sent[before].get("error") or self.sent[before]["data"]


class Probe(Namespace):
    path = "probe"

    def __init__(self) -> None:
        super().__init__()
        self.entered: list[Any] = []
        self.gates: dict[str, asyncio.Future[None]] = {}

    @on("take")
    async def take(
        self,
        socket: Socket,
        room: Slug,
        client_id: ClientId,
        body: Body,
        seq: Seq = 0,
        ordering: Literal["ordered", "unordered"] = "ordered",
        limit: Limit | None = None,
        user: int | str | None = None,
        on: bool = False,
    ) -> dict[str, Any]:
        return {"room": room, "body": body, "seq": seq, "limit": limit, "user": user}

    @on("wait")
    async def wait(self, socket: Socket, room: Slug, name: str) -> None:
        self.entered.append(name)
        await self.gate(name)

    @on("wait anywhere")
    async def wait_anywhere(self, socket: Socket, name: str) -> None:
        self.entered.append(name)
        await self.gate(name)

    @on("read")
    async def read(self, socket: Socket) -> None:
        raise OperationalError("the server closed the connection, as user postgres at 10.0.0.7")

    @on("crash")
    async def crash(self, socket: Socket) -> None:
        raise RuntimeError("a secret")

    @on("crash directly")
    def crash_directly(self, socket: Socket) -> None:
        raise RuntimeError("a secret")

    @on("refuse")
    async def refuse(self, socket: Socket) -> None:
        raise EventError("conflict", "it exists", room="general")

    @on("unspeakable")
    async def unspeakable(self, socket: Socket) -> object:
        return object()

    @on("received")
    def received(self, socket: Socket, /, **rooms: Seq | list[Seq]) -> None:
        self.entered.append(rooms)

    @on("first")
    @on("second")
    async def either(self, socket: Socket) -> str:
        return "either"

    @on("then")
    async def then(self, socket: Socket) -> str:
        after_answer(lambda: socket.outbox.put('{"event":"afterwards"}'))
        return "answer"

    @on("ask")
    async def ask(self, socket: Socket, seconds: float = 5.0) -> Any:
        return await socket.emit("question", {"of": "life"}, ack=True, timeout=seconds)

    def gate(self, name: str) -> asyncio.Future[None]:
        return self.gates.setdefault(name, asyncio.get_running_loop().create_future())

    def helper(self) -> None:
        self.entered.append("helper")


@pytest.fixture
async def probe() -> Connection:
    return Connection(Probe())


def taken(**changes: Any) -> dict[str, Any]:
    data = {"room": "general", "client_id": "c-1", "body": "hi", **changes}
    return {key: value for key, value in data.items() if value is not ...}


class TestData:
    async def test_what_fits_the_signature_comes_in_and_the_rest_is_ignored(self, probe: Connection) -> None:
        answer = await probe.call("take", taken(seq=5, user="bob", colour="red"))
        assert answer == {"room": "general", "body": "hi", "seq": 5, "limit": None, "user": "bob"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("room", ...), ("room", None), ("room", 5), ("room", ""), ("room", "A"), ("room", "a b"),
            ("room", "-a"), ("room", ".a"), ("room", "a" * 65), ("room", "a\n"), ("room", "ä"),
            ("room", ["a"]), ("client_id", ...), ("client_id", ""), ("client_id", "a b"), ("client_id", "é"),
            ("client_id", "a\n"), ("client_id", "a" * 65), ("client_id", 7), ("client_id", "\x7f"),
            ("body", ...), ("body", ""), ("body", " \n\t "), ("body", "a\0b"), ("body", 5), ("body", None),
            ("seq", -1), ("seq", 2**63), ("seq", 2**80), ("seq", 1.5), ("seq", "1"), ("seq", True),
            ("seq", None), ("ordering", "sorted"), ("ordering", None), ("limit", 0), ("limit", "x"),
            ("user", True), ("user", []), ("user", {}), ("on", 1), ("on", "true"),
        ],
    )  # fmt: skip
    async def test_what_does_not_fit_is_bad_data_that_names_the_field(
        self, probe: Connection, field: str, value: Any
    ) -> None:
        error = await probe.call("take", taken(**{field: value}))
        assert (error["code"], error["field"], error["temporary"]) == ("bad_data", field, False)
        assert f"`{field}`" in error["message"]

    @pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "0" * 64])
    async def test_names_of_rooms(self, probe: Connection, name: str) -> None:
        assert (await probe.call("take", taken(room=name)))["room"] == name

    async def test_a_message_says_what_would_be_right(self, probe: Connection) -> None:
        missing = await probe.call("take", taken(room=...))
        assert missing["message"].startswith("`room` is missing: it is a name of 1 to 64")
        wrong = await probe.call("take", taken(seq="5"))
        assert wrong["message"] == "`seq` must be an integer from 0 on, got `str`"

    async def test_a_body_of_16_kib_comes_in_and_a_longer_one_is_too_large(self, probe: Connection) -> None:
        for body in ("a" * 16_384, "é" * 8192, "😀" * 4096):
            assert (await probe.call("take", taken(body=body)))["body"] == body
            error = await probe.call("take", taken(body=body + "a"))
            assert (error["code"], error["field"], error["limit"]) == ("too_large", "body", 16_384)

    async def test_a_body_has_a_bounded_number_of_marks_on_a_letter(self, probe: Connection) -> None:
        """PostgreSQL takes seconds to put them in order, and all messages would wait for it."""
        for body in ("-" * 100, "e" + "\u0301" * 30 + "e" + "\u0301" * 30):
            assert (await probe.call("take", taken(body=body)))["body"] == body
        error = await probe.call("take", taken(body="e" + "\u0301" * 31))
        assert (error["code"], error["field"]) == ("bad_data", "body")

    @pytest.mark.parametrize("data", [[], "text", 5, True, [{"room": "general"}]])
    async def test_data_that_is_no_object_is_bad_data(self, probe: Connection, data: Any) -> None:
        for event in ("take", "received"):
            error = await probe.call(event, data)
            assert (error["code"], error["field"]) == ("bad_data", "data")

    @pytest.mark.parametrize("data", [None, {}])
    async def test_missing_data_is_an_empty_object(self, probe: Connection, data: Any) -> None:
        assert await probe.call("first", data) == "either"
        assert (await probe.call("take", data))["field"] == "room"

    async def test_data_with_keys_of_the_clients_choice(self, probe: Connection) -> None:
        rooms = {"general": 5, "socket": [1, 2], "self": 0}
        assert await probe.call("received", rooms) is None
        assert probe.namespace.entered == [rooms]  # type: ignore[attr-defined]

    @pytest.mark.parametrize("wrong", ["x", -1, None, [1, "x"], 1.5, True, {}])
    async def test_the_wrong_one_of_those_keys_is_named(self, probe: Connection, wrong: Any) -> None:
        error = await probe.call("received", {"general": 5, "other": wrong})
        assert (error["code"], error["field"]) == ("bad_data", "other")

    async def test_a_key_that_is_no_name_is_named(self, probe: Connection) -> None:
        error = await probe.call("received", {"general": 5, "No Room": 5})
        assert error["field"] == "No Room"
        assert "must be a name" in error["message"]


class TestAnswers:
    async def test_an_event_without_an_id_is_not_answered(self, probe: Connection) -> None:
        probe.event("first", id=None)
        probe.event("received", {}, id=None)
        await probe.idle()
        assert probe.sent == []

    async def test_a_refusal_carries_the_id_and_what_the_handler_added(self, probe: Connection) -> None:
        error = await probe.call("refuse")
        assert error == {"code": "conflict", "message": "it exists", "temporary": False, "room": "general"}

    async def test_a_refusal_without_an_id_names_the_event(self, probe: Connection) -> None:
        probe.event("refuse", id=None)
        await probe.idle()
        assert probe.sent[0]["error"]["event"] == "refuse"

    async def test_an_outage_of_the_database_is_a_refusal_for_now(self, probe: Connection) -> None:
        error = await probe.call("read")
        assert (error["code"], error["temporary"]) == ("unavailable", True)
        assert "10.0.0.7" not in json.dumps(error)

    @pytest.mark.parametrize("event", ["crash", "crash directly", "unspeakable"])
    async def test_an_unforeseen_exception_tells_a_reference_and_the_log_the_rest(
        self, probe: Connection, event: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = await probe.call(event)
        assert (error["code"], error["temporary"]) == ("internal", False)
        assert "secret" not in json.dumps(error)
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert error["reference"] in record.getMessage()
        assert record.exc_info is not None
        assert await probe.call("first") == "either"

    @pytest.mark.parametrize(
        "event",
        [
            "",
            "nothing",
            "__class__",
            "__init__",
            "helper",
            "connect",
            "disconnect",
            "dispatch",
            "constructor",
        ],
    )
    async def test_only_registered_events_are_known(self, probe: Connection, event: str) -> None:
        assert (await probe.call(event))["code"] == "unknown_event"
        assert probe.namespace.entered == []  # type: ignore[attr-defined]

    async def test_a_very_long_event_name_is_not_sent_back_in_full(self, probe: Connection) -> None:
        probe.event("x" * 60_000, id=None)
        await probe.idle()
        assert len(json.dumps(probe.sent)) < 1000

    async def test_one_handler_may_have_several_names(self, probe: Connection) -> None:
        assert await probe.call("first") == await probe.call("second") == "either"

    async def test_what_comes_after_the_answer_comes_after_the_answer(self, probe: Connection) -> None:
        probe.event("then")
        await probe.idle()
        assert probe.sent == [{"ack": 1, "data": "answer"}, {"event": "afterwards"}]

    async def test_a_subclass_has_its_parents_events_and_may_replace_them(self) -> None:
        class Child(Probe):
            @on("first")
            async def other(self, socket: Socket) -> str:
                return "child"

        child = Connection(Child())
        assert await child.call("first") == "child"
        assert await child.call("second") == "either"
        assert Probe.handlers["first"] is not Child.handlers["first"]

    async def test_a_handler_cannot_hide_a_method_of_the_namespaces_own(self) -> None:
        with pytest.raises(TypeError, match="name the method otherwise"):

            class Wrong(Namespace):
                @on("send")
                async def send(self, socket: Socket) -> None: ...  # type: ignore[override]


class TestOrder:
    """Events of one socket for the same room enter their handlers in the order of its packets."""

    def entered(self, probe: Connection) -> list[Any]:
        return probe.namespace.entered  # type: ignore[attr-defined, no-any-return]

    async def test_one_room_one_after_the_other(self, probe: Connection) -> None:
        for name in "abc":
            probe.event("wait", {"room": "general", "name": name})
        for name in "abc":
            await probe.until(lambda name=name: name in self.entered(probe))  # type: ignore[misc]
            assert self.entered(probe)[-1] == name
            probe.namespace.gate(name).set_result(None)  # type: ignore[attr-defined]
        await probe.idle()
        assert self.entered(probe) == ["a", "b", "c"]

    async def test_other_rooms_and_other_sockets_do_not_wait(self, probe: Connection) -> None:
        other = Connection(probe.namespace)
        probe.event("wait", {"room": "general", "name": "a"})
        probe.event("wait", {"room": "general", "name": "b"})
        probe.event("wait", {"room": "random", "name": "c"})
        other.event("wait", {"room": "general", "name": "d"})
        await probe.until(lambda: len(self.entered(probe)) == 3)
        assert self.entered(probe) == ["a", "c", "d"]

    async def test_a_refused_event_lets_the_next_one_in(self, probe: Connection) -> None:
        probe.event("wait", {"room": "general", "name": 5})
        probe.event("wait", {"room": "general", "name": "b"})
        await probe.until(lambda: self.entered(probe) == ["b"])

    async def test_a_line_that_has_emptied_is_forgotten(self, probe: Connection) -> None:
        for name in "abc":
            probe.namespace.gate(name).set_result(None)  # type: ignore[attr-defined]
            probe.event("wait", {"room": "general", "name": name})
        await probe.idle()
        assert probe.socket._turns == {}

    async def test_a_slow_middleware_does_not_let_later_events_pass(self) -> None:
        gate = asyncio.get_running_loop().create_future()

        async def slow(socket: Socket, event: Event, next: Next) -> Any:
            if event.data["name"] == "a":
                await gate
            return await next(socket, event)

        class Slow(Probe):
            middleware = [slow]

        probe = Connection(Slow())
        probe.event("wait", {"room": "general", "name": "a"})
        probe.event("wait", {"room": "general", "name": "b"})
        probe.event("wait", {"room": "random", "name": "c"})
        await probe.until(lambda: self.entered(probe) == ["c"])
        gate.set_result(None)
        await probe.until(lambda: self.entered(probe) == ["c", "a"])


class TestInWork:
    async def test_events_in_work_are_counted_and_a_slot_tells_when_one_is_answered(
        self, probe: Connection
    ) -> None:
        for number in range(64):
            probe.event("wait anywhere", {"name": str(number)})
        assert probe.socket.in_work == 64
        slot = probe.socket.slot()
        await asyncio.sleep(0)
        assert not slot.done()
        probe.namespace.gate("17").set_result(None)  # type: ignore[attr-defined]
        await slot
        assert probe.socket.in_work == 63

    async def test_direct_events_and_acks_never_count(self, probe: Connection) -> None:
        probe.event("received", {"general": 1})
        probe.namespace.answered(probe.socket, Ack(1))
        assert probe.socket.in_work == 0


class TestAcksOfClients:
    async def test_the_answer_comes_back_to_the_handler(self, probe: Connection) -> None:
        probe.event("ask", id=9)
        await probe.until(lambda: bool(probe.sent))
        question = probe.sent[0]
        assert question == {"event": "question", "data": {"of": "life"}, "id": question["id"]}
        probe.namespace.answered(probe.socket, Ack(question["id"], 42))
        await probe.idle()
        assert probe.sent[1] == {"ack": 9, "data": 42}

    async def test_an_ack_that_nobody_waits_for_is_dropped(self, probe: Connection) -> None:
        for number in (0, 1, 2**70):
            probe.namespace.answered(probe.socket, Ack(number, "x"))
        assert probe.sent == []

    async def test_asking_always_ends(self, probe: Connection) -> None:
        probe.event("ask", {"seconds": 0.01})
        await probe.idle()
        assert probe.sent[-1]["error"]["code"] == "internal"
        probe.event("ask")
        await probe.until(lambda: len(probe.sent) == 3)
        probe.namespace.farewell(probe.socket)
        await probe.idle()

    async def test_emit_refuses_the_kinds_of_entries(self, probe: Connection) -> None:
        for kind in ("message", "edit", "delete", "react", "notice"):
            with pytest.raises(ValueError, match="entry"):
                await probe.socket.emit(kind, {})


class TestClosing:
    async def test_the_reason_goes_before_the_close_and_only_the_first_counts(
        self, probe: Connection
    ) -> None:
        probe.socket.close(4509, EventError("session_ended"))
        probe.socket.close(4503, EventError("banned"))
        assert [packet["error"]["code"] for packet in probe.sent] == ["session_ended"]
        assert probe.codes == [4509]
        assert probe.socket.closed == 4509

    async def test_disconnect_waits_for_the_handlers(self) -> None:
        left: list[str] = []

        class Leaving(Probe):
            async def disconnect(self, socket: Socket) -> None:
                left.append(socket.id)

        probe = Connection(Leaving())
        probe.socket.admitted = True
        probe.event("wait", {"room": "general", "name": "a"})
        probe.namespace.farewell(probe.socket)
        for _ in range(5):
            await asyncio.sleep(0)
        assert left == []
        probe.namespace.gate("a").set_result(None)  # type: ignore[attr-defined]
        await probe.until(lambda: left == [probe.socket.id])


class TestMiddleware:
    async def test_it_may_change_the_event_and_the_answer(self) -> None:
        async def shout(socket: Socket, event: Event, next: Next) -> Any:
            changed = Event(event.name, {**event.data, "body": event.data["body"].upper()}, event.id)
            return {**await next(socket, changed), "shouted": True}

        async def outermost(socket: Socket, event: Event, next: Next) -> Any:
            answer = await next(socket, event)
            assert answer.pop("shouted")
            return answer

        class Loud(Probe):
            middleware = [outermost, shout]

        answer = await Connection(Loud()).call("take", taken())
        assert answer["body"] == "HI"
        assert "shouted" not in answer

    async def test_it_may_refuse(self) -> None:
        async def closed(socket: Socket, event: Event, next: Next) -> Any:
            raise EventError("forbidden", "not today")

        class Closed(Probe):
            middleware = [closed]

        assert (await Connection(Closed()).call("first"))["code"] == "forbidden"

    async def test_nobody_is_let_in_who_must_be_known(self) -> None:
        class Guarded(Probe):
            middleware = [authenticated]

        guarded = Connection(Guarded())
        await guarded.namespace.admit(guarded.socket)
        guarded.socket.user = None
        with pytest.raises(EventError, match="unauthenticated"):
            await guarded.namespace.admit(guarded.socket)


class TestLanes:
    async def test_a_socket_forgets_the_lanes_that_hold_nothing_back(self) -> None:
        socket = Connection(Probe()).socket
        socket.lane("held").refuse("first", 1)
        for number in range(LANES):
            socket.lane(f"room-{number}")
        assert len(socket.lanes) == 2
        assert socket.lane("held").behind == "first"


class TestRateLimit:
    async def limited(self, rate: float, burst: int) -> Connection:
        class Limited(Probe):
            middleware = [RateLimit(rate, burst)]

        connection = Connection(Limited())
        await connection.namespace.admit(connection.socket)
        return connection

    async def test_past_the_burst_an_event_is_told_when_to_come_again(self) -> None:
        probe = await self.limited(10, 3)
        for _ in range(3):
            assert await probe.call("first") == "either"
        error = await probe.call("first")
        assert (error["code"], error["temporary"]) == ("rate_limited", True)
        assert 0.1 <= error["retry_after"] <= 0.2

    async def test_all_sockets_of_a_person_share_it(self) -> None:
        probe = await self.limited(0.001, 1)
        other = Connection(probe.namespace)
        stranger = Connection(probe.namespace)
        stranger.socket.rights = Rights(8, "bob", False)
        for each in (other, stranger):
            await probe.namespace.admit(each.socket)
        assert await probe.call("first") == "either"
        assert (await other.call("first"))["code"] == "rate_limited"
        assert await stranger.call("first") == "either"

    async def test_acks_and_received_are_free_up_to_a_thousand_and_then_cost_as_events(self) -> None:
        probe = await self.limited(0.001, 5)
        for _ in range(1000):
            probe.event("received", {"general": 1}, id=None)
        assert probe.sent == []
        assert await probe.call("first") == "either"
        for _ in range(100):
            probe.event("received", {"general": 1}, id=None)
        assert {packet["error"]["code"] for packet in probe.sent if "error" in packet} == {"rate_limited"}

    async def test_a_whole_burst_in_debt_is_noticed_and_paid_off_by_waiting(self) -> None:
        probe = await self.limited(0.001, 5)
        assert probe.socket.meter is not None
        for taken in range(11):
            assert probe.socket.meter.in_debt is False, taken
            await probe.call("first")
        assert probe.socket.meter.in_debt
        with pytest.raises(EventError, match="rate_limited"):
            await probe.namespace.admit(Connection(probe.namespace).socket)
        quick = Bucket(1e9, 1)
        assert not any(quick.in_debt for _ in range(3))

    async def test_a_rate_limited_write_holds_back_its_sockets_later_ones(self) -> None:
        probe = await self.limited(0.001, 1)
        await probe.call("first")
        assert (await probe.call("take", taken(client_id="c-1")))["code"] == "rate_limited"
        assert probe.socket.lanes["general"].behind == "c-1"

    async def test_it_holds_nothing_back_once_it_was_answered_for_good(self) -> None:
        probe = await self.limited(1000, 1)
        probe.event("first")
        probe.event("take", taken(body=""), id=2)
        await probe.idle()
        assert probe.sent[1]["error"]["code"] == "rate_limited"
        await asyncio.sleep(probe.sent[1]["error"]["retry_after"])
        assert (await probe.call("take", taken(body="")))["code"] == "bad_data"
        assert probe.socket.lanes["general"].behind is None

    async def test_full_buckets_are_forgotten(self) -> None:
        buckets = Buckets(1e9, 1)
        for key in range(5000):
            buckets[key].take_if_any()
        assert len(buckets) < 2000

    def test_a_rate_is_written_as_in_the_settings(self) -> None:
        assert parse_rate("30/s:200") == (30.0, 200)
        assert parse_rate("30/s") == (30.0, 300)

    def test_the_site_turns_every_limit_off(self, settings: Any) -> None:
        settings.RATE_LIMIT = None
        assert isinstance(rate_limit("30/s"), Unlimited)
        assert isinstance(rate_limit(), Unlimited)
