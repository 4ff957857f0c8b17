"""Parameters of a scenario: where they come from, what is refused, and that files hold them all."""

import json
import tomllib
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs.errors import SettingError, SourceFileError
from populace.scenarios.parameter import parameters_of
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario
from populace.scenarios.scenario import Run
from populace.scenarios.spans import shown_span, span_in
from populace.systems import Pruning, Ties

from .harbour import HARBOUR


@pytest.fixture(scope="module")
def harbour(tmp_path_factory):
    """The scenario of the tests, from its file."""
    path = tmp_path_factory.mktemp("own") / "harbour.py"
    path.write_text(HARBOUR)
    return find_scenario(path)


@pytest.fixture
def read(harbour, tmp_path):
    """Read parameters from the text of a file, a dict of variables, and overrides."""

    def read(*overrides, file=None, **environment):
        path = None
        if file is not None:
            path = tmp_path / "mine.toml"
            path.write_text(file)
        return read_parameters(harbour, file=path, overrides=overrides, environment=environment)

    return read


def faults(read, *overrides, **given):
    """What the error says, a fault a line."""
    with pytest.raises(SettingError) as told:
        read(*overrides, **given)
    lines = str(told.value).splitlines()
    return [line.strip() for line in lines[1:]] if len(lines) > 1 else lines


# -- where they come from --------------------------------------------------------------------


def test_defaults_are_those_of_the_classes_and_then_of_the_scenario(read):
    """What nobody sets is as declared; a scenario's own default is no change."""
    parameters = read()
    assert parameters["ties"] == Ties()
    assert (parameters["harbour"].boats, parameters["harbour"].crew) == (10, 3)
    assert parameters.run == Run(days=2)
    assert parameters.changed() == {}


def test_the_later_source_counts(read):
    """Defaults < file < environment < overrides, and of two overrides the second."""
    file = "[harbour]\nboats = 2\ncrew = 2\ntide = 2\ncalm_under = 0.2\n"
    parameters = read(
        "harbour.tide=4", "harbour.calm_under=0.3", "harbour.calm_under=0.4",
        file=file, POPULACE_HARBOUR__CREW="3", POPULACE_HARBOUR__TIDE="3",
    )  # fmt: skip
    made = parameters["harbour"]
    assert (made.boats, made.crew, made.tide, made.calm_under) == (2, 3, 4.0, 0.4)


def test_the_environment_of_the_process_is_the_default(harbour, monkeypatch):
    """Without an environment given, the process's own is read."""
    monkeypatch.setenv("POPULACE_HARBOUR__BOATS", "77")
    assert read_parameters(harbour)["harbour"].boats == 77


def test_other_variables_of_populace_are_let_be(read):
    """One underscore, or another program's variable, is nobody's parameter."""
    assert read(POPULACE_KEY="x", POPULACE_DEBUG="1", OTHER__HALF_LIFE="x").changed() == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("harbour.tide=90s", 90.0), ("harbour.tide=30m", 1800.0), ("harbour.tide=12h", 43_200.0),
        ("harbour.tide=7d", 604_800.0), ("harbour.tide=1_000", 1000.0), ("harbour.tide=1e3", 1e3),
        ("run.days=36h", 1.5), ("run.days=7d", 7.0), ("run.days=0.5", 0.5),
        ("harbour.boats=1_000", 1000), ("harbour.open=false", False), ("harbour.open=True", True),
        ("harbour.name=a=b", "a=b"), ("harbour.name=", ""), ("run.step=15m", 900.0),
    ],
)  # fmt: skip
def test_values_are_read_as_people_write_them(read, text, value):
    """Spans, underscores, flags, and texts with an equals sign in them."""
    got = read(text).values()[text.partition("=")[0]]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("name", ["storm", "STORM", "Storm"])
def test_enums_are_read_by_name(read, name):
    """Whatever the case, in a file and in an override; JSON has it in small letters."""
    assert read(f"harbour.wind={name}").changed() == {"harbour.wind": "storm"}
    assert read(file=f'harbour.wind = "{name}"').changed() == {"harbour.wind": "storm"}


