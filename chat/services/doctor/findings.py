"""What an examination comes to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "error"]


@dataclass(slots=True, frozen=True)
class Finding:
    """`advice` says what to do; of what is well there is none."""

    check: str
    level: Level
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


def warning(check: str, text: str, advice: str) -> Finding:
    return Finding(check, "warning", text, advice)


def error(check: str, text: str, advice: str) -> Finding:
    return Finding(check, "error", text, advice)
