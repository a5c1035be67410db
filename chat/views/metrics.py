"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chat.delivery import pools
from chat.delivery.histograms import SECONDS, SIZES
from chat.hub.hub import get_hub
from chat.services import overview
from chat.services.people import Claim, Rights, read_rights

COUNTERS = {
    "stored": "Entries committed.",
    "delivered": "Entries given to sockets, once for each socket.",
    "redelivered": "Entries sent again to a socket that had not acknowledged them.",
}
HISTOGRAMS = {
    "commit": ("chat_commit_seconds", "Time that a transaction of the journal took.", SECONDS),
    "batch": ("chat_commit_entries", "Entries of such a transaction.", SIZES),
    "push": ("chat_push_seconds", "From an entry's commit until the sockets here were given it.", SECONDS),
    "ack": ("chat_ack_seconds", "From an entry's commit until a socket acknowledged it.", SECONDS),
}
GAUGES = {
    "online": "People online.",
    "dead_letters": "Dead letters.",
    "open_reports": "Reports that nobody has claimed.",
}


@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    """For the staff: signed in, or by the token of one of them (`Authorization: Bearer`). Of every
    process that answers, each under its `process`, so that it doesn't matter which one is asked."""
    if not await _may_read(request):
        return HttpResponse("metrics are for the staff: give the token of one of them\n", status=403)
    counters = await get_hub().events.read_counters()
    registry = CollectorRegistry()
    registry.register(_Families([*_of_processes(counters), *_of_site(await pools.read(overview.stats))]))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


async def _may_read(request: HttpRequest) -> bool:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        claim = Claim("token", token.strip())
    else:
        claim = Claim("session", request.session.session_key or "")
    (rights,) = await pools.read(read_rights, [claim])
    return isinstance(rights, Rights) and rights.staff


class _Families:
    """A collector of what is known already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_processes(counters: list[dict[str, Any]]) -> Iterator[Metric]:
    for key, text in COUNTERS.items():
        counter = CounterMetricFamily(f"chat_{key}", text, labels=["process"])
        for each in counters:
            counter.add_metric([each["process"]], each[key])
        yield counter
    for key, (name, text, bounds) in HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, text, labels=["process"])
        for each in counters:
            histogram.add_metric([each["process"]], *_buckets(bounds, **each[key]))
        yield histogram
    yield _sockets(counters)
    yield _gauge("chat_outbox_bytes", "What waits for sockets.", counters, lambda each: each["outbox"])
    yield _gauge(
        "chat_lag_entries",
        "How far the slowest socket is behind.",
        counters,
        lambda each: max((place["lag"] for place in each["slowest"]), default=0),
    )


def _of_site(stats: dict[str, Any]) -> Iterator[Metric]:
    for key, text in GAUGES.items():
        yield GaugeMetricFamily(f"chat_{key}", text, value=stats[key])
    orders = GaugeMetricFamily("chat_orders", "Orders that aren't done.", labels=["state"])
    for state, count in stats["orders"].items():
        orders.add_metric([state], count)
    yield orders


def _sockets(counters: list[dict[str, Any]]) -> Metric:
    sockets = GaugeMetricFamily("chat_sockets", "Open sockets.", labels=["process", "namespace"])
    for each in counters:
        for namespace, count in each["sockets"].items():
            sockets.add_metric([each["process"], f"/{namespace}"], count)
    return sockets


def _gauge(name: str, text: str, counters: list[dict[str, Any]], value: Any) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=["process"])
    for each in counters:
        gauge.add_metric([each["process"]], value(each))
    return gauge


def _buckets(
    bounds: tuple[float, ...], counts: list[int], total: float
) -> tuple[list[tuple[str, float]], float]:
    """Cumulative, as Prometheus has them, and the sum."""
    ends = [*(f"{bound:.6g}" for bound in bounds), "+Inf"]
    return list(zip(ends, map(float, accumulate(counts)), strict=True)), total
