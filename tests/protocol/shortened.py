"""The application with smaller constants, from `CONSTANTS`: nobody waits a minute for a test."""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

from chatsite.asgi import application

__all__ = ["application", "shortened"]


def shortened(**constants: float) -> dict[str, Any]:
    """Options for a server, such as `hub__rights__RECHECK=0.5` for `chat.hub.rights.RECHECK`."""
    env = {"CONSTANTS": json.dumps(constants), "RATE_LIMIT": "off"}
    return {"app": f"{__name__}:application", "env": env}


for key, value in json.loads(os.environ.get("CONSTANTS", "{}")).items():
    module, _, name = key.replace("__", ".").rpartition(".")
    where = importlib.import_module(f"chat.{module}")
    assert hasattr(where, name), key
    setattr(where, name, value)
