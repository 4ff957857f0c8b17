"""`populace report`: the file, what is told of it, and runs that are damaged or not over."""

import json
import re
import shlex
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from populace import cli
from populace.reports.writing import write_report

from ..commands import said
from .synthetic import RUMOURS


def changed(run, **facts):
    """Say something else in the manifest of a run."""
    file = run / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))
    return run


def test_the_command_tells_the_file_and_the_headline(capsys, copy):
    """On two lines; as JSON with what is drawn and what is left out."""
    lines = said(capsys, "report", copy).splitlines()
    assert lines[0] == str(copy / "report.html")
    assert lines[1].startswith("done: simulated 3 days, agents 60, memories kept ")
    out = copy.parent / "other.html"
    facts = json.loads(said(capsys, "report", copy, "--out", out, "--agent", 7, "--json"))
    assert facts["report"] == str(out)
    assert facts["bytes"] == out.stat().st_size
    assert {"memories", "network", "rumours", "activity", "ticks"} <= set(facts["charts"])
    assert facts["headlines"]["Agents"] == "60"
    assert "A life: Hal Abe I" in out.read_text()


def test_help_has_examples_that_parse(capsys):
    """What --help shows as an example is accepted as it stands."""
    examples = re.findall(r"^  populace (.*)$", said(capsys, "report", "--help"), re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        assert cli._parser().parse_args(shlex.split(example)).command


# -- the file ------------------------------------------------------------------------------------


def test_the_same_run_gives_the_same_charts(lived, report, tmp_path):
    """Nothing in the file hangs on chance."""
    again = write_report(lived, tmp_path / "again.html")
    pages = (re.sub(r" on \d{4}-\d\d-\d\d,", "", made.file.read_text()) for made in (again, report))
    assert next(pages) == next(pages)


def test_plotly_is_in_the_file_once_and_nothing_is_fetched(report):
    """One copy of the script; no address in an attribute; a policy that forbids the network."""
    text = report.file.read_text()
    assert text.count("<script") == 3
    page = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "default-src &#x27;none&#x27;" in page
    assert len(page) < 400_000


def test_texts_of_agents_are_shown_not_obeyed(report):
    """A rumour with tags is text in HTML, and in the JSON of the charts."""
    text = report.file.read_text()
    assert "<b>Ida</b>" not in text
    assert "&lt;b&gt;Ida&lt;/b&gt; &amp; Gus have eloped" in text
    charts = re.search(r'id="charts">(.*?)</script>', text, re.DOTALL)[1]
    assert "<" not in charts
    names = [trace.get("name") for trace in json.loads(charts)["rumours"]["data"]]
    assert RUMOURS[0] in names


def test_every_chart_has_title_finding_description_and_numbers(report):
    """For those who do not look but read."""
    figures = re.findall(r"<figure.*?</figure>", report.file.read_text(), re.DOTALL)
    assert len(figures) == len(report.charts)
    for figure in figures:
        assert re.search(r"<h3[^>]*>[^<]+</h3>", figure)
        assert re.search(r'<p class="finding">[^<]{10,}[.!]</p>', figure)
        assert re.search(r'role="img" aria-label="Chart: [^"]+"', figure)
        assert re.search(r"<details><summary>.*<td", figure, re.DOTALL)


def test_changed_parameters_are_told(report):
    """Those of config.toml that are not the scenario's own."""
    text = report.file.read_text()
    assert re.search(r"<td[^>]*>ties\.half_life</td><td[^>]*>604800", text)
    assert "populace run config.toml --dir again" in text


def test_a_seed_of_0_is_a_seed(copy):
    """It stands among what makes the run again."""
    text = write_report(changed(copy, seed=0)).file.read_text()
    assert re.search(r"<td[^>]*>seed</td><td[^>]*>0</td>", text)


def test_a_run_that_a_limit_to_memory_changed_says_so(copy):
    """At the top, and instead of the promise that it comes again bit for bit."""
    relief = {"time": "2023-02-18T00:00:00", "what": "", "before": 2, "after": 1}
    given = [{**relief, "stage": "give back"}]
    text = write_report(changed(copy, relieved=given)).file.read_text()
    assert "bit for bit" in text
    assert "limit of memory" not in text
    earlier = [*given, *({**relief, "stage": f"{how} earlier"} for how in ("archive", "prune"))]
    text = write_report(changed(copy, relieved=earlier)).file.read_text()
    assert "2 times this run came near to its limit of memory" in text
    assert "bit for bit" not in text


def test_what_was_never_measured_is_left_out(copy):
    """A column of NaN alone is as one that is not there; one that ends in NaN counts up to then."""
    table = pq.read_table(copy / "metrics.parquet")
    n, spoilt = table.num_rows, {}
    for name in table.column_names:
        values = table[name].to_numpy()
        if name in ("wall_s", "rss_bytes", "knows__0", "memory_strength", "state__asleep"):
            spoilt[name] = np.full(n, np.nan)
        elif name != "time":
            spoilt[name] = np.where(np.arange(n) < n - 1, values, np.nan)
        else:
            spoilt[name] = values
    pq.write_table(pa.table(spoilt), copy / "metrics.parquet")
    made = write_report(copy)
    assert made.left_out["Time of each tick"] == "it was not measured"
    assert {"memories", "flows", "ties", "rumours", "strengths", "activity"} <= set(made.charts)
    assert made.headlines["Agents"] == "60"
    text = re.sub(r"<script.*?</script>", "", made.file.read_text(), flags=re.DOTALL)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "On average  strong" not in text


def test_of_a_file_what_the_run_told_is_shown(copy):
    """The manifest says what was changed; the file is not asked."""
    made = write_report(changed(copy, scenario="mine.py", changed={"tavern.seats": 12}))
    assert re.search(r"<td[^>]*>tavern\.seats</td><td[^>]*>12</td>", made.file.read_text())


def test_a_file_of_a_scenario_is_not_run(copy):
    """A report reads; it does not execute what a run directory names."""
    trap = copy / "trap.py"
    trap.write_text("raise SystemExit('it ran')")
    (copy / "config.toml").write_text(f'scenario = "{trap}"\n')
    for scenario in (str(trap), "town"):
        made = write_report(changed(copy, scenario=scenario))
        assert "does not run" in made.left_out["Parameters that differ from the defaults"]


# -- runs that are not over, or damaged ----------------------------------------------------------


@pytest.mark.parametrize("status", ["running", "interrupted", "failed", "stopped"])
def test_a_run_that_is_not_done_is_shown_and_says_so(copy, status):
    """With the reason, and up to when."""
    made = write_report(changed(copy, status=status, reason="the disk is full"))
    notice = re.search(r'class="notice"[^>]*>([^<]*)', made.file.read_text())[1]
    assert status in notice or "still going on, or had been killed," in notice
    assert "20 Feb 2023, 00:00" in notice
    assert ("the disk is full" in notice) == (status != "running")


def test_a_run_without_snapshots_has_a_report_without_their_parts(copy):
    """And it says why."""
    shutil.rmtree(copy / "snapshots")
    made = write_report(copy)
    assert "memories" in made.charts
    assert not {"network", "forgetting-curves", "life-formed"} & set(made.charts)
    assert made.left_out["Forgetting curves"] == "the run has saved no snapshot"
    assert "The run has saved no snapshot" in made.file.read_text()


def test_a_run_with_damaged_snapshots_too(copy):
    """The file that is damaged is named."""
    for file in (copy / "snapshots").glob("snapshot-*.json"):
        file.write_text("{}")
    assert "no snapshot can be read" in write_report(copy).left_out["Forgetting curves"]


def test_older_snapshots_are_told(copy):
    """Of an interrupted run the newest snapshot may be behind."""
    newest = sorted((copy / "snapshots").glob("snapshot-*.json"))
    table = pq.read_table(copy / "metrics.parquet")
    later = table.slice(table.num_rows - 24)
    shift = pa.array(later["time"].to_numpy() + np.timedelta64(1, "D"), pa.timestamp("us"))
    grown = pa.concat_tables([table, later.set_column(0, "time", shift)])
    pq.write_table(grown, copy / "metrics.parquet")
    made = write_report(copy)
    assert newest
    assert "The newest snapshot is of 20 Feb 2023, 00:00" in made.file.read_text()
    assert "forgetting-curves" in made.charts


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda run: shutil.rmtree(run), "there is no such directory"),
        (lambda run: (run / "manifest.json").unlink(), "has no manifest.json, so it is no run"),
        (lambda run: (run / "manifest.json").write_text('{"form'), "is damaged, not JSON"),
        (lambda run: (run / "manifest.json").write_text("[]"), "no whole number 'format'"),
        (lambda run: changed(run, format=99), "has format 99; this Populace reads up to 1"),
        (lambda run: (run / "metrics.parquet").unlink(), "nothing was measured"),
        (lambda run: (run / "metrics.parquet").write_bytes(b"PAR1"), "is damaged, or no Parquet"),
        (lambda run: pq.write_table(pa.table({"x": [1]}), run / "metrics.parquet"), "'time'"),
        (
            lambda run: pq.write_table(
                pq.read_table(run / "metrics.parquet").slice(0, 0), run / "metrics.parquet"
            ),
            "has no row",
        ),
    ],
    ids=[
        "nowhere",
        "no run",
        "half",
        "other",
        "newer",
        "unmeasured",
        "damaged",
        "foreign",
        "empty",
    ],
)
def test_what_is_no_run_or_damaged_is_refused_with_code_2(capsys, copy, spoil, why):
    """The file is named, and no report is left."""
    spoil(copy)
    err = said(capsys, "report", copy, code=2)
    assert why in err
    assert str(copy) in err
    assert not (copy / "report.html").exists()


def test_an_agent_that_is_not_there_is_refused(capsys, copy):
    """With the numbers that there are."""
    err = said(capsys, "report", copy, "--agent", 60, code=2)
    assert "--agent 60: no agent has that number; they are from 0 to 59" in err


def test_a_directory_is_no_file_to_write(capsys, copy):
    """--out names a file."""
    assert "is a directory: name a file" in said(capsys, "report", copy, "--out", copy, code=2)


@pytest.mark.parametrize("missing", ["plotly", "networkx"])
def test_without_plotly_the_way_out_is_told(capsys, copy, monkeypatch, missing):
    """Exit code 2, and what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    err = said(capsys, "report", copy, code=2)
    assert "pip install 'populace[report]'" in err
