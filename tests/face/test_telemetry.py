"""What a run tells while it goes on: JSON lines, and an endpoint for Prometheus."""

import errno
import json
import logging
import os
import sys
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from populace.components import Persona
from populace.ecs import World, days, hours
from populace.ecs.errors import DeadEntityError, SettingError, StorageError
from populace.runs.health import Health, State, Verdict
from populace.runs.jsonlines import JsonLines
from populace.runs.prometheus import BOUNDS_S, Prometheus
from populace.systems import Pruning
from populace.systems.recollection import recall
from populace.systems.society_recall import who_remembers

from .watched import live, tick_of, village


def lines_of(path):
    """Every line of a file as an object."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def ask(url):
    """Status, type and text of what an address answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(prometheus):
    """{(name, labels): value} as Prometheus reads them, and the families by name."""
    status, kind, text = ask(prometheus.url)
    assert status == 200
    assert kind.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = [sample for family in families.values() for sample in family.samples]
    found = {(s.name, *sorted(s.labels.items())): s.value for s in samples}
    assert len(found) == len(samples)
    return found, families


@pytest.fixture
def prometheus():
    """An endpoint on a free port, closed in the end."""
    made = Prometheus(0, health=Health(limit_bytes=2**40))
    yield made
    made.close()


# -- latencies of recall --------------------------------------------------------------------------


def test_recalls_are_timed():
    """Each answer counts under its name, from the cache too; a refusal does not."""
    world = village()
    live(world, 3)
    ids = world.query(Persona).ids()
    recall(world, ids, "kettle")
    recall(world, ids, "kettle")
    who_remembers(world, "kettle")
    with pytest.raises(DeadEntityError):
        recall(world, [12345], "kettle")
    calls = world.telemetry.latencies
    assert {name: each.count for name, each in calls.items()} == {"recall": 2, "who_remembers": 1}
    assert 0 < calls["recall"].p50_s < 10


# -- JSON lines -----------------------------------------------------------------------------------


def test_a_line_a_step(tmp_path):
    """Each step has its line as soon as it is over, with what the row and the world tell."""
    world, path = village(5, Pruning(theta=0.3, grace=0.0)), tmp_path / "telemetry.jsonl"
    health, seen = Health(), []
    lines = JsonLines(path, health=health)
    try:
        live(world, 40, health, lines, lambda tick: seen.append(len(lines_of(path))))
    finally:
        lines.close()
    assert seen == list(range(1, 41))
    told = lines_of(path)
    assert [line["tick"] for line in told] == list(range(1, 41))
    assert told[3]["time"] == "1970-01-02T00:00:00"
    last = told[-1]
    assert last["rows"] == {"Persona + Stream": 5, "Memory + Strength + Trace": last["memories"]}
    assert last["agents"] == 5
    assert sum(line["formed"] for line in told) == 400
    gone = last["forgotten"]["so_far"]
    assert gone["weak"] == 400 - last["memories"] > 0
    assert gone["weak"] == sum(line["forgotten"]["tick"].get("weak", 0) for line in told)
    assert last["bytes"]["resident"] > last["bytes"]["tables"] > 0
    assert (last["share"], last["tick_s"], last["sweeps_every"]) == (1.0, 0.01, 1)
    assert last["health"] == {"state": "ok", "reasons": []}


