"""The rule of what has regressed, by hand-made figures, and what the command makes of it."""

import pytest
from bench.compare import (
    BASELINE,
    Baseline,
    Judged,
    Key,
    Ratio,
    gathered,
    judge,
    missing,
    ratios_of,
    read_baseline,
    together,
)
from bench.harness import discover
from bench.peers import discover as discover_peers

from bench import __main__ as command
from bench import compare

from .made import case, measured, peer

KEY = Key("walk", "fast", 100)
STEADY = Ratio(0.99, 1.0, 1.01, 100)


def steady(median, rounds=100, spread=0.0):
    """A ratio whose quartiles lie 1 % apart from its median."""
    return Ratio(0.99 * median, median, 1.01 * median, rounds, spread)


@pytest.mark.parametrize(
    ("ratio", "noise"),
    [
        (Ratio(0.9, 1.0, 1.1, 9), 3 * 0.93 * 0.2 / 3),
        (Ratio(1.8, 2.0, 2.2, 9), 3 * 0.93 * 0.2 / 3),
        (Ratio(0.9, 1.0, 1.1, 900), 3 * 0.93 * 0.2 / 30),
        (Ratio(0.9, 1.0, 1.1, 900, spread=0.3), 0.3),
    ],
)
def test_noise_is_that_of_the_median(ratio, noise):
    """Three standard errors, relative; or the range of several measurements, if that is more."""
    assert ratio.noise == pytest.approx(noise)


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        (steady(1.0), steady(1.19), "same"),
        (steady(1.0), steady(1.22), "regressed"),
        (steady(1.22), steady(1.0), "improved"),
        (steady(1.19), steady(1.0), "same"),
        (steady(0.01), steady(0.013), "regressed"),
        (steady(1.0, spread=0.3), steady(1.29), "same"),
        (steady(1.0, spread=0.3), steady(1.31), "regressed"),
        (steady(1.0, spread=0.3), steady(1.31, spread=0.3), "same"),
        (Ratio(0.9, 1.0, 1.1, 9), Ratio(1.1, 1.25, 1.4, 9), "same"),
        (Ratio(0.9, 1.0, 1.1, 900), Ratio(1.1, 1.25, 1.4, 900), "regressed"),
    ],
)
def test_a_change_beyond_a_fifth_and_beyond_noise_counts(before, now, word):
    """Either alone does not, nor a change of the other direction."""
    assert Judged(KEY, before, now).word == word


def test_several_measurements_have_a_range():
    """The middle one counts, or the lowest; the range is relative to it."""
    three = [steady(1.2), steady(1.0), steady(1.1)]
    assert together(three).median == 1.1
    assert together(three).spread == pytest.approx(0.2 / 1.1)
    assert together(three, lowest=True).median == 1.0
    assert together(three, lowest=True).spread == pytest.approx(0.2)
    other = Key("walk", "fast", 100, "rival")
    both = gathered([{KEY: steady(1.0), other: steady(3.0)}, {KEY: steady(1.1)}])
    assert both.keys() == {KEY}


@pytest.mark.parametrize(
    ("medians", "word", "n"),
    [
        ([1.1], "same", 1),
        ([0.5], "improved", 1),
        ([1.5, 1.5, 1.5], "regressed", 3),
        ([1.5, 1.1], "same", 2),
        ([1.5, 1.5, 1.1], "same", 3),
        ([1.3, 1.3, 1.7], "same", 3),  # three that far apart say nothing
    ],
)
def test_what_looks_regressed_is_measured_again(medians, word, n):
    """Up to twice more, and no longer than it looks so."""
    to_come = iter(medians)
    (found,) = judge({KEY: STEADY}, [("walk", 100)], lambda *_: {KEY: steady(next(to_come))})
    assert (found.word, found.measurements) == (word, n)
    assert list(to_come) == []


def test_only_what_is_in_the_baseline_is_judged():
    """A ratio that is new is no regression."""
    new = Key("walk", "other", 100)
    both = {KEY: steady(1.0), new: steady(9.0)}
    found = judge({KEY: STEADY}, [("walk", 100)], lambda *_: both)
    assert [each.key for each in found] == [KEY]


