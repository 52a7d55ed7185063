#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of tools/setup/summary.py, which decides whether a run was good. Prints TAP."""
import contextlib
import io
import json
import os
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), '../../tools/setup'))
import summary
from kit import TreeCase, main

SKIPPING = '1..2\nok 1 - a\nok 2 - b # SKIP no root: EPERM\n'


class SummaryCase(TreeCase):
    """A test log and a list of permitted skips."""

    def setUp(self):
        super().setUp()
        self.log = os.path.join(self.root, 'log')
        self.allow('')

    def allow(self, text):
        self.write('allowed', text)

    def write_log(self, *tests):
        self.write('log', ''.join(json.dumps(test) + '\n' for test in tests))

    def count(self, *tests, status=0):
        """(passed, failed, skipped) of a log with these tests."""
        self.write_log(*tests)
        counts = summary.count_step(self.log, status)
        return counts.passed, counts.failures, len(counts.skipped)

    def lines(self, *tests):
        """What it prints about a log with these tests; its exit status agrees with that."""
        self.write_log(*tests)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = summary.main([self.log], os.path.join(self.root, 'allowed'))
        lines = output.getvalue().splitlines()
        self.assertEqual(status, 0 if ' passed, 0 failed' in lines[-1] else 1, lines)
        return lines


class Counting(SummaryCase):
    def test_counts_subtests_and_plain_tests(self):
        tap = '1..4\nok - a\nok 2 - b # SKIP no root\nnot ok - c\n  not ok detail\nok - d\n'
        self.assertEqual(self.count({'name': 'x', 'result': 'FAIL', 'stdout': tap}), (2, 1, 1))
        self.assertEqual(self.count({'name': 'x', 'result': 'OK', 'stdout': 'ok\n'},
                                    {'name': 'y', 'result': 'SKIP'},
                                    {'name': 'z', 'result': 'TIMEOUT'}), (1, 1, 1))

    def test_a_crash_behind_good_subtests_is_a_failure(self):
        tap = '1..9\nok - a\n'
        self.assertEqual(self.count({'name': 'x', 'result': 'ERROR', 'stdout': tap}), (1, 1, 0))

    def test_a_step_that_failed_without_a_failed_test_is_a_failure(self):
        self.assertEqual(self.count({'name': 'x', 'result': 'OK'}, status=2), (1, 1, 0))
        self.assertEqual(summary.count_step(os.path.join(self.root, 'none'), 1).failures, 1)

    def test_no_test_at_all_is_a_failure(self):
        self.assertEqual(self.lines(), ['failed: no test ran', '0 passed, 1 failed'])

    def test_names_what_failed_and_what_was_skipped_and_why(self):
        self.allow('unit/x: no root\n')
        tap = '1..2\nok 1 - b # SKIP no root\nnot ok 2 - c\n'
        lines = self.lines({'name': 'all:unit / x', 'result': 'FAIL', 'stdout': tap})
        self.assertIn('skipped: all:unit / x: b: no root', lines[-3])
        self.assertIn('failed: all:unit / x', lines[-2])
        self.assertEqual(lines[-1], '0 passed, 1 failed, 1 skipped')

    def test_repeats_the_end_of_what_a_failed_test_wrote(self):
        tap = 'ok 1 - a\nnot ok 2 - b\n' + ''.join(f'# {n}\n' for n in range(50)) + '1..2\n'
        lines = self.lines({'name': 'x', 'result': 'FAIL', 'stdout': tap, 'stderr': 'why\n'},
                           {'name': 'y', 'result': 'OK', 'stdout': '# fine\n'})
        told = lines[:lines.index('failed: x (' + self.log.split('/')[0] + ')')]
        self.assertEqual([told[0], told[1], *told[-2:]], ['---- x', '# 21', '1..2', 'why'])

    def test_the_last_line_is_short_when_all_is_well(self):
        self.assertEqual(self.lines({'name': 'x', 'result': 'OK'}), ['1 passed, 0 failed'])


class Skips(SummaryCase):
    def result(self, allowed, name='all:quick+unit / x', output=SKIPPING, result='OK'):
        """What is printed about one test that skips, with this list."""
        self.allow(allowed)
        return self.lines({'name': name, 'result': result, 'stdout': output})

    def assert_refused(self, lines, *words):
        self.assertEqual(len(lines), 2, lines)
        for word in ('failed: ', 'allowed_skips does not list', *words):
            self.assertIn(word, lines[0])
        self.assertIn('1 failed', lines[1])
        self.assertNotIn('skipped', lines[1])

    def test_a_listed_skip_is_counted_and_does_not_fail(self):
        lines = self.result('# Comment.\n\nunit/x: no root: E\\w+\n')
        self.assertIn('skipped: all:quick+unit / x: b: no root: EPERM', lines[0])
        self.assertEqual(lines[1], '1 passed, 0 failed, 1 skipped')

    def test_a_row_counts_under_any_suite_of_the_test(self):
        self.assertEqual(self.result('quick/x: no root: .*\n')[-1],
                         '1 passed, 0 failed, 1 skipped')

    def test_a_skip_without_a_row_fails_the_run_and_is_named(self):
        self.assert_refused(self.result(''), 'unit / x: b', 'no root: EPERM')

    def test_a_row_of_another_test_or_suite_does_not_count(self):
        self.assert_refused(self.result('unit/y: no root: .*\n'))
        self.assert_refused(self.result('wire/x: no root: .*\n'))
        self.assert_refused(self.result('unit/x: no root: .*\n', name='x'))

    def test_the_pattern_must_match_the_whole_reason(self):
        self.assert_refused(self.result('unit/x: no root\n'))
        self.assert_refused(self.result('unit/x: root: .*\n'))

    def test_each_row_of_a_test_counts(self):
        self.assertEqual(self.result('unit/x: no disk\nunit/x: no root: .*\n')[-1],
                         '1 passed, 0 failed, 1 skipped')

    def test_a_program_that_skips_as_a_whole_needs_a_row_too(self):
        for output in ('1..0 # SKIP no header\n', 'no header\n', 'no\nheader\n'):
            self.assert_refused(self.result('', output=output, result='SKIP'), ': no header')
            self.assertEqual(self.result('unit/x: no header\n', output=output,
                                         result='SKIP')[-1], '0 passed, 0 failed, 1 skipped')

    def test_a_skip_without_a_reason_fails(self):
        self.assert_refused(self.result('unit/x: .+ root\n', output='1..1\nok 1 - a # SKIP\n'),
                            'no reason given')

    def test_a_malformed_row_fails_the_run_and_is_named(self):
        good = {'name': 'x', 'result': 'OK'}
        for row in ('unit/x', 'unit/x:', 'unit/x: ', 'x: no root', 'unit/x no root', '/x: a',
                    ' unit/x: a', 'unit/x: (no root'):
            self.allow(f'# Comment.\n{row}\n')
            lines = self.lines(good)
            self.assertEqual(len(lines), 2, (row, lines))
            self.assertIn('failed: allowed:2: ', lines[0])
            self.assertEqual(lines[1], '1 passed, 1 failed')

    def test_a_list_that_is_not_there_fails_the_run(self):
        os.remove(os.path.join(self.root, 'allowed'))
        self.assertIn('No such file', self.lines({'name': 'x', 'result': 'OK'})[0])

    def test_the_list_of_this_tree_is_well_formed(self):
        patterns, wrong = summary.read_allowed(summary.ALLOWED)
        self.assertEqual(wrong, [])
        self.assertIn('e2e/bad_disk', patterns)


if __name__ == '__main__':
    sys.exit(main())
