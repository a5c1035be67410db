"""Logging: one record, one line, whatever people typed into it."""

from __future__ import annotations

import logging
import re
from typing import Any

# Controls, and what some readers take for the end of a line.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Escapes what would break a line or forge the next one. `readable_traces` keeps the lines
    of a traceback, for a developer's console.
    """

    def __init__(self, *args: Any, readable_traces: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.readable_traces = readable_traces

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _escape(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        whole = super().format(record)
        return whole if self.readable_traces else _escape(whole)


def _escape(line: str) -> str:
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), line)
