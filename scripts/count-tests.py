#!/usr/bin/env python3
"""Counts a Swift Testing run from its event stream: prints "passed failed skipped".

A test that began and never ended (the process died in it) counts as failed. A known issue is no failure. Suites are
not counted, and neither are the single cases of a parameterised test: one test function is one test.
"""
import json
import sys

functions, started, ended, failed, skipped = set(), set(), set(), set(), set()
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
        continue
    test, kind = payload.get("testID"), payload.get("kind")
    if kind == "testStarted":
        started.add(test)
    elif kind == "testEnded":
        ended.add(test)
    elif kind == "testSkipped":
        skipped.add(test)
    elif kind == "issueRecorded":
        issue = payload.get("issue", {})
        if not issue.get("isKnown", False) and issue.get("severity", "error") == "error":
            failed.add(test)

unfinished = (started - ended) & functions
bad = (failed & functions) | unfinished
# An issue outside any test function (a suite's trait, say) is a failure of its own.
bad_elsewhere = len(failed - functions)
passed = (ended & functions) - bad - skipped
print(len(passed), len(bad) + bad_elsewhere, len(skipped & functions))
