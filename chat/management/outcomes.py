"""What a worker's command is given, and what its end means for the order."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import msgspec

from chat.delivery.leases import Order

from .programs import OUTPUT, Ended

#: sysexits.h's EX_TEMPFAIL: a later attempt may succeed.
LATER = os.EX_TEMPFAIL
CUT = " … (cut)"
REASON = 500  # characters

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def stdin(order: Order) -> bytes:
    """The item as one line of JSON."""
    return json.dumps(order.item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def environment(order: Order) -> dict[str, str]:
    return {
        "ORDER_QUEUE": order.queue,
        "ORDER_SEQ": str(order.seq),
        "ORDER_ATTEMPT": str(order.attempts),
    }


def result(ended: Ended) -> Any:
    """What the command printed: JSON where it is JSON, else text; None where it is nothing.

    More than 32 KiB are cut, since the work is done and another attempt would print as much.
    """
    if ended.cut:
        kept = ended.output[: OUTPUT - len(CUT.encode()) - 2]
        return kept.decode(errors="ignore") + CUT
    if not ended.output.strip():
        return None
    try:
        return msgspec.json.decode(ended.output)
    except (ValueError, RecursionError):
        return ended.output.decode(errors="replace").rstrip("\n")


def reason(ended: Ended, timeout: float | None) -> str:
    """How it ended, and the last lines that it wrote to stderr, as many as there is room for."""
    how = f"exit status {ended.status}"
    if ended.timed_out:
        how = f"took more than {timeout:g} s"
    elif ended.status < 0:
        how = f"ended by {signal.Signals(-ended.status).name}"
    lines = ended.errors.decode(errors="replace").splitlines()
    said = _UNPRINTABLE.sub(" ", " | ".join(line.strip() for line in lines if line.strip()))
    room = REASON - len(how) - 2
    if len(said) > room:
        said = "…" + said[1 - room :]
    return f"{how}: {said}" if said else how
