"""Socket.IO's packets, section by section of the protocol's document (revision 5)."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.consumers.engine import Engine
from chat.consumers.polling import Polls
from chat.consumers.socketio import Connection
from chat.delivery.entries import Entry, Person
from chat.errors import EventError
from chat.hub.chunk import Chunk, Item
from chat.origin import Handshake
from chat.wire import engineio
from chat.wire.lines import FRAME_IN
from chat.wire.packets import Arguments
from chat.wire.socketio import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
    RESERVED,
    BadPacket,
    Decoder,
    Packet,
    Resumable,
    SocketIO,
    decode,
    wire,
)

main, admin = SocketIO("/"), SocketIO("/admin")

PLACE_0, PLACE_1 = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8).filter(
        lambda key: key != "_placeholder"
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=8,
    )


values = nested(scalars)
names = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20).filter(
    lambda name: name not in RESERVED
)
ids = st.none() | st.integers(0, 10**15 - 1)
namespaces = st.sampled_from(["/", "/admin", "/a/b", "/é"])


def feed(*frames: Any) -> list[Packet]:
    """What the messages of a connection come to; each has lost Engine.IO's digit."""
    decoder = Decoder()
    fed = [decoder.feed(frame) for frame in frames]
    return [packet for packet in fed if packet is not None]


def unwrapped(written: Any) -> list[Any]:
    """What is written, as messages of Engine.IO carry it."""
    text, *binary = written if isinstance(written, tuple) else (written,)
    assert text[0] == "4"
    return [text[1:], *binary]


class TestConnection:
    @pytest.mark.parametrize(
        ("text", "namespace", "auth"),
        [
            ("0", "/", None),
            ('0{"token":"123"}', "/", {"token": "123"}),
            ("0/admin,", "/admin", None),
            ("0/admin", "/admin", None),
            ('0/admin,{"token":"123"}', "/admin", {"token": "123"}),
            ("0/admin?a=b,", "/admin", None),
        ],
    )
    def test_a_client_asks_for_a_namespace(self, text: str, namespace: str, auth: Any) -> None:
        assert decode(text) == Packet(CONNECT, namespace, auth)

    @pytest.mark.parametrize("text", ["0[]", '0"token"', "0null", "0/admin,[1]", "0{"])
    def test_auth_that_is_no_object_is_bad(self, text: str) -> None:
        with pytest.raises(BadPacket):
            decode(text)

    def test_the_answer_has_the_sid(self) -> None:
        assert main.connect("abc") == '40{"sid":"abc"}'
        assert admin.connect("abc") == '40/admin,{"sid":"abc"}'
        assert admin.connect("abc", pid="def") == '40/admin,{"sid":"abc","pid":"def"}'

    def test_a_refusal_is_an_object(self) -> None:
        assert main.connect_error("Invalid namespace") == '44{"message":"Invalid namespace"}'
        error = EventError("forbidden", "Staff only.")
        written = admin.connect_error(error.message, error.as_dict())
        assert written.startswith("44/admin,{")
        said = json.loads(written.partition(",")[2])
        assert said == {"message": "Staff only.", "data": error.as_dict()}

    def test_a_client_has_no_refusals_to_give(self) -> None:
        for text in ("4", '4{"message":"no"}', "4/admin,"):
            with pytest.raises(BadPacket):
                decode(text)


