"""The page of figures: a small one as it should be, and what it is made of."""

from pathlib import Path

import pytest
from bench.__main__ import main
from bench.harness import Loss, discover
from bench.peers import discover as discover_peers
from bench.plot import draw_area, drawable
from bench.record import Record, RecordError
from bench.report import BEGIN, END, NO_REASON, merged, write_page

from .made import case, measured

GOLDEN = Path(__file__).parent / "golden" / "benchmarks.md"
MACHINE = {
    "cpu": "abacus",
    "cores": 2,
    "date": "2026-11-29 08:00",
    "peers": {"EnTT": "not installed: no entt.hpp", "numpy": "2.4", "rival": "1.2"},
}
ABSENT = {"EnTT": "not installed: no entt.hpp"}


def times_as_long(ns, peers, absent=ABSENT):
    """A contest of 1 µs a row and these peers, each so many times as long."""
    met = {name: (ns * x, (0.98 * x, x, 1.02 * x)) for name, x in peers.items()}
    return met, absent


def figures_by_hand():
    """Three cases of two areas: one with all there is, one without peers, one without a bound."""
    reasons = (
        Loss("It checks no ids.", peers=("numpy",), subjects=("fast",)),
        Loss("A call costs 1 µs.", peers=("numpy",), to_size=10),
    )
    walk = case("walk", peers={"flecs": {10: 0.1}}, loses=reasons)
    swim = case("swim", subjects=("fast",), area="sql")
    fly = case("fly", subjects=("fast",), area="acrobatics", bound=False)
    run = Record(MACHINE)
    for size, ns, there in (
        (10, 1e4, {"numpy": 0.5, "rival": 1_234.0}),
        (100, 1e5, {"numpy": 1.01, "rival": 12.3}),
    ):
        met, absent = times_as_long(ns, there)
        both = {"fast": ns, "slow": 2 * ns}
        run.add(walk, measured(size, both, met, absent, bound_ns=ns / 2))
    run.add(swim, measured(10, {"fast": 1e6}, bound_ns=1e6))
    run.leave_out(swim, 100, "too little memory")
    met, absent = times_as_long(1e3, {"rival": 0.25}, {"numpy": "left out beyond 5"})
    run.add(fly, measured(10, {"fast": 1e3}, met, absent, rounds=3))
    return run, [walk, swim, fly]


@pytest.fixture
def page(tmp_path):
    """A page with a place for figures, which still has old ones."""
    file = tmp_path / "benchmarks.md"
    file.write_text(f"# Before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n")
    return file


def test_a_small_page_is_as_it_should_be(page):
    """Sections by area, peers beside, who is faster and why; what stands around is left alone."""
    run, cases = figures_by_hand()
    files = write_page(page, [run], cases)
    assert page.read_text() == GOLDEN.read_text()
    assert [str(file.relative_to(page.parent)) for file in files] == [
        "benchmarks.md",
        "benchmarks/ecs.svg",
    ]
    write_page(page, [run], cases)
    assert page.read_text() == GOLDEN.read_text()


def test_pages_without_a_place_for_figures_are_refused(tmp_path, capsys):
    """And left as they were; also one that is not there."""
    file, none = tmp_path / "page.md", tmp_path / "none.md"
    file.write_text(f"{END} and then {BEGIN}")
    run, cases = figures_by_hand()
    with pytest.raises(RecordError, match="no place for figures"):
        write_page(file, [run], cases)
    assert file.read_text() == f"{END} and then {BEGIN}"
    run.write(tmp_path / "bench.json")
    assert main(["--report", str(tmp_path / "bench.json"), "--page", str(none)]) == 1
    assert capsys.readouterr().err.startswith(f"there is no {none}")
    assert not none.exists()


def test_peers_are_shown_beside_every_subject(page):
    """Who is faster than one of them alone is a loss too, and told by its name."""
    both = Record(MACHINE)
    walk = case("walk", loses={"numpy": "It checks no ids."})
    slow = measured(10, {"fast": 1e3, "slow": 4e3}, {"numpy": (2e3, (1.9, 2.0, 2.1))})
    slow.peers["numpy"].ratio["slow"] = (0.49, 0.5, 0.51)
    both.add(walk, slow)
    write_page(page, [both], [walk])
    text = page.read_text()
    assert "| walk | fast | 10 | 0.00100 | 2.00 × |" in text
    assert "| walk | slow | 10 | 0.00400 | **0.500 ×** |" in text
    assert "- walk, numpy (0.500 × of slow at 10): It checks no ids." in text


