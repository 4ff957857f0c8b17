"""Running a command, in this process or in one of its own."""

import contextlib
import subprocess
import sys
import threading

from populace.cli import main


def said(capsys, *arguments, code=0):
    """Run a command in this process; its stdout, or, where it fails, its stderr."""
    try:
        got = main([str(a) for a in arguments])
    except SystemExit as exit:
        got = exit.code
    out, err = capsys.readouterr()
    assert got == code, err
    assert "Traceback" not in out + err
    if code:
        assert out == ""
        return err
    assert err == ""
    return out


@contextlib.contextmanager
def started(*arguments, stderr=subprocess.PIPE):
    """The command in a process of its own, ended after two minutes whatever happens."""
    command = [sys.executable, "-P", "-m", "populace", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        alarm = threading.Timer(120, process.kill)
        alarm.start()
        try:
            yield process
            process.wait()
        finally:
            process.kill()
            alarm.cancel()
