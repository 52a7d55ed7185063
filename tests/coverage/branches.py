#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which branches the tests have taken, by file and by area, and whether that is enough.

  branches.py DIR [--root ROOT] [--missing [FILE...]]

DIR is a build directory made with -Db_coverage=true whose tests have run. Counted are the branches
of the areas below, as the compiler makes them without optimisation: two for each operand of a
condition, one for each case of a switch. Assertions do not count: their failing side is no
behaviour.

A branch that no test can reach carries a label with the reason in the same comment:

    if (...) /* GCOVR_EXCL_BR_LINE why nothing can get here */
    /* GCOVR_EXCL_BR_START why nothing can get here */ ... /* GCOVR_EXCL_BR_STOP */

What such lines have not taken is left out and counted as labelled. The gate fails when an area has
taken less than its minimum or labels more than LABELLED_MAX of its branches, when a label has no
reason or covers nothing that is missing, and when a source was not built into any test.

  --missing  prints the source lines with branches not taken, of these files or of all

Needs gcovr. DIR/coverage.json gets one line an area, for tools/setup/summary.py. Exit status 1 when
the gate fails, 2 when there is nothing to judge.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
# Area, what its paths begin with, least share of its branches. The first area that fits counts.
AREAS = [
    ('wire', ('wire/',), 0.95),
    ('log', ('broker/log/',), 0.95),
    ('sessions', ('broker/produce/', 'broker/shard/on_session.c'), 0.95),
    ('partition', ('broker/partition/',), 0.95),
    ('shard', ('broker/shard/',), 0.95),
]
LABELLED_MAX = 0.03
LABEL = re.compile(r'GCOVR_EXCL_(?:BR_)?(LINE|START|STOP)\b[ \t]*([^*\n]*)')
ASSERTION = re.compile(r'\bXD_(?:DEBUG_)?ASSERT\s*\(')


class Unusable(Exception):
    """There is nothing to judge."""


class Branch(NamedTuple):
    line: int      # from 1
    taken: int     # branches of this line that a test has taken
    missing: int   # and those that none has


class Source:
    """One file: its branches without those of assertions, and what is labelled."""

    def __init__(self, path, text, lines):
        self.path = path
        self.lines = text.splitlines()
        self.wrong = []     # findings about labels
        self.labels = {}    # line -> line of the label that covers it
        self.read_labels()
        ignored = assertion_lines(text)
        branches = [Branch(*row) for row in lines if row[0] not in ignored]
        self.missing = [each for each in branches if each.missing and each.line not in self.labels]
        self.labelled = sum(each.missing for each in branches if each.line in self.labels)
        self.taken = sum(each.taken for each in branches)
        self.total = self.taken + sum(each.missing for each in self.missing)
        needed = {self.labels[each.line] for each in branches
                  if each.missing and each.line in self.labels}
        for line in sorted(set(self.labels.values()) - needed):
            self.find(line, 'label of branches that are all taken')

    def find(self, line, text):
        self.wrong.append(f'{self.path}:{line}: {text}')

    def read_labels(self):
        opened = None
        for number, text in enumerate(self.lines, 1):
            if opened:
                self.labels[number] = opened
            match = LABEL.search(text)
            if not match:
                continue
            kind, reason = match.group(1), match.group(2).strip()
            if kind == 'STOP':
                if not opened:
                    self.find(number, 'end of a label that was not begun')
                opened = None
                continue
            if len(reason.split()) < 2:
                self.find(number, 'label without a reason')
            self.labels[number] = number
            if kind == 'START':
                opened = number
        if opened:
            self.find(opened, 'label without an end')

    def told_missing(self):
        return [f'{self.path}:{each.line}: {each.missing} of {each.taken + each.missing} '
                f'not taken: {self.lines[each.line - 1].strip()}' for each in self.missing]


def assertion_lines(text):
    """Numbers of the lines that assertions stand on, to the parenthesis that closes them."""
    found = set()
    for match in ASSERTION.finditer(text):
        end, depth = match.end(), 1
        while depth and end < len(text):
            depth += {'(': 1, ')': -1}.get(text[end], 0)
            end += 1
        first = text.count('\n', 0, match.start()) + 1
        found.update(range(first, first + text.count('\n', match.start(), end) + 1))
    return found


