"""Logs of contacts: what is read, what is refused, and what living through them leaves."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from populace import cli
from populace.cli import main
from populace.components import Contact, Met, Persona, Stream
from populace.components.tie import Tie, TieState
from populace.contacts import TIES, read_contacts, replay
from populace.ecs import World, days, hours, seconds
from populace.ecs.errors import QueryError, ScheduleError, SourceFileError
from populace.minds import AGENTS
from populace.storage import load_tables
from populace.systems.ties import Ties, apply_contacts, refresh_ties, tie_strengths

HALF_LIFE_S = 14 * 86_400.0
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)

LOG = b"timestamp,sender,recipient\n10,7,12\n12,12,7\n12,7,101\n9,101,101\n400,7,12\n"


@pytest.fixture
def log(tmp_path):
    """A file of five contacts, one of them with oneself."""
    path = tmp_path / "log.csv"
    path.write_bytes(LOG)
    return path


def rows(found):
    """A log as (seconds, source, target, weight)."""
    return [
        (time / 1e6, found.names[source], found.names[target], weight)
        for time, source, target, weight in zip(
            found.time.tolist(), found.source.tolist(), found.target.tolist(),
            found.weight.tolist(), strict=True,
        )
    ]  # fmt: skip


def read(path, content, **options):
    """What a file of this content is read as."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return rows(read_contacts(path, **options))


def refused(path, content, **options):
    """Why it is refused; the file is named."""
    with pytest.raises(SourceFileError) as caught:
        read(path, content, **options)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def society(**law):
    """A world with the law of ties."""
    world = World()
    world.insert(Ties(**law))
    world.add_systems(apply_contacts, refresh_ties)
    return world


def weights(world, agents):
    """(place of source, place of target) -> weight at the tie's last contact, and when that was."""
    place = dict(zip(agents.tolist(), range(len(agents)), strict=True))
    ties = world.query(Tie, TieState)
    columns = (
        ties.gather(f).tolist() for f in (Tie.source, Tie.target, TieState.weight, TieState.last)
    )
    return {
        (place[s], place[t]): (w, last)
        for s, t, w, last in zip(*columns, strict=True)
        if s in place
    }


# -- what is read ----------------------------------------------------------------------------


def test_a_log_is_read_by_time(log):
    """Rows come by time, simultaneous ones as in the file; ids that are numbers sort as numbers;
    who turned to himself is counted, and is an agent all the same."""
    found = read_contacts(log)
    assert found.names == ["7", "12", "101"]
    assert rows(found) == [
        (10, "7", "12", 1), (12, "12", "7", 1), (12, "7", "101", 1), (400, "7", "12", 1),
    ]  # fmt: skip
    assert (len(found), found.with_self) == (4, 1)
    assert [c.dtype.str[1:] for c in (found.source, found.target, found.time, found.weight)] == [
        "i8", "i8", "i8", "f4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "time,source,target\n5,a,b\n6,b,a\n",
        "5,a,b\n6,b,a",
        "5\ta\tb\n6\tb\ta\n",
        "5;a;b\n6;b;a\n",
        "5 a b\n6 b a\n",
        "From;To;Time\r\na;b;5\r\nb;a;6\r\n",
        "\ufeffuser_a\tuser_b\ttimestamp\na\tb\t5\nb\ta\t6\n",
        "# two friends\n\n# caller,callee,when\na,b,5\nb,a,6\n",
        "# just so\n5,a,b\n\n\n6,b,a\n",
        '"t","from","to","place"\n"5","a","b","here, or there"\n"6","b","a",""\n',
        " t , sent-at?, sender , recipient \n 5 , x , a , b \n 6 , y , b , a \n",
        "Sent At;Sender ID;Recipient ID;text\n5;a;b;I, me\n6;b;a;you, too, and, so, on\n",
        "\r\n5,a,b\r6,b,a\r",
    ],
)
def test_many_shapes_are_the_same_log(tmp_path, content):
    """Separators, line ends, headers, quotes, comments, blanks and a byte order mark."""
    assert read(tmp_path / "log", content) == [(5, "a", "b", 1), (6, "b", "a", 1)]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b,5\nb,a,6\n", ("source", "target", "time")),
        ("x,a,5,b\ny,b,6,a\n", ("", "source", "time", "target")),
        ("who,whom,day\na,b,5\nb,a,6\n", {"source": "who", "target": "whom", "time": 2}),
        ("from,to,time,user\na,b,5,x\nb,a,6,y\n", {"source": "from"}),
        ("1,2,3,a,b,5\n1,2,3,b,a,6\n", {"time": 5, "source": 3, "target": 4}),
    ],
)
def test_the_caller_may_say_which_column_is_which(tmp_path, content, columns):
    """By place, by header, by the order of all, or only where the header leaves it open."""
    assert read(tmp_path / "log", content, columns=columns) == [(5, "a", "b", 1), (6, "b", "a", 1)]


