"""`populace run --dir`, `resume`, `info`, `compact`, `prune`, `sql` and `export` of a run."""

import csv
import io
import json
import shutil

import pyarrow.parquet as pq
import pytest

from populace import World, load, save
from populace.cli import main
from populace.storage import Snapshots

from .commands import said, started

RUN = ["run", "stream", "--agents", "20", "--set", "stream.memories=30", "--days", "6"]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """The directory of a small run with six snapshots; not to be changed."""
    made = tmp_path_factory.mktemp("runs") / "town"
    with started(*RUN, "--dir", made, "--every", "1d") as process:
        process.communicate()
    assert process.returncode == 0
    return made


@pytest.fixture
def copy(town, tmp_path):
    """The same, to be changed."""
    shutil.copytree(town, tmp_path / "town")
    return tmp_path / "town"


def numbers(run):
    """The snapshots of a run."""
    return Snapshots(run / "snapshots").numbers()


def lose(run, *which):
    """Lose some snapshots of a run."""
    for number in which:
        (run / "snapshots" / f"snapshot-{number:010}.json").unlink()


# -- run and resume -----------------------------------------------------------------------------


def test_a_run_saves_each_day_and_its_end(town):
    """Six days, six snapshots, each at midnight."""
    clocks = [Snapshots(town / "snapshots").manifest(number) for number in numbers(town)]
    assert [c.tick for c in clocks] == [24, 48, 72, 96, 120, 144]


def test_a_resumed_run_ends_as_one_without_a_break(capsys, town, copy, tmp_path):
    """The tables are the same to the byte; what was lost is saved again, each day as before."""
    lose(copy, 4, 5, 6)
    said(capsys, *RUN, "--no-dir", "--out", tmp_path / "whole")
    said(capsys, "resume", copy, "--out", tmp_path / "resumed")
    for name in ("agents.parquet", "memories.parquet"):
        whole, resumed = (pq.read_table(tmp_path / d / name) for d in ("whole", "resumed"))
        assert whole.equals(resumed, check_metadata=True)
    assert load(copy / "snapshots").digest() == load(town / "snapshots").digest()
    assert numbers(copy) == [1, 2, 3, 4, 5, 6]


def test_a_run_that_is_over_lives_longer_only_when_asked(capsys, copy):
    """`--days` adds days to a run that is over, and is refused where days are left."""
    facts = json.loads(said(capsys, "resume", copy, "--json"))
    assert (facts["formed"], facts["ticks"], facts["status"]) == (0, 0, "done")
    assert numbers(copy) == [1, 2, 3, 4, 5, 6]  # nothing happened, nothing is saved
    facts = json.loads(said(capsys, "resume", copy, "--days", "2", "--json"))
    assert facts["formed"] == 20 * 10
    assert len(facts["kept_by_day"]) == 2
    assert numbers(copy)[6:] == [7, 8]
    lose(copy, 8)
    err = said(capsys, "resume", copy, "--days", "2", code=2)
    assert "1 days of the run are left" in err


def test_a_directory_with_a_run_is_not_run_into(capsys, town, tmp_path):
    """Two runs do not mix, and a run is not left among other files."""
    err = said(capsys, *RUN, "--dir", town, code=2)
    assert f"go on with `populace resume {town}`" in err
    (tmp_path / "thesis.txt").write_text("mine")
    assert "holds something already" in said(capsys, *RUN, "--dir", tmp_path, code=2)
    assert "is a file: name another" in said(capsys, *RUN, "--dir", tmp_path / "thesis.txt", code=2)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_world_of_another_program_is_not_resumed(capsys, copy):
    """It says how to go on with it."""
    shutil.rmtree(copy / "snapshots")
    save(World(), copy / "snapshots")
    assert "populace.load(" in said(capsys, "resume", copy, code=2)


def test_a_run_without_a_snapshot_is_not_resumed(capsys, copy):
    """It says where it looked."""
    shutil.rmtree(copy / "snapshots")
    assert f"{copy / 'snapshots'}" in said(capsys, "resume", copy, code=2)


