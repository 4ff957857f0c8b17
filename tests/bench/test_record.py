"""Figures as JSON, and as a table."""

import subprocess
from shutil import which

import pytest
from bench.harness import ratio, us
from bench.record import Record, RecordError, machine
from bench.table import cells, figure, plain, said, said_peers, times

from bench import record

from .made import case, measured, peer

MACHINE = {"cpu": "abacus", "cores": 2, "date": "2026-11-29 08:00", "peers": {"rival": "1.2"}}
BESIDE = measured(
    100,
    {"fast": 2_000.0, "slow": 8_000.0},
    peers={"rival": (2.4e6, (1_100.0, 1_200.0, 1_300.0))},
    absent={"EnTT": "not installed: no entt.hpp", "Mesa": "left out beyond 10"},
    bound_ns=1_000.0,
)


def test_a_line_has_medians_quartiles_and_peers():
    """In ms; by hand from the figures above."""
    line = Record(MACHINE).add(case(), BESIDE)[0]
    assert line["subject_ms"] == pytest.approx(
        {"q1": 0.0018, "median": 0.002, "q3": 0.0022, "p99": 0.003}
    )
    assert line["ratio"] == pytest.approx({"q1": 1.8, "median": 2.0, "q3": 2.2})
    assert line["ns_per_row"] == pytest.approx(20.0)
    assert line["peers"]["rival"]["ms"]["median"] == pytest.approx(2.4)
    assert line["peers"]["rival"]["ratio"] == {"q1": 1_100.0, "median": 1_200.0, "q3": 1_300.0}
    assert line["peers"]["rival"]["rounds"] == 9
    assert line["absent"] == {"EnTT": "not installed: no entt.hpp", "Mesa": "left out beyond 10"}


@pytest.mark.parametrize(
    ("target", "verdict"),
    [(ratio(2.5), "ok"), (ratio(1.5), "over"), (us(5), "ok"), (ratio(1.5, from_size=1000), "")],
)
def test_a_target_is_judged_from_its_size_on(target, verdict):
    """And says nothing below."""
    line = Record(MACHINE).add(case(target={"fast": target}), BESIDE)[0]
    assert line["verdict"] == verdict


def test_a_record_is_read_as_it_was_written(tmp_path):
    """To the last figure; and what was left out, with its reason."""
    run = Record(MACHINE)
    run.add(case(), BESIDE)
    run.add(case("swim", bound=False), measured(10, {"fast": 5.0}))
    run.leave_out(case(), 10**8, "too little memory")
    file = tmp_path / "new" / "bench.json"
    run.write(file)
    assert record.read(file) == run
    assert [each.name for each in file.parent.iterdir()] == ["bench.json"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "make bench"),
        ("no json", "holds no figures"),
        ("[1]", "holds no figures"),
        ('{"machine": {}, "results": []}', "format None, this reads 2"),
        ('{"format": 2, "days": []}', "has no machine, cases, results, left_out"),
    ],
)
def test_files_of_others_are_refused(text, told, tmp_path):
    """With what to do."""
    file = tmp_path / "bench.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RecordError, match=told):
        record.read(file)


def test_the_table_shows_peers():
    """Time and ratio of those that took part, and that others did not."""
    run = Record(MACHINE)
    shown = cells(run.add(case(), BESIDE)[0], "row")
    assert shown[-2] == "rival 2.40 (1,200 ×), EnTT not installed, Mesa left out beyond 10"
    assert plain(shown).startswith("walk                     fast            100    0.00200")
    alone = cells(run.add(case("swim"), measured(10, {"fast": 5.0}))[0], "row")
    assert alone[4:7] == ("", "", "")


def test_peers_elsewhere_are_kept():
    """Measured in a run of their own, by size."""
    elsewhere = case(peers={"flecs": {100: 0.5}, "EnTT": {10: 0.1}})
    line = Record(MACHINE).add(elsewhere, BESIDE)[0]
    assert cells(line, "row")[-1] == "flecs 0.500"


def test_the_machine_names_its_peers():
    """By version, or why they are not there."""
    here = machine([peer("rival"), peer("gone", absent=lambda: "not installed")])
    assert here["peers"]["gone"] == "not installed"
    assert here["peers"]["rival"][0].isdigit()
    assert said_peers({"peers": {"a": "1", "b": "not installed"}}) == "a 1; b not installed"
    assert said(MACHINE) == "cpu abacus, cores 2, date 2026-11-29 08:00"


@pytest.mark.skipif(which("git") is None, reason="there is no git here")
def test_the_machine_names_the_commit(tmp_path, monkeypatch):
    """And that files differ from it; outside of git there is none, and nothing is said of it."""

    def git(*words):
        who = ("-c", "user.name=Bo", "-c", "user.email=bo@localhost")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(record, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "commit" not in said(machine([]))
    file = tmp_path / "case.py"
    file.write_text("1")
    for words in ("init", "add ."), ("commit -m one",):
        for each in words:
            git(*each.split())
    clean = machine([])["commit"]
    assert len(clean) >= 7
    file.write_text("2")
    assert machine([])["commit"] == f"{clean}-dirty"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0012345, "0.00123"), (1.5, "1.50"), (123.4, "123"), (12_345.6, "12,346"), (0, "0")],
)
def test_figures_have_three_digits(value, text):
    """And all of a great number."""
    assert figure(value) == text


def test_ratios_are_not_more_exact_than_they_are():
    """Three digits, of thousands too."""
    assert [times(r) for r in (0.8123, 12.345, 1_234.5)] == ["0.812 ×", "12.3 ×", "1,230 ×"]