def test_a_file_may_have_spans_and_dates(read):
    """A TOML date serves where a text with one is wanted, and text where it is a span."""
    parameters = read(file='[run]\nstart = 2024-02-29T06:00:00\nstep = "15m"\ndays = 1\n')
    assert parameters.run == Run(start="2024-02-29T06:00:00", step=900, days=1)


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("harbour.boats=0", "harbour.boats must lie in [1, 1000], got 0"),
        ("harbour.boats=1.5", "harbour.boats must be a whole number, got '1.5'"),
        ("harbour.boats=7d", "harbour.boats must be a whole number, got '7d'"),
        ("harbour.tide=soon", "a number of s, or a span as 90s, 30m, 12h or 7d, got 'soon'"),
        ("harbour.tide=nan", "harbour.tide must be finite, got nan"),
        ("harbour.tide=infd", "or a span as 90s, 30m, 12h or 7d, got 'infd'"),
        ("harbour.calm_under=1d", "harbour.calm_under must be a number, got '1d'"),
        ("harbour.open=1", "harbour.open must be true or false, got '1'"),
        ("harbour.wind=gale", "harbour.wind must be calm, storm, got 'gale'"),
        ("ties.half_life=0.5s", "ties.half_life must lie in [1, 1e+09] s, got 0.5"),
        ("ties.halflife=7d", "there is no parameter ties.halflife; did you mean ties.half_life?"),
        ("tie.half_life=7d", "did you mean ties.half_life?"),
        ("half_life=7d", "did you mean ties.half_life?"),
        ("ties.colour=red", "there are ties.half_life, ties.gain, "),
        ("colour=red", "harbour.py` shows all"),
        ("ties.half_life", "must be SECTION.KEY=VALUE"),
        ("run.step=7m", "run.step must divide an hour"),
        ("run.start=soon", "run.start must be a date and time without a zone"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told(read, text, why):
    """The override itself, the value, what is allowed, and the name that was meant."""
    (fault,) = faults(read, text)
    assert fault.startswith(f"--set {text}: ")
    assert why in fault


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[harbour]\nboats = '12'", "harbour.boats must be a whole number without quotes"),
        ("[harbour]\ntide = '12'", "must be a number of s without quotes, or a span as"),
        ("[harbour]\nopen = 'true'", "must be true or false without quotes, got 'true'"),
        ("[harbour]\nopen = 1", "harbour.open must be a bool, got 1"),
        ("[harbour]\nboats = true", "harbour.boats must be an int, got True"),
        ("[harbour]\nname = 3", "harbour.name must be a str, got 3"),
        ("[harbour]\nboats = [1, 2]", "harbour.boats must be an int, got [1, 2]"),
        ("[harbour.boats]\nx = 1", "harbour.boats must be an int, got {'x': 1}"),
        ("[harbor]\nboats = 1", "there is no section [harbor]; did you mean [harbour]?"),
        ("[harbour]\nboat = 1", "there is no parameter harbour.boat; did you mean harbour.boats?"),
        ("boats = 1", "boats stands in no section; did you mean harbour.boats?"),
        ("harbour = 1", "harbour must be a section, [harbour], got 1"),
        ("scenario = 'twon'", "there is no scenario 'twon'; did you mean town?"),
        ("scenario = 3", "scenario is 3"),
        ("scenario = 'stream'", "holds parameters of the scenario 'stream', not of 'harbour'"),
    ],
)
def test_a_wrong_line_of_a_file_is_told(read, tmp_path, text, why):
    """The file, section and key, the value, and what is allowed."""
    (fault,) = faults(read, file=text)
    assert fault.startswith(f"{tmp_path / 'mine.toml'}: ")
    assert why in fault


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ("POPULACE_HARBOUR__BOAT", "did you mean POPULACE_HARBOUR__BOATS?"),
        ("POPULACE_harbour__boats", "there is no such parameter of harbour"),
        ("POPULACE_X__Y", "unset it"),
        ("POPULACE_HARBOUR__BOATS", "harbour.boats must be a whole number, got 'x'"),
    ],
)
def test_a_wrong_variable_is_told(read, variable, why):
    """A variable that looks like a parameter and is none is a fault, not passed over."""
    (fault,) = faults(read, **{variable: "x"})
    assert fault.startswith(f"{variable}: ")
    assert why in fault


def test_all_faults_are_told_at_once(read):
    """Of file, environment and overrides; each by its place."""
    told = faults(
        read, "harbour.crew=x", "run.step=7m", file="[harbour]\nboats = 0\nname = 3\n",
        POPULACE_X__Y="1",
    )  # fmt: skip
    assert len(told) == 5


def test_values_that_do_not_go_together_are_told_with_their_places(read, tmp_path):
    """The check of a whole section names each place that gave it a value."""
    (fault,) = faults(read, "harbour.storm_over=1", file="[harbour]\ncalm_under = 3\n")
    places = f"{tmp_path / 'mine.toml'}, --set harbour.storm_over=1"
    assert fault == f"{places}: harbour.calm_under must be below storm_over"


def test_a_wrong_value_raises_no_second_fault(read):
    """A section with a wrong value is not checked as if that value were the default."""
    (fault,) = faults(read, "harbour.calm_under=3", "harbour.storm_over=x")
    assert "storm_over must be a number" in fault


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"[run\n", "line 1, column 5"), (b"\xff", "not UTF-8"), (b"[run]\n[run]\n", "line 2"),
     (b"x = " + b"[" * 5000, "not TOML")],
)  # fmt: skip
def test_a_file_that_is_no_toml_is_told(harbour, tmp_path, text, why):
    """With the line, where there is one."""
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    with pytest.raises(SourceFileError, match=r"mine\.toml") as told:
        read_parameters(harbour, file=path, environment={})
    assert why in str(told.value)


def test_a_file_that_is_not_there_is_told(harbour, tmp_path):
    """By its name."""
    with pytest.raises(SourceFileError, match=r"mine\.toml: cannot be read: No such file"):
        read_parameters(harbour, file=tmp_path / "mine.toml", environment={})