def test_keys_encrypt_and_are_asked_for(capsys, tmp_path, monkeypatch):
    """With a key file all is encrypted; without it, or with another, a line says so."""
    monkeypatch.delenv("POPULACE_KEY", raising=False)
    key, other, place = tmp_path / "key", tmp_path / "other", tmp_path / "town"
    key.write_text("00" * 32)
    other.write_text("11" * 32)
    said(capsys, *RUN, "--dir", place, "--key-file", key)
    assert b"is being used" not in b"".join(p.read_bytes() for p in place.rglob("*.parquet"))
    assert "--key-file" in said(capsys, "sql", place, "SELECT 1 FROM agents", code=2)
    assert "is encrypted" in said(capsys, "resume", place, "--key-file", other, code=2)
    query = "SELECT count(*) AS n FROM agents"
    told = said(capsys, "sql", place, query, "--key-file", key, "--format", "json")
    assert json.loads(told) == [{"n": 20}]
    monkeypatch.setenv("POPULACE_KEY", "00" * 32)
    assert json.loads(said(capsys, "sql", place, query, "--format", "json")) == [{"n": 20}]


# -- info, compact, prune -----------------------------------------------------------------------


def test_info_tells_people_and_scripts(capsys, town):
    """Every snapshot with time and size, and what is in the newest."""
    told = said(capsys, "info", town)
    assert "2023-02-19 00:00" in told
    assert "Persona" in told
    facts = json.loads(said(capsys, "info", town, "--json"))
    assert [one["number"] for one in facts["snapshots"]] == [1, 2, 3, 4, 5, 6]
    assert json.loads(said(capsys, "info", town / "snapshots", "--json")) == facts


def test_info_names_what_is_damaged(capsys, copy):
    """A flipped byte is found by --verify, a cut manifest always; with no good one it is code 2."""
    data = sorted((copy / "snapshots" / "data").iterdir())[0]
    data.write_bytes(b"\0" + data.read_bytes()[1:])
    (copy / "snapshots" / "snapshot-0000000006.json").write_bytes(b"{")
    facts = json.loads(said(capsys, "info", copy, "--json"))
    assert ["damage" in one for one in facts["snapshots"]] == [False] * 5 + [True]
    try_all = said(capsys, "info", copy, "--verify", "--json")
    assert any(data.name in one.get("damage", "") for one in json.loads(try_all)["snapshots"])
    for manifest in (copy / "snapshots").glob("snapshot-*.json"):
        manifest.write_bytes(b"{}")
    with pytest.raises(AssertionError):  # the result is told, and the code is 2
        said(capsys, "info", copy, code=2)


