"""Telemetry for Prometheus: an HTTP endpoint with `/metrics`, and `/health` for probes.

Invariants: the threads that answer never look at the world: they serve what the watcher put down
after the last step, whole. Names and units are by Prometheus' rules: seconds and bytes, counters
end in _total. Counters go on from a snapshot where the world has counted, else from 0.
Cost: 0.3 ms a step, and 1 ms of another thread for each answer.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from socketserver import ThreadingMixIn
from time import time
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from populace.ecs.errors import SettingError
from populace.ecs.telemetry import Latencies

from .health import Health, State, Verdict
from .reading import COUNTS, QUANTILES, Forgotten, bytes_by_kind, cache_of, rows_by_archetype
from .tick import Tick

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

HOST = "127.0.0.1"
BOUNDS_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds of buckets."""


class Prometheus:
    """A watcher that answers Prometheus. `port` and `url` say where.

    port: 0 takes one that is free. host: "0.0.0.0" answers everybody. health: whose verdict is
    told, called before this; without it every run is ok.

    Raises ModuleNotFoundError without `prometheus_client`, SettingError where it cannot listen.
    """

    def __init__(self, port: int, host: str = HOST, *, health: Health | None = None) -> None:
        try:
            from prometheus_client import CollectorRegistry, make_wsgi_app
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "an endpoint for Prometheus needs prometheus_client: pip install "
                "'populace[prometheus]'",
                name="prometheus_client",
            ) from error
        self.health = health
        self._families: tuple[Metric, ...] = ()
        self._told = _answer({"state": "starting", "reasons": []})
        self._forgotten = Forgotten()
        self._formed = 0
        self._steps, self._pauses = _Buckets(), _Buckets()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        metrics: Any = make_wsgi_app(registry)

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] != "/health":
                found: Iterable[bytes] = metrics(environ, start)
                return found
            status, body = self._told
            start(status, [("Content-Type", "application/json; charset=utf-8")])
            return [body]

        try:
            self._server = make_server(host, port, answer, _Server, _Quiet)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingError(
                f"Prometheus cannot be answered at {host}:{port}: {reason}; name a port from 1 to "
                f"65535 that nobody else listens on, or 0 for any that is free"
            ) from error
        self.host, self.port = host, self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="populace-prometheus", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the metrics."""
        return f"http://{self.host}:{self.port}/metrics"

    def __call__(self, tick: Tick, /) -> None:
        """Put down what is to be told of the step."""
        self._steps.add(tick.row["wall_s"])
        if tick.row["pause_s"]:
            self._pauses.add(tick.row["pause_s"])
        self._formed += int(tick.row.get("formed", 0))
        self._families = tuple(self._read(tick))
        verdict = Verdict() if self.health is None else self.health.verdict
        facts = {"tick": tick.world.clock.tick, "share": tick.share, "seen": time()}
        self._told = _answer(verdict.facts() | facts, verdict.state)

    def collect(self) -> Iterable[Metric]:
        """What was put down last, for the registry."""
        return self._families

    def close(self) -> None:
        """Answer no more. Twice does no harm."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _read(self, tick: Tick) -> Iterator[Metric]:
        """All that is told, as of a step."""
        world, row = tick.world, tick.row
        telemetry = world.telemetry
        yield _family("simulated_time_seconds", "Simulated time since 1970.", world.clock.seconds)
        yield _family("run_progress_ratio", "Share of the run that is over.", tick.share)
        yield _family(
            "last_tick_timestamp_seconds", "When the last step ended, in Unix time.", time()
        )
        yield self._steps.family("tick_seconds", "Wall time of steps.")
        yield self._pauses.family(
            "checkpoint_pause_seconds", "Time that the world stood still for checkpoints."
        )
        yield _family("rows", "Rows of tables.", rows_by_archetype(world), "archetype")
        sizes = {"resident": row["rss_bytes"], **bytes_by_kind(world)}
        about = "Memory: of the process (resident), and, within it, of the world's arrays."
        yield _family("memory_bytes", about, sizes, "kind")
        for name in COUNTS:
            if name in row:
                yield _family(name, f"{name.capitalize()} that there are.", row[name])
        yield _family("formed_total", "Memories formed since the process began.", self._formed)
        yield _family("forgotten_total", "Memories forgotten.", self._forgotten(tick), "reason")
        spent = {name: stats.ns / 1e9 for name, stats in telemetry.systems.items()}
        yield _family("system_seconds_total", "Wall time of systems.", spent, "system")
        for name, calls in telemetry.latencies.items():
            yield _summary(f"{name}_seconds", f"Wall time of calls of {name}.", calls)
        hits, misses = cache_of(world)
        yield _family("recall_cache_hits_total", "Recalls answered from the cache.", hits)
        yield _family("recall_cache_misses_total", "Recalls found anew.", misses)
        about = "One sweep in so many is made, to keep within a budget."
        yield _family("sweeps_every", about, telemetry.sweeps_every)
        if self.health is not None:
            state, limit = self.health.verdict.state, self.health.limit_bytes
            states = {each.value: float(each is state) for each in State}
            yield _family("health", "1 for the state that the run is in, else 0.", states, "state")
            if limit is not None:
                yield _family("memory_limit_bytes", "Memory that the run may hold.", limit)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request on a thread that does not outlive the process."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: somebody hung up."""


class _Quiet(WSGIRequestHandler):
    """Logs no request, and waits no longer than this for one."""

    timeout = 5  # s

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Buckets:
    """A histogram of seconds."""

    def __init__(self) -> None:
        self._n = [0] * (len(BOUNDS_S) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._n[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, about: str) -> Metric:
        """As Prometheus has it: buckets hold all that is at most their bound."""
        from prometheus_client.metrics_core import HistogramMetricFamily

        so_far, buckets = 0, []
        for bound, n in zip((*map(str, BOUNDS_S), "+Inf"), self._n, strict=True):
            so_far += n
            buckets.append((bound, float(so_far)))
        return HistogramMetricFamily(f"populace_{name}", about, buckets, self._sum)


def _family(name: str, about: str, values: float | Mapping[str, float], label: str = "") -> Metric:
    """A counter if its name ends in _total, else a gauge. values: one, or by value of its label."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    made = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    if not isinstance(values, Mapping):
        return made(f"populace_{name}", about, values)
    family = made(f"populace_{name}", about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _summary(name: str, about: str, calls: Latencies) -> Metric:
    """Calls, their time and quantiles of it, since the process began."""
    from prometheus_client.metrics_core import SummaryMetricFamily

    family = SummaryMetricFamily(f"populace_{name}", about, calls.count, calls.sum / 1e9)
    for share, seconds in zip(QUANTILES, calls.quantiles(*QUANTILES), strict=True):
        family.add_sample(family.name, {"quantile": str(share)}, seconds)
    return family


def _answer(health: Mapping[str, Any], state: State = State.OK) -> tuple[str, bytes]:
    """Status and body of /health: 503 for a run that is failing."""
    status = "503 Service Unavailable" if state is State.FAILING else "200 OK"
    return status, json.dumps(health).encode() + b"\n"