# -- what they are ---------------------------------------------------------------------------


def test_sections_are_found_by_name_and_class(read):
    """And what is not there is refused, with what is."""
    parameters = read()
    assert parameters.of(Ties) is parameters["ties"]
    assert parameters.of(Run) is parameters.run
    with pytest.raises(SettingError, match=r"no section \[tie\]; did you mean \[ties\]\?"):
        parameters["tie"]
    with pytest.raises(SettingError, match="0 sections of Pruning"):
        parameters.of(Pruning)


def test_replacing_one_leaves_the_others_and_the_first(read):
    """`replaced` makes new parameters; what it would not read it refuses."""
    first = read("harbour.boats=5")
    second = first.replaced("run.seed", 3)
    assert second.changed() == {"run.seed": 3, "harbour.boats": 5}
    assert first.changed() == {"harbour.boats": 5}
    with pytest.raises(SettingError, match=r"run.seed must lie in"):
        first.replaced("run.seed", -1)
    with pytest.raises(SettingError, match=r"did you mean run.seed\?"):
        first.replaced("run.sed", 1)


def values_of(parameter):
    """Any value that a parameter of the harbour may have."""
    low, high = parameter.range or (-1e300, 1e300)
    if parameter.name == "run.step":
        return st.sampled_from([1.0, 900.0, 3600.0, 86_400.0])
    if parameter.name == "run.start":
        return st.datetimes().map(lambda moment: moment.isoformat())
    if parameter.name in ("harbour.calm_under", "harbour.storm_over"):
        half = (0, 1) if parameter.key == "calm_under" else (1, 10)
        return st.floats(*half)
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.kind is str:
        return st.text(st.characters(exclude_categories=["Cs"]))
    if parameter.kind is bool:
        return st.booleans()
    return st.integers(low, high) if parameter.kind is int else st.floats(low, high)


@given(data=st.data(), comments=st.booleans())
def test_toml_reads_as_what_was_written(harbour, tmp_path_factory, data, comments):
    """Any parameters, written and read, are the same to the bit, with and without comments."""
    known = parameters_of(harbour)
    values = {name: data.draw(values_of(parameter), name) for name, parameter in known.items()}
    parameters = read_parameters(harbour, environment={}).updated(values)
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_bytes(parameters.to_toml(comments).encode())
    assert find_scenario(path) is harbour
    assert read_parameters(harbour, file=path, environment={}) == parameters


def test_toml_tells_meaning_unit_range_and_default(read):
    """Every parameter is there, with what is needed to change it, and the law's own default."""
    page = read("ties.half_life=7d", "harbour.wind=storm").to_toml()
    assert set(tomllib.loads(page)) == {"scenario", "run", "harbour", "ties"}
    about = "of a tie's weight; the decay rate is ln 2 / it; 1 to 1,000,000,000 s; default 14d"
    assert f"\n# {about}\n" in page
    assert "\nhalf_life = 604800.0 # 7d\n" in page
    assert "\n[harbour] # Who fishes there.\n" in page
    assert "\n# of the day; one of calm, storm; default calm\n" in page
    assert "\n# of a boat; 1 to 1,000; elsewhere 2\n" in page
    assert "\n# simulated days; 0.001 to 100,000 d; elsewhere 30d\n" in page
    assert "\n# at sea; 1 to 1,000\n" in page
    assert "#" not in read().to_toml(comments=False)


def test_the_schema_has_all_that_is_declared(read):
    """Type, range, unit, default, choices and meaning of each; nothing else is allowed."""
    schema = json.loads(json.dumps(read("harbour.boats=5").to_schema()))
    sections = schema["properties"]
    assert not schema["additionalProperties"]
    harbour = sections["harbour"]["properties"]
    assert harbour["boats"] == {
        "type": "integer", "minimum": 1, "maximum": 1000, "default": 5, "description": "at sea",
    }  # fmt: skip
    assert harbour["wind"]["enum"] == ["calm", "storm"]
    assert harbour["tide"]["type"] == ["number", "string"]
    assert harbour["tide"]["unit"] == "s"
    assert harbour["open"]["type"] == "boolean"
    assert not sections["harbour"]["additionalProperties"]
    assert sections["run"]["properties"]["days"]["default"] == 2


# -- spans -----------------------------------------------------------------------------------


@given(st.floats(0, 1e12))
def test_a_span_shown_reads_as_what_it_was(seconds):
    """Whatever the unit that makes it short."""
    assert isclose(span_in(shown_span(seconds)), seconds, rel_tol=1e-15, abs_tol=1e-300)


@pytest.mark.parametrize("text", ["", "d", "7", "7w", "1h30m", "nand", "sNaNs", "1e9999999s", "-d"])
def test_what_is_no_span_is_refused(text):
    """With what one looks like."""
    with pytest.raises(ValueError, match="must be a span of time, as 90s, 30m, 12h or 7d"):
        span_in(text)