class TestEvents:
    @pytest.mark.parametrize(
        ("text", "packet"),
        [
            ('2["foo"]', Packet(EVENT, "/", ["foo"])),
            ('2/admin,["bar"]', Packet(EVENT, "/admin", ["bar"])),
            ('212["foo"]', Packet(EVENT, "/", ["foo"], 12)),
            ('2/admin,456["baz",1,{"3":[true]}]', Packet(EVENT, "/admin", ["baz", 1, {"3": [True]}], 456)),
            ("2[1]", Packet(EVENT, "/", [1])),
            ('2["/a,1"]', Packet(EVENT, "/", ["/a,1"])),
            ('20["foo"]', Packet(EVENT, "/", ["foo"], 0)),
        ],
    )  # fmt: skip
    def test_an_event_is_an_array_that_begins_with_its_name(self, text: str, packet: Packet) -> None:
        assert decode(text) == packet

    @pytest.mark.parametrize(
        "text",
        [
            "2", "2[]", "2{}", "2null", '2"foo"', "2[null]", "2[{}]", "2[[]]", "2[true]", "2[1.5]",
            '2["foo"', '2["foo"]x', "2/admin", "2/admin,", '2abc["foo"]', '2-1["foo"]', '21.5["foo"]',
            '2["\\ud800"]', '21234567890123456["foo"]',
            *(f'2["{name}"]' for name in sorted(RESERVED)),
        ],
    )  # fmt: skip
    def test_anything_else_is_bad(self, text: str) -> None:
        with pytest.raises(BadPacket):
            decode(text)

    def test_data_that_is_nested_too_deeply_is_bad(self) -> None:
        assert decode('2["foo",' + "[" * 31 + "]" * 31 + "]").data[0] == "foo"
        for depth in (32, 1000, 30_000):
            with pytest.raises(BadPacket):
                decode('2["foo",' + "[" * depth + "]" * depth + "]")

    def test_more_than_64_kib_is_told_not_read(self) -> None:
        packet = decode(f'2/admin,7["foo","{"x" * 65_536}"]')
        assert packet == Packet(EVENT, "/admin", None, 7, too_large=True)

    def test_ours_has_one_argument_unless_it_has_several(self) -> None:
        assert main.event("foo", {"a": 1}) == '42["foo",{"a":1}]'
        assert admin.event("foo", None, 7) == '42/admin,7["foo",null]'
        assert main.event("foo", Arguments([1, "2"])) == '42["foo",1,"2"]'
        assert main.event("foo", Arguments()) == '42["foo"]'

    @pytest.mark.parametrize("data", [object(), {1: object()}, "\ud800", float])
    def test_ours_of_what_is_no_json_is_a_type_error(self, data: Any) -> None:
        with pytest.raises(TypeError, match="no JSON"):
            main.event("foo", data)

    @pytest.mark.parametrize("data", ["x" * 2**18, b"x" * (2**18 + 1)], ids=["text", "binary"])
    def test_ours_of_more_than_256_kib_is_a_value_error(self, data: Any) -> None:
        with pytest.raises(ValueError, match="too large"):
            main.event("foo", data)


class TestAcks:
    def test_an_ack_is_an_array_that_may_be_empty(self) -> None:
        assert decode("313[]") == Packet(ACK, "/", [], 13)
        assert decode('3/admin,13["bar"]') == Packet(ACK, "/admin", ["bar"], 13)

    @pytest.mark.parametrize("text", ["313", "313{}", '313"bar"', "3/admin,13", "313[", "313null"])
    def test_anything_else_is_bad(self, text: str) -> None:
        with pytest.raises(BadPacket):
            decode(text)

    def test_ours_says_what_the_line_wire_says(self) -> None:
        assert main.ack(12, {"seq": 5}) == '4312[{"data":{"seq":5}}]'
        assert admin.ack(12) == '43/admin,12[{"data":null}]'
        refusal = json.loads(admin.error(EventError("not_found", "No."), 12).partition(",")[2][2:])
        assert refusal[0]["error"]["code"] == "not_found"

    def test_ours_may_have_several_arguments(self) -> None:
        assert main.ack(456, Arguments([1, "2", {"3": [False]}])) == '43456[1,"2",{"3":[false]}]'

    def test_a_refusal_that_nobody_waits_for_is_an_event(self) -> None:
        written = main.error(EventError("not_found", "No."), None, "join")
        name, error = json.loads(written[2:])
        assert (name, error["code"], error["event"]) == ("error", "not_found", "join")


