#!/usr/bin/env python3
"""Runs a command on a terminal of its own and presses Ctrl-C there when a line of its output matches a pattern.

usage: Tests/Support/ctrl-c.py PATTERN COMMAND...     PATTERN is a regular expression, as in 'Compiling' or '== 3'

The command must then end within a minute as an interrupted one does (status 130, or dead by the signal, which a shell
shows as 130), leave nothing in its TMPDIR, which is a new folder with a space in its name, and no process of its
session that lives on for more than a minute: compilers may end the file they are at. The last line says
"…: n passed, n failed, n skipped". The pattern is the moment: no time enters but
the minute. What the command prints goes to standard error.
"""
import os
import pty
import re
import select
import shutil
import signal
import sys
import tempfile
import time

LONGEST_WAIT = 60


def session_members(session):
    """Processes of the session that still live, with their names; the dead that nobody waits for do not count."""
    members = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat", encoding="utf-8", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except OSError:
            continue  # gone meanwhile
        fields = rest.split()
        if int(fields[3]) == session and fields[0] not in "ZX":
            members.append(f"{number} {name}")
    return members


def press(pattern, command):
    """Runs the command; returns whether the pattern came, its status, and the seconds from Ctrl-C to its end."""
    process, terminal = pty.fork()
    if process == 0:
        # Whoever started this may have them ignored, which a person's terminal does not.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    text, pressed = b"", None
    while True:
        if pressed and time.monotonic() - pressed > LONGEST_WAIT:
            return process, True, None, LONGEST_WAIT
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the last process has closed it
            break
        if not data:
            break
        sys.stderr.buffer.write(data)
        sys.stderr.flush()
        text = (text + data)[-65536:]
        if not pressed and re.search(pattern.encode(), text):
            os.write(terminal, b"\x03")
            pressed = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = 128 - status if status < 0 else status
    return process, bool(pressed), status, time.monotonic() - (pressed or time.monotonic())


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: Tests/Support/ctrl-c.py PATTERN COMMAND...")
    pattern, command = sys.argv[1], sys.argv[2:]
    folder = tempfile.mkdtemp(prefix="dozo ctrl c.")
    os.environ["TMPDIR"] = folder
    process, pressed, status, seconds = press(pattern, command)
    ended = time.monotonic()
    while (members := session_members(process)) and time.monotonic() - ended < LONGEST_WAIT:
        time.sleep(0.05)
    outlived = time.monotonic() - ended
    leftovers = os.listdir(folder)
    wrong = []
    if not pressed:
        wrong.append(f"no line matched {pattern}; it ended with status {status}")
    elif status != 130:
        wrong.append(f"status {status} instead of 130" if status is not None else "it did not end within a minute")
    if members:
        wrong.append(f"processes left: {', '.join(members)}")
    if leftovers:
        wrong.append(f"left in TMPDIR: {', '.join(leftovers)}")
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{' '.join(command)}, Ctrl-C at '{pattern}': status {status} after {seconds:.1f} s, "
          f"its last process gone {outlived:.1f} s later")
    for sentence in wrong:
        print(f"FAIL: {sentence}")
    print(f"ctrl-c: {0 if wrong else 1} passed, {len(wrong)} failed, 0 skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
