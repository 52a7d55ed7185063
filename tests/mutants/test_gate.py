#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the mutation gate, on a project of three files. Prints TAP."""
import contextlib
import io
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, '../tidy'), os.path.join(HERE, '../../tools/setup')]
import gate
import mutant
import summary
from kit import TreeCase, main

PROJECT = '''project('fake', 'c')
option_is_read = get_option('tests')
foreach name : ['sharp', 'blind', 'patient', 'sick']
  executable(name, 'judge.c', 'limit.c', c_args: '-DJUDGE_@0@'.format(name))
endforeach
'''
OPTIONS = "option('tests', type: 'feature', value: 'enabled')\n"
LIMIT = '''int within(int value)
{
    int limit = 10;

    return value <= limit;
}
'''
JUDGE = '''#include <stdio.h>
#include <unistd.h>
int within(int value);
int main(void)
{
#ifdef JUDGE_sharp
    if (within(11))
        return puts("not ok 1 - refuses_more_than_the_limit"), 1;
#endif
#ifdef JUDGE_patient
    while (within(11))
        sleep(1);
#endif
#ifdef JUDGE_sick
    return puts("this machine has no luck"), 3;
#endif
    return 0;
}
'''
LARGER = ('    int limit = 10;', '    int limit = 100;')


def row(number, name, program, budget=20):
    return f'M({number}, limit, "{name}", {budget}, "{program}",\n  "More than "\n  "the limit.")\n'


class Fake(TreeCase):
    """A tree with a source, programs that judge it, and mutants."""

    def setUp(self):
        super().setUp()
        self.write('meson.build', PROJECT)
        self.write('meson_options.txt', OPTIONS)
        self.write('limit.c', LIMIT)
        self.write('judge.c', JUDGE)
        self.table = '/* Rows. */\n'

    def add(self, number, name, program, change=LARGER, before='{', path='limit.c', budget=20):
        """A mutant that changes one line behind the line `before`."""
        self.table += row(number, name, program, budget)
        self.write(f'tests/mutants/{number:02d}-{name}.patch',
                   f'--- a/{path}\n+++ b/{path}\n@@ -2,2 +2,2 @@\n'
                   f' {before}\n-{change[0]}\n+{change[1]}\n')

    def run_gate(self, *words):
        """(exit status, what it printed, failures and passes as the summary counts them)."""
        self.write('tests/mutants/mutants.def', self.table)
        folder = os.path.join(self.root, 'build-mutants')
        with contextlib.redirect_stdout(io.StringIO()) as output, \
                contextlib.redirect_stderr(output):
            status = gate.main(['--root', self.root, '--dir', folder, *words])
        counts = summary.count_step(os.path.join(folder, 'mutants.json'), 0)
        return status, output.getvalue(), (counts.passed, counts.failures)


class Judging(Fake):
    def test_a_bug_that_its_suite_finds_is_caught(self):
        self.add(1, 'larger', 'sharp')
        status, text, counts = self.run_gate()
        self.assertEqual((status, counts), (0, (1, 0)), text)
        self.assertIn('ok 1 - 01-larger: sharp: not ok 1 - refuses_more_than_the_limit', text)
        self.assertIn('# 1 caught, 0 not', text)

    def test_a_criterion_program_has_to_name_a_case(self):
        bug = mutant.Mutant(1, 'limit', 'larger', 20, ('tests/test_limit',), 'harm')
        self.assertTrue(gate.judge(bug, 1, '1..1\nnot ok - limit::refuses\n', 0).good)
        self.assertFalse(gate.judge(bug, 1, 'usage: test_limit\n', 0).good)

    def test_everything_else_fails_the_gate(self):
        self.add(1, 'larger', 'sharp')
        self.add(2, 'harmless', 'sharp', (LARGER[0], '    int limit = 9 + 1;'))
        self.add(3, 'unseen', 'blind')
        self.add(4, 'moved', 'sharp', before='{ /* elsewhere */')
        self.add(5, 'wrong', 'sharp', (LARGER[0], '    int limit = ten;'))
        self.add(6, 'endless', 'patient', budget=1)
        self.add(7, 'sick', 'sick')
        self.add(8, 'again', 'sharp')
        self.add(9, 'unbuilt', 'nothing')
        status, text, counts = self.run_gate('--workers', '1')
        self.assertEqual((status, counts), (1, (2, 7)), text)
        for line in ('02-harmless: survives sharp', '03-unseen: survives blind',
                     '04-moved: the patch does not apply', '05-wrong: building failed',
                     '06-endless: patient is not over after 1 s',
                     '07-sick: the tree itself does not pass sick',
                     '09-unbuilt: the tree itself: building failed', '# 2 caught, 7 not'):
            self.assertIn(line, text)
        with open(os.path.join(self.root, 'limit.c'), encoding='utf-8') as file:
            self.assertEqual(file.read(), LIMIT)

    def test_a_second_run_sees_what_has_changed(self):
        self.add(1, 'larger', 'sharp')
        self.assertEqual(self.run_gate()[0], 0)
        left_over = os.path.join(self.root, 'build-mutants/worker-0/src/limit.c')
        with open(left_over, 'w', encoding='utf-8') as file:
            file.write(LIMIT.replace(*LARGER))
        self.write('judge.c', JUDGE.replace('if (within(11))', 'if (within(1000))'))
        status, text, _ = self.run_gate('--workers', '1')
        self.assertEqual(status, 1, text)
        self.assertIn('survives sharp', text)


