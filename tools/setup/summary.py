#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and ends with the line `N passed, N failed` (`, N skipped` if any).

  summary.py STEP...

A step is `LOG` or `LOG=STATUS`: a test log as `meson test` writes it (one JSON object a test), with
the exit status of the command that wrote it. A test program that speaks TAP counts by its subtests,
any other as one. What went wrong without a failed subtest (a crash, a timeout, a plan that was not
kept, a step that never got as far as a log) counts as one failure. The end of what a failed test
wrote is printed again here, where it is not lost among the rest. What was skipped is named with its
reason; a skip that tests/allowed_skips does not list is a failure, and so is a row there that
cannot be read. Exits 1 on any failure, and when nothing ran at all.
"""
import json
import os
import re
import sys

ALLOWED = os.path.join(os.path.dirname(__file__), '../../tests/allowed_skips')
ROW = re.compile(r'([^/:\s]+/[^:\s][^:]*): (\S.*)')

PLAN = re.compile(r'^1\.\.\d+', re.M)
SUBTEST = re.compile(r'^(not )?ok\b(?:\s+\d+)?(?:\s+-)?\s*([^\n]*)', re.M)
DIRECTIVE = re.compile(r'\s*#\s*(?:skip|todo)\b\s*', re.I)
WHOLE_SKIP = re.compile(r'^1\.\.0\s*#\s*skip\b', re.I | re.M)
PASSED = re.compile(r'^ok\b[^\n]*\n?', re.M)
NO_REASON = 'no reason given'
TOLD_TESTS, TOLD_LINES = 5, 30


class Counts:
    """Results of a step, or of all."""

    def __init__(self):
        self.passed = 0
        self.failed = []   # names of the tests
        self.skipped = []  # (suites and name of the test, case, reason)
        self.failures = 0  # single cases
        self.told = []     # (name of a failed test, the end of what it wrote)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.told += other.told

    def fail(self, name, cases=1):
        self.failed.append(name)
        self.failures += cases

    def tell(self, test):
        """Keeps the end of what a failed test wrote."""
        lines = []
        for stream in ('stdout', 'stderr'):
            lines += PASSED.sub('', test.get(stream) or '').splitlines()[-TOLD_LINES:]
        self.told.append((test['name'], lines))

    def add_test(self, test):
        """One line of the log."""
        failures = self.failures
        self.count_test(test)
        if self.failures > failures:
            self.tell(test)

    def count_test(self, test):
        name, output, result = test['name'], test.get('stdout') or '', test['result']
        good = result in ('OK', 'EXPECTEDFAIL')
        if result == 'SKIP' and not SUBTEST.search(output):
            words = (WHOLE_SKIP.sub('', output) or test.get('stderr') or '').split()
            self.skipped.append((name, '', ' '.join(words) or NO_REASON))
            return
        if not PLAN.search(output):
            if good:
                self.passed += 1
            else:
                self.fail(name)
            return
        failures = 0
        for negated, text in SUBTEST.findall(output):
            directive = DIRECTIVE.search(text)
            if directive:
                case, reason = text[:directive.start()], text[directive.end():]
                self.skipped.append((name, case.strip(), reason.strip() or NO_REASON))
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


def read_allowed(path):
    """Patterns of permitted reasons by SUITE/TEST, and what is wrong with the file."""
    patterns, wrong = {}, []
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except OSError as error:
        return {}, [f'{os.path.basename(path)}: {error.strerror}']
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith('#'):
            continue
        row = ROW.fullmatch(line)
        try:
            if row is None:
                raise ValueError('a row is SUITE/TEST: PATTERN')
            patterns.setdefault(row.group(1), []).append(re.compile(row.group(2)))
        except (ValueError, re.error) as error:
            wrong.append(f'{os.path.basename(path)}:{number}: {error}')
    return patterns, wrong


def is_allowed(patterns, name, reason):
    """Whether a test, named as in the log (`crossdock:quick+e2e / bad_disk`), may skip so."""
    suites, _, test = name.rpartition(' / ')
    return any(pattern.fullmatch(reason)
               for suite in suites.rpartition(':')[2].split('+')
               for pattern in patterns.get(f'{suite}/{test}', []))


def refuse_skips(counts, patterns):
    """Turns the skips of a step that no pattern permits into failures."""
    permitted = [skip for skip in counts.skipped if is_allowed(patterns, skip[0], skip[2])]
    for name, case, reason in (skip for skip in counts.skipped if skip not in permitted):
        what = f'{name}: {case}' if case else name
        counts.fail(f'{what}: skipped, and tests/allowed_skips does not list why: {reason}')
    counts.skipped = permitted


def main(steps, allowed=ALLOWED):
    totals = Counts()
    patterns, wrong = read_allowed(allowed)
    for line in wrong:
        totals.fail(line)
    for step in steps:
        path, _, status = step.partition('=')
        counts = count_step(path, int(status or 0))
        refuse_skips(counts, patterns)
        where = path.split('/')[0]
        counts.failed = [f'{name} ({where})' for name in counts.failed]
        counts.skipped = [f'{": ".join(filter(None, skip))} ({where})' for skip in counts.skipped]
        totals.add(counts)
    if not totals.passed and not totals.failures and not totals.skipped:
        totals.fail('no test ran')
    for name, lines in totals.told[:TOLD_TESTS]:
        print(f'---- {name}', *lines, sep='\n')
    for name in totals.skipped:
        print(f'skipped: {name}')
    for name in totals.failed:
        print(f'failed: {name}')
    skipped = f', {len(totals.skipped)} skipped' if totals.skipped else ''
    print(f'{totals.passed} passed, {totals.failures} failed{skipped}')
    return 1 if totals.failures else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
