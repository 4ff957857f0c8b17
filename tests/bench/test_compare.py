"""The rule of what has regressed, by hand-made figures, and what the command makes of it."""

import pytest
from bench.compare import (
    BASELINE,
    Baseline,
    Day,
    Judged,
    Key,
    Ratio,
    gathered,
    judge,
    missing,
    other_machine,
    other_peers,
    ratios_of,
    read_baseline,
    together,
    too_noisy,
)
from bench.harness import discover
from bench.peers import discover as discover_peers
from bench.record import RecordError

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
    """The middle one counts; the range is relative to it."""
    three = [steady(1.2), steady(1.0), steady(1.1)]
    assert together(three).median == 1.1
    assert together(three).spread == pytest.approx(0.2 / 1.1)
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
        ([1.3, 1.7, 1.3], "regressed", 3),
        ([1.7, 1.3, 1.3], "regressed", 3),
        ([2.0, 2.0, 4.1], "regressed", 3),  # a neighbour hides no regression
        ([4.1, 2.0, 1.0], "same", 3),
    ],
)
def test_what_looks_regressed_is_measured_again(medians, word, n):
    """Up to twice more, and no longer than it looks so; the lowest counts."""
    to_come = iter(medians)
    (found,) = judge({KEY: STEADY}, [("walk", 100)], lambda *_: {KEY: steady(next(to_come))})
    assert (found.word, found.measurements) == (word, n)
    assert found.now.median == min(medians)
    assert list(to_come) == []


def test_a_noisy_measurement_settles_nothing():
    """What is a fifth worse but within its noise is measured again, and a clear one may follow."""
    noisy = Ratio(1.0, 2.2, 4.0, 9)
    to_come = iter([noisy, steady(2.0), steady(2.0)])
    assert Judged(KEY, STEADY, noisy).word == "same"
    (found,) = judge({KEY: STEADY}, [("walk", 100)], lambda *_: {KEY: next(to_come)})
    assert (found.word, found.measurements) == ("regressed", 3)


def test_another_version_of_a_peer_is_no_regression_of_ours():
    """It differs, either way, and is not measured again; what did not change is the same."""
    other = Key("walk", "fast", 100, "rival")
    unlike = {other: "rival 1.2, now 1.3"}
    for median, word in ((2.0, "differs"), (0.5, "differs"), (1.1, "same")):
        now = {other: steady(median)}
        (found,) = judge({other: STEADY}, [("walk", 100)], lambda *_, now=now: now, unlike)
        assert (found.word, found.measurements) == (word, 1)
        assert str(found).endswith("; rival 1.2, now 1.3)")


def test_what_cannot_show_a_regression_is_counted():
    """Ratios whose noise is beyond a fifth."""
    assert too_noisy([0.1, 0.2, 0.21, 0.9]) == "2 of 4 ratios are too noisy to show a change of 20%"


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
    assert found[Key("walk", "fast", 100, "rival")] == Ratio(1 / 16, 0.1, 1 / 8, 9)
    alone = ratios_of(case(), measured(100, {"fast": 2e3}))
    assert alone == {}


def test_what_is_missing_is_told():
    """With the reason where there is one: a peer that is not there, a contest left out."""
    other = Key("walk", "fast", 100, "rival")
    gone = Key("walk", "slow", 10)
    old = Baseline([Day({}, {gone: STEADY, KEY: STEADY, other: STEADY})])
    why = {("walk", 100, "rival"): "not installed", ("walk", 10, ""): "too little memory"}
    told = missing(old, [Judged(KEY, STEADY, STEADY)], why)
    assert list(told) == [
        "missing    walk, slow, 10, against bound: too little memory",
        "missing    walk, fast, 100, against rival: not installed",
    ]
    unknown = missing(old, [], {})
    assert next(unknown).endswith("there is no such contestant any more")


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    """Ratios to four digits, each with the machine of its day."""
    swim = Key("swim", "a", 10, "x")
    days = [Day({"cpu": "abacus"}, {KEY: steady(1.23456)}), Day({"cpu": "loom"}, {swim: STEADY})]
    Baseline(days).write(tmp_path / "ratios.json")
    read = read_baseline(tmp_path / "ratios.json")
    assert [day.machine for day in read.days] == [{"cpu": "abacus"}, {"cpu": "loom"}]
    assert [*read.ratios] == [KEY, swim]
    assert read.ratios[KEY].median == 1.235
    assert read.contests == {("walk", 100), ("swim", 10)}
    assert read.only([("walk", 100)]).days == read.days[:1]
    assert read.without([("walk", 100)]).days == read.days[1:]


