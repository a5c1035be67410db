"""What a server does with packets, right and wrong, over a real connection."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Refused, Server

pytestmark = pytest.mark.each_server


@pytest.fixture
def server(server_kind: str, probes: Callable[[str], Server]) -> Server:
    return probes(server_kind)


@pytest.fixture
async def probe(connect: Connect) -> Client:
    return await connect("alice", namespace="probe")


async def alive(client: Client) -> None:
    word = uuid.uuid4().hex
    assert await client.call("echo", {"value": word}) == word


class TestConnecting:
    async def test_the_first_packet_says_who_one_is_and_what_the_limits_are(self, connect: Connect) -> None:
        for namespace in ("chat", "probe"):
            client = await connect("alice", namespace=namespace)
            assert client.packets[0]["event"] == "connect"
            assert client.hello == {
                "sid": client.hello["sid"],
                "namespace": namespace,
                "user": {"id": client.person.id, "name": client.person.name, "staff": False},
                "limits": {"frame": 65_536, "body": 16_384, "window": {"entries": 1000, "bytes": 1_048_576}},
            }

    async def test_each_socket_has_an_id_of_its_own(self, connect: Connect) -> None:
        alice = await connect("alice")
        again = await connect(alice)
        assert alice.id == again.id
        assert alice.hello["sid"] != again.hello["sid"]

    async def test_staff_are_told_so(self, connect: Connect, server: Server) -> None:
        staff = await connect(server.person("root", staff=True), namespace="probe")
        assert staff.hello["user"]["staff"] is True

    async def test_coming_and_going_are_in_the_log_one_line_each(
        self, connect: Connect, server: Server
    ) -> None:
        client = await connect("alice", namespace="probe")
        line = f"user={client.name} id={client.id} namespace=/probe sid={client.hello['sid']}"
        await client.close()
        await appears(server, f"a user disconnected {line}")
        assert server.log(1000).count(f"a user connected {line}") == 1


class TestClosing:
    async def test_a_socket_that_the_server_closes_is_gone_at_once(
        self, probe: Client, server: Server
    ) -> None:
        await probe.emit("end", {"code": 4509})
        assert await probe.closed() == 4509
        await appears(server, f"a user disconnected user={probe.name}")

    async def test_so_is_one_that_broke_the_rules(self, probe: Client, server: Server) -> None:
        await probe.send_raw("x\n" * 20)
        assert await probe.closed() == 4500
        await appears(server, f"a user disconnected user={probe.name}")


class TestFrames:
    async def test_several_packets_in_one_frame_are_all_answered(self, probe: Client) -> None:
        await probe.send_raw("\n".join(json.dumps({"event": "echo", "id": n + 1000}) for n in range(10)))
        for number in range(1000, 1010):
            assert (await probe.expect_ack(number))["data"] is None

    async def test_answers_come_batched_or_not_but_one_packet_a_line(self, probe: Client) -> None:
        text = "one\ntwo\r\n\u2028three\x85"
        assert await probe.call("echo", {"value": text}) == text

    @pytest.mark.parametrize("frame", ["", "\n", " \n\t\n "])
    async def test_empty_frames_and_blank_lines_are_ignored(self, probe: Client, frame: str) -> None:
        for _ in range(30):
            await probe.send_raw(frame)
        await alive(probe)
        assert not any("error" in packet for packet in probe.packets)

    async def test_a_frame_over_64_kib_is_too_large_and_the_next_one_is_not(self, probe: Client) -> None:
        for body in ("a" * 65_536, "é" * 32_768, "x" * 1_000_000):
            await probe.send_raw(json.dumps({"event": "echo", "data": {"value": body}}, ensure_ascii=False))
            error = await probe.expect_error("too_large")
            assert error["limit"] == 65_536
        await alive(probe)

    async def test_a_frame_of_exactly_64_kib_is_taken(self, probe: Client) -> None:
        packet = {"event": "echo", "data": {"value": ""}, "id": 1000}
        packet["data"]["value"] = "a" * (65_536 - len(json.dumps(packet)))  # type: ignore[index]
        await probe.send_raw(json.dumps(packet))
        assert len((await probe.expect_ack(1000))["data"]) > 65_000

    async def test_a_frame_over_1_mib_ends_the_connection(self, probe: Client, server_kind: str) -> None:
        await probe.send_raw("x" * (1024 * 1024 + 1))
        assert await probe.closed() == (1009 if server_kind == "uvicorn" else 1006)

    async def test_a_binary_frame_is_a_bad_packet(self, probe: Client) -> None:
        await probe.send_raw(b'{"event":"echo","id":1000}')
        await probe.expect_error("bad_packet")
        await alive(probe)


class TestBadPackets:
    @pytest.mark.parametrize(
        "line",
        [
            "x", "{", "[]", "[1]", "5", "null", '"event"', "{}", '{"event":5}', '{"data":{}}',
            '{"event":"echo"',
            '{"event":"echo","id":-1}', '{"event":"echo","id":1.5}', '{"event":"echo","id":true}',
            '{"event":"echo","id":"1"}', '{"event":"echo","id":null}', '{"ack":-1}', '{"ack":"x"}',
            '{"event":"echo","ack":1}', '{"event":"echo","data":NaN}',
            '{"event":"echo","data":{"value":1e999}}',
            r'{"event":"echo","data":{"value":"\ud800"}}', r'{"event":"\udfff"}', '{"event":"\x00"}',
            '{"event":"echo","data":' + "[" * 40 + "]" * 40 + "}",
            '{"event":"echo","data":' + '{"a":' * 9000 + "1" + "}" * 9000 + "}",
            "[" * 60_000, '{"a":' * 10_000, "\ufeff{}",
        ],
    )  # fmt: skip
    async def test_what_cannot_be_read_is_a_bad_packet_and_the_connection_lives(
        self, probe: Client, line: str
    ) -> None:
        await probe.send_raw(line)
        error = await probe.expect_error("bad_packet")
        assert error["temporary"] is False
        assert "Traceback" not in error["message"]
        await alive(probe)

    async def test_it_is_answered_under_its_id_where_that_can_be_read(self, probe: Client) -> None:
        await probe.send_raw('{"id":1000}\n{"id":1001,"event":[]}')
        for number in (1000, 1001):
            assert (await probe.expect_ack(number))["error"]["code"] == "bad_packet"

    async def test_twenty_within_ten_seconds_end_the_connection(self, probe: Client) -> None:
        for _ in range(19):
            await probe.send_raw("nonsense")
            await probe.expect_error("bad_packet")
        await alive(probe)
        await probe.send_raw("nonsense")
        assert await probe.closed() == 4500

    async def test_twenty_in_one_frame_do_too_and_the_last_packet_says_why(self, probe: Client) -> None:
        await probe.send_raw("x\n" * 5000)
        assert await probe.closed() == 4500
        errors = [packet["error"]["message"] for packet in probe.packets if "error" in packet]
        assert len(errors) == 21
        assert "20 bad packets" in errors[-1]


class TestEvents:
    @pytest.mark.parametrize(
        "name",
        ["nothing", "", "__class__", "__init__", "constructor", "connect", "disconnect", "dispatch", "_run"],
    )
    async def test_an_unknown_event_is_refused(self, connect: Connect, name: str) -> None:
        for namespace in ("chat", "probe"):
            client = await connect("alice", namespace=namespace)
            with pytest.raises(Refused, match="unknown_event"):
                await client.call(name, {})
            await client.emit(name)
            assert (await client.expect_error("unknown_event"))["event"] == name

    @pytest.mark.parametrize(
        ("event", "data", "field"),
        [
            ("message", {}, "room"),
            ("message", {"room": "general"}, "client_id"),
            ("message", {"room": "general", "client_id": "a b", "body": "hi"}, "client_id"),
            ("message", {"room": "general", "client_id": "c", "body": " "}, "body"),
            ("message", {"room": "general", "client_id": "c", "body": "\0"}, "body"),
            ("message", {"room": "General", "client_id": "c", "body": "hi"}, "room"),
            ("message", [], "data"),
            ("join", {"room": "general", "after": -1}, "after"),
            ("join", {"room": "general", "after": 1.5}, "after"),
            ("join", {"room": "general", "after": True}, "after"),
            ("join", {"room": "general", "after": 2**63}, "after"),
            ("react", {"room": "general", "client_id": "c", "target": 1, "emoji": "no", "on": True}, "emoji"),
        ],
    )
    async def test_wrong_data_names_the_field(self, alice: Client, event: str, data: Any, field: str) -> None:
        with pytest.raises(Refused) as refused:
            await alice.call(event, data)
        assert (refused.value.code, refused.value.error["field"]) == ("bad_data", field)

    async def test_a_body_over_16_kib_is_too_large(self, alice: Client) -> None:
        with pytest.raises(Refused, match="too_large"):
            await alice.say("general", "é" * 8193)

    async def test_an_error_of_ours_tells_nothing_but_its_reference(
        self, probe: Client, server: Server
    ) -> None:
        with pytest.raises(Refused) as refused:
            await probe.call("crash")
        error = refused.value.error
        assert error["code"] == "internal"
        assert "secret" not in json.dumps(error)
        assert error["reference"] in server.log(1000)
        assert "a secret of the server's" in server.log(1000)
        await alive(probe)

    async def test_an_event_name_cannot_forge_a_line_of_the_log(self, probe: Client, server: Server) -> None:
        with pytest.raises(Refused):
            await probe.call("x\n2026-01-01 INFO forged", {})
        await probe.emit("x\r\nforged too")
        await probe.expect_error("unknown_event")
        assert not re.search(r"^.{0,40}forged", server.log(1000), re.MULTILINE)

    async def test_the_server_may_ask_and_be_answered(self, probe: Client) -> None:
        asking = await probe.submit("ask")
        question = await probe.expect("question", of="life")
        await probe.ack(question["id"] + 1000, "an answer to nothing")
        await probe.ack(question["id"], 42)
        assert await asking == 42


class TestInWork:
    @pytest.fixture
    async def gate(self, connect: Connect) -> Client:
        gate = await connect("gatekeeper", namespace="probe")
        await gate.call("shut")
        return gate

    async def test_65_events_at_once_are_all_answered(self, probe: Client) -> None:
        answers = [await probe.submit("echo", {"value": n}) for n in range(65)]
        assert await asyncio.gather(*answers) == list(range(65))

    async def test_65_in_one_frame_are_all_answered(self, probe: Client) -> None:
        await probe.send_raw("\n".join(json.dumps({"event": "echo", "id": 1000 + n}) for n in range(65)))
        for number in range(1000, 1065):
            await probe.expect_ack(number)

    async def test_64_are_in_work_at_a_time_and_the_rest_wait(self, probe: Client, gate: Client) -> None:
        answers = [await probe.submit("wait") for _ in range(100)]
        while await gate.call("entered") < 64:
            pass
        assert await gate.call("entered") == 64
        await gate.call("open")
        async with asyncio.timeout(5):
            assert await asyncio.gather(*answers)
        assert await gate.call("entered") == 100

    async def test_more_than_1_mib_behind_64_waits_on_uvicorn_and_ends_on_daphne(
        self, probe: Client, gate: Client, server_kind: str
    ) -> None:
        for _ in range(64):
            await probe.submit("wait")
        while await gate.call("entered") < 64:
            pass
        big = [asyncio.create_task(probe.submit("echo", {"value": "x" * 60_000})) for _ in range(100)]
        if server_kind == "daphne":
            assert (await probe.expect_error())["code"] == "rate_limited"
            assert await probe.closed() == 4004
            await asyncio.gather(*big)
            return
        await alive(gate)
        assert not all(each.done() for each in big)  # the client is held back, too
        await gate.call("open")
        for each in big:
            assert await (await each) == "x" * 60_000

    async def test_a_client_that_leaves_behind_64_is_let_go(
        self, probe: Client, gate: Client, server: Server
    ) -> None:
        for _ in range(70):
            await probe.submit("wait")
        await probe.drop()
        await gate.call("open")
        await appears(server, f"a user disconnected user={probe.name}")


async def appears(server: Server, line: str) -> None:
    """Until the log has it; nobody tells when a file grows."""
    async with asyncio.timeout(5):
        while line not in server.log(1000):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
