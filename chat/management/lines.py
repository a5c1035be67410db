"""Entries as lines for people and for programs."""

from __future__ import annotations

import json
import re
import select
import sys
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from chat.delivery.entries import Entry

#: What would turn a terminal's lines into something else; line ends and tabs may stay.
UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Lines:
    """Writes entries, in colours where someone looks at them."""

    def __init__(self, out: Any, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._console = Console(file=sys.stdout, highlight=False) if out.isatty() and not as_json else None
        self._pipe = reader_of(out)

    def __call__(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self._console:
                self._console.print(in_colours(entry), soft_wrap=True)
            else:
                self._out.write(packed(entry) if self._as_json else plain(entry))
        self._out.flush()

    def wait(self, seconds: float) -> None:
        """Raises BrokenPipeError as soon as nobody reads any more, not at the next entry."""
        if self._pipe is None:
            time.sleep(seconds)
        elif self._pipe.poll(seconds * 1000):
            raise BrokenPipeError


def reader_of(out: Any) -> select.poll | None:
    """What notices that a pipe's reader has gone; None where there is no file behind."""
    try:
        descriptor = out.fileno()
    except (AttributeError, OSError):
        return None
    watch = select.poll()
    watch.register(descriptor, 0)  # errors alone
    return watch


def packed(entry: Entry) -> str:
    return json.dumps(entry.as_packet(), ensure_ascii=False, separators=(",", ":"))


def plain(entry: Entry) -> str:
    return "".join(text for text, _ in parts(entry))


def in_colours(entry: Entry) -> Text:
    return Text.assemble(*parts(entry))


def parts(entry: Entry) -> list[tuple[str, str]]:
    """The line, piece by piece with its style. Further lines of a body are indented, so that
    nobody can write what looks like an entry."""
    head = f"{entry.seq} {entry.at[:19].replace('T', ' ')}Z "
    body = said(entry)
    styled = "" if entry.kind in ("message", "item") else "dim"
    return [
        (head, "dim"),
        (fit(entry.sender.name), "bold cyan" if entry.kind in ("message", "item") else styled),
        (fit(body).replace("\n", "\n    "), styled),
    ]


def said(entry: Entry) -> str:
    data, target = entry.data, entry.data.get("target")
    if "deleted" in data:
        return ": (deleted)" if target is None else f" {entry.kind} of {target} (deleted)"
    match entry.kind:
        case "edit":
            return f" edited {target}: {data['body']}"
        case "delete":
            return f" deleted {target}" + (f": {data['reason']}" if data.get("reason") else "")
        case "react":
            return f" {'reacted to' if data['on'] else 'took back of'} {target}: {data['emoji']}"
        case "notice":
            return f": {data['text']}"
    return f": {data.get('body', '')}"


def fit(text: str) -> str:
    return UNFIT.sub("\ufffd", text)
