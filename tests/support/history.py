"""What was tried, acknowledged and delivered in a run, and whether the promise was kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Finding:
    #: lost, duplicate, disorder, phantom, gap, false ack or reset
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class Delivery:
    seq: int
    sender: str
    client_id: str
    body: str


@dataclass
class History:
    """One room's."""

    #: Whether a client shows entries by ascending `seq` alone, or each that it hasn't shown yet.
    ordered: bool = True
    #: Each sender's messages {client_id: body}, in the order of their first try.
    attempts: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    #: Every ack, in the order in which they came: sender, client_id, seq.
    acks: list[tuple[str, str, int]] = field(default_factory=list)
    #: Each member's deliveries as they came over the wire, redeliveries included.
    deliveries: dict[str, list[Delivery]] = field(default_factory=dict)
    #: The head when each member joined: what comes after it was promised to it.
    joined: dict[str, int] = field(default_factory=dict)

    #: Members who came back and were told to forget what they had.
    resets: list[str] = field(default_factory=list)

    def member(self, name: str, head: int = 0) -> None:
        self.joined[name] = head
        self.deliveries[name] = []

    def attempt(self, sender: str, client_id: str, body: str) -> None:
        self.attempts[sender].setdefault(client_id, body)

    def ack(self, sender: str, client_id: str, seq: int) -> None:
        self.acks.append((sender, client_id, seq))

    def delivery(self, member: str, seq: int, sender: str, client_id: str, body: str) -> None:
        self.deliveries[member].append(Delivery(seq, sender, client_id, body))

    def shown(self, member: str) -> list[Delivery]:
        """What the member's client shows: of redeliveries none, of an ordered room no entry
        that isn't above the last.
        """
        last = self.joined[member]
        result: dict[int, Delivery] = {}
        for delivery in self.deliveries[member]:
            if delivery.seq not in result and (delivery.seq > last or not self.ordered):
                result[delivery.seq] = delivery
                last = delivery.seq
        return list(result.values())


def check(history: History) -> list[Finding]:
    """Everything that the promise forbids. Empty where it was kept."""
    return [
        *(Finding("reset", what) for what in history.resets),
        *check_acks(history),
        *check_one_log(history),
        *check_senders(history),
        *(finding for member in history.deliveries for finding in check_member(history, member)),
    ]


def check_acks(history: History) -> Iterator[Finding]:
    """The same message is always answered with the same place, and a place is given once."""
    places: dict[tuple[str, str], int] = {}
    owners: dict[int, tuple[str, str]] = {}
    for sender, client_id, seq in history.acks:
        message = (sender, client_id)
        if places.setdefault(message, seq) != seq:
            yield Finding("duplicate", f"{message} was acknowledged as {places[message]} and as {seq}")
        if owners.setdefault(seq, message) != message:
            yield Finding("false ack", f"{seq} was given to {owners[seq]} and to {message}")


def check_one_log(history: History) -> Iterator[Finding]:
    """What stands at a `seq` is the same for all, at every delivery."""
    log: dict[int, Delivery] = {}
    for member, deliveries in history.deliveries.items():
        for delivery in deliveries:
            first = log.setdefault(delivery.seq, delivery)
            if first != delivery:
                yield Finding("disorder", f"{member} got {delivery} where another got {first}")
    for sender, client_id, seq in history.acks:
        found = log.get(seq)
        if found and (found.sender, found.client_id) != (sender, client_id):
            yield Finding("false ack", f"{seq} was {sender}'s {client_id} by its ack, and is {found}")


def check_senders(history: History) -> Iterator[Finding]:
    """Each sender's messages stand in the log in the order of their first tries."""
    places = {(sender, client_id): seq for sender, client_id, seq in reversed(history.acks)}
    for deliveries in history.deliveries.values():
        for delivery in deliveries:
            places.setdefault((delivery.sender, delivery.client_id), delivery.seq)
    for sender, messages in history.attempts.items():
        placed = [(places[sender, each], each) for each in messages if (sender, each) in places]
        for (before, first), (after, second) in pairwise(placed):
            if after <= before:
                yield Finding("disorder", f"{sender} sent {first} ({before}) before {second} ({after})")


def check_member(history: History, member: str) -> Iterator[Finding]:
    """All that was acknowledged after the member joined, once, without a gap, nothing else."""
    shown = history.shown(member)
    last = history.joined[member]
    seen: dict[tuple[str, str], int] = {}
    for delivery in shown:
        if history.ordered and delivery.seq != last + 1:
            yield Finding("gap", f"{member} got {delivery.seq} after {last}")
        last = delivery.seq
        message = (delivery.sender, delivery.client_id)
        if message in seen:
            yield Finding("duplicate", f"{member} got {message} as {seen[message]} and as {last}")
        seen[message] = last
        if history.attempts.get(delivery.sender, {}).get(delivery.client_id) != delivery.body:
            yield Finding("phantom", f"{member} got {delivery}, which nobody sent")
    got = {delivery.seq for delivery in shown}
    for sender, client_id, seq in history.acks:
        if seq > history.joined[member] and seq not in got:
            yield Finding("lost", f"{member} never got {seq}, {sender}'s {client_id}")
