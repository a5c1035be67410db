"""For load balancers, supervisors and monitors."""

from __future__ import annotations

import asyncio
import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from chat.delivery import durability, pools
from chat.hub import hints
from chat.hub.hub import get_hub

logger = logging.getLogger(__name__)

PATIENCE = 3.0  #: seconds that a look at the database or the layer may take


async def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Says nothing of the database."""
    return _text("ok\n")


@never_cache
async def readyz(request: HttpRequest) -> HttpResponse:
    """Whether new connections should come here: 503 while the hub starts or stops, or where the
    database can't be reached. Without Redis everything still arrives, a second later between
    processes, so that this is told and turns nobody away."""
    if get_hub().stopping:
        return _text("stopping\n", 503)
    if not get_hub().running:
        return _text("starting\n", 503)
    try:
        async with asyncio.timeout(PATIENCE):
            await pools.read(durability.modes)
    except Exception as failure:
        logger.warning("not ready: the database can't be reached: %s", failure)
        return _text("database: can't be reached\n", 503)
    return _text(f"ready\nlayer: {await _layer()}\n")


async def _layer() -> str:
    if get_hub().hints.alone:
        return "in memory, for one process"
    try:
        async with asyncio.timeout(PATIENCE):
            return f"{1000 * await hints.round_trip():.1f} ms"
    except Exception as failure:
        logger.warning("the channel layer can't be reached: %s", failure)
        return "can't be reached; other processes are up to a second late"


def _text(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain", status=status)