def test_lines_tell_of_the_calls_since_the_line_before(tmp_path):
    """Quantiles are of the calls of a step, the cache's counts of all so far."""
    world, path = village(), tmp_path / "telemetry.jsonl"
    ids = world.query(Persona).ids()

    def look(tick):
        if tick.world.clock.tick in (2, 4):
            for query in ("kettle", "kettle", "boils"):
                recall(world, ids, query)

    lines = JsonLines(path)
    live(world, 4, look, lines)
    lines.close()
    told = lines_of(path)
    assert [line["calls"].get("recall", {}).get("n") for line in told] == [None, 3, None, 3]
    calls = told[1]["calls"]["recall"]
    assert 0 < calls["p50_s"] <= calls["p90_s"] <= calls["p99_s"] <= calls["max_s"]
    caches = [line["recall_cache"] for line in told]
    assert [(each["hits"], each["misses"]) for each in caches] == [(0, 0), (1, 2), (1, 2), (2, 4)]
    assert [each["rate"] for each in caches] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_a_file_that_is_there_goes_on(tmp_path):
    """Lines are added to what is there; one that was cut off stays alone on its line."""
    path = tmp_path / "telemetry.jsonl"
    for _ in range(2):
        lines = JsonLines(path)
        lines(tick_of(World()))
        lines.close()
        lines.close()
    path.write_bytes(path.read_bytes()[:-20])
    lines = JsonLines(path)
    lines(tick_of(World(), wall_s=0.5))
    lines.close()
    first, cut, last = path.read_text().splitlines()
    assert json.loads(first)["tick_s"] == 0.01
    assert json.loads(last)["tick_s"] == 0.5
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)


def test_lines_for_standard_error(capsys):
    """ "-" is standard error, and nothing is written to standard output."""
    lines = JsonLines("-")
    lines(tick_of(World(), agents=3))
    lines.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["agents"] == 3


def test_a_file_that_cannot_be_opened(tmp_path):
    """The error names the file."""
    with pytest.raises(StorageError, match=r"missing/lines\.jsonl.*No such file"):
        JsonLines(tmp_path / "missing" / "lines.jsonl")


def test_a_full_disk_does_not_end_a_run(tmp_path, monkeypatch, caplog):
    """Lines are lost, that is logged once, and when there is room again they go on, each whole."""
    path, write = tmp_path / "lines.jsonl", os.write
    lines = JsonLines(path)
    lines(tick_of(World()))

    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    lines(tick_of(World()))
    monkeypatch.setattr(os, "write", full)
    with caplog.at_level(logging.WARNING, "populace.run"):
        lines(tick_of(World()))
        lines(tick_of(World()))
    monkeypatch.undo()
    lines(tick_of(World(), agents=1))
    lines.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    first, cut, last = path.read_text().splitlines()
    assert (json.loads(first)["tick"], len(cut), json.loads(last)["agents"]) == (0, 7, 1)


# -- Prometheus -----------------------------------------------------------------------------------


def test_what_prometheus_scrapes(prometheus):
    """Every figure of the last step, in the families that the guide names."""
    world = village(5, Pruning(theta=0.3, grace=0.0))
    ids = world.query(Persona).ids()
    live(world, 40, prometheus.health, prometheus)
    recall(world, ids, "kettle")
    recall(world, ids, "kettle")
    live(world, 1, prometheus.health, prometheus)
    found, families = scrape(prometheus)
    memories = found["populace_memories",]
    assert found["populace_agents",] == 5
    assert found["populace_rows", ("archetype", "Memory + Strength + Trace")] == memories
    assert found["populace_formed_total",] == 410
    assert found["populace_forgotten_total", ("reason", "weak")] == 410 - memories
    assert found["populace_simulated_time_seconds",] == 41 * 6 * 3600
    assert found["populace_run_progress_ratio",] == 1
    assert found["populace_recall_seconds_count",] == 2
    assert found["populace_recall_seconds", ("quantile", "0.5")] > 0
    assert found["populace_recall_cache_hits_total",] == 1
    assert found["populace_recall_cache_misses_total",] == 1
    assert found["populace_memory_bytes", ("kind", "resident")] > 10**6
    assert found["populace_memory_limit_bytes",] == 2**40
    assert found["populace_system_seconds_total", ("system", "forget")] > 0
    assert found["populace_health", ("state", "ok")] == 1
    assert found["populace_health", ("state", "failing")] == 0
    assert families["populace_tick_seconds"].type == "histogram"
    assert families["populace_recall_seconds"].type == "summary"
    assert families["populace_forgotten"].type == "counter"
    assert families["populace_rows"].type == "gauge"
    assert all(family.documentation.endswith(".") for family in families.values())