def test_others_are_measured_before_anything_again():
    """So that minutes lie between; and only what looks regressed is."""
    names, told = ("walk", "swim", "fly"), []

    def measure(name, size):
        told.append(name)
        return {Key(name, "a", size): steady(1.0 if name == "swim" else 2.0)}

    before = {Key(name, "a", 100): STEADY for name in names}
    judge(before, [(name, 100) for name in names], measure)
    assert told == ["walk", "swim", "fly", "walk", "fly", "walk", "fly"]


def test_a_faster_peer_is_a_regression_of_ours():
    """Ratios to peers are turned round: the greater, the slower Populace."""
    of = measured(100, {"fast": 2e3}, peers={"rival": (2e4, (8.0, 10.0, 16.0))}, bound_ns=1e3)
    found = ratios_of(case(), of)
    assert found[KEY].median == pytest.approx(2.0)
    assert found[Key("walk", "fast", 100, "rival")] == Ratio(1 / 16, 0.1, 1 / 8, 5)
    alone = ratios_of(case(), measured(100, {"fast": 2e3}))
    assert alone == {}


def test_what_is_missing_is_told():
    """With the reason where there is one: a peer that is not there, a contest left out."""
    other = Key("walk", "fast", 100, "rival")
    gone = Key("walk", "slow", 10)
    old = Baseline({}, {KEY: STEADY, other: STEADY, gone: STEADY})
    why = {("walk", 100, "rival"): "not installed", ("walk", 10, ""): "too little memory"}
    told = missing(old, [("walk", 10), ("walk", 100)], [Judged(KEY, STEADY, STEADY)], why)
    assert list(told) == [
        "missing    walk, slow, 10, against bound: too little memory",
        "missing    walk, fast, 100, against rival: not installed",
    ]
    unknown = missing(old, [("walk", 10)], [], {})
    assert next(unknown).endswith("there is no such contestant any more")


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    """Ratios to four digits, and its machine."""
    old = Baseline({"cpu": "abacus"}, {KEY: steady(1.23456), Key("swim", "a", 10, "x"): STEADY})
    old.write(tmp_path / "ratios.json")
    read = read_baseline(tmp_path / "ratios.json")
    assert read.machine == old.machine
    assert read.ratios.keys() == old.ratios.keys()
    assert read.ratios[KEY].median == 1.235
    assert read.sizes("walk") == [100]
    assert read.of("walk", 100).keys() == {KEY}


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch, tmp_path, capsys):
    """Run the command on cases and ratios made by hand: () -> exit code, what was told."""
    ratios = {"walk": 1.0, "swim": 1.0}
    rivals = [peer(workloads=("swim",))]

    def measure(each, size, pace, peers, before):
        ns = 1e3 * ratios[each.name]
        met = {p.name: (2e3, (1.99, 2.0, 2.01)) for p in peers if each.name in p.workloads}
        return measured(size, {"fast": ns}, peers=met, bound_ns=1e3)

    cases = [case("walk", subjects=("fast",)), case("swim", subjects=("fast",))]
    monkeypatch.setattr(command, "discover", lambda: cases)
    monkeypatch.setattr(command, "discover_peers", lambda: rivals)
    monkeypatch.setattr(command, "measure", measure)

    def run(*arguments):
        code = command.main([*arguments])
        return code, capsys.readouterr()

    run.ratios, run.cases, run.rivals, run.file = ratios, cases, rivals, tmp_path / "ratios.json"
    return run


def test_nothing_new_is_success(bench):
    """All ratios of the baseline are there and as before: two cases at two sizes, and one peer."""
    assert bench("--save-baseline", str(bench.file))[0] == 0
    code, told = bench("--compare", str(bench.file))
    assert code == 0
    assert told.out.splitlines()[-1] == (
        "0 regressed, 0 improved, 6 as before, 0 not in the baseline, 0 missing"
    )