def test_a_run_without_peers_does_not_take_them_off_the_page():
    """It is refused where one before has some; the other way round it is renewed."""
    old, cases = figures_by_hand()
    new = Record({**MACHINE, "peers": {}})
    new.add(cases[1], measured(10, {"fast": 7.0}, bound_ns=7.0))
    assert merged([old, new]).machine["peers"] == MACHINE["peers"]
    new.add(cases[0], measured(10, {"fast": 7.0}, bound_ns=7.0))
    with pytest.raises(RecordError, match="walk at 10 was measured beside peers, and later"):
        merged([old, new])
    assert merged([new, old]).results[-1]["peers"]


def test_a_later_run_replaces_what_it_measured_again():
    """And leaves the rest; what was left out and is there now is no longer left out."""
    old, cases = figures_by_hand()
    new = Record({**MACHINE, "peers": {"late": "3"}})
    new.add(cases[0], measured(10, {"fast": 7.0}, bound_ns=7.0))
    new.add(cases[1], measured(100, {"fast": 9.0}, bound_ns=9.0))
    new.leave_out(cases[0], 10, "too little memory")
    both = merged([old, new])
    of = {(x["case"], x["subject"], x["size"]): x["subject_ms"]["median"] for x in both.results}
    assert len(of) == len(old.results) + 1
    assert of["walk", "fast", 10] == pytest.approx(7e-6)
    assert of["walk", "slow", 10] == pytest.approx(0.02)
    assert both.left_out == []
    assert {*both.machine["peers"]} == {"EnTT", "numpy", "rival", "late"}


def test_a_plot_is_the_same_each_time(tmp_path):
    """Byte by byte; with text as text, on white; and shows every case of more than one size."""
    run, _ = figures_by_hand()
    lines = [line for line in run.results if line["case"] != "fly"]
    assert drawable(lines) == ["walk"]
    first = draw_area("ecs", lines, tmp_path / "a").read_bytes()
    assert draw_area("ecs", lines, tmp_path / "b").read_bytes() == first
    text = first.decode()
    for name in ("walk", "rival", "numpy", "bound", "Populace", "10", "100"):
        assert f">{name}</text>" in text
    assert "fill: #ffffff" in text


def test_the_command_renders_files_that_were_kept(page, tmp_path, capsys):
    """And tells what it wrote, and of several files what is whose; also one that is missing."""
    run, _ = figures_by_hand()
    run.write(tmp_path / "bench.json")
    assert main(["--report", str(tmp_path / "bench.json"), "--page", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(page)
    text = page.read_text()
    assert "| walk | fast | 10 |" in text
    assert "2026-11-29 08:00.\n" in text
    later = Record({**MACHINE, "date": "2026-11-30 08:00"})
    later.add(case("swim", area="sql"), measured(10, {"fast": 7.0}, bound_ns=7.0))
    later.write(tmp_path / "later.json")
    both = [str(tmp_path / name) for name in ("bench.json", "later.json")]
    assert main(["--report", *both, "--page", str(page)]) == 0
    text = page.read_text()
    assert "2026-11-29 08:00 (ecs, acrobatics).\n" in text
    assert "2026-11-30 08:00 (sql).\n" in text
    assert main(["--report", str(tmp_path / "none.json"), "--page", str(page)]) == 1


DOCS = Path(__file__).parents[2] / "docs"


def figures_of_the_docs():
    """What stands between the marks of the page."""
    return (DOCS / "benchmarks.md").read_text().partition(BEGIN)[2].partition(END)[0]


def test_the_page_of_the_docs_has_a_place_for_figures():
    """And each plot in its folder is shown there."""
    text = (DOCS / "benchmarks.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    for plot in (DOCS / "benchmarks").glob("*"):
        assert f"(benchmarks/{plot.name})" in text


def test_nothing_is_written_by_hand_among_the_figures():
    """The next `make bench-report` would take it away."""
    made = ("Measured on: ", "Peers: ", "#", "|", "![", "Left out: ", "How many times", "- ")
    for line in figures_of_the_docs().splitlines():
        assert not line or line.startswith((*made, "Nowhere in")), line


def test_losses_on_the_page_have_reasons():
    """Whoever is faster on the page of the docs, why stands there: from `loses` of the case."""
    figures = figures_of_the_docs()
    assert [line for line in figures.splitlines() if line.endswith(NO_REASON)] == []


def test_reasons_are_given_for_contestants_that_there_are():
    """Whoever is named as faster is a peer, and what it is faster than a subject of the case."""
    names = {peer.name for peer in discover_peers()}
    for each in discover():
        for loss in each.losses:
            assert {*loss.peers} <= names, each.name
            assert {*loss.subjects} <= {*each.subjects}, each.name
            assert loss.why, each.name