def test_histograms_hold_what_is_at_most_their_bound(prometheus):
    """A step of exactly a bound counts below it; pauses of 0 are none."""
    for wall_s, pause_s in ((0.001, 0.0), (0.0011, 0.02), (100.0, 0.0)):
        prometheus(tick_of(World(), wall_s=wall_s, pause_s=pause_s))
    found, _ = scrape(prometheus)
    steps = [found["populace_tick_seconds_bucket", ("le", str(s))] for s in (*BOUNDS_S, "+Inf")]
    assert steps == [1] + [2] * (len(BOUNDS_S) - 1) + [3]
    assert found["populace_tick_seconds_sum",] == pytest.approx(100.0021)
    assert found["populace_checkpoint_pause_seconds_count",] == 1


def test_names_that_need_escaping(prometheus):
    """Whatever systems are called, the answer can be read."""
    world = World()
    world.telemetry.of('a "quoted"\nsystem \\').ns = 10**9
    prometheus(tick_of(world))
    found, _ = scrape(prometheus)
    assert found["populace_system_seconds_total", ("system", 'a "quoted"\nsystem \\')] == 1


def test_health_for_probes(prometheus):
    """200 for a run that goes on, strained or not, 503 for one that fails; reasons in JSON."""
    address = prometheus.url.replace("/metrics", "/health")
    assert json.loads(ask(address)[2]) == {"state": "starting", "reasons": []}
    for verdict, want in (
        (Verdict(), 200),
        (Verdict(State.STRAINED, ("slow",)), 200),
        (Verdict(State.FAILING, ("the disk is full",)), 503),
    ):
        prometheus.health.verdict = verdict
        prometheus(tick_of(World()))
        status, kind, body = ask(address)
        assert status == want
        assert kind.startswith("application/json")
        told = json.loads(body)
        assert {name: told[name] for name in ("state", "reasons")} == verdict.facts()
        assert told["tick"] == 0


def test_a_scrape_never_looks_at_the_world(prometheus):
    """It is answered while a step is under way, with what the step before left."""
    world = village()
    live(world, 2, prometheus)
    before, _ = scrape(prometheus)
    answered = []

    def scraping():
        answered.append(scrape(prometheus)[0])

    with world.store.moment:
        thread = threading.Thread(target=scraping)
        thread.start()
        thread.join(timeout=10)
    assert answered == [before]


def test_scrapes_while_a_run_goes_on(prometheus):
    """Every answer is of one step: what it says adds up."""
    world, stop, torn = village(20), threading.Event(), []

    def scraping():
        while not stop.is_set():
            found, _ = scrape(prometheus)
            if ("populace_memories",) in found:
                rows = found.get(("populace_rows", ("archetype", "Memory + Strength + Trace")), 0)
                torn.append(rows != found["populace_memories",])

    thread = threading.Thread(target=scraping)
    thread.start()
    live(world, 150, prometheus, step=hours(1))
    stop.set()
    thread.join()
    assert torn
    assert not any(torn)


def test_a_port_that_is_taken(prometheus):
    """The error names the port and the way out; 0 finds another."""
    with pytest.raises(SettingError, match=rf"127.0.0.1:{prometheus.port}: Address already in use"):
        Prometheus(prometheus.port)
    with pytest.raises(SettingError, match="from 1 to 65535"):
        Prometheus(70_000)


def test_an_endpoint_that_is_closed():
    """It answers no more, its port is free again, and closing twice does no harm."""
    made = Prometheus(0)
    made.close()
    made.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(made.url, timeout=10)
    Prometheus(made.port).close()


def test_without_the_library(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ModuleNotFoundError, match=r"populace\[prometheus\]"):
        Prometheus(0)


def test_what_watches_changes_nothing(tmp_path, prometheus):
    """A run that is watched is, to the bit, the one that is not."""
    watched, alone = village(), village()
    lines = JsonLines(tmp_path / "lines.jsonl", health=prometheus.health)
    live(watched, 30, prometheus.health, lines, prometheus, step=days(1))
    lines.close()
    live(alone, 30, step=days(1))
    assert watched.digest() == alone.digest()
