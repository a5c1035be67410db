"""What the services refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat.errors import EventError


def refusal(act: Callable[..., Any], *args: Any, **more: Any) -> EventError:
    with pytest.raises(EventError) as refused:
        act(*args, **more)
    return refused.value
