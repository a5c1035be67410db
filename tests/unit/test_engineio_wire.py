"""Engine.IO's packets, section by section of the protocol's document (revision 4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.wire import engineio
from chat.wire.engineio import PACKETS, SEPARATOR, BadFrame, Options, Packet, decode, join, split

#: Anything that can be in a text packet of a payload.
texts = st.text(alphabet=st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]))
packets = st.builds(lambda kind, data: kind + data, st.sampled_from("0123456"), texts) | st.binary()


class TestHandshake:
    def test_it_tells_the_session_its_upgrades_and_its_times_in_milliseconds(self) -> None:
        packet = Options().open("a-session", ["websocket"])
        assert packet[0] == engineio.OPEN
        assert json.loads(packet[1:]) == {
            "sid": "a-session",
            "upgrades": ["websocket"],
            "pingInterval": 25_000,
            "pingTimeout": 20_000,
            "maxPayload": 1_000_000,
        }

    def test_its_times_are_whole_numbers(self) -> None:
        packet = Options(ping_interval=0.3, ping_timeout=0.2).open("a-session", [])
        assert '"pingInterval":300,"pingTimeout":200' in packet


class TestWebSocket:
    @pytest.mark.parametrize(
        ("frame", "kind", "data"),
        [
            ("0", engineio.OPEN, ""),
            ("1", engineio.CLOSE, ""),
            ("2", engineio.PING, ""),
            ("2probe", engineio.PING, "probe"),
            ("3", engineio.PONG, ""),
            ("3probe", engineio.PONG, "probe"),
            ("4hello", engineio.MESSAGE, "hello"),
            ("4€", engineio.MESSAGE, "€"),
            ("4", engineio.MESSAGE, ""),
            ("5", engineio.UPGRADE, ""),
            ("6", engineio.NOOP, ""),
        ],
    )
    def test_a_text_frame_is_a_digit_and_data(self, frame: str, kind: str, data: str) -> None:
        assert decode(frame) == Packet(kind, data)

    def test_a_binary_frame_is_a_message_without_a_prefix(self) -> None:
        assert decode(b"4\x01") == Packet(engineio.MESSAGE, b"4\x01")
        assert decode(b"") == Packet(engineio.MESSAGE, b"")

    @pytest.mark.parametrize("frame", ["", "7", "abc", " 4hello", "b", "-1", "٤hello", "\x1e"])
    def test_what_begins_with_no_type_is_bad(self, frame: str) -> None:
        with pytest.raises(BadFrame):
            decode(frame)

    def test_a_separator_is_data_there(self) -> None:
        assert decode("4one\x1e4two") == Packet(engineio.MESSAGE, "one\x1e4two")


class TestPolling:
    def test_packets_are_separated_by_a_record_separator(self) -> None:
        assert split("4hello\x1e2\x1e4world") == [Packet("4", "hello"), Packet("2"), Packet("4", "world")]
        assert join(["4hello", "2", "4world"]) == "4hello\x1e2\x1e4world"

    def test_binary_is_base64_behind_a_b(self) -> None:
        assert split("4hello\x1ebAQIDBA==") == [Packet("4", "hello"), Packet("4", b"\x01\x02\x03\x04")]
        assert join(["4hello", b"\x01\x02\x03\x04"]) == "4hello\x1ebAQIDBA=="

    def test_no_bytes_are_binary_too(self) -> None:
        assert split("b") == [Packet("4", b"")]

    def test_has_a_bound(self) -> None:
        assert len(split(SEPARATOR.join(PACKETS * ["3"]))) == PACKETS
        with pytest.raises(BadFrame, match="at most 10000 packets"):
            split(SEPARATOR.join((PACKETS + 1) * ["3"]))

    @pytest.mark.parametrize(
        "payload",
        [
            "",
            "abc",
            "4one\x1e",
            "\x1e4one",
            "4one\x1e\x1e4two",
            "4one\x1e9",
            "bAQI",
            "b!!!!",
            "bAQ I=",
            "bé===",
        ],
    )
    def test_one_bad_packet_makes_all_of_them_bad(self, payload: str) -> None:
        with pytest.raises(BadFrame):
            split(payload)


class TestAnyInput:
    @given(st.text() | st.binary())
    def test_a_frame_is_a_packet_or_bad(self, frame: str | bytes) -> None:
        try:
            packet = decode(frame)
        except BadFrame:
            return
        assert packet.kind in "0123456"

    @given(st.text(alphabet=st.sampled_from("0123456b=\x1eAQ-é") | st.characters()))
    def test_a_payload_is_packets_or_bad(self, payload: str) -> None:
        try:
            found = split(payload)
        except BadFrame:
            return
        assert len(found) == payload.count("\x1e") + 1

    @given(st.lists(packets, min_size=1))
    def test_what_is_joined_is_split_again(self, sent: list[str | bytes]) -> None:
        assert split(join(sent)) == [decode(frame) for frame in sent]
