"""Logging: one record, one line, whatever people typed into it."""

from __future__ import annotations

import logging
import re

# Controls, and what some readers take for the end of a line.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Escapes what would break a line or forge the next one, in tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        return UNPRINTABLE.sub(_escape, super().format(record))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
