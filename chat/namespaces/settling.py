"""Seeing to reports: for leaders of a room in /chat, for the staff in /admin as well."""

from __future__ import annotations

from typing import Literal

from chat.delivery import pools
from chat.namespace import Namespace, Seq, Socket, on
from chat.services import reports

from .shapes import Data, Reason, me

State = Literal["open", "claimed", "resolved", "dismissed", "unsettled", "all"]


class Settling(Namespace):
    @on("report:claim")
    async def claim(self, socket: Socket, report: Seq) -> Data:
        return await pools.write(reports.claim, me(socket), report)

    @on("report:resolve")
    async def resolve(self, socket: Socket, report: Seq, outcome: Reason = "") -> Data:
        return await pools.write(reports.resolve, me(socket), report, outcome)

    @on("report:dismiss")
    async def dismiss(self, socket: Socket, report: Seq, outcome: Reason = "") -> Data:
        return await pools.write(reports.dismiss, me(socket), report, outcome)
