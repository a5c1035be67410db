"""What happened to the orders of one queue, and whether that was right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.support import Finding

Line = dict[str, Any]


@dataclass
class OrderHistory:
    max_attempts: int
    ordered: bool
    #: What each order is to become: seq: kind (see `Worker`), of those that were acknowledged.
    created: dict[int, str] = field(default_factory=dict)
    #: What the workers noted, in the order of their clocks, which are one.
    lines: list[Line] = field(default_factory=list)
    #: Events as one watcher heard them, if it heard all.
    heard: list[tuple[str, int]] | None = None
    #: When a worker was killed: (name, time).
    kills: list[tuple[str, float]] = field(default_factory=list)
    #: What the database says in the end: seq: state and attempts.
    final: dict[int, tuple[str, int]] = field(default_factory=dict)

    def noted(self, *what: str) -> dict[int, list[Line]]:
        """By order."""
        found: dict[int, list[Line]] = defaultdict(list)
        for line in self.lines:
            if line["what"] in what:
                found[line["seq"]].append(line)
        return found


def check_orders(history: OrderHistory) -> list[Finding]:
    """Everything that a work queue forbids. Empty where it did what it promises."""
    return [
        *check_none_lost(history),
        *check_done_once(history),
        *check_attempts(history),
        *check_leases(history),
        *check_heard(history),
    ]


def check_none_lost(history: OrderHistory) -> Iterator[Finding]:
    doing = history.noted("doing")
    for seq, kind in history.created.items():
        state, attempts = history.final.get(seq, ("missing", 0))
        if state not in ("done", "dead"):
            yield Finding("lost", f"order {seq} is {state}")
        if state == "done" and (kind == "hopeless" or seq not in doing):
            yield Finding("phantom", f"order {seq} ({kind}) is done, and nobody did it")
        if state == "dead" and attempts != history.max_attempts:
            yield Finding("attempts", f"order {seq} is dead after {attempts} of {history.max_attempts}")
    for seq in history.final.keys() - history.created.keys():
        yield Finding("phantom", f"order {seq} was never created")


def check_done_once(history: OrderHistory) -> Iterator[Finding]:
    given = history.noted("given")
    for seq, lines in history.noted("done").items():
        tokens = {line["token"] for line in lines}
        if len(tokens) > 1:
            yield Finding("done twice", f"order {seq} was done under {len(tokens)} tokens")
        if history.final.get(seq, ("", 0))[0] != "done":
            yield Finding("undone", f"order {seq} was acknowledged as done and is {history.final.get(seq)}")
        first = min(line["at"] for line in lines)
        for line in given.get(seq, ()):
            if line["at"] > first and line["token"] not in tokens:
                yield Finding("given after done", f"order {seq}: {line}")


def check_attempts(history: OrderHistory) -> Iterator[Finding]:
    """Each attempt is one lease, and what the database counts is what was given."""
    done = history.noted("done")
    for seq, lines in history.noted("given").items():
        state, attempts = history.final.get(seq, ("missing", 0))
        tokens = {(line["attempts"], line["token"]) for line in lines}
        if len({attempt for attempt, _ in tokens}) != len(tokens):
            yield Finding("attempts", f"order {seq} was leased twice for one attempt: {sorted(tokens)}")
        if max(attempt for attempt, _ in tokens) > attempts:
            yield Finding("attempts", f"order {seq} counts {attempts}, and was given as {sorted(tokens)}")
        last = {attempt for attempt, token in tokens for line in done.get(seq, ()) if line["token"] == token}
        if state == "done" and last and last != {attempts}:
            yield Finding("attempts", f"order {seq} was done in attempt {last} and counts {attempts}")


def check_leases(history: OrderHistory) -> Iterator[Finding]:
    """Nobody is given what another one has."""
    ends = history.noted("failing", "extended")
    for seq, lines in history.noted("given").items():
        leases = sorted({line["attempts"]: line for line in reversed(lines)}.items())
        for (_, before), (_, after) in pairwise(leases):
            if after["at"] < _end(history, before, ends.get(seq, [])):
                yield Finding("double lease", f"order {seq}: {before} and {after}")


def _end(history: OrderHistory, lease: Line, ends: list[Line]) -> float:
    """When a lease ended at the earliest."""
    own = [line for line in ends if line["token"] == lease["token"]]
    until = max(_seconds(line["until"]) for line in [lease, *own] if "until" in line)
    failing = [line["at"] for line in own if line["what"] == "failing"]
    own_socket = (
        line for line in history.lines if line["what"] == "lost" and line["worker"] == lease["worker"]
    )
    lost = [line["at"] for line in own_socket]
    # Its last notes may come after the signal was sent.
    killed = [at for name, at in history.kills if name == lease["worker"]]
    return min([until, *failing, *killed, *(at for at in lost if at > lease["at"])])


def _seconds(until: str) -> float:
    return datetime.fromisoformat(until).timestamp()


def check_heard(history: OrderHistory) -> Iterator[Finding]:
    """As many leases as attempts; in an ordered queue one order after the other."""
    if history.heard is None:
        return
    leases: dict[int, int] = defaultdict(int)
    unfinished = sorted(history.created, reverse=True)
    for event, seq in history.heard:
        if event == "order:leased":
            leases[seq] += 1
            if history.ordered and unfinished and seq != unfinished[-1]:
                yield Finding("disorder", f"order {seq} was leased before {unfinished[-1]} was finished")
        elif event in ("order:done", "order:dead") and history.ordered and seq in unfinished:
            unfinished.remove(seq)
    for seq, (_, attempts) in history.final.items():
        if leases[seq] != attempts:
            yield Finding("attempts", f"order {seq} counts {attempts} and was leased {leases[seq]} times")
