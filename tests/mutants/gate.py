#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mutation gate: applies each seeded bug to a copy of the tree and sees a suite catch it.

  gate.py [--all | --third | --only NN...] [--list] [--dir DIR] [--root ROOT] [--workers N]

mutants.def says which suite must catch which bug, and in what time. A worker takes the bugs of one
test program after the other: it builds the program from the tree as it is, which must pass, then
per bug applies the patch, builds what has changed, runs the suite, and takes the patch back.
Caught is a bug when the suite fails. The gate fails when one survives, when its suite takes too
long, when a patch does not apply or does not compile, and when the tree itself fails a suite.

  --all      every bug (default)
  --third    a third of them, another one with each commit; all where there is no commit
  --only     these numbers
  --list     shows the table and runs nothing
  --dir      where the copies are built and kept (default: build-mutants in the tree)

Prints TAP. DIR/mutants.json gets one line a bug, for tools/setup/summary.py. Exit status 1 when the
gate fails, 2 when it could not begin.
"""
import argparse
import json
import os
import queue
import sys
import threading
import time
from typing import NamedTuple

from mutant import Broken, check_folder, read_table
from scratch import TAIL_LINES, Scratch, git, is_criterion

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = 'tests/mutants/mutants.def'
LINE_CHARACTERS = 160


class Result(NamedTuple):
    title: str
    good: bool
    text: str      # one line: what caught it, or what is wrong
    tail: str      # last lines of the suite that should have caught it
    seconds: float


def finding(text, program):
    """The line of a suite's output that says most: a case, an assertion, what the program says."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for word in ('not ok ', 'assertion failed: ', f'{os.path.basename(program)}: '):
        for line in lines:
            if word in line:
                return line[:LINE_CHARACTERS]
    return lines[-1][:LINE_CHARACTERS] if lines else 'no output'


def tail_of(text):
    return '\n'.join(text.splitlines()[-TAIL_LINES:])


def judge(mutant, status, text, seconds):
    """What the end of a suite says about the bug in it."""
    suite = ' '.join(mutant.command)
    if status is None:
        return Result(mutant.title, False, f'{suite} is not over after {mutant.budget_s} s',
                      tail_of(text), seconds)
    if status == 0:
        return Result(mutant.title, False, f'survives {suite}', tail_of(text), seconds)
    if is_criterion(mutant.command) and 'not ok' not in text:
        return Result(mutant.title, False, f'{suite} ended with {status} and without a finding',
                      tail_of(text), seconds)
    return Result(mutant.title, True, f'{suite}: {finding(text, mutant.command[0])}', '', seconds)


