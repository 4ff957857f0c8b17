"""The command line: results, exit codes, and that nothing is left broken."""

import argparse
import json
import os
import re
import shlex

import pyarrow.parquet as pq
import pytest

from populace import __version__, cli
from populace.runs import session

from .commands import said, started

STREAM = ["run", "stream", "--no-dir", "--set", "stream.memories=10"]
SMALL = [*STREAM, "--agents", "20", "--days", "2"]


def read_some(terminal):
    """What was written to our end of a terminal; empty when the other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        os.close(terminal)
        return b""


needs_terminal = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")


# -- help and misuse ------------------------------------------------------------------------


def commands(parser, *names):
    """The names of every command and of every action of one."""
    yield names
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, *names, name)


@pytest.mark.parametrize("command", list(commands(cli._parser())), ids=" ".join)
def test_every_help_has_examples_that_parse(capsys, command):
    """What --help shows as an example is accepted as it stands, and is about the command."""
    shown = re.findall(r"^  (populace [^>\n]*)", said(capsys, *command, "--help"), re.MULTILINE)
    assert shown
    for example in shown:
        words = shlex.split(example)[1:]
        assert cli._parser().parse_known_args(words)[0].command
        assert tuple(words[: len(command)]) == command


def test_version_is_that_of_the_package(capsys):
    """`populace --version` says which populace this is."""
    assert said(capsys, "--version") == f"populace {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required: COMMAND"),
        (["walk"], "invalid choice: 'walk'"),
        (["import"], "required: SOURCE"),
        (["import", "ville"], "required: DIR"),
        (["run", "twon"], "there is no scenario 'twon'; did you mean town?"),
        (["run", "nowhere.py"], "nowhere.py: cannot be read"),
        (["run", "--agents", "ten"], "town.agents must be a whole number, got 'ten'"),
        (["run", "--agents", "-1"], "got -1"),
        (["run", "stream", "--agents", "0"], "stream.agents 0 leaves nobody to live"),
        (["run", "--days", "0"], "run.days must lie in [0.001, 100000] d, got 0"),
        (["run", "--days", "nan"], "got nan"),
        (["run", "--seed", "1.5"], "got '1.5'"),
        (["run", "--threads", "0"], "from 1 to 1024, got '0'"),
        (["run", "--every", "1"], "must be a span of time from 1s to 11574d"),
        (["run", "--keep", "0"], "got '0'"),
        (["run", "--memory-limit", "lots"], "a size is a number of bytes"),
        (["run", "--prometheus", "70000"], "from 0 to 65535, got '70000'"),
        ([*STREAM, "--agents", "100000000", "--set", "stream.memories=1000000"],
         "more than a world holds"),
        (["run", "--set", "ties.halflife=1d"], "did you mean ties.half_life?"),
        (["run", "--agent", "5"], "unrecognized arguments: --agent"),
        (["run", "--force"], "--force is about --out"),
        (["run", "--from", "nowhere"], "nowhere: cannot be read"),
        (["run", "stream", "--from", "nowhere"], "nowhere: cannot be read"),
        (["run", "replay", "--from", "nowhere"], "nowhere: cannot be read"),
        (["run", "replay"], "replay.contacts is empty: name the CSV file"),
        (["run", "replay", "--agents", "5"], "the scenario replay has no parameter `agents`"),
        (["run", "smallville"], "town.personas is empty: name the folder"),
        (["run", "--no-dir", "--dir", "x"], "--dir and --no-dir contradict each other"),
        (["run", "--no-dir", "--every", "1d"], "--every and --no-dir contradict each other"),
        (["run", "--no-dir", "--every-wall", "1m"], "--every-wall and --no-dir contradict"),
        (["run", "--no-dir", "--keep", "2"], "--keep and --no-dir contradict each other"),
        (["run", "--dir", "x", "--out", "x"], "--out x is the directory of the run"),
        (["run", "--dir", "x/y/z", "--out", "x"], "--out x is the directory of the run, or holds"),
        (["run", "--out", "runs"], "--out runs is the directory of the run, or holds it"),
        (["run", "--dir", "x", "--memory-limit", "1M"], "leaves no room for a run"),
        (["resume"], "required: RUN"),
        (["resume", "nowhere"], "nowhere is not the directory of a run"),
        (["resume", "nowhere", "--days", "0"], "must be a number from 0.001"),
        (["resume", "nowhere", "--days", "7w"], "or a span as 12h or 7d, got '7w'"),
        (["resume", "nowhere", "--days", "12h"], "nowhere is not the directory of a run"),
        (["run", "--days", "100000", "--set", "run.start=9990-01-01"], "after the year 9999"),
    ],
)  # fmt: skip
def test_misuse_is_told_in_a_line_with_exit_code_2(capsys, arguments, why, tmp_path, monkeypatch):
    """No traceback, nothing on stdout, what would be right, and no directory is left."""
    monkeypatch.chdir(tmp_path)
    err = said(capsys, *arguments, code=2)
    assert why in err
    assert "populace" in err
    assert list(tmp_path.iterdir()) == []


# -- run ------------------------------------------------------------------------------------


def test_run_tells_people_and_scripts(capsys):
    """The table has the counts of the JSON."""
    facts = json.loads(said(capsys, *SMALL, "--json"))
    assert (facts["agents"], facts["formed"]) == (20, 200)
    assert facts["kept"] == 200 - facts["forgotten"] == facts["kept_by_day"][-1]
    assert len(facts["strongest"]) == 5
    assert {"compile_s", "setup_s", "run_s", "rows_swept", "rows_per_s"} <= set(facts)
    table = said(capsys, *SMALL)
    for label, count in (("agents", 20), ("memories formed", 200), ("kept", facts["kept"])):
        assert re.search(rf"{label} .* {count} ", table)
    assert facts["strongest"][0]["text"] in " ".join(table.split())


def test_run_writes_tables(capsys, tmp_path):
    """--out holds both tables and says from what they were made; --threads does not show."""
    made = []
    for threads in (1, 2):
        out = tmp_path / str(threads)
        facts = json.loads(said(capsys, *SMALL, "--threads", threads, "--out", out, "--json"))
        assert facts["tables"] == {"agents": 20, "memories": facts["kept"]}
        assert pq.read_table(out / "memories.parquet").num_rows == facts["kept"]
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert set(made[0]) == {"agents.parquet", "memories.parquet", "populace.json"}
    assert made[0] == made[1]
    assert json.loads(made[0]["populace.json"])["seed"] == 1


def test_run_goes_on_from_its_own_tables(capsys, tmp_path):
    """--from takes what --out wrote, and --out may be the same directory."""
    said(capsys, *SMALL, "--out", tmp_path)
    alone = ["run", "stream", "--no-dir", "--from", tmp_path, "--agents", "0"]
    options = ["--set", "stream.memories=3", "--days", "1", "--out", tmp_path, "--json"]
    facts = json.loads(said(capsys, *alone, *options))
    assert (facts["agents"], facts["formed"]) == (20, 60)
    assert facts["tables"]["memories"] == facts["kept"]
    (tmp_path / "agents.parquet").write_bytes(b"PAR1")
    err = said(capsys, *alone, code=2)
    assert err.startswith(
        f"populace: {tmp_path / 'agents.parquet'}: is not what populace.json says"
    )


def test_a_foreign_directory_is_refused_before_the_work(capsys, tmp_path, monkeypatch):
    """Nobody waits for a run whose tables cannot be written; --force writes beside the others."""
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.setattr(session, "live", lambda *_, **__: pytest.fail("it ran"))
    err = said(capsys, *SMALL, "--out", tmp_path, code=2)
    assert f"{tmp_path}: is not empty" in err
    monkeypatch.undo()
    said(capsys, *SMALL, "--out", tmp_path, "--force")
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    said(capsys, *SMALL, "--out", tmp_path)


def test_a_directory_that_is_there_is_refused_before_the_work(capsys, tmp_path):
    """A run may be gone on with, another thing may not, and nothing is written."""
    (tmp_path / "m.py").write_text("")
    told = said(capsys, "run", "--dir", tmp_path / "m.py", code=2)
    assert f"--dir {tmp_path / 'm.py'} is a file: name another directory" in told
    told = said(capsys, "run", "--dir", tmp_path, code=2)
    assert f"--dir {tmp_path} holds something already: name another directory" in told
    run = [*SMALL[:2], *SMALL[3:], "--dir", tmp_path / "run"]
    said(capsys, *run)
    assert f"go on with `populace resume {tmp_path / 'run'}`" in said(capsys, *run, code=2)


def test_a_result_is_kept_whatever_becomes_of_the_tables(capsys, tmp_path, monkeypatch):
    """A disk without room for them does not cost it."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("populace.minds.export_minds", fail)
    run = [*SMALL[:2], *SMALL[3:], "--dir", tmp_path / "run", "--out", tmp_path / "out"]
    assert "No space left on device" in said(capsys, *run, code=1)
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (told["status"], told["formed"], "tables" in told) == ("done", 200, False)
    monkeypatch.undo()
    run[run.index(tmp_path / "run")] = tmp_path / "again"
    facts = json.loads(said(capsys, *run, "--json"))
    assert json.loads((tmp_path / "again" / "result.json").read_text()) == facts
    assert facts["tables"]["agents"] == 20