class TestDisconnection:
    def test_it_names_the_namespace_and_nothing_else(self) -> None:
        assert decode("1") == Packet(DISCONNECT, "/")
        assert decode("1/admin,") == decode("1/admin") == Packet(DISCONNECT, "/admin")
        assert (main.disconnect(), admin.disconnect()) == ("41", "41/admin,")

    @pytest.mark.parametrize("text", ["1{}", "1[]", "1/admin,{}", "1null"])
    def test_with_data_it_is_bad(self, text: str) -> None:
        with pytest.raises(BadPacket):
            decode(text)


class TestBinary:
    def test_the_frames_behind_a_packet_take_their_places(self) -> None:
        packet = Packet(BINARY_EVENT, "/", ["baz", b"\1\2"], attachments=1)
        assert feed(f'51-["baz",{PLACE_0}]', b"\1\2") == [packet]
        (packet,) = feed(f'52-/admin,15["baz",{{"a":[{PLACE_1}]}},{PLACE_0}]', b"\1", b"\2")
        assert (packet.namespace, packet.id) == ("/admin", 15)
        assert packet.data == ["baz", {"a": [b"\2"]}, b"\1"]

    def test_so_they_do_in_an_ack(self) -> None:
        (packet,) = feed(f'61-15["bar",{PLACE_0}]', b"\1")
        assert (packet.kind, packet.id, packet.data) == (BINARY_ACK, 15, ["bar", b"\1"])

    def test_others_follow_when_all_have_come(self) -> None:
        found = feed(f'51-["baz",{PLACE_0}]', b"", '2["foo"]')
        assert [packet.data for packet in found] == [["baz", b""], ["foo"]]

    @pytest.mark.parametrize("count", ["", "-", "0-", "11-", "100-", "1", "a-", "1.-", "-1-", "٣-"])
    def test_there_are_1_to_10_of_them(self, count: str) -> None:
        with pytest.raises(BadPacket):
            feed(f'5{count}["baz",{PLACE_0}]')

    def test_ten_are_taken(self) -> None:
        places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
        (packet,) = feed(f'510-["baz",{places}]', *(bytes([number]) for number in range(10)))
        assert packet.data == ["baz", *(bytes([number]) for number in range(10))]

    @pytest.mark.parametrize("number", ["-1", "1", "0.0", '"0"', "null", "true", "[]", "1e400", "9" * 30])
    def test_a_place_that_no_frame_has_is_bad(self, number: str) -> None:
        with pytest.raises(BadPacket):
            feed(f'51-["baz",{{"_placeholder":true,"num":{number}}}]', b"\1")
        with pytest.raises(BadPacket):
            feed('51-["baz",{"_placeholder":true}]', b"\1")

    def test_text_among_the_frames_is_bad(self) -> None:
        with pytest.raises(BadPacket):
            feed(f'52-["baz",{PLACE_0},{PLACE_1}]', b"\1", '2["foo"]')

    def test_a_frame_that_nothing_announced_is_bad(self) -> None:
        with pytest.raises(BadPacket):
            feed(b"\1")
        with pytest.raises(BadPacket):
            feed(f'51-["baz",{PLACE_0}]', b"\1", b"\2")

    def test_more_than_64_kib_of_them_is_told_not_kept(self) -> None:
        (packet,) = feed(f'52-3["baz",{PLACE_0},{PLACE_1}]', b"x" * 65_536, b"x")
        assert (packet.too_large, packet.data, packet.id) == (True, None, 3)

    def test_ours_go_out_as_they_come_in(self) -> None:
        assert admin.event("baz", Arguments([b"\1", {"a": [b"\2"]}]), 7) == (
            f'452-/admin,7["baz",{PLACE_0},{{"a":[{PLACE_1}]}}]', b"\1", b"\2",
        )  # fmt: skip
        assert main.ack(7, Arguments([b"\1"])) == (f"461-7[{PLACE_0}]", b"\1")


