"""Commands of `manage.py`, run in this process."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def call(*command: str) -> str:
    """What it prints."""
    out = StringIO()
    call_command(*command, stdout=out, stderr=StringIO())
    return out.getvalue()


def refusal(*command: str) -> CommandError:
    """It is refused with one line."""
    with pytest.raises(CommandError) as refused:
        call(*command)
    assert "\n" not in str(refused.value)
    return refused.value