def test_where_prometheus_finds_a_run_is_told(capsys):
    """Once, on stderr: of port 0 nobody else knows."""
    pytest.importorskip("prometheus_client")
    assert cli.main([*SMALL, "--prometheus", "0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["formed"] == 200
    assert re.fullmatch(r"populace: metrics at http://127.0.0.1:\d+/metrics\n", err)


# -- import ---------------------------------------------------------------------------------


def test_import_says_how_many_of_each(capsys, ville, bank, tmp_path):
    """Agents and memories by name, as a table and as JSON, and tables where asked for."""
    out = tmp_path / "minds"
    facts = json.loads(said(capsys, "import", "ville", ville, "--out", out, "--json"))
    assert facts["memories_by_agent"] == {"Ada Bell": 4, "Kofi Osei": 4}
    assert facts["memories_by_kind"] == {"event": 4, "thought": 2, "chat": 2}
    assert facts["tables"] == {"agents": 2, "memories": 8}
    memories = pq.read_table(out / "memories.parquet").to_pylist()
    assert memories[0]["subject"].endswith("library:desk")
    assert memories[7]["strength"] == memories[7]["importance"] == pytest.approx(0.5)
    assert memories[0]["strength"] < memories[0]["importance"]
    assert "Kofi Osei" in said(capsys, "import", "ville", ville)
    assert "3 agents" in said(capsys, "import", "personas", bank)


def test_a_damaged_source_is_named_and_leaves_no_tables(capsys, ville, tmp_path):
    """Exit code 2, the file and the record, and no directory."""
    path = ville / "Ada_Bell" / "nodes.json"
    path.write_text(path.read_text()[:-20])
    for command in (["import", "ville", ville], [*STREAM, "--from", ville],
                    ["run", "smallville", "--dir", tmp_path / "run", "--from", ville]):  # fmt: skip
        err = said(capsys, *command, "--out", tmp_path / "out", code=2)
        assert err.startswith(f"populace: {path}: not JSON")
    assert [path.name for path in tmp_path.iterdir()] == ["ville"]


def test_imported_text_does_not_reach_the_terminal_as_commands(capsys, ville):
    """Markup and escape sequences in a name are shown, not obeyed."""
    path = ville / "Ada_Bell" / "scratch.json"
    path.write_text(path.read_text().replace('"Ada Bell"', '"[red]Ada\\u001b[31m Bell"'))
    out = said(capsys, "import", "ville", ville)
    assert "[red]Ada" in out
    assert "\x1b" not in out


def test_real_streams_import_and_live(capsys, real_data):
    """The three minds of the ville, and what a week leaves of them."""
    facts = json.loads(said(capsys, "import", "ville", real_data / "ville", "--json"))
    assert (facts["agents"], facts["memories"]) == (3, 912 + 593 + 600)
    alone = [*STREAM, "--set", "stream.memories=0", "--agents", "0", "--days", "7", "--json"]
    lived = json.loads(said(capsys, *alone, "--from", real_data / "ville"))
    assert (lived["agents"], lived["imported"], lived["formed"]) == (3, 2105, 0)
    assert 0 < lived["kept"] < 2105 / 2
    bank = real_data / "personas" / "gss_personas.jsonl"
    assert json.loads(said(capsys, "import", "personas", bank, "--json"))["agents"] == 3505


# -- when the machine fails -----------------------------------------------------------------


def test_a_full_disk_is_told_with_exit_code_1(capsys, tmp_path, monkeypatch):
    """No traceback and no half table."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    err = said(capsys, *SMALL, "--out", tmp_path / "out", code=1)
    assert "No space left on device" in err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_writing_leaves_the_old_tables(capsys, tmp_path, monkeypatch):
    """The tables of the run before are still whole."""
    out = tmp_path / "out"
    said(capsys, *SMALL, "--out", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupt)
    assert said(capsys, *SMALL, "--out", out, code=130).strip() == "populace: interrupted"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_reader_who_leaves_is_no_error_to_shout_about():
    """`populace run | head` ends quietly."""
    with started(*SMALL, "--json") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert err == ""


@needs_terminal
def test_progress_is_shown_on_a_terminal_only():
    """The bar is drawn on stderr where that is a terminal; stdout holds nothing but the result."""
    ours, theirs = os.openpty()
    with started(*SMALL, "--json", stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while part := read_some(ours):
            shown += part
        facts = json.load(process.stdout)
    assert re.search(rb"2023-02-1\d .* ticks/s .* memories", shown)
    assert facts["agents"] == 20