class Gate:
    """Groups of bugs that one program catches, the workers that take them, and the results."""

    def __init__(self, root, mutants, folder, workers):
        self.root = root
        self.mutants = mutants
        self.folder = folder
        self.workers = workers
        self.lock = threading.Lock()
        self.results = []
        self.groups = queue.SimpleQueue()

    def report(self, result):
        with self.lock:
            self.results.append(result)
            print(f'{"ok" if result.good else "not ok"} {len(self.results)} - {result.title}: '
                  f'{result.text} ({result.seconds:.1f} s)')
            for line in result.tail.splitlines():
                print(f'# {line}')
            sys.stdout.flush()

    def refuse(self, mutants, text, tail=''):
        for mutant in mutants:
            self.report(Result(mutant.title, False, text, tail, 0))

    def one(self, scratch, mutant):
        began = time.monotonic()
        patch = os.path.join(self.root, os.path.dirname(TABLE), f'{mutant.title}.patch')
        try:
            mend = scratch.apply(patch)
            try:
                scratch.build(mutant.command[0])
                status, text = scratch.run(mutant.command, mutant.budget_s)
            finally:
                mend()
        except (Broken, OSError) as error:
            return Result(mutant.title, False, str(error).splitlines()[0], str(error),
                          time.monotonic() - began)
        return judge(mutant, status, text, time.monotonic() - began)

    def baseline(self, scratch, group):
        """The bugs of the group whose suite the tree passes; the others are refused."""
        good, passed = [], {}
        for mutant in group:
            if mutant.command not in passed:
                passed[mutant.command] = scratch.run(mutant.command, mutant.budget_s)
            status, text = passed[mutant.command]
            if status == 0:
                good.append(mutant)
            else:
                self.refuse([mutant], 'the tree itself does not pass ' + ' '.join(mutant.command),
                            tail_of(text))
        return good

    def work(self, number):
        scratch = Scratch(self.root, os.path.join(self.folder, f'worker-{number}'),
                          max(1, (os.cpu_count() or 1) // self.workers))
        ready = False
        while True:
            try:
                group = self.groups.get_nowait()
            except queue.Empty:
                return
            try:
                if not ready:
                    scratch.sync()
                    scratch.configure()
                    ready = True
                scratch.build(group[0].command[0])
                good = self.baseline(scratch, group)
            except (Broken, OSError) as error:
                self.refuse(group, f'the tree itself: {str(error).splitlines()[0]}', str(error))
                continue
            for mutant in good:
                self.report(self.one(scratch, mutant))

    def run(self):
        groups = {}
        for mutant in self.mutants:
            groups.setdefault(mutant.command[0], []).append(mutant)
        # The longest first, so that the workers end at about the same time.
        for group in sorted(groups.values(), key=lambda each: -sum(m.budget_s for m in each)):
            self.groups.put(group)
        print(f'1..{len(self.mutants)}')
        threads = [threading.Thread(target=self.work, args=(number,))
                   for number in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        caught = sum(result.good for result in self.results)
        print(f'# {caught} caught, {len(self.mutants) - caught} not')
        return caught == len(self.mutants)

    def save(self, path):
        with open(path, 'w', encoding='utf-8') as file:
            for result in sorted(self.results):
                row = {'name': f'mutant {result.title}', 'result': 'OK' if result.good else 'FAIL',
                       'duration': round(result.seconds, 1), 'stdout': ''}
                file.write(json.dumps(row) + '\n')


def third_of(mutants, commit):
    """Every third one, beginning where the commit says; all without a commit."""
    if not commit:
        return mutants
    return mutants[int(commit[:8], 16) % 3::3]


def choose(mutants, arguments, root):
    if arguments.only:
        unknown = set(arguments.only) - {mutant.number for mutant in mutants}
        if unknown:
            raise Broken(f'there is no mutant {min(unknown)}')
        return [mutant for mutant in mutants if mutant.number in arguments.only]
    if arguments.third:
        return third_of(mutants, git(root, 'rev-parse', 'HEAD'))
    return mutants


def parse(words):
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1].strip())
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--all', action='store_true')
    which.add_argument('--third', action='store_true')
    which.add_argument('--only', type=int, nargs='+')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--root', default=os.path.join(HERE, '..', '..'))
    parser.add_argument('--dir')
    parser.add_argument('--workers', type=int, default=2)
    return parser.parse_args(words)


def main(words):
    arguments = parse(words)
    root = os.path.realpath(arguments.root)
    folder = os.path.realpath(arguments.dir or os.path.join(root, 'build-mutants'))
    try:
        mutants = read_table(os.path.join(root, TABLE))
        check_folder(mutants, os.listdir(os.path.join(root, os.path.dirname(TABLE))))
        mutants = choose(mutants, arguments, root)
        if arguments.list:
            for mutant in mutants:
                print(f'{mutant.title:38} {" ".join(mutant.command)}\n    {mutant.harm}')
            return 0
        os.makedirs(folder, exist_ok=True)
    except (Broken, OSError) as error:
        print(f'gate: {error}', file=sys.stderr)
        return 2
    gate = Gate(root, mutants, folder, max(1, arguments.workers))
    good = gate.run()
    gate.save(os.path.join(folder, 'mutants.json'))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
