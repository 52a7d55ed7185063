#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and ends with the line `N passed, N failed` (`, N skipped` if any).

  summary.py STEP...

A step is `LOG` or `LOG=STATUS`: a test log as `meson test` writes it (one JSON object a test), with
the exit status of the command that wrote it. A test program that speaks TAP counts by its subtests,
any other as one. What went wrong without a failed subtest (a crash, a timeout, a plan that was not
kept, a step that never got as far as a log) counts as one failure. Exits 1 on any failure, and when
nothing ran at all.
"""
import json
import re
import sys

PLAN = re.compile(r'^1\.\.\d+', re.M)
SUBTEST = re.compile(r'^(not )?ok\b([^\n]*)', re.M)
DIRECTIVE = re.compile(r'#\s*(skip|todo)\b', re.I)


def count_test(test):
    """(passed, failed, skipped) of one line of the log."""
    output = test.get('stdout') or ''
    good = test['result'] in ('OK', 'EXPECTEDFAIL')
    if not PLAN.search(output):
        if test['result'] == 'SKIP':
            return 0, 0, 1
        return (1, 0, 0) if good else (0, 1, 0)
    passed = failed = skipped = 0
    for negated, rest in SUBTEST.findall(output):
        if DIRECTIVE.search(rest):
            skipped += 1
        elif negated:
            failed += 1
        else:
            passed += 1
    if not good and test['result'] != 'SKIP' and not failed:
        failed = 1
    return passed, failed, skipped


def count_step(path, status):
    """(passed, failed, skipped) of one log, and the names of the tests that failed."""
    totals, names = [0, 0, 0], []
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            tests = [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        tests = []
    for test in tests:
        counts = count_test(test)
        totals = [total + count for total, count in zip(totals, counts)]
        if counts[1]:
            names.append(test['name'])
    if status and not totals[1]:
        totals[1] = 1
        names.append(f'{path}: exit status {status}')
    return totals, names


def main(steps):
    totals = [0, 0, 0]
    for step in steps:
        path, _, status = step.partition('=')
        counts, names = count_step(path, int(status or 0))
        totals = [total + count for total, count in zip(totals, counts)]
        for name in names:
            print(f'failed: {name} ({path.split("/")[0]})')
    if not any(totals):
        print('failed: no test ran')
        totals[1] = 1
    skipped = f', {totals[2]} skipped' if totals[2] else ''
    print(f'{totals[0]} passed, {totals[1]} failed{skipped}')
    return 1 if totals[1] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