MACHINE = {
    "cpu": "abacus", "cores": 2, "system": "Linux", "python": "3", "numpy": "2", "numba": "0",
    "clock": "wall", "date": "yesterday", "peers": {"rival": "1.2", "gone": "3"},
}  # fmt: skip


def test_what_ratios_depend_on_is_held_against_the_baseline():
    """Another processor is told, another version of a peer is of its ratios, and those by another
    clock are refused."""
    other, gone = Key("walk", "fast", 100, "rival"), Key("walk", "fast", 100, "gone")
    old = Baseline([Day(MACHINE, {KEY: STEADY, other: STEADY, gone: STEADY})])
    assert list(other_machine(old, MACHINE)) == []
    assert other_peers(old, MACHINE) == {}
    now = {**MACHINE, "cpu": "loom", "date": "today", "peers": {"rival": "1.3"}}
    assert list(other_machine(old, now)) == [
        "unlike     cpu loom; the baseline of yesterday has abacus"
    ]
    assert other_peers(old, now) == {other: "rival 1.2, now 1.3"}
    with pytest.raises(RecordError, match=r"wall time, this run processor time.*--cpu"):
        list(other_machine(old, {**MACHINE, "clock": "processor"}))


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
    assert told.out.splitlines()[-3:] == [
        "2 of 2 cases have a baseline, 4 of 4 contests",
        "4 of 6 ratios are too noisy to show a change of 20%",
        "0 regressed, 0 improved, 6 as before, 0 missing",
    ]


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
    """New cases and sizes, those that are gone, and peers that are not there today; none of it is
    failure."""
    bench("--save-baseline", str(bench.file), "--filter", "swim")
    bench("--save-baseline", str(bench.file), "--filter", "walk", "--sizes", "10")
    bench.rivals.clear()
    bench.cases.append(case("fly", subjects=("fast",)))
    code, told = bench("--compare", str(bench.file))
    assert code == 0
    assert "new        walk at 100: not in the baseline" in told.out
    assert "new        fly at 10, 100: not in the baseline" in told.out
    assert "missing    swim, fast, 10, against rival: " in told.out
    assert "2 of 3 cases have a baseline, 3 of 6 contests" in told.out
    del bench.cases[1]
    _, told = bench("--compare", str(bench.file))
    assert "missing    swim at 100: there is no such case or size any more" in told.out


def test_only_what_was_asked_for_is_compared(bench):
    """By size, and the smallest size of quick cases, as everywhere."""
    bench.cases[1] = case("swim", subjects=("fast",), fast=True)
    bench("--save-baseline", str(bench.file))
    _, told = bench("--compare", str(bench.file), "--fast", "--verbose")
    assert told.out.splitlines()[-1].startswith("0 regressed, 0 improved, 2 as before")
    _, told = bench("--compare", str(bench.file), "--sizes", "100")
    assert told.out.splitlines()[-1].startswith("0 regressed, 0 improved, 3 as before")


@pytest.mark.parametrize(
    "asked",
    [
        ["--filter", "run"],
        ["--sizes", "7"],
        ["--compare", "FILE", "--sizes", "7"],
        ["--compare", "FILE", "--filter", "walk"],
        ["--save-baseline", "FILE", "--area", "sqk"],
    ],
)
def test_nothing_to_do_is_no_success(bench, asked):
    """A name or a size that nothing has, in the cases or in the baseline, is told."""
    bench("--save-baseline", str(bench.file), "--filter", "swim")
    before = bench.file.read_text()
    code, told = bench(*(str(bench.file) if word == "FILE" else word for word in asked))
    assert code == 2
    assert "no case is named like that" in told.err or "has no ratio of these" in told.err
    assert bench.file.read_text() == before


