"""What commands print for people."""

import io

from rich.console import Console

from populace.report import print_run
from populace.runs.outcome import Outcome, StrongMemory


def test_what_others_wrote_is_printed_as_it_stands():
    """Brackets are no markup, whoever wrote them, and nothing moves the cursor."""
    told = {"knows__0": 0.5, "[i]seen": 3}
    outcome = Outcome(
        scenario="[red]mine", status="stopped", reason="[/] full", told=told,
        labels={"knows__0": "[/b] the [bold]mill\x1b[2J closes"}, strongest_of="Ann [Lee]",
        strongest=[StrongMemory(0.5, "chat", 0, "talked [/x] with Bo")],
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=120)
    print_run(outcome, None, console)
    page = console.file.getvalue()
    for text in (
        "populace run [red]mine", "[/b] the [bold]mill [2J closes", "[i]seen", "Ann [Lee]",
        "talked [/x] with Bo", "stopped: [/] full",
    ):  # fmt: skip
        assert text in page
    assert "\x1b" not in page
