#!/usr/bin/env python3
"""Runs a command and appends one line with what it and all its children cost.

measure.py RESULTS LABEL COMMAND…   appends "LABEL user+system-seconds wall-seconds peak-KiB" to RESULTS

The peak is the resident set of the largest single process. The status is the command's; a failed command adds no line.
"""
import os
import resource
import sys
import time

results, label, command = sys.argv[1], sys.argv[2], sys.argv[3:]
began = time.monotonic()
child = os.posix_spawnp(command[0], command, os.environ)
_, status = os.waitpid(child, 0)
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
code = os.waitstatus_to_exitcode(status)
if code == 0:
    with open(results, "a", encoding="utf-8") as output:
        output.write(f"{label} {used.ru_utime + used.ru_stime:.3f} {wall:.3f} {used.ru_maxrss}\n")
sys.exit(code if code >= 0 else 1)
