#!/usr/bin/env python3
"""Counts a Swift Testing run from its event stream: prints "passed failed skipped" on standard output and the slowest
tests on standard error. With a second argument it writes the names of failed tests there, a line each.

A test that began and never ended (the process died in it) counts as failed. A known issue is no failure. Suites are
not counted, and neither are the single cases of a parameterised test: one test function is one test.
"""
import json
import sys

functions, started, ended, failed, skipped = set(), {}, {}, set(), set()
names = {}
try:
    lines = open(sys.argv[1], encoding="utf-8")
except OSError:
    lines = []
for line in lines:
    try:
        record = json.loads(line)
    except ValueError:
        continue  # a torn last line: the process died while writing it
    payload = record.get("payload", {})
    if record.get("kind") == "test":
        if payload.get("kind") == "function":
            functions.add(payload["id"])
            names[payload["id"]] = payload.get("displayName") or payload.get("name") or payload["id"]
        continue
    test, kind = payload.get("testID"), payload.get("kind")
    if kind == "testStarted":
        started[test] = payload.get("instant", {}).get("absolute", 0)
    elif kind == "testEnded":
        ended[test] = payload.get("instant", {}).get("absolute", 0)
    elif kind == "testSkipped":
        skipped.add(test)
    elif kind == "issueRecorded":
        issue = payload.get("issue", {})
        if not issue.get("isKnown", False) and issue.get("severity", "error") == "error":
            failed.add(test)

unfinished = (set(started) - set(ended)) & functions
bad = (failed & functions) | unfinished
# An issue outside any test function (a suite's trait, say) is a failure of its own.
bad_elsewhere = len(failed - functions)
passed = (set(ended) & functions) - bad - skipped
print(len(passed), len(bad) + bad_elsewhere, len(skipped & functions))

# What takes the time of the tier: tests run side by side, so that these are no seconds of a processor.
SLOWEST = 12
took = sorted(
    ((ended[test] - started.get(test, ended[test]), test) for test in passed | bad if test in ended), reverse=True)
for seconds, test in took[:SLOWEST]:
    print(f"slow: {seconds:6.1f} s  {test.split('/')[0]}: {names.get(test, test)}", file=sys.stderr)
if len(sys.argv) > 2:
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        for test in sorted(bad | (failed - functions), key=str):
            out.write(f"{test}: {names.get(test, '')}".replace("\n", " ") + "\n")