def test_weights_and_durations(tmp_path):
    """A column named weight, or the fourth of four without a header, is the weight; a duration only
    when asked for, and a call that nobody took weighs nothing then."""
    path = tmp_path / "log"
    assert read(path, "t,from,to,weight\n5,a,b,2.5\n")[0][3] == 2.5
    assert read(path, "5,a,b,2.5\n")[0][3] == 2.5
    calls = "timestamp,caller,callee,duration\n5,a,b,60\n6,a,b,-1\n"
    assert [row[3] for row in read(path, calls)] == [1, 1]
    assert [row[3] for row in read(path, calls, columns={"weight": "duration"})] == [60, 0]


@pytest.mark.parametrize(
    ("unit", "us"), [("us", 1), ("ms", 1e3), ("s", 1e6), ("min", 6e7), ("h", 3.6e9), ("d", 8.64e10)]
)
def test_times_have_a_unit_and_a_start(tmp_path, unit, us):
    """Whole and broken numbers, in any unit, from any start; whole ones are exact."""
    path = tmp_path / "log"
    path.write_text("5,a,b\n-3,a,b\n")
    found = read_contacts(path, time_unit=unit, start=days(19_000))
    assert found.time.tolist() == [days(19_000) - 3 * int(us), days(19_000) + 5 * int(us)]
    path.write_text("0.5,a,b\n1e2,a,b\n")
    assert read_contacts(path, time_unit=unit).time.tolist() == [round(us / 2), int(100 * us)]
    path.write_text("1676310910123457,a,b\n")
    assert read_contacts(path, time_unit="us").time.tolist() == [1_676_310_910_123_457]


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("2023-02-13 17:55:10", 10), ("2023-02-13T17:55:10.5", 10.5), ("2023-02-13 17:55", 0),
        ("2023-02-13T17:55:10Z", 10), ("2023-02-13 19:55:10+02:00", 10),
    ],
)  # fmt: skip
def test_times_may_be_dates(tmp_path, text, second):
    """ISO 8601, with a zone or in UTC."""
    got = read(tmp_path / "log", f"time,from,to\n{text},a,b\n")
    assert got[0][0] == 1_676_310_900 + second


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "holds no row; give a CSV file with columns time, source, target"),
        ("# nothing\n\n", "holds no row"),
        ("time,source,target\n", "holds no row, only a header"),
        ("5,a\n6,b\n", "its lines do not hold columns time, source, target, separated by"),
        ("just words\n", "its lines do not hold columns"),
        (b"t,from,to\n5,a,\xff\n", "byte 14 is not UTF-8"),
        ("t,from,to\n5,a,b\n6,b\n", "line 3: has 2 columns where the first line has 3; is the"),
        ("t,from,to\n5,a,b\n\n6,b,a,7\n", "line 4: has 4 columns where the first line has 3"),
        ('t,from,to\n5,a,b\n6,"b,a\n', "line 3: has 2 columns"),
        ("t,from,to\nsoon,a,b\n", "line 2: time is 'soon'; it must be a number or a date and time"),
        ("t,from,to\n5,a,b\n\nsoon,a,b\n", "line 4: time is 'soon'; it must be a number, as in"),
        ("# why\n5,a,b\n,a,b\n", "line 3: time is ''; it must be a number"),
        ("5,a,b\nnan,a,b\n", "line 2: time is 'nan'; it must be from"),
        ("5,a,b\ninf,a,b\n", "line 2: time is 'inf'; it must be from"),
        ("1676310910000000,a,b\n", "line 1: time is '1676310910000000'; it must be from "),
        ("2023-02-13,a,b\n2023-02-30,a,b\n", "line 2: time is '2023-02-30'; it must be a number"),
        ("2023-02-13,a,b\n7,a,b\n", "line 2: time is '7'; it must be a number or a date and time"),
        ("5,a,b\n6,,b\n", "line 2: source is ''; it must be an id that is not empty"),
        ("5,a,b\n6,a, \n", "line 2: target is ''"),
        ("5,a,b,1\n6,a,b,-1\n", "line 2: weight is '-1'; it must be from 0 to 1,000,000"),
        ("5,a,b,1\n6,a,b,1000001\n", "line 2: weight is '1000001'"),
        ("5,a,b,1\n6,a,b,nan\n", "line 2: weight is 'nan'"),
        ("5,a,b,1\n6,a,b,much\n", "line 2: weight is 'much'; it must be a number"),
        ("5,a,b,c,d\n", "has 5 columns and no header, and none is known to be the time: say which"),
        ("t,from,x\n5,a,b\n", "has columns 't', 'from', 'x', and none is known to be the target"),
        ("t,from,to,user\n5,a,b,c\n", "line 1: both 'from' and 'user' may be the source: say"),
        ('t,from,to\n5,a,"b\nc"\n6,a\n', "line 4: has 2 columns"),
    ],
)
def test_a_damaged_log_is_named_by_line(tmp_path, content, why):
    """File, line, what is there and what must be."""
    assert why in refused(tmp_path / "log.csv", content)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"columns": {"when": "t"}}, "columns has roles time, source, target, weight; got 'when'"),
        ({"columns": ("time", "source", "time")}, "names a role twice"),
        ({"columns": {"source": "to"}}, "gives one column two roles"),
        ({"time_unit": "weeks"}, "time_unit must be one of us, ms, s, min, h, d, got 'weeks'"),
        ({"delimiter": ", "}, "a delimiter is one character"),
    ],
)
def test_options_without_sense_are_refused(log, options, why):
    """Before anything is read wrongly."""
    log.write_text("t,from,to\n5,a,b\n")
    with pytest.raises(QueryError, match=re.escape(why)):
        read_contacts(log, **options)


