#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the coverage gate: labels, assertions, minimum; and one program really measured.

Prints TAP.
"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, '../tidy'), os.path.join(HERE, '../../tools/setup')]
import branches
import summary
from kit import TreeCase, main

LABEL = '/* GCOVR_EXCL_BR_{} {}*/'
PROGRAM = '''#define XD_ASSERT(expression) do { if (!(expression)) return 9; } while (0)
static int judge(int value)
{
    XD_ASSERT(value > 0 &&
              value < 100);
    if (value == 1 || value == 2)
        return 1;
    return 0;
}
int main(void)
{
    return judge(2) - 1;
}
'''


def source(*lines, rows):
    """A file of these lines, of which gcovr has told (line, taken, missing)."""
    return branches.Source('wire/x.c', '\n'.join(lines), rows)


def judged(source_, minimum=0.95, unbuilt=()):
    return branches.judge('wire', minimum, [source_], list(unbuilt))


class Labels(TreeCase):
    def test_a_branch_not_taken_is_missing(self):
        one = source('if (a)', '    b();', rows=[(1, 1, 1)])
        self.assertEqual((one.taken, one.total, one.labelled), (1, 2, 0))
        self.assertEqual(one.told_missing(), ['wire/x.c:1: 1 of 2 not taken: if (a)'])

    def test_a_label_with_a_reason_takes_out_what_is_missing_and_only_that(self):
        one = source('if (a) ' + LABEL.format('LINE', 'a is never 0 '), rows=[(1, 3, 1)])
        self.assertEqual((one.taken, one.total, one.labelled), (3, 3, 1))
        self.assertEqual(one.wrong, [])

    def test_a_region_covers_the_lines_up_to_its_end(self):
        one = source(LABEL.format('START', 'the kernel decides '), 'if (a)', 'if (b)',
                     LABEL.format('STOP', ''), 'if (c)', rows=[(2, 1, 1), (3, 1, 1), (5, 1, 1)])
        self.assertEqual((one.total, one.labelled, len(one.missing)), (4, 2, 1))
        self.assertEqual(one.wrong, [])

    def test_refuses_a_label_without_a_reason(self):
        for reason in ('', 'impossible '):
            one = source('if (a) ' + LABEL.format('LINE', reason), rows=[(1, 1, 1)])
            self.assert_finds(one.wrong, 'wire/x.c:1', 'without a reason')

    def test_refuses_a_label_where_nothing_is_missing(self):
        one = source('', 'if (a) ' + LABEL.format('LINE', 'a is never 0 '), rows=[(2, 2, 0)])
        self.assert_finds(one.wrong, 'wire/x.c:2', 'all taken')

    def test_refuses_regions_that_do_not_match(self):
        one = source(LABEL.format('START', 'one two '), 'if (a)', rows=[(2, 1, 1)])
        self.assert_finds(one.wrong, 'wire/x.c:1', 'without an end')
        self.assert_finds(source(LABEL.format('STOP', ''), rows=[]).wrong, 'not begun')


class Assertions(TreeCase):
    def test_do_not_count_on_any_of_their_lines(self):
        one = source('XD_ASSERT(a &&', '          f(b));', 'if (c)',
                     '    XD_DEBUG_ASSERT(d);', rows=[(1, 2, 2), (2, 1, 1), (3, 2, 0), (4, 1, 1)])
        self.assertEqual((one.taken, one.total), (2, 2))


class Verdicts(TreeCase):
    def test_the_minimum_of_an_area_decides(self):
        self.assertEqual(judged(source('if (a)', rows=[(1, 95, 5)]))[1], [])
        said, wrong = judged(source('if (a)', rows=[(1, 94, 6)]))
        self.assertEqual(said, 'wire: 94/100 = 94.0 %, 0 labelled = 0.0 %')
        self.assert_finds(wrong, 'less than 95 %')

    def test_labels_are_no_way_out(self):
        line = 'if (a) ' + LABEL.format('LINE', 'a is never 0 ')
        self.assertEqual(judged(source(line, rows=[(1, 97, 3)]))[1], [])
        self.assert_finds(judged(source(line, rows=[(1, 96, 4)]))[1], 'more than 3 %', 'labelled')

    def test_a_source_that_no_test_builds_is_found(self):
        self.assert_finds(judged(source(rows=[]), unbuilt=['wire/y.c'])[1], 'wire/y.c', 'not built')

    def test_every_file_of_the_areas_has_an_area(self):
        self.assertEqual(branches.area_of('broker/shard/on_session.c'), 'sessions')
        self.assertEqual(branches.area_of('broker/shard/on_read.c'), 'shard')
        self.assertEqual(branches.area_of('wire/bytes.h'), 'wire')

    def test_the_step_counts_each_area_and_shows_what_is_wrong(self):
        path = os.path.join(self.root, 'coverage.json')
        branches.save(path, [('wire', 'wire: 9/10', ['wire: too little']), ('log', 'log: 2/2', [])])
        counts = summary.count_step(path, 1)
        self.assertEqual((counts.passed, counts.failed), (1, ['coverage wire']))
        self.assertEqual(counts.told, [('coverage wire', ['wire: 9/10', 'wire: too little'])])


class Measured(TreeCase):
    """A program of one area, compiled, run, and judged as tools/test.sh does it."""

    def setUp(self):
        super().setUp()
        self.write('wire/x.c', PROGRAM)
        self.build = os.path.join(self.root, 'build')
        os.makedirs(os.path.join(self.build, 'wire'))
        self.areas = branches.AREAS
        branches.AREAS = [('wire', ('wire/',), 0.95)]
        self.addCleanup(setattr, branches, 'AREAS', self.areas)

    def gate(self, *words):
        """Exit status, what is printed on both."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = branches.main([self.build, '--root', self.root, *words])
        return status, out.getvalue(), errors.getvalue()

    def measure(self):
        if not shutil.which('gcovr'):
            self.skipTest('gcovr is not installed')
        program = os.path.join(self.build, 'wire', 'x')
        for command in (['gcc', '-O0', '--coverage', '-o', program,
                         os.path.join(self.root, 'wire/x.c')], [program]):
            subprocess.run(command, cwd=os.path.join(self.build, 'wire'), check=True,
                           timeout=60)

    def test_counts_what_has_run(self):
        self.measure()
        status, out, _ = self.gate()
        self.assertEqual(status, 1)
        self.assertIn('wire/x.c: 2/4 = 50.0 %\n', out)
        status, out, _ = self.gate('--missing', 'wire/x.c')
        self.assertEqual((status, out), (
            0, 'wire/x.c:6: 2 of 4 not taken: if (value == 1 || value == 2)\n'))
        with open(os.path.join(self.build, 'coverage.json'), encoding='utf-8') as file:
            self.assertEqual(json.loads(file.read())['result'], 'FAIL')

    def test_a_build_without_a_run_is_no_verdict(self):
        self.measure()
        for name in os.listdir(os.path.join(self.build, 'wire')):
            if name.endswith('.gcda'):
                os.remove(os.path.join(self.build, 'wire', name))
        status, _, errors = self.gate()
        self.assertEqual(status, 2)
        self.assertIn('no test of a coverage build has run', errors)


if __name__ == '__main__':
    sys.exit(main())
