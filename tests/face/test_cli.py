"""The command line: results, exit codes, and that nothing is left broken."""

import json
import os
import re
import shlex
import signal

import pyarrow.parquet as pq
import pytest

from populace import __version__, cli, run

from .commands import said, started

SMALL = ["--agents", "20", "--memories", "10", "--days", "2"]


def read_some(terminal):
    """What was written to our end of a terminal; empty when the other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        os.close(terminal)
        return b""


needs_terminal = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")


# -- help and misuse ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["resume"],
        ["import"],
        ["import", "ville"],
        ["import", "personas"],
        ["import", "contacts"],
        ["info"],
        ["compact"],
        ["prune"],
        ["sql"],
        ["export"],
    ],
)
def test_every_help_has_examples_that_parse(capsys, command):
    """What --help shows as an example is accepted as it stands."""
    examples = re.findall(r"^  populace (.*)$", said(capsys, *command, "--help"), re.MULTILINE)
    assert examples
    for example in examples:
        assert cli._parser().parse_known_args(shlex.split(example))[0].command


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
        (["run", "--agents", "ten"], "must be a whole number from 0 to 100000000, got 'ten'"),
        (["run", "--agents", "-1"], "got '-1'"),
        (["run", "--agents", "0"], "--agents 0 leaves nobody to live"),
        (["run", "--days", "0"], "must be a number from 0.001"),
        (["run", "--days", "nan"], "got 'nan'"),
        (["run", "--seed", "1.5"], "got '1.5'"),
        (["run", "--threads", "0"], "from 1 to 1024, got '0'"),
        (["run", "--agents", "100000000", "--memories", "1000000"], "more than a world holds"),
        (["run", "--agent", "5"], "unrecognized arguments: --agent"),
        (["run", "--force"], "--force is about --out"),
        (["run", "--from", "nowhere"], "nowhere: cannot be read"),
    ],
)
def test_misuse_is_told_in_a_line_with_exit_code_2(capsys, arguments, why):
    """No traceback, nothing on stdout, and what would be right."""
    err = said(capsys, *arguments, code=2)
    assert why in err
    assert "populace" in err


# -- run ------------------------------------------------------------------------------------


def test_run_tells_people_and_scripts(capsys):
    """The table has the counts of the JSON."""
    facts = json.loads(said(capsys, "run", *SMALL, "--json"))
    assert (facts["agents"], facts["formed"]) == (20, 200)
    assert facts["kept"] == 200 - facts["forgotten"] == facts["kept_by_day"][-1]
    assert len(facts["strongest"]) == 5
    assert {"compile_s", "setup_s", "run_s", "rows_swept", "rows_per_s"} <= set(facts)
    table = said(capsys, "run", *SMALL)
    for label, count in (("agents", 20), ("memories formed", 200), ("kept", facts["kept"])):
        assert re.search(rf"{label} .* {count} ", table)
    assert facts["strongest"][0]["text"] in " ".join(table.split())


def test_run_writes_tables(capsys, tmp_path):
    """--out holds both tables and says from what they were made; --threads does not show."""
    made = []
    for threads in (1, 2):
        out = tmp_path / str(threads)
        facts = json.loads(
            said(capsys, "run", *SMALL, "--threads", threads, "--out", out, "--json")
        )
        assert facts["tables"] == {"agents": 20, "memories": facts["kept"]}
        assert pq.read_table(out / "memories.parquet").num_rows == facts["kept"]
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert set(made[0]) == {"agents.parquet", "memories.parquet", "populace.json"}
    assert made[0] == made[1]
    assert json.loads(made[0]["populace.json"])["seed"] == 1


def test_run_goes_on_from_its_own_tables(capsys, tmp_path):
    """--from takes what --out wrote, and --out may be the same directory."""
    said(capsys, "run", *SMALL, "--out", tmp_path)
    options = ["--from", tmp_path, "--memories", "3", "--days", "1", "--out", tmp_path, "--json"]
    facts = json.loads(said(capsys, "run", *options))
    assert (facts["agents"], facts["formed"]) == (20, 60)
    assert facts["tables"]["memories"] == facts["kept"]
    (tmp_path / "agents.parquet").write_bytes(b"PAR1")
    err = said(capsys, "run", "--from", tmp_path, code=2)
    assert err.startswith(
        f"populace: {tmp_path / 'agents.parquet'}: is not what populace.json says"
    )


def test_a_foreign_directory_is_refused_before_the_work(capsys, tmp_path, monkeypatch):
    """Nobody waits for a run whose tables cannot be written; --force writes beside the others."""
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.setattr(run, "warm_up", lambda: pytest.fail("it ran"))
    err = said(capsys, "run", *SMALL, "--out", tmp_path, code=2)
    assert f"{tmp_path}: is not empty" in err
    monkeypatch.undo()
    said(capsys, "run", *SMALL, "--out", tmp_path, "--force")
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    said(capsys, "run", *SMALL, "--out", tmp_path)


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
    for command in (["import", "ville", ville], ["run", "--from", ville]):
        err = said(capsys, *command, "--out", tmp_path / "out", code=2)
        assert err.startswith(f"populace: {path}: not JSON")
    assert not (tmp_path / "out").exists()


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
    options = ["--from", real_data / "ville", "--memories", "0", "--days", "7", "--json"]
    lived = json.loads(said(capsys, "run", *options))
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
    err = said(capsys, "run", *SMALL, "--out", tmp_path / "out", code=1)
    assert "No space left on device" in err
    assert not (tmp_path / "out").exists()


@needs_terminal
def test_ctrl_c_ends_a_run_with_130_and_no_files(tmp_path):
    """An interrupted run says so and leaves nothing behind."""
    out = tmp_path / "out"
    endless = ["--agents", "2000", "--days", "100000", "--memories", "100000"]
    ours, theirs = os.openpty()
    with started("run", *endless, "--out", out, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while not re.search(rb"day [1-9]", shown):
            part = read_some(ours)
            assert part, shown
            shown += part
        process.send_signal(signal.SIGINT)
        while part := read_some(ours):
            shown += part
    assert process.returncode == 130
    assert b"populace: interrupted" in shown
    assert b"Traceback" not in shown
    assert not out.exists()


def test_ctrl_c_while_writing_leaves_the_old_tables(capsys, tmp_path, monkeypatch):
    """The tables of the run before are still whole."""
    out = tmp_path / "out"
    said(capsys, "run", *SMALL, "--out", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupt)
    assert said(capsys, "run", *SMALL, "--out", out, code=130).strip() == "populace: interrupted"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_reader_who_leaves_is_no_error_to_shout_about():
    """`populace run | head` ends quietly."""
    with started("run", *SMALL, "--json") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert err == ""


@needs_terminal
def test_progress_is_shown_on_a_terminal_only():
    """The bar is drawn on stderr where that is a terminal; stdout holds nothing but the result."""
    ours, theirs = os.openpty()
    with started("run", *SMALL, "--json", stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while part := read_some(ours):
            shown += part
        facts = json.load(process.stdout)
    assert re.search(rb"day \d", shown)
    assert facts["agents"] == 20
