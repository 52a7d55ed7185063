# SPDX-License-Identifier: Apache-2.0
"""What the tidy checks share: which files belong to the project, and how a finding is shown.

A check is a function `check(root, ...)` that returns a list of findings; `report` prints them as
`file:line: message` and gives the exit status, 0 or 1. Nothing here needs git, so a file counts
from the moment it is saved.
"""
import os
import re
from typing import NamedTuple

SOURCE_SUFFIXES = ('.c', '.h', '.def', '.py', '.sh', 'meson.build', 'meson_options.txt')
# Local results, never part of the project.
SKIPPED_FOLDERS = re.compile(r'^(\.git|build.*|crossdock-data|__pycache__|\.cache)$')
# Inputs of fuzz targets are bytes, not text.
SKIPPED_PATHS = ('tests/fuzz/corpus',)


class Finding(NamedTuple):
    path: str  # from the repository's root
    line: int  # from 1; 0 = the file as a whole
    text: str  # what is wrong

    def __str__(self):
        return f'{self.path}:{self.line}: {self.text}'


def files(root, suffixes=SOURCE_SUFFIXES):
    """Paths from the root, sorted, of all files that end in one of the suffixes."""
    found = []
    for folder, folders, names in os.walk(root):
        here = os.path.relpath(folder, root).replace(os.sep, '/')
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.match(name)
                            and os.path.normpath(f'{here}/{name}') not in SKIPPED_PATHS)
        found += [os.path.normpath(f'{here}/{name}') for name in names if name.endswith(suffixes)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def strip_comments(code):
    """C without comments and without the insides of literals; line numbers stay."""
    def blank(match):
        text = match.group(0)
        if text[0] in '"\'':
            return text[0] + text[0]
        return ' ' + '\n' * text.count('\n')
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, code, flags=re.S)


def table_rows(markdown, first_heading):
    """Rows of the table in a markdown text whose first column has this heading, cells stripped."""
    rows, inside = [], False
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if not line.lstrip().startswith('|'):
            inside = False
        elif cells[0] == first_heading:
            inside = True
        elif inside and not re.fullmatch(':?-{3,}:?', cells[0]):
            rows.append(cells)
    return rows


def quoted(cell):
    """The words in backticks of a table cell."""
    return re.findall(r'`([^`]+)`', cell)


def report(findings):
    for finding in findings:
        print(finding)
    return 1 if findings else 0