def test_a_regression_is_failure(bench):
    """Each ratio that is worse is told with its figures, and how often it was measured."""
    bench("--save-baseline", str(bench.file))
    bench.ratios["walk"] = 2.0
    code, told = bench("--compare", str(bench.file))
    assert code == 1
    assert "regressed  walk, fast, 10, against bound: 1 -> 2 (+100%; noise" in told.out
    assert "measured 3 x)" in told.out
    assert told.out.splitlines()[-1].startswith("2 regressed, 0 improved, 4 as before")
    assert bench("--compare", str(bench.file), "--filter", "swim")[0] == 0


def test_an_improvement_is_told(bench):
    """And is success."""
    bench("--save-baseline", str(bench.file))
    bench.ratios["walk"] = 0.5
    code, told = bench("--compare", str(bench.file))
    assert code == 0
    assert "improved   walk, fast, 100, against bound: 1 -> 0.5 (-50%" in told.out


def test_cases_that_only_one_side_knows_are_told(bench):
    """New ones, those that are gone, and peers that are not there today; none of it is failure."""
    bench("--save-baseline", str(bench.file), "--filter", "swim")
    bench.rivals.clear()
    code, told = bench("--compare", str(bench.file))
    assert code == 0
    assert "new        walk: not in the baseline" in told.out
    assert "missing    swim, fast, 10, against rival: " in told.out
    del bench.cases[1]
    _, told = bench("--compare", str(bench.file))
    assert "missing    swim: there is no such case any more" in told.out


def test_a_baseline_is_renewed_in_part(bench):
    """What was not measured again stays."""
    bench("--save-baseline", str(bench.file))
    bench.ratios.update(walk=5.0, swim=5.0)
    bench("--save-baseline", str(bench.file), "--filter", "walk", "--sizes", "10")
    of = {(k.case, k.size): r.median for k, r in read_baseline(bench.file).ratios.items()
          if k.against == "bound"}  # fmt: skip
    assert of == {("walk", 100): 1.0, ("swim", 10): 1.0, ("swim", 100): 1.0, ("walk", 10): 5.0}


def test_without_a_baseline_there_is_nothing_to_compare(bench):
    """Which is told, and failure."""
    code, told = bench("--compare", str(bench.file))
    assert code == 1
    assert "there is no " in told.err


def test_a_peer_that_is_wrong_fails_the_run(bench, monkeypatch):
    """With what it did, and without a traceback."""

    def measure(*given):
        raise command.PeerError("rival computed something else")

    monkeypatch.setattr(command, "measure", measure)
    code, told = bench()
    assert code == 1
    assert told.err == "rival computed something else\n"


def test_the_baseline_of_the_checkout_can_be_read():
    """It has the ratio to the bound of every case of the quick check."""
    baseline = read_baseline(BASELINE)
    for each in discover():
        if each.fast:
            for subject in each.subjects:
                assert Key(each.name, subject, each.sizes[0]) in baseline.ratios


def test_the_quick_check_runs(tmp_path, capsys, monkeypatch):
    """Every fast case is measured, beside the peers that every checkout has, kept, and compared:
    whatever the ratios, which a busy machine may spoil, each is judged and none is missing."""
    quick = ["--fast", "--rounds", "3"]
    here = [each for each in discover_peers() if each.name in ("numpy", "polars")]
    monkeypatch.setattr(command, "discover_peers", lambda: here)
    for module in (command, compare):
        monkeypatch.setattr(module, "REPEATS", 1)
    file = str(tmp_path / "ratios.json")
    assert command.main([*quick, "--save-baseline", file]) == 0
    assert command.main([*quick, "--compare", file, "--verbose"]) in (0, 1)
    told = capsys.readouterr().out.splitlines()
    ratios = read_baseline(tmp_path / "ratios.json").ratios
    judged = [line for line in told if line.split()[0] in ("same", "improved", "regressed")]
    assert len(judged) == len(ratios)
    assert told[-1].endswith("0 not in the baseline, 0 missing")
    assert {key.case for key in ratios} == {each.name for each in discover() if each.fast}
    assert {key.against for key in ratios} == {"bound", "numpy", "polars"}