class Choosing(Fake):
    def setUp(self):
        super().setUp()
        for number in range(1, 8):
            self.add(number, 'larger', 'sharp')

    def test_takes_the_numbers_that_it_is_told(self):
        status, text, _ = self.run_gate('--only', '5', '2', '--list')
        self.assertEqual(status, 0)
        self.assertEqual(text.count('larger'), 2)
        self.assertIn('02-larger', text)
        self.assertEqual(self.run_gate('--only', '9')[0], 2)

    def test_every_mutant_is_in_one_of_three_thirds(self):
        mutants = list(range(1, 8))
        thirds = [gate.third_of(mutants, f'{which:08x}' + 32 * '0') for which in range(3)]
        self.assertEqual(sorted(sum(thirds, [])), mutants)
        self.assertEqual({len(third) for third in thirds}, {2, 3})
        self.assertEqual(gate.third_of(mutants, None), mutants)


class Table(Fake):
    def refused(self, text):
        status, output, _ = self.run_gate('--list')
        self.assertEqual(status, 2, output)
        self.assertIn(text, output)

    def test_refuses_a_row_that_it_cannot_read(self):
        self.add(1, 'larger', 'sharp')
        self.table += 'M(2, limit, "larger", soon, "sharp", "")\n'
        self.refused('not a row')

    def test_refuses_numbers_that_do_not_rise(self):
        self.add(2, 'larger', 'sharp')
        self.add(1, 'larger', 'sharp')
        self.refused('numbers must rise')

    def test_refuses_a_patch_without_a_row_and_a_row_without_a_patch(self):
        self.add(1, 'larger', 'sharp')
        self.write('tests/mutants/02-more.patch', '')
        self.refused('no row of the table names it')
        os.remove(os.path.join(self.root, 'tests/mutants/02-more.patch'))
        self.table += row(2, 'more', 'sharp')
        self.refused('there is no such patch')


class Patch(TreeCase):
    def broken(self, text, call, *arguments):
        with self.assertRaises(mutant.Broken) as caught:
            call(*arguments)
        self.assertIn(text, str(caught.exception))

    def test_applies_wherever_its_lines_stand_but_only_there(self):
        self.assertEqual(mutant.mutate('x\na\nb\n', 'a\nb\n', 'a\nc\n'), 'x\na\nc\n')
        self.broken('does not apply', mutant.mutate, 'x\na\n', 'a\nb\n', 'a\nc\n')
        self.broken('in 2 places', mutant.mutate, 'a\nb\na\nb\n', 'a\nb\n', 'a\nc\n')

    def test_is_one_hunk_of_one_source(self):
        head = '--- a/x.c\n+++ b/x.c\n'
        hunk = '@@ -1 +1 @@\n-a\n+b\n'
        self.assertEqual(mutant.read_patch(head + hunk), ('x.c', 'a\n', 'b\n'))
        self.broken('one hunk', mutant.read_patch, head + hunk + hunk)
        self.broken('one hunk', mutant.read_patch, 2 * (head + hunk))
        self.broken('sources only', mutant.read_patch,
                    '--- a/meson.build\n+++ b/meson.build\n' + hunk)

    def test_every_patch_of_the_table_applies_to_the_tree(self):
        root = os.path.join(HERE, '../..')
        mutants = mutant.read_table(os.path.join(HERE, 'mutants.def'))
        mutant.check_folder(mutants, os.listdir(HERE))
        for each in mutants:
            with open(os.path.join(HERE, f'{each.title}.patch'), encoding='utf-8') as file:
                path, before, after = mutant.read_patch(file.read())
            with open(os.path.join(root, path), encoding='utf-8') as file:
                text = file.read()
            with self.subTest(each.title):
                self.assertNotEqual(mutant.mutate(text, before, after), text)


class Output(TreeCase):
    def test_says_which_case_of_a_suite_has_failed(self):
        for text, line in (('ok 1 - a\nnot ok 2 - b\nnot ok 3 - c\n', 'not ok 2 - b'),
                           ('here\nx.c:1: assertion failed: y\n', 'x.c:1: assertion failed: y'),
                           ('runs=3\nsim: seed=3: lost\n', 'sim: seed=3: lost'),
                           ('something\nelse\n\n', 'else'), ('', 'no output')):
            self.assertEqual(gate.finding(text, 'tests/sim'), line)


if __name__ == '__main__':
    sys.exit(main())