def test_columns_that_are_not_there_are_refused(tmp_path):
    """By name and by place."""
    assert "has no column 'whom'; it has 't', 'a', 'b'" in refused(
        tmp_path / "log", "t,a,b\n1,2,3\n", columns={"source": "a", "target": "whom"}
    )
    assert "has no column 3; it has 0 to 2" in refused(
        tmp_path / "log", "1,2,3\n", columns={"target": 3}
    )
    with pytest.raises(SourceFileError, match="cannot be read"):
        read_contacts(tmp_path / "nowhere.csv")


def read_or_refuse(path, content):
    """What is read; None where it is refused, and the file is named."""
    path.write_bytes(content)
    refusal = ""
    try:
        return read_contacts(path)
    except SourceFileError as error:
        refusal = str(error)
    assert refusal.startswith(f"{path}: ")
    return None


@on_files
@given(st.integers(0, len(LOG)))
def test_a_truncated_log_is_refused_unless_cut_within_or_after_a_last_field(tmp_path, length):
    """Half a row is an error; a last field cut short, or a cut between lines, cannot be seen."""
    found = read_or_refuse(tmp_path / "log.csv", LOG[:length])
    lines = LOG[:length].decode().splitlines()[1:]
    whole = all(line.count(",") == 2 and not line.endswith(",") for line in lines)
    if found is None:
        assert not whole or not lines
    else:
        assert whole
        assert len(found) + found.with_self == len(lines)


