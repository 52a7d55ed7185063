#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and ends with the line `N passed, N failed` (`, N skipped` if any).

  summary.py STEP...

A step is `LOG` or `LOG=STATUS`: a test log as `meson test` writes it (one JSON object a test), with
the exit status of the command that wrote it. A test program that speaks TAP counts by its subtests,
any other as one. What went wrong without a failed subtest (a crash, a timeout, a plan that was not
kept, a step that never got as far as a log) counts as one failure. What was skipped is named with
its reason. Exits 1 on any failure, and when nothing ran at all.
"""
import json
import re
import sys

PLAN = re.compile(r'^1\.\.\d+', re.M)
SUBTEST = re.compile(r'^(not )?ok\b(?:\s+\d+)?(?:\s+-)?\s*([^\n]*)', re.M)
DIRECTIVE = re.compile(r'\s*#\s*(?:skip|todo)\b\s*', re.I)


class Counts:
    """Results of a step, or of all."""

    def __init__(self):
        self.passed = 0
        self.failed = []   # names of the tests
        self.skipped = []  # names and reasons
        self.failures = 0  # single cases

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def fail(self, name, cases=1):
        self.failed.append(name)
        self.failures += cases

    def add_test(self, test):
        """One line of the log."""
        name, output, result = test['name'], test.get('stdout') or '', test['result']
        good = result in ('OK', 'EXPECTEDFAIL')
        if not PLAN.search(output):
            if result == 'SKIP':
                self.skipped.append(f'{name}: {output.strip() or "no reason given"}')
            elif good:
                self.passed += 1
            else:
                self.fail(name)
            return
        failures = 0
        for negated, text in SUBTEST.findall(output):
            directive = DIRECTIVE.search(text)
            if directive:
                case, reason = text[:directive.start()], text[directive.end():]
                self.skipped.append(f'{name}: {case}: {reason or "no reason given"}')
            elif negated:
                failures += 1
            else:
                self.passed += 1
        if failures or not good and result != 'SKIP':
            self.fail(name, failures or 1)


def count_step(path, status):
    """The results in one log, and of the command that wrote it."""
    counts = Counts()
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                if line.strip():
                    counts.add_test(json.loads(line))
    except FileNotFoundError:
        pass
    if status and not counts.failures:
        counts.fail(f'{path}: exit status {status}')
    return counts


def main(steps):
    totals = Counts()
    for step in steps:
        path, _, status = step.partition('=')
        counts = count_step(path, int(status or 0))
        where = path.split('/')[0]
        counts.failed = [f'{name} ({where})' for name in counts.failed]
        counts.skipped = [f'{name} ({where})' for name in counts.skipped]
        totals.add(counts)
    if not totals.passed and not totals.failures and not totals.skipped:
        totals.fail('no test ran')
    for name in totals.skipped:
        print(f'skipped: {name}')
    for name in totals.failed:
        print(f'failed: {name}')
    skipped = f', {len(totals.skipped)} skipped' if totals.skipped else ''
    print(f'{totals.passed} passed, {totals.failures} failed{skipped}')
    return 1 if totals.failures else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