class TestEntries:
    entry = Entry(
        room="general", seq=7, kind="message", at="2026-01-02T03:04:05.006Z",
        sender=Person(1, "alice"), data={"client_id": "c", "body": "hi"},
    )  # fmt: skip

    def test_an_entry_is_an_event_with_one_object(self) -> None:
        name, *arguments = json.loads(main.entry(self.entry)[2:])
        assert name == "message"
        assert arguments == [
            {
                "room": "general", "seq": 7, "at": "2026-01-02T03:04:05.006Z",
                "from": {"id": 1, "name": "alice"}, "data": {"client_id": "c", "body": "hi"},
            }
        ]  # fmt: skip

    def test_for_who_recovers_it_has_its_offset_behind_that(self) -> None:
        wire = Resumable("/chat", lambda room, seq: f"{room}:{seq}")
        _, entry, offset = json.loads(wire.entry(self.entry).partition(",")[2])
        assert (entry["seq"], offset) == (7, "general:7")

    def test_such_packets_are_made_anew_each_time_and_kept_for_nobody(self) -> None:
        places = iter("ab")
        wire, chunk = Resumable("/chat", lambda room, seq: next(places)), Chunk([Item(self.entry)])
        assert [json.loads(chunk.frames(wire)[0][8:])[-1] for _ in range(2)] == ["a", "b"]
        assert chunk.frames(main) is chunk.frames(main)


class TestTooMuch:
    def test_binary_data_that_is_refused_anyway_is_not_kept(self) -> None:
        decoder = Decoder()
        for frame in ('53-["a"]', bytes(60_000), bytes(60_000)):
            assert decoder.feed(frame) is None
        assert sum(map(len, decoder._binary)) <= FRAME_IN
        packet = decoder.feed(bytes(60_000))
        assert packet is not None
        assert (packet.too_large, packet.data) == (True, None)

    def test_nor_is_how_a_client_introduces_itself(self) -> None:
        with pytest.raises(BadPacket, match="at most 65536 bytes"):
            decode('0/chat,{"a":"' + 70_000 * "a" + '"}')

    async def test_a_namespace_that_is_none_is_not_remembered(self) -> None:
        engine = Engine(partial(Connection, {}))
        session = engine.open(Handshake({"headers": []}), polls := Polls())
        before = wire.cache_info().currsize
        for number in range(3):
            await session.take(engineio.Packet(engineio.MESSAGE, f"0/none-{number},"), None)
        assert polls.take(10**6) == [
            f'44/none-{number},{{"message":"Invalid namespace"}}' for number in range(3)
        ]
        assert wire.cache_info().currsize == before
        session.end()


class TestAnyInput:
    @given(st.text() | st.text(alphabet=st.sampled_from('0123456789-/,[]{}":\\ntrue_placeholderumé?')))
    def test_a_text_is_a_packet_or_bad(self, text: str) -> None:
        try:
            assert decode(text).kind in range(7)
        except BadPacket:
            pass

    @given(st.lists(st.text() | st.binary() | st.sampled_from([f'51-["a",{PLACE_0}]', '2["b"]']), max_size=6))
    def test_any_frames_are_packets_or_bad(self, frames: list[Any]) -> None:
        try:
            feed(*frames)
        except BadPacket:
            pass

    @given(names, values, ids, namespaces)
    def test_an_event_reads_back(self, name: str, data: Any, id: int | None, namespace: str) -> None:
        (packet,) = feed(*unwrapped(SocketIO(namespace).event(name, data, id)))
        assert packet == Packet(EVENT, namespace, [name, data], id)

    @given(names, st.lists(nested(scalars | st.binary(max_size=10)), max_size=3), ids, namespaces)
    def test_one_with_binary_data_too(
        self, name: str, data: list[Any], id: int | None, namespace: str
    ) -> None:
        frames = unwrapped(SocketIO(namespace).event(name, Arguments(data), id))
        if len(frames) - 1 > 10:
            return
        (packet,) = feed(*frames)
        assert (packet.namespace, packet.id, packet.data) == (namespace, id, [name, *data])

    @given(values, st.integers(0, 10**15 - 1), namespaces)
    def test_an_ack_reads_back(self, data: Any, id: int, namespace: str) -> None:
        (packet,) = feed(*unwrapped(SocketIO(namespace).ack(id, data)))
        assert packet == Packet(ACK, namespace, [{"data": data}], id)
