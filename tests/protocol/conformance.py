"""What the protocols' test suites expect, with other times, from `OPTIONS`."""

from __future__ import annotations

import json
import os
from typing import Any

from chat.conformance import serve
from chat.wire.engineio import Options

__all__ = ["IMPATIENT", "application", "conformance"]

#: For a server that pings often, and that who is in no namespace soon leaves.
IMPATIENT = {"ping_interval": 0.3, "ping_timeout": 2.0, "connect_timeout": 4.0}


def conformance(**options: float) -> dict[str, Any]:
    """Options for a server, such as `ping_timeout=2`."""
    return {"app": f"{__name__}:application", "env": {"OPTIONS": json.dumps(options), "RATE_LIMIT": "off"}}


application = serve(Options(**json.loads(os.environ.get("OPTIONS", "{}"))))
