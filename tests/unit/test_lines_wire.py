"""The line wire, section by section of docs/protocol.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.delivery.entries import Entry, Person, rfc3339
from chat.errors import EventError
from chat.wire.lines import FRAME_OUT, decode_packet, fits, lines
from chat.wire.packets import Ack, BadPacket, Event, Packet


def decode(text: str) -> list[Packet]:
    return list(lines.decode(text))


def bad(line: str) -> BadPacket:
    packet = decode_packet(line)
    assert isinstance(packet, BadPacket), packet
    assert packet.error.code == "bad_packet"
    assert not packet.error.temporary
    return packet


def nested(levels: int) -> str:
    """A packet of so many levels; the packet itself is the first."""
    return '{"event":"x","id":1,"data":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


class TestFrames:
    def test_a_frame_holds_several_packets(self) -> None:
        assert decode('{"event":"a"}\n{"ack":1}\n{"event":"b","id":2}') == [
            Event("a"),
            Ack(1),
            Event("b", None, 2),
        ]

    @pytest.mark.parametrize("text", ["", "\n", " ", "\n\n \n\t\n", "\r\n"])
    def test_empty_frames_and_blank_lines_are_ignored(self, text: str) -> None:
        assert decode(text) == []
        assert decode(f'{text}\n{{"event":"a"}}\n{text}') == [Event("a")]

    def test_a_line_may_end_in_a_carriage_return(self) -> None:
        assert decode('{"event":"a"}\r\n{"event":"b"}\r\n') == [Event("a"), Event("b")]

    def test_one_bad_line_leaves_the_others_alone(self) -> None:
        first, second, third = decode('{"event":"a"}\n{"event":\n{"event":"b"}')
        assert (first, third) == (Event("a"), Event("b"))
        assert isinstance(second, BadPacket)

    def test_packets_are_parsed_only_when_asked_for(self) -> None:
        packets = lines.decode('{"event":"a"}\n' + "x\n" * 10_000)
        assert next(packets) == Event("a")

    @pytest.mark.parametrize(
        ("text", "limit", "fit"),
        [
            ("a" * 8, 8, True),
            ("a" * 9, 8, False),
            ("é" * 4, 8, True),
            ("é" * 5, 8, False),
            ("😀" * 2, 8, True),
        ],
    )
    def test_a_frame_is_measured_in_bytes_of_utf8(self, text: str, limit: int, fit: bool) -> None:
        assert fits(text, limit) is fit

    def test_our_frames_hold_at_most_256_kib_and_keep_the_order(self) -> None:
        packets = [lines.event("x", {"n": n, "text": "é" * 10_000}) for n in range(50)]
        frames = lines.frames(packets)
        assert len(frames) > 1
        assert all(len(frame.encode()) <= FRAME_OUT for frame in frames)
        assert "\n".join(frames).split("\n") == packets

    def test_packets_that_fit_share_one_frame(self) -> None:
        assert lines.frames(["a", "b", "c"]) == ["a\nb\nc"]
        assert lines.frames([]) == []

    @given(st.lists(st.integers(1, 3 * FRAME_OUT // 4), max_size=12))
    def test_no_split_loses_a_packet_or_overfills_a_frame(self, sizes: list[int]) -> None:
        packets = ["x" * size for size in sizes]
        frames = lines.frames(packets)
        assert "\n".join(frames).split("\n") == (packets or [""])
        assert all(len(frame) <= FRAME_OUT for frame in frames)


class TestPacketsOfAClient:
    def test_an_event(self) -> None:
        assert decode_packet('{"event":"join","data":{"room":"a"},"id":0}') == Event("join", {"room": "a"}, 0)

    def test_an_ack(self) -> None:
        assert decode_packet('{"ack":3,"data":[1]}') == Ack(3, [1])

    def test_missing_data_is_null(self) -> None:
        assert decode_packet('{"event":"a"}') == decode_packet('{"event":"a","data":null}')

    def test_unknown_keys_are_ignored(self) -> None:
        assert decode_packet('{"event":"a","ts":5,"more":{"b":[1]}}') == Event("a")

    def test_of_duplicate_keys_the_last_wins(self) -> None:
        line = '{"event":"a","event":"b","data":{"x":1,"x":2},"id":1,"id":2}'
        assert decode_packet(line) == Event("b", {"x": 2}, 2)

    @pytest.mark.parametrize("number", [0, 1, 2**53, 2**63, 2**64, 2**70])
    def test_any_non_negative_integer_is_an_id_and_comes_back_as_it_was(self, number: int) -> None:
        packet = decode_packet(f'{{"event":"a","id":{number}}}')
        assert packet == Event("a", None, number)
        assert json.loads(lines.ack(number))["ack"] == number

    @pytest.mark.parametrize("id", ["-1", "1.5", "1.0", "1e3", "true", "false", "null", '"1"', "[]", "{}"])
    @pytest.mark.parametrize("key", ["id", "ack"])
    def test_an_id_that_is_no_non_negative_integer_is_bad(self, key: str, id: str) -> None:
        packet = bad(f'{{"event":"a","{key}":{id}}}' if key == "id" else f'{{"ack":{id}}}')
        assert packet.id is None

    @pytest.mark.parametrize(
        "line",
        [
            "x", "{", "}", "{]", "[", '{"event":"a"', '{"event":"a",}', '{"event":"a"}}', '{"event":"a"} {}',
            "{'event':'a'}", '{event:"a"}', '{"event":"a","data":01}', '{"event":"a","data":+1}',
            '{"event":"a","data":"\t"}', '{"event":"a","data":"\x00"}', '\ufeff{"event":"a"}',
            '{"event":"a"}/**/', '{"event":"a","data":undefined}', '{"event":"a","data":tru}',
        ],
    )  # fmt: skip
    def test_malformed_json_is_bad(self, line: str) -> None:
        assert bad(line).id is None

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
    def test_what_is_no_number_is_bad(self, number: str) -> None:
        bad(f'{{"event":"a","data":{number}}}')

    @pytest.mark.parametrize("text", [r"\ud800", r"\udc00", r"\ud800x", r"\udc00\ud800", r"\ud800\ud800"])
    @pytest.mark.parametrize(
        "line", ['{"event":"%s"}', '{"event":"a","data":{"%s":1}}', '{"event":"a","z":"%s"}']
    )
    def test_the_escape_of_a_lone_surrogate_is_bad(self, line: str, text: str) -> None:
        bad(line % text)

    def test_the_escapes_of_a_pair_are_one_character(self) -> None:
        assert decode_packet(r'{"event":"a","data":"\ud83d\ude00"}') == Event("a", "😀")

    @pytest.mark.parametrize("line", ["1", "null", "true", '"event"', '[{"event":"a"}]', "[]"])
    def test_what_is_no_object_is_bad(self, line: str) -> None:
        bad(line)

    @pytest.mark.parametrize(
        "line", ["{}", '{"data":1}', '{"error":{}}', '{"event":"a","ack":1}', '{"event":5}']
    )
    def test_an_unknown_shape_is_bad(self, line: str) -> None:
        bad(line)

    def test_a_bad_packet_keeps_what_address_it_has(self) -> None:
        assert (bad('{"event":7,"id":5}').id, bad('{"event":7,"id":5}').event) == (5, None)
        assert (bad('{"event":"a","id":-5}').id, bad('{"event":"a","id":-5}').event) == (None, "a")
        assert bad('{"id":4}').id == 4
        assert bad('{"id":true,"event":1}').id is None

    def test_32_levels_are_let_in_and_33_are_not(self) -> None:
        assert isinstance(decode_packet(nested(32)), Event)
        refused = bad(nested(33))
        assert refused.id == 1
        assert "32" in refused.error.message

    @pytest.mark.parametrize("levels", [100, 990, 1000, 5000, 30_000])
    def test_deep_nesting_is_refused_whether_closed_or_not(self, levels: int) -> None:
        bad(nested(levels))
        bad('{"event":"x","data":' + "[" * levels)
        bad('{"event":"x","unknown":' + '{"a":' * levels + "1" + "}" * levels + "}")

    def test_brackets_in_strings_are_no_nesting(self) -> None:
        assert decode_packet('{"event":"a","data":"%s"}' % ("[{" * 1000)) == Event("a", "[{" * 1000)

    def test_many_brackets_side_by_side_are_no_nesting(self) -> None:
        flat = ",".join(["[]"] * 1000)
        assert isinstance(decode_packet(f'{{"event":"a","data":[{flat}]}}'), Event)


class TestPacketsOfTheServer:
    def test_an_ack_with_nothing_to_say_has_null_data(self) -> None:
        assert json.loads(lines.ack(1)) == {"ack": 1, "data": None}

    def test_an_error_ack(self) -> None:
        error = EventError("rate_limited", "slowly", retry_after=1.5)
        refusal = {"code": "rate_limited", "message": "slowly", "temporary": True, "retry_after": 1.5}
        assert json.loads(lines.error(error, 7, "join")) == {"ack": 7, "error": refusal}

    def test_an_error_without_an_id_names_the_event_if_it_can(self) -> None:
        refusal = {"code": "forbidden", "message": "no", "temporary": False}
        assert json.loads(lines.error(EventError("forbidden", "no"))) == {"error": refusal}
        packet = json.loads(lines.error(EventError("forbidden", "no"), None, "join"))
        assert packet == {"error": {**refusal, "event": "join"}}

    def test_an_event_has_an_id_only_where_an_ack_is_wanted(self) -> None:
        assert json.loads(lines.event("typing", {"room": "a"})) == {"event": "typing", "data": {"room": "a"}}
        assert json.loads(lines.event("ask", None, 0)) == {"event": "ask", "data": None, "id": 0}

    def test_an_entry(self) -> None:
        at = rfc3339(datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC))
        entry = Entry("general", 5, at, "message", Person(3, "alice"), {"client_id": "c", "body": "hi"})
        assert json.loads(lines.entry(entry)) == {
            "event": "message",
            "room": "general",
            "seq": 5,
            "at": "2026-01-31T12:00:00.123Z",
            "from": {"id": 3, "name": "alice"},
            "data": {"client_id": "c", "body": "hi"},
        }

    def test_a_line_break_in_a_body_does_not_break_the_line(self) -> None:
        packet = lines.event("x", {"body": "one\ntwo\r\n\u2028three"})
        assert "\n" not in packet
        assert json.loads(packet)["data"]["body"] == "one\ntwo\r\n\u2028three"


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)
names = st.text(st.characters(exclude_categories=["Cs"]))
ids = st.integers(min_value=0)


class TestAnyInput:
    @given(st.text())
    def test_any_text_is_packets_or_bad_packets(self, text: str) -> None:
        assert all(isinstance(packet, Event | Ack | BadPacket) for packet in decode(text))

    @given(st.text(alphabet='{}[]":,\\ \n0123e-event"idackdatu\ud800\udfffé'))
    def test_text_that_looks_like_json_is_packets_or_bad_packets(self, text: str) -> None:
        assert all(isinstance(packet, Event | Ack | BadPacket) for packet in decode(text))

    @given(json_values)
    def test_any_json_is_a_packet_or_a_bad_packet(self, value: Any) -> None:
        (packet,) = decode(json.dumps(value))
        assert isinstance(packet, Event | Ack | BadPacket)

    @given(names, json_values, st.none() | ids)
    def test_what_a_client_sends_arrives(self, name: str, data: Any, id: int | None) -> None:
        sent = {"event": name, "data": data} | ({} if id is None else {"id": id})
        for text in (json.dumps(sent), json.dumps(sent, ensure_ascii=False)):
            assert decode(text) == [Event(name, data, id)]

    @given(names, json_values, st.none() | ids)
    def test_what_we_encode_is_one_line_and_reads_back(self, name: str, data: Any, id: int | None) -> None:
        packet = lines.event(name, data, id)
        assert "\n" not in packet
        assert decode(packet) == [Event(name, data, id)]

    @given(ids, json_values)
    def test_an_ack_reads_back(self, id: int, data: Any) -> None:
        assert decode(lines.ack(id, data)) == [Ack(id, data)]
