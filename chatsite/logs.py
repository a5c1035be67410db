"""Logging: one record, one line, whatever people typed into it."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

# Controls, what some readers take for the end of a line, and what turns the text around it.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
PLAIN = re.compile(r"[^\s\"'=\\]+")


class OneLine(logging.Formatter):
    """Escapes what would break a line or forge the next one. `readable_traces` keeps the lines
    of a traceback, for a developer's console.

    A record's `fields` follow its message as logfmt: `a user connected user=alice id=2`. What
    could be taken for another field or the end of its own stands in quotes, as in JSON.
    """

    def __init__(self, *args: Any, readable_traces: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.readable_traces = readable_traces

    def formatMessage(self, record: logging.LogRecord) -> str:
        said = _escape(super().formatMessage(record))
        return " ".join([said, *(f"{key}={_value(value)}" for key, value in fields(record).items())])

    def format(self, record: logging.LogRecord) -> str:
        whole = super().format(record)
        return whole if self.readable_traces else _escape(whole)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "fields", {})


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, dict | list) and PLAIN.fullmatch(text) and not UNPRINTABLE.search(text):
        return text
    return _escape(json.dumps(text, ensure_ascii=False))


def _escape(line: str) -> str:
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), line)