def collect(root, folder):
    """path -> [(line, taken, missing)] of every file that a compiler has seen."""
    # Labels and assertions are judged here, so that they can be counted.
    command = ['gcovr', '--root', root, '--json', '-', '--no-markers',
               '-j', str(os.cpu_count() or 1)]
    for prefix in sorted({prefix for _, prefixes, _ in AREAS for prefix in prefixes}):
        command += ['--filter', re.escape(os.path.join(root, prefix))]
    command += [path for path in (os.path.join(folder, name) for name in ('wire', 'broker'))
                if os.path.isdir(path)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unusable('gcovr is not installed') from error
    if run.returncode:
        raise Unusable(f'gcovr: {run.stderr.strip()[-500:]}')
    rows = {}
    for file in json.loads(run.stdout)['files']:
        rows[file['file']] = [
            (line['line_number'], sum(branch['count'] > 0 for branch in line['branches']),
             sum(branch['count'] == 0 for branch in line['branches']))
            for line in file['lines'] if line.get('branches')]
    return rows


def sources_of(root, rows):
    """Every file of the areas that has branches or ought to be built; and those that were not."""
    sources, unbuilt, seen = [], [], set()
    for _, prefixes, _ in AREAS:
        for folder in sorted({os.path.dirname(prefix) for prefix in prefixes}):
            for name in sorted(os.listdir(os.path.join(root, folder))):
                path = f'{folder}/{name}'
                if path in seen or not name.endswith(('.c', '.h')):
                    continue
                seen.add(path)
                if path not in rows and name.endswith('.c'):
                    unbuilt.append(path)
                with open(os.path.join(root, path), encoding='utf-8') as file:
                    sources.append(Source(path, file.read(), rows.get(path, [])))
    return sources, unbuilt


def area_of(path):
    return next(name for name, prefixes, _ in AREAS if path.startswith(prefixes))


def share(part, whole):
    return part / whole if whole else 1.0


def percent(part, whole):
    return f'{100 * share(part, whole):.1f} %'


def judge(area, minimum, sources, unbuilt):
    """(what is printed of an area, what is wrong with it)."""
    taken = sum(source.taken for source in sources)
    total = sum(source.total for source in sources)
    labelled = sum(source.labelled for source in sources)
    said = (f'{area}: {taken}/{total} = {percent(taken, total)}, '
            f'{labelled} labelled = {percent(labelled, total + labelled)}')
    wrong = [finding for source in sources for finding in source.wrong]
    wrong += [f'{path}: not built into any test' for path in unbuilt]
    if share(taken, total) < minimum:
        wrong.append(f'{area}: less than {100 * minimum:g} % of its branches are taken')
    if labelled and share(labelled, total + labelled) > LABELLED_MAX:
        wrong.append(f'{area}: more than {100 * LABELLED_MAX:g} % of its branches are labelled')
    return said, wrong


def save(path, results):
    with open(path, 'w', encoding='utf-8') as file:
        for area, said, wrong in results:
            row = {'name': f'coverage {area}', 'result': 'FAIL' if wrong else 'OK',
                   'duration': 0, 'stdout': '\n'.join([said] + wrong)}
            file.write(json.dumps(row) + '\n')


def print_missing(sources, paths):
    unknown = set(paths) - {source.path for source in sources}
    if unknown:
        raise Unusable(f'{min(unknown)} is in no area')
    for source in sources:
        if not paths or source.path in paths:
            print(*source.told_missing(), sep='\n', end='\n' if source.missing else '')


def main(words):
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1].strip())
    parser.add_argument('dir')
    parser.add_argument('--root', default=os.path.join(HERE, '..', '..'))
    parser.add_argument('--missing', nargs='*', metavar='FILE')
    arguments = parser.parse_args(words)
    root, folder = os.path.realpath(arguments.root), os.path.realpath(arguments.dir)
    try:
        rows = collect(root, folder)
        if not any(taken for lines in rows.values() for _, taken, _ in lines):
            raise Unusable(f'{arguments.dir}: no test of a coverage build has run there')
        sources, unbuilt = sources_of(root, rows)
        if arguments.missing is not None:
            print_missing(sources, arguments.missing)
            return 0
    except (Unusable, OSError) as error:
        print(f'branches: {error}', file=sys.stderr)
        return 2
    for source in sources:
        if source.total:
            print(f'{source.path}: {source.taken}/{source.total} = '
                  f'{percent(source.taken, source.total)}')
    results = []
    for area, _, minimum in AREAS:
        said, wrong = judge(area, minimum, [s for s in sources if area_of(s.path) == area],
                            [path for path in unbuilt if area_of(path) == area])
        results.append((area, said, wrong))
        print(said, *wrong, sep='\n')
    save(os.path.join(folder, 'coverage.json'), results)
    return 1 if any(wrong for _, _, wrong in results) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
