"""Questions to the other processes of the site, and their answers, over the channel layer.

At most once, as all that goes through it: a process that doesn't answer in time is left out.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from . import hints

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

#: Seconds that the others have beyond what they need for the answer itself.
PATIENCE = 1.0

Question = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


class Peers:
    def __init__(self, hub: Hub, questions: dict[str, Question]) -> None:
        self._hub = hub
        self._questions = questions
        self._asked: dict[str, _Asked] = {}

    async def ask(
        self,
        question: str,
        timeout: float,  # noqa: ASYNC109
        data: dict[str, Any],
    ) -> list[Any]:
        """The other processes' answers, as they came within `timeout` + `PATIENCE` seconds."""
        others = await self._others()
        if not others:
            return []
        id = uuid.uuid4().hex
        asked = self._asked[id] = _Asked(others)
        self._hub.hints.ask(hints.SITE, {"question": question, "id": id, "data": data})
        try:
            async with asyncio.timeout(timeout + PATIENCE):
                await asked.all
        except TimeoutError:
            logger.warning("no answer to %r from %d processes", question, len(asked.missing))
        finally:
            del self._asked[id]
        return list(asked.answers.values())

    async def _others(self) -> set[str]:
        if self._hub.hints.alone:
            return set()
        return await self._hub.processes.alive() - {self._hub.process}

    def questioned(self, hint: dict[str, Any]) -> None:
        self._hub.spawn(self._answer(hint))

    async def _answer(self, hint: dict[str, Any]) -> None:
        question = self._questions.get(hint["question"])
        if question is not None:  # else one of a newer version
            answer = await question(hint["data"])
            self._hub.hints.answer(
                hint["reply_to"], {"answer": answer, "id": hint["id"], "process": self._hub.process}
            )

    def answered(self, hint: dict[str, Any]) -> None:
        if (asked := self._asked.get(hint["id"])) is not None:
            asked.take(hint["process"], hint["answer"])


class _Asked:
    """A question under way."""

    def __init__(self, others: set[str]) -> None:
        self.missing = set(others)
        self.answers: dict[str, Any] = {}  #: by process; the layer may bring one twice
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, process: str, answer: Any) -> None:
        self.missing.discard(process)
        self.answers[process] = answer
        if not self.missing and not self.all.done():
            self.all.set_result(None)
