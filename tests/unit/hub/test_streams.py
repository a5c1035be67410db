"""Whatever is lost, late, doubled or slow: no stream has a gap, and every window holds."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.errors import EventError
from chat.hub import chunk, outbox, position

from .world import Tab, World, a_world, run

#: The window and the chunks of these tests. No entry is larger than a chunk.
WINDOW, WINDOW_BYTES, CHUNK, CHUNK_BYTES = 12, 6000, 5, 2000
OUTBOX = 8_000

PLACES = 4  # tabs at a time
places = st.integers(0, PLACES - 1)
sizes = st.lists(st.integers(1, 1500), min_size=1, max_size=9)
commits = st.tuples(
    st.just("commit"), st.sampled_from(["journal", "hint", "late hint", "two hints", "lost hint"]), sizes
)
acknowledgements = st.tuples(st.just("acknowledge"), places, st.integers(0, 5))
others = st.one_of(
    st.tuples(
        st.just("join"),
        places,
        st.sampled_from(["cursor", "top", "top", "start", "beyond"]),
        st.sampled_from([True, True, False]),
    ),
    st.tuples(st.just("stall"), places, st.floats(0.1, 40)),
    st.tuples(st.just("leave"), places),
    st.tuples(st.just("drop"), places),
    st.tuples(st.just("outage"), st.floats(0.1, 5)),
    st.tuples(st.just("restore"), st.integers(0, 20)),
)
steps = st.one_of(commits, commits, acknowledgements, others)
pauses = st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.02, 0.3, 1.1])
stories = st.lists(st.tuples(steps, pauses), min_size=20, max_size=60)


@dataclass
class Kept:
    """What a client keeps of a room from one connection to the next."""

    top: int = 0  #: all up to here has come
    epoch: str | None = None
    client_id: str | None = None  #: of the entry `top`


class WatchedTab(Tab):
    """Notes in `wrong` what it should not have got."""

    def __init__(self, world: World, user: int, kept: Kept) -> None:
        super().__init__(world, user)
        self.kept = replace(kept)
        self.joined = False
        self.after = 0
        self.acks = True
        self.got: set[int] = set()  #: since the last answer to a join
        self.open: dict[int, int] = {}  #: what is not acknowledged, and its size
        self.wrong: list[str] = []
        self._turn = asyncio.Lock()
        self._asked: list[dict[str, Any]] = []

    async def join(self, **options: Any) -> dict[str, Any]:
        async with self._turn:
            answer, start = await self.world.hub.join(self.socket, "room", **options)
            self._asked.append(options)
            self.socket.outbox.put(self.socket.outbox.wire.ack(1, answer))
            start()
            self.joined = True
            return answer

    async def leave_in_turn(self) -> None:
        async with self._turn:
            self.joined = False
            self.leave()

    def take(self, packet: dict[str, Any]) -> None:
        super().take(packet)
        if "ack" in packet:
            asked, answer = self._asked.pop(0), packet["data"]
            fresh = asked["after"] is None or "reset" in answer
            self.after = self.kept.top = answer["cursor"] if fresh else asked["after"]
            self.kept.epoch, self.kept.client_id = answer["epoch"], None
            self.acks = asked["ack"]
            self.got, self.open = set(), {}
        elif "seq" in packet:
            self.take_entry(packet["seq"], packet["data"])

    def take_entry(self, seq: int, data: dict[str, Any]) -> None:
        self.open[seq] = len(data["body"])
        self.check(seq)
        self.got.add(seq)
        if self.kept.epoch == self.world.db.epoch:
            right = self.world.db.log[seq - 1].data["client_id"]
            self.expect(data["client_id"] == right, f"{seq} is {right}")
        if self.kept.top == seq:
            self.kept.client_id = data["client_id"]
        if self.acks:
            self.expect(len(self.open) <= WINDOW, f"{len(self.open)} entries are in the window")
            self.expect(sum(self.open.values()) <= WINDOW_BYTES, "the window has that many bytes")

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(f"{what} - after {self.seqs[-8:]}, {self.kept}")

    def check(self, seq: int) -> None:
        raise NotImplementedError

    def acknowledge(self, held_back: int) -> None:
        raise NotImplementedError

    def complete(self) -> bool:
        raise NotImplementedError

    def told(self, what: Any) -> None:
        if not self.joined:
            return
        try:
            self.received(what)
        except EventError as error:
            # Between a second join and its answer a client speaks of what came before.
            self.expect(bool(self._asked) or error.code == "not_found", f"{what} is taken: {error}")


class OrderedTab(WatchedTab):
    def check(self, seq: int) -> None:
        again = self.world.hub.redelivered > 0
        top = self.kept.top
        self.expect(seq == top + 1 or (again and self.after < seq <= top), f"{seq} follows")
        self.kept.top = max(top, seq)

    def acknowledge(self, held_back: int) -> None:
        upto = self.kept.top - held_back
        self.open = {seq: size for seq, size in self.open.items() if seq > upto}
        self.told(upto)

    def complete(self) -> bool:
        return self.kept.top == self.world.db.head


class UnorderedTab(WatchedTab):
    def check(self, seq: int) -> None:
        again = self.world.hub.redelivered > 0
        self.expect(seq not in self.got or again, f"{seq} is new")
        while self.kept.top + 1 in self.got | {seq}:
            self.kept.top += 1

    def acknowledge(self, held_back: int) -> None:
        some = sorted(self.open)[: max(0, len(self.open) - held_back)]
        for seq in some:
            del self.open[seq]
        self.told(some)

    def complete(self) -> bool:
        return self.got >= set(range(self.after + 1, self.world.db.head + 1))


class Story:
    def __init__(self, world: World) -> None:
        self.world = world
        self.kind = OrderedTab if world.db.ordering == "ordered" else UnorderedTab
        self.tabs = [self.tab(place) for place in range(PLACES)]
        self.all = list(self.tabs)
        self.joins: set[asyncio.Task[None]] = set()

    def tab(self, place: int, kept: Kept | None = None) -> Any:
        user = place // 2 + 1  # two people with two tabs each
        if user not in self.world.db.members:
            self.world.person(user)
        return self.kind(self.world, user, kept or Kept())

    def play(self, what: str, *about: Any) -> None:
        getattr(self, what.replace(" ", "_"))(*about)

    def commit(self, way: str, sizes: list[int]) -> None:
        appended = self.world.db.append(*sizes)
        if way == "journal":
            self.world.told(appended)
        elif way != "lost hint":
            self.world.hint(appended, late=2.5 if way == "late hint" else 0.01)
        if way == "two hints":
            self.world.hint(appended, late=0.5)

    def join(self, place: int, where: str, ack: bool = True) -> None:
        tab = self.back(place)
        kept = tab.kept
        after = {"cursor": None, "top": kept.top, "start": 0, "beyond": self.world.db.head + 5}[where]
        known = {"epoch": kept.epoch, "after_client_id": kept.client_id} if where == "top" else {}
        joining = asyncio.get_running_loop().create_task(self.try_join(tab, after=after, ack=ack, **known))
        self.joins.add(joining)
        joining.add_done_callback(self.joins.discard)

    async def try_join(self, tab: Any, **options: Any) -> None:
        with contextlib.suppress(EventError, OperationalError):
            await tab.join(**options)

    def back(self, place: int) -> Any:
        """A client whose connection has ended comes back with what it had."""
        tab = self.tabs[place]
        if tab.closed:
            # A page that lacks its beginning is taken for a log that was trimmed.
            away = self.world.db.shorten or len(self.world.db.logs) > 1
            right = (4001, 4002, 4003) if away else (4002, 4003)
            tab.expect(tab.socket.closed in right, f"it closes with {tab.socket.closed}")
            self.drop(place)
        return self.tabs[place]

    def acknowledge(self, place: int, held_back: int) -> None:
        if not self.tabs[place].closed:
            self.tabs[place].acknowledge(held_back)

    def stall(self, place: int, seconds: float) -> None:
        tab = self.tabs[place]
        tab.reading.clear()
        asyncio.get_running_loop().call_later(seconds, tab.reading.set)

    def leave(self, place: int) -> None:
        leaving = asyncio.get_running_loop().create_task(self.tabs[place].leave_in_turn())
        self.joins.add(leaving)
        leaving.add_done_callback(self.joins.discard)

    def drop(self, place: int) -> None:
        self.tabs[place].drop()
        self.tabs[place] = self.tab(place, self.tabs[place].kept)
        self.all.append(self.tabs[place])

    def outage(self, seconds: float) -> None:
        self.world.db.down = True
        asyncio.get_running_loop().call_later(seconds, setattr, self.world.db, "down", False)

    def restore(self, head: int) -> None:
        self.world.db.restore(head)

    async def end(self) -> None:
        """Everyone comes back, reads and acknowledges, and then has everything."""
        await asyncio.sleep(45)  # outages and stalls are over
        for place in range(PLACES):
            if self.back(place) and not self.tabs[place].joined:
                self.join(place, "top")
        for turn in range(200):
            await asyncio.sleep(0.5)
            if turn == 60:
                self.restore(self.world.db.head // 2)  # and nobody asks
            if turn == 160:
                self.commit("lost hint", [1])  # and no join that would look for it
                self.world.db.shorten = 0.0  # which could go on for longer than this story
            for place in range(PLACES):
                if self.tabs[place].closed or not self.tabs[place].joined:
                    self.join(place, "top")
                else:
                    self.tabs[place].acknowledge(0)
        assert [wrong for tab in self.all for wrong in tab.wrong] == []
        assert [tab.complete() for tab in self.tabs] == [True] * PLACES
        assert {row.received for row in self.world.db.members.values()} == {self.world.db.head}


async def tell(story: list[tuple[Any, float]], **options: Any) -> None:
    async with a_world(ack_wait=2.0, max_deliver=1000, **options) as world:
        played = Story(world)
        for place in range(PLACES - 1):
            played.join(place, "top")
        for step, pause in story:
            played.play(*step)
            await asyncio.sleep(pause)
        await played.end()


@pytest.mark.timeout(600)  # for a failure to be made small
@pytest.mark.parametrize("ordering", ["ordered", "unordered"])
@settings(deadline=None, max_examples=60)
@given(story=stories, seed=st.integers(0, 99), delay=st.sampled_from([0.0, 0.05, 1.5]), short=st.booleans())
def test_no_stream_has_a_gap_and_no_window_is_overrun_whatever_happens(
    ordering: str, story: list[tuple[Any, float]], seed: int, delay: float, short: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(position, "WINDOW_ENTRIES", WINDOW)
        patch.setattr(position, "WINDOW_BYTES", WINDOW_BYTES)
        patch.setattr(chunk, "CHUNK_ENTRIES", CHUNK)
        patch.setattr(chunk, "CHUNK_BYTES", CHUNK_BYTES)
        patch.setattr(outbox, "LIMIT", OUTBOX)
        run(tell(story, ordering=ordering, seed=seed, delay=delay, shorten=0.5 if short else 0.0))
