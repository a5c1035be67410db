"""The checks find a server that is broken on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.faults.conversation import Conversation
from tests.faults.mutants import drop_uniqueness, mutant
from tests.support import check

SMALL: dict[str, Any] = {"messages": 500, "kills": 4, "lost_acks": 0.03, "patience": 2.0}


@pytest.mark.timeout(300)
async def test_the_checker_finds_a_server_without_dedupe(make_server: MakeServer) -> None:
    server = make_server(**mutant("dedupe"))
    drop_uniqueness(server)
    history = await Conversation(server.start(), seed=1, **SMALL).run()
    assert "duplicate" in {finding.kind for finding in check(history)}


@pytest.mark.timeout(300)
async def test_the_checker_finds_a_server_that_answers_before_the_commit(make_server: MakeServer) -> None:
    server = make_server(**mutant("commit"))
    history = await Conversation(server.start(), seed=1, **SMALL).run()
    assert {"lost", "false ack", "disorder", "duplicate"} & {finding.kind for finding in check(history)}