def test_resume_falls_back_and_says_so(capsys, copy):
    """The newest is damaged: the one before is taken, with a line on stderr."""
    (copy / "snapshots" / "snapshot-0000000006.json").write_bytes(b"{")
    assert main(["resume", str(copy), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["snapshots"] == 1
    assert "snapshot 5 is the newest good one" in err
    assert "snapshot-0000000006.json" in err


def test_prune_and_compact_keep_what_is_asked_for(capsys, copy):
    """Afterwards the same world loads."""
    before = load(copy / "snapshots").digest()
    kept = json.loads(said(capsys, "prune", copy, "--keep", "1", "--json"))["kept"]
    assert kept[-1] == 6
    assert kept != [1, 2, 3, 4, 5, 6]
    json.loads(said(capsys, "compact", copy, "--json"))
    assert load(copy / "snapshots").digest() == before


@pytest.mark.parametrize("command", ["info", "compact", "prune", "sql", "export"])
def test_a_missing_directory_is_misuse(capsys, tmp_path, command):
    """And is not made."""
    more = {"prune": ["--keep", "1"], "export": ["--to", tmp_path / "t"]}.get(command, [])
    assert "there is no directory" in said(capsys, command, tmp_path / "no", *more, code=2)
    assert list(tmp_path.iterdir()) == []


# -- sql ----------------------------------------------------------------------------------------


def test_sql_lists_what_can_be_asked(capsys, town):
    """Views, columns, and ready questions."""
    facts = json.loads(said(capsys, "sql", town, "--format", "json"))
    assert "strength" in facts["views"]["memories"]
    assert "agent" in facts["presets"]["top-memories"]["arguments"]
    assert "top-memories" in said(capsys, "sql", town)


def test_sql_answers_as_table_csv_and_json(capsys, town):
    """The same rows in each."""
    query = "SELECT kind, count(*) AS n FROM memories GROUP BY kind ORDER BY kind"
    rows = json.loads(said(capsys, "sql", town, query, "--format", "json"))
    assert sum(row["n"] for row in rows) == Snapshots(town / "snapshots").manifest(6).rows - 20
    table = said(capsys, "sql", town, query)
    assert all(row["kind"] in table for row in rows)


def test_sql_writes_csv_that_reads_back(town):
    """On stdout, with a header."""
    with started(
        "sql", town, "SELECT agent, name FROM agents ORDER BY agent", "--format", "csv"
    ) as p:
        out, _ = p.communicate()
    assert [row["agent"] for row in csv.DictReader(io.StringIO(out))] == [str(n) for n in range(20)]


def test_sql_takes_values_as_parameters(capsys, town):
    """By name or in order; numbers are numbers, and text is never part of the query."""
    by_name = ["sql", town, "SELECT $what AS what, $n + 1 AS n FROM clock", "--format", "json"]
    told = said(capsys, *by_name, "--param", "what='; DROP TABLE x", "--param", "n=2")
    assert json.loads(told) == [{"what": "'; DROP TABLE x", "n": 3}]
    told = said(capsys, "sql", town, "SELECT ? || ? AS x FROM clock", "--format", "json",
                "--param", "a", "--param", "b")  # fmt: skip
    assert json.loads(told) == [{"x": "ab"}]


def test_sql_over_history_has_time(capsys, town):
    """One row per snapshot, wherever the query stands among the options."""
    query = "SELECT tick, count(*) AS n FROM memories GROUP BY tick ORDER BY tick"
    told = json.loads(said(capsys, "sql", town, "--history", "--format", "json", query))
    assert [row["tick"] for row in told] == [24, 48, 72, 96, 120, 144]


def test_sql_presets_answer(capsys, town):
    """By name, with arguments as text."""
    told = said(capsys, "sql", town, "--preset", "top-memories", "--arg", "agent=3", "--arg", "n=2",
                "--format", "json")  # fmt: skip
    assert len(json.loads(told)) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["DROP TABLE agents"], "DROP is not allowed"),
        (["SELECT * FROM read_csv('/etc/passwd')"], "read_csv"),
        (["SELECT nme FROM agents"], "nme"),
        (["SELECT 1", "--preset", "top-memories"], "not both"),
        (["--preset", "nothing"], "there is no preset 'nothing'"),
        (["--arg", "n=1"], "--arg is about --preset"),
        (["--param", "1"], "--param is about a QUERY"),
        (["SELECT 1", "--history", "--number", "1"], "leave --number out"),
        (["SELECT 1", "--number", "99"], "snapshot-0000000099.json"),
        (["SELECT 1", "--param", "a=1", "--param", "2"], "give all values a NAME="),
    ],
)
def test_sql_misuse_is_told_in_a_line(capsys, town, arguments, why):
    """Exit code 2."""
    assert why in said(capsys, "sql", town, *arguments, code=2)


# -- export -------------------------------------------------------------------------------------


def test_export_writes_tables_with_a_dictionary(capsys, town, tmp_path):
    """Each table, and what its columns are."""
    told = json.loads(said(capsys, "export", town, "--to", tmp_path / "t", "--json"))
    assert told["tables"]["agents"] == 20
    memories = pq.read_table(tmp_path / "t" / "memories.parquet")
    assert memories.num_rows == told["tables"]["memories"]
    assert {"agent_name", "strength"} <= set(memories.column_names)
    assert (tmp_path / "t" / "schema.json").is_file()


def test_export_of_some_tables_since_a_time(capsys, town, tmp_path):
    """Fewer rows, and only what was asked for."""
    told = json.loads(said(capsys, "export", town, "--to", tmp_path / "t", "--tables", "memories",
                           "--since", "2023-02-17", "--format", "csv", "--json"))  # fmt: skip
    assert set(told["tables"]) == {"memories"}
    assert 0 < told["tables"]["memories"] < Snapshots(town / "snapshots").manifest(6).rows - 20


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--tables", "memoirs"], "there is no 'memoirs'"),
        (["--since", "yesterday"], "must be a date or a time"),
        ([], "required: --to"),
    ],
)
def test_export_misuse_is_told_in_a_line(capsys, town, tmp_path, arguments, why):
    """Exit code 2, nothing written."""
    to = ["--to", tmp_path / "t"] if arguments else []
    assert why in said(capsys, "export", town, *to, *arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_an_export_does_not_replace_what_is_there(capsys, town, tmp_path):
    """Unless it is an earlier export and --force says so."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine.txt").write_text("mine")
    said(capsys, "export", town, "--to", tmp_path / "t", code=2)
    assert [p.name for p in (tmp_path / "t").iterdir()] == ["mine.txt"]