def test_a_baseline_is_renewed_in_part(bench, monkeypatch):
    """What was not measured again stays, and the machine it was measured on; what could not be
    measured again goes, which is told."""
    monkeypatch.setattr(command.record, "commit", lambda: "abc")
    _, told = bench("--save-baseline", str(bench.file))
    assert "uncommitted changes" not in told.out
    monkeypatch.setattr(command.record, "commit", lambda: "abc-dirty")
    bench.ratios.update(walk=5.0, swim=5.0)
    bench.rivals.clear()
    _, told = bench("--save-baseline", str(bench.file), "--sizes", "10")
    assert "gone       swim, fast, 10, against rival" in told.out
    assert "against rival" not in told.out.replace("swim, fast, 10, against rival", "")
    assert "0 of 5 ratios are too noisy" in told.out
    assert "uncommitted changes" in told.out
    old, new = read_baseline(bench.file).days
    assert (old.machine["commit"], new.machine["commit"]) == ("abc", "abc-dirty")
    assert {(*key.contest, key.against): ratio.median for key, ratio in old.ratios.items()} == {
        ("walk", 100, "bound"): 1.0, ("swim", 100, "bound"): 1.0, ("swim", 100, "rival"): 0.5,
    }  # fmt: skip
    assert {key.contest: ratio.median for key, ratio in new.ratios.items()} == {
        ("walk", 10): 5.0, ("swim", 10): 5.0,
    }  # fmt: skip


def test_ratios_by_another_clock_are_refused(bench):
    """With what to do, before anything is measured."""
    bench("--save-baseline", str(bench.file))
    code, told = bench("--compare", str(bench.file), "--cpu")
    assert code == 1
    assert "counts wall time, this run processor time" in told.err


def test_a_peer_that_was_renewed_fails_nothing(bench):
    """Its ratio is told as one that differs."""
    bench("--save-baseline", str(bench.file))
    text = bench.file.read_text()
    of = f'"rival": "{bench.rivals[0].version()}"'
    assert of in text
    text = text.replace(of, '"rival": "0.1"').replace("0.5,", "0.25,")
    bench.file.write_text(text)
    code, told = bench("--compare", str(bench.file))
    assert code == 0
    assert "differs    swim, fast, 10, against rival: 0.25 -> 0.5" in told.out
    assert told.out.splitlines()[-1] == (
        "0 regressed, 0 improved, 4 as before, 2 differ by another peer, 0 missing"
    )


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
    """It has a ratio of every subject of the quick check."""
    there = {(key.contest, key.subject) for key in read_baseline(BASELINE).ratios}
    for each in discover():
        if each.fast:
            for subject in each.subjects:
                assert ((each.name, each.sizes[0]), subject) in there


def test_losses_of_the_baseline_have_reasons():
    """Whoever is faster than Populace in three of four rounds, why is said in the case."""
    cases = {each.name: each for each in discover()}
    unexplained = [
        str(key)
        for key, ratio in read_baseline(BASELINE).ratios.items()
        if key.against != "bound"
        and ratio.q1 > 1
        and not cases[key.case].why_loses(key.against, key.subject, key.size)
    ]
    assert not unexplained, "\n".join(unexplained)


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
    told_of = len({each.name for each in discover() if each.fast})
    assert f"{told_of} of {told_of} cases have a baseline, {told_of} of {told_of} contests" in told
    ratios = read_baseline(tmp_path / "ratios.json").ratios
    judged = [line for line in told if line.split()[0] in ("same", "improved", "regressed")]
    assert len(judged) == len(ratios)
    assert told[-1].endswith(", 0 missing")
    assert {key.case for key in ratios} == {each.name for each in discover() if each.fast}
    assert {key.against for key in ratios} == {"bound", "numpy", "polars"}
