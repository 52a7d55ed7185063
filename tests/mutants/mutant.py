# SPDX-License-Identifier: Apache-2.0
"""What a mutant is: a row of mutants.def, and a patch of one hunk that fits in one place only."""
import os
import re
from typing import NamedTuple

SUFFIXES = ('.c', '.h', '.def')
ROW = re.compile(r'\bM\(\s*(\d+)\s*,\s*(\w+)\s*,\s*"([a-z0-9-]+)"\s*,\s*(\d+)\s*,'
                 r'\s*"([^"]+)"\s*,\s*((?:"[^"]*"\s*)+)\)')
COMMENT = re.compile(r'/\*.*?\*/', re.S)
HUNK = re.compile(r'@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@')


class Broken(Exception):
    """The gate itself cannot go on with this: not a finding of a suite."""


class Mutant(NamedTuple):
    number: int
    area: str
    name: str
    budget_s: int   # the longest that its suite may take
    command: tuple  # program that must catch it, from the build directory, and its arguments
    harm: str       # what it would do to a user

    @property
    def title(self):
        return f'{self.number:02d}-{self.name}'


def read_table(path):
    """The rows of the table. What is between them must be comments only."""
    with open(path, encoding='utf-8') as file:
        text = COMMENT.sub('', file.read())
    rest = ROW.sub('', text).strip()
    if rest:
        raise Broken(f'{os.path.basename(path)}: not a row: {rest.splitlines()[0]}')
    mutants = [Mutant(int(row[1]), row[2], row[3], int(row[4]), tuple(row[5].split()),
                      ''.join(re.findall(r'"([^"]*)"', row[6])))
               for row in ROW.finditer(text)]
    numbers = [mutant.number for mutant in mutants]
    if not mutants or numbers != sorted(set(numbers)):
        raise Broken(f'{os.path.basename(path)}: numbers must rise')
    return mutants


def check_folder(mutants, names):
    """Every row has its patch and every patch its row."""
    wanted = {f'{mutant.title}.patch' for mutant in mutants}
    there = {name for name in names if name.endswith('.patch')}
    for name in sorted(wanted ^ there):
        raise Broken(f'{name}: ' + ('there is no such patch' if name in wanted
                                    else 'no row of the table names it'))


def read_patch(text):
    """(path, bytes before, bytes after) of a patch with one hunk, as `git diff` writes it."""
    paths = re.findall(r'^\+\+\+ b/(\S+)$', text, re.M)
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if HUNK.match(line)]
    if len(paths) != 1 or len(starts) != 1:
        raise Broken('a mutant is one hunk of one file')
    if not paths[0].endswith(SUFFIXES):
        raise Broken(f'{paths[0]}: a mutant changes sources only')
    body = lines[starts[0] + 1:]
    if any(line[0] not in ' -+' for line in body):
        raise Broken('a line of the hunk starts with neither a blank nor - nor +')
    return (paths[0], ''.join(line[1:] for line in body if line[0] != '+'),
            ''.join(line[1:] for line in body if line[0] != '-'))


def mutate(text, before, after):
    """The text with the hunk applied, wherever its lines stand; exactly, and in one place."""
    count = text.count(before)
    if count == 0:
        raise Broken('the patch does not apply')
    if count > 1:
        raise Broken(f'the patch applies in {count} places: give it more context')
    return text.replace(before, after)