@on_files
@given(
    st.lists(st.tuples(st.integers(0, len(LOG) - 1), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_flipped_bytes_are_read_whole_or_refused(tmp_path, flips):
    """Other bytes give other rows, or an error that names the file; never another exception."""
    content = bytearray(LOG)
    for place, byte in flips:
        content[place] = byte
    found = read_or_refuse(tmp_path / "log.csv", bytes(content))
    if found is not None:
        assert 0 < len(found) + found.with_self <= len(LOG)
        assert (np.diff(found.time) >= 0).all()


# -- living through it -----------------------------------------------------------------------


def test_a_replay_makes_agents_and_their_ties(log):
    """One agent for each id, numbered in the order of the names; the clock ends at the last
    contact."""
    world = society()
    agents = replay(world, read_contacts(log))
    assert world.text.decode(world.get(agents, Persona.name)) == ["7", "12", "101"]
    assert world.get(agents, Persona.number).tolist() == [0, 1, 2]
    assert world.has(agents, Stream).all()
    assert world.clock.now == seconds(400)
    found = weights(world, agents)
    assert set(found) == {(0, 1), (1, 0), (0, 2)}
    assert found[0, 1] == (pytest.approx(1 + 2 ** (-390 / HALF_LIFE_S), rel=1e-6), seconds(400))
    assert tie_strengths(world, agents[1], agents[2]).tolist() == [0]


def test_contacts_come_in_the_step_in_which_they_happen(log):
    """Every contact is emitted before the step that reaches its time, and each once."""
    world = World()
    told = world.events(Contact)
    seen = []
    replay(
        world,
        read_contacts(log),
        step=seconds(1),
        progress=lambda world: seen.append((world.clock.now, told.read().time.tolist())),
    )
    assert [time for now, times in seen for time in times] == [s * 10**6 for s in (10, 12, 12, 400)]
    assert all(now - seconds(1) <= time <= now for now, times in seen for time in times)
    assert len(seen) == 390


def test_a_second_log_joins_the_first(log):
    """Its people are others, with the next numbers; contacts older than now are late news."""
    world = society()
    first = replay(world, read_contacts(log))
    second = replay(world, read_contacts(log))
    assert world.get(second, Persona.number).tolist() == [3, 4, 5]
    assert world.clock.now == seconds(400)
    assert weights(world, second) == weights(world, first)


def test_a_log_of_nobody_but_oneself(tmp_path):
    """Leaves an agent, and no time passes."""
    path = tmp_path / "log"
    path.write_text("5,a,a\n")
    world = society()
    assert len(replay(world, read_contacts(path))) == 1
    assert (world.query(Tie).count(), world.clock.now) == (0, 0)


@pytest.mark.parametrize("step", [0, -1, 1.5, True, None])
def test_an_impossible_step_is_refused(log, step):
    """And nobody is spawned."""
    world = World()
    with pytest.raises(ScheduleError, match="a replay's step"):
        replay(world, read_contacts(log), step=step)
    assert len(world) == 0


# -- real messages and calls -----------------------------------------------------------------


def closed_form(found, now):
    """(place of source, of target) -> the sum of what is left of each contact at `now`, in f8."""
    left = 2.0 ** (-(now - found.time) / 1e6 / HALF_LIFE_S) * found.weight
    pair, each = np.unique(found.source << 32 | found.target, return_inverse=True)
    total = np.bincount(each, left)
    return {
        (int(p) >> 32, int(p) & 0xFFFF_FFFF): w for p, w in zip(pair, total.tolist(), strict=True)
    }


def assert_closed_form(world, agents, found):
    """Every tie is the closed form at the last timestamp, to a relative error of 1e-5."""
    now = int(found.time[-1])
    want = closed_form(found, now)
    got = weights(world, agents)
    assert set(got) == set(want)
    error = [
        w * 2.0 ** (-(now - last) / 1e6 / HALF_LIFE_S) / want[pair] - 1
        for pair, (w, last) in got.items()
    ]
    assert np.abs(error).max() <= 1e-5
    strengths = tie_strengths(world, *(agents[[p[i] for p in want]] for i in (0, 1)))
    assert strengths == pytest.approx([w / (w + 5) for w in want.values()], rel=1e-5)


@pytest.fixture(params=[("sms.csv", 24_333, 1_303), ("calls.csv", 3_600, 924)], ids=lambda p: p[0])
def real_log(real_data, request):
    """Each of the two logs of the Copenhagen Networks Study."""
    name, n_contacts, n_pairs = request.param
    found = read_contacts(real_data / "copenhagen" / name)
    assert (len(found), len(closed_form(found, 0))) == (n_contacts, n_pairs)
    return found


@pytest.mark.parametrize("step", [days(40), days(1), hours(1)])
def test_every_real_tie_is_the_closed_form(real_log, step):
    """All pairs, whether the month is one step, days or hours."""
    world = society()
    agents = replay(world, real_log, step)
    assert_closed_form(world, agents, real_log)


def test_every_real_tie_is_the_closed_form_in_any_batching(real_log):
    """Batches of random size, each in random order, some of them late."""
    draw = np.random.default_rng(7)
    cuts = np.sort(draw.integers(0, len(real_log), 200))
    batches = [draw.permutation(part) for part in np.split(np.arange(len(real_log)), cuts)]
    batches[50:60] = batches[50:60][::-1]
    world = society()
    agents = world.spawn(len(real_log.names), Persona(number=np.arange(len(real_log.names))))
    for part in batches:
        world.emit(
            Contact(
                source=agents[real_log.source[part]],
                target=agents[real_log.target[part]],
                time=real_log.time[part],
            )
        )
        world.step(hours(1))
    world.clock.now = int(real_log.time[-1])
    assert_closed_form(world, agents, real_log)


def test_real_ties_have_the_same_bits_one_by_one(real_log):
    """The first 1,000 contacts, each in a step of its own, as in one step."""
    part = slice(0, 1_000)
    columns = (c[part] for c in (real_log.source, real_log.target, real_log.time, real_log.weight))
    found = type(real_log)(real_log.names, *columns)
    worlds = society(), society()
    told = [world.events(Met) for world in worlds]
    agents = [replay(world, found, days(40)) for world in worlds[:1]]
    agents.append(worlds[1].spawn(len(found.names), Persona(number=np.arange(len(found.names)))))
    for e in range(len(found)):
        worlds[1].emit(
            Contact(
                source=agents[1][found.source[e]],
                target=agents[1][found.target[e]],
                time=found.time[e],
            )
        )
        worlds[1].step(0)
    assert weights(worlds[0], agents[0]) == weights(worlds[1], agents[1])
    one, other = (reader.read() for reader in told)
    assert one.strength.tolist() == other.strength.tolist()
    assert one.returned_strength.tolist() == other.returned_strength.tolist()


# -- the command line ------------------------------------------------------------------------


def said(capsys, *arguments, code=0):
    """Run a command in this process; its stdout, or, where it fails, its stderr."""
    try:
        got = main([str(a) for a in arguments])
    except SystemExit as exit:
        got = exit.code
    out, err = capsys.readouterr()
    assert got == code, err
    assert "Traceback" not in out + err
    return err if code else out


def test_import_tells_people_and_scripts(capsys, log):
    """Agents, contacts, ties and the strongest of them."""
    facts = json.loads(said(capsys, "import", "contacts", log, "--json"))
    assert (facts["agents"], facts["contacts"], facts["with_self"], facts["ties"]) == (3, 4, 1, 3)
    assert facts["strongest"][0] == {
        "source": "7", "target": "12", "strength": 0.2857, "contacts": 2, "last": "1970-01-01 00:06"
    }  # fmt: skip
    told = said(capsys, "import", "contacts", log)
    assert "3 agents, 4 contacts (1 of agents with themselves left out), 3 ties" in told
    assert re.search(r"0\.286 │ 7 +│ 12 +│ +2 │ 1970-01-01 00:06", told)


def test_import_writes_tables_that_are_read_back(capsys, log, tmp_path):
    """agents.parquet and ties.parquet hold all there is, `run --from` takes the agents, and no
    option of the clock changes a byte."""
    out = tmp_path / "friends"
    facts = json.loads(said(capsys, "import", "contacts", log, "--out", out, "--json"))
    assert facts["tables"] == {"agents": 3, "memories": 0, "ties": 3}
    ties = pq.read_table(out / "ties.parquet").to_pylist()
    assert [(t["source"], t["target"], t["contacts"]) for t in ties] == [
        (0, 1, 2),
        (0, 2, 1),
        (1, 0, 1),
    ]
    assert ties[0]["strength"] == pytest.approx(2 / 7, rel=1e-3)
    world = World()
    world.insert(Ties())
    assert load_tables(world, out, (AGENTS, TIES)) == {"agents": 3, "ties": 3}
    direct = society()
    agents = replay(direct, read_contacts(log))
    again = world.query(Persona).ids()[np.argsort(world.query(Persona).gather(Persona.number))]
    assert weights(world, again) == weights(direct, agents)
    alone = ["--agents", "0", "--set", "stream.memories=1", "--days", "1", "--no-dir", "--json"]
    lived = json.loads(said(capsys, "run", "stream", "--from", out, *alone))
    assert (lived["agents"], lived["formed"], lived["ties"]) == (3, 3, 3)
    made = {path.name: path.read_bytes() for path in out.iterdir()}
    said(capsys, "import", "contacts", log, "--out", out, "--step", "10d")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == made


def test_the_half_life_is_an_option(capsys, log):
    """With one of 130 s three half-lives lie between the two messages."""
    facts = json.loads(said(capsys, "import", "contacts", log, "--half-life", "130s", "--json"))
    assert facts["strongest"][0]["strength"] == pytest.approx(1.125 / 6.125, abs=1e-4)


def test_columns_and_unit_are_options(capsys, tmp_path):
    """As in `read_contacts`."""
    path = tmp_path / "log"
    path.write_text("a,b,1\nb,a,2\n")
    options = ["--columns", "source,target,time", "--time-unit", "d", "--json"]
    facts = json.loads(said(capsys, "import", "contacts", path, *options))
    assert (facts["first"], facts["last"]) == ("1970-01-02 00:00", "1970-01-03 00:00")
    path.write_text("who,whom,day,w\na,b,1,3\n")
    options = ["--columns", "source=who,target=1,time=day,weight=w", "--json"]
    facts = json.loads(said(capsys, "import", "contacts", path, *options))
    assert facts["strongest"][0]["strength"] == pytest.approx(3 / 8, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--half-life", "soon"], "must be a span of time from 1s to 11574d"),
        (["--half-life", "0d"], "got '0d'"),
        (["--step", "14"], "got '14'"),
        (["--step", "nand"], "got 'nand'"),
        (["--time-unit", "weeks"], "invalid choice: 'weeks'"),
        (["--columns", "time=t,source"], "must be roles in order"),
        (["--columns", "when=t"], "columns has roles time, source, target, weight; got 'when'"),
        (["--columns", "source=who"], "has no column 'who'"),
    ],
)
def test_misuse_is_told_in_a_line_with_exit_code_2(capsys, log, options, why):
    """No traceback, nothing on stdout, and what would be right."""
    assert why in said(capsys, "import", "contacts", log, *options, code=2)


def test_a_damaged_log_leaves_no_tables(capsys, log, tmp_path):
    """Exit code 2, the file and the line, and no directory."""
    log.write_bytes(LOG[:-3] + b"\n500,7")
    err = said(capsys, "import", "contacts", log, "--out", tmp_path / "out", code=2)
    assert err.startswith(f"populace: {log}: line 7: has 2 columns")
    assert not (tmp_path / "out").exists()


def test_help_has_examples_that_parse(capsys):
    """What --help shows as an example is accepted as it stands."""
    shown = said(capsys, "import", "contacts", "--help")
    examples = re.findall(r"^  populace (.*)$", shown, re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        assert cli._parser().parse_args(example.split()).command


def test_imported_names_do_not_reach_the_terminal_as_commands(capsys, tmp_path):
    """Markup and escape sequences in an id are shown, not obeyed."""
    path = tmp_path / "log"
    path.write_text("5,[red]ann\x1b[31m,bo\n")
    told = said(capsys, "import", "contacts", path)
    assert "[red]ann" in told
    assert "\x1b" not in told
