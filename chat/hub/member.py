"""A member of an open room in this process: one person, however many sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..delivery.cursors import Progress
from ..delivery.ranges import Ranges

if TYPE_CHECKING:
    from ..services.rooms import Seat
    from .position import Position
    from .room import Room


class Member:
    """Cursors move here, in memory; the hub writes them about once a second."""

    def __init__(self, room: Room, seat: Seat, name: str) -> None:
        self.room = room
        self.id = seat.member_id
        self.user = seat.user_id
        self.name = name
        self.received = seat.received
        self.acked = Ranges.parse(seat.acked)  #: unordered rooms: acknowledged above `received`
        self.read = seat.read
        self.positions: set[Position] = set()
        #: Unordered rooms: deliveries so far of what is open, earlier connections' included.
        self.deliveries = {int(seq): count for seq, count in seat.deliveries.items()}
        self.dead: dict[int, int] = {}  #: given up and not yet written: entry and deliveries
        self.moved = False  #: since the last flush began
        self._earlier = set(self.deliveries)

    def catch_up(self, seat: Seat) -> None:
        """The database may be ahead: another process wrote, or retention moved the cursor."""
        self.received = max(self.received, seat.received)
        self.acked.update(Ranges.parse(seat.acked))
        self.received = self.acked.absorb(self.received)
        self.read = max(self.read, seat.read)

    def receive(self, upto: int) -> None:
        if upto > self.received:
            self.received = upto
            self.room.hub.touch(self)

    def receive_some(self, seqs: list[int]) -> None:
        for seq in seqs:
            if seq > self.received:
                self.acked.add(seq)
            self.deliveries.pop(seq, None)
        self.received = self.acked.absorb(self.received)
        self.room.hub.touch(self)

    def read_to(self, seq: int) -> None:
        if seq > self.read:
            self.read = seq
            self.room.hub.touch(self)

    def has(self, seq: int) -> bool:
        """Whether this person acknowledged the entry, on any device."""
        return seq <= self.received or seq in self.acked

    def delivered(self, seq: int, again: bool) -> None:
        """Count a delivery. The first one to each of several tabs is the same delivery."""
        if again or seq in self._earlier:
            self._earlier.discard(seq)
            self.deliveries[seq] = self.deliveries.get(seq, 1) + 1
        else:
            self.deliveries.setdefault(seq, 1)
        self.room.hub.touch(self)

    def give_up(self, seq: int) -> bool:
        """Make a dead letter of an entry that was delivered as often as the room allows."""
        count = self.deliveries.get(seq, 0)
        if count < self.room.max_deliver:
            return False
        self.dead[seq] = count
        self.receive_some([seq])
        for position in self.positions:
            position.forget(seq)
        return True

    def progress(self) -> Progress:
        """What a flush writes; what moves from now on is for the next one."""
        self.moved = False
        return Progress(
            member=self.id,
            room=self.room.id,
            epoch=self.room.epoch,
            received=self.received,
            read=self.read,
            acked=self.acked.copy(),
            deliveries=dict(self.deliveries),
            dead=dict(self.dead),
        )

    def written(self, progress: Progress) -> None:
        """The flush that carried this has been committed."""
        for seq in progress.dead:
            self.dead.pop(seq, None)
