"""What tests of /orders have in common."""

from __future__ import annotations

import uuid
from typing import Any

from chat.models import Ban, Lease, Room
from chat.services import rooms
from tests.support import Client, Person, Server
from tests.support.client import Packet


def new() -> str:
    return f"queue-{uuid.uuid4().hex[:8]}"


def make_queue(server: Server, owner: Person | None = None, **policy: Any) -> str:
    """A new queue, unordered unless `policy` says otherwise."""
    fields = {"namespace": "orders", "kind": "queue", "ordering": "unordered", **policy}
    return server.room("queue", [] if owner is None else [owner], **fields)


async def order(client: Client, queue: str, item: Any = None, client_id: str = "") -> int:
    """Creates an order; returns its seq."""
    data = {"queue": queue, "client_id": client_id or str(uuid.uuid4()), "item": item}
    answer = await client.call("order:create", data)
    return int(answer["seq"])


async def orders(client: Client, queue: str, number: int) -> list[int]:
    """Creates so many orders of the items 0, 1, …; returns their seqs."""
    return [await order(client, queue, item) for item in range(number)]


async def work(client: Client, queue: str, max_in_flight: int = 1) -> list[Packet]:
    answer = await client.call("order:work", {"queue": queue, "max_in_flight": max_in_flight})
    leased: list[Packet] = answer["leased"]
    return leased


async def rest(client: Client, queue: str) -> None:
    await client.call("order:rest", {"queue": queue})


async def given(client: Client, **match: Any) -> Packet:
    """The next order that this worker is given."""
    data: Packet = (await client.expect("order", **match))["data"]
    return data


async def hand(client: Client, worker: Client, queue: str, item: Any = None) -> Packet:
    """Creates an order, lets the worker come for one, and returns what the worker is given."""
    await order(client, queue, item)
    await work(worker, queue)
    return await given(worker)


def lease(given: Packet, **more: Any) -> Packet:
    """What an answer to a given order says of it."""
    return {"queue": given["queue"], "seq": given["seq"], "token": given["token"], **more}


async def done(client: Client, given: Packet, **more: Any) -> bool:
    answer = await client.call("order:done", lease(given, **more))
    return bool(answer["duplicate"])


async def fail(client: Client, given: Packet, reason: str = "no luck", **more: Any) -> Packet:
    answer: Packet = await client.call("order:fail", lease(given, reason=reason, **more))
    return answer


async def counts(client: Client, queue: str) -> dict[str, int]:
    answer: dict[str, int] = (await client.call("order:list", {"queue": queue}))["counts"]
    return answer


async def only(client: Client, queue: str) -> Packet:
    """The queue's one order as `order:list` shows it."""
    (listed,) = (await client.call("order:list", {"queue": queue}))["orders"]
    found: Packet = listed
    return found


async def watch(client: Client, queue: str) -> dict[str, int]:
    answer: dict[str, int] = (await client.call("order:watch", {"queue": queue}))["counts"]
    return answer


async def die(client: Client, queue: str) -> int:
    """Creates an order of a queue with one attempt and lets it die; returns its seq."""
    seq = await order(client, queue, "hopeless")
    await work(client, queue)
    assert (await fail(client, await given(client, seq=seq)))["state"] == "dead"
    await rest(client, queue)
    return seq


# For `server.django`: from another process than the server's


def ban(queue: str, user: int, reason: str = "") -> None:
    Ban.objects.create(room=Room.objects.get(namespace="orders", slug=queue), user_id=user, reason=reason)


def close(queue: str) -> None:
    rooms.close(Room.objects.get(namespace="orders", slug=queue))


def attempts(queue: str) -> dict[int, tuple[str, int]]:
    """What the database says of each order."""
    rows = Lease.objects.filter(room__slug=queue).values_list("seq", "state", "attempts")
    return {seq: (state, tries) for seq, state, tries in rows}
