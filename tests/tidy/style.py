#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the shape of source files: licence line, layout, sizes, guards, words and calls.

Files of more than NOTE_LINES lines are named in a note, which is no failure.

  style.py ROOT
"""
import ast
import re
import sys

import tree
from tree import Finding

COLUMNS_MAX = 100
FILE_LINES_MAX = 800
NOTE_LINES = 500
FUNCTION_LINES_MAX = 70  # from the opening to the closing brace

LICENCE = 'SPDX-License-Identifier: Apache-2.0'
C_SUFFIXES = ('.c', '.h', '.def')
LIBRARY_FOLDERS = ('wire/', 'client/', 'broker/')
# Their texts are the rules themselves.
RULE_FILES = ('tests/tidy/style.py', 'tests/tidy/test_style.py')

LEFT_OVERS = re.compile(r'\b(?:TODO|FIXME|XXX|HACK)\b'
                        r'|\b(?:[Ff]or now|[Ss]tub(?:bed|s)?|[Pp]laceholders?)\b')
# Why each call is banned stands in what is printed.
BANNED_CALLS = {
    'strcpy': 'copy with a length', 'strcat': 'copy with a length',
    'sprintf': 'use snprintf', 'vsprintf': 'use vsnprintf', 'gets': 'read with a length',
    'atoi': 'it hides errors', 'atol': 'it hides errors', 'atoll': 'it hides errors',
    'atof': 'it hides errors', 'strtok': 'it keeps state', 'alloca': 'size from a named limit',
    'assert': 'use XD_ASSERT, which is compiled in always',
}
BANNED_LIBRARY_CALLS = {
    'rand': 'randomness comes from the seed', 'srand': 'randomness comes from the seed',
    'random': 'randomness comes from the seed', 'system': 'the library starts no process',
    'popen': 'the library starts no process', 'exit': 'the library does not end the process',
    'strerror': 'use xd_status_text', 'setjmp': 'one exit label', 'longjmp': 'one exit label',
}


def call_pattern(names):
    # A member or a declaration of the same name (x->exit(, int exit() is not a call of it.
    return re.compile(r'(?<![\w.>])(' + '|'.join(names) + r')\s*\(')


CALLS = call_pattern(BANNED_CALLS)
LIBRARY_CALLS = call_pattern(BANNED_LIBRARY_CALLS)


def check_licence(path, text):
    lines = text.splitlines()[:2]
    if lines and LICENCE in lines[0]:
        return []
    if len(lines) > 1 and lines[0].startswith('#!') and LICENCE in lines[1]:
        return []
    return [Finding(path, 1, f'the first line must name the licence: {LICENCE}')]


def check_layout(path, text):
    findings = []
    for number, line in enumerate(text.split('\n'), 1):
        if len(line) > COLUMNS_MAX:
            findings.append(Finding(path, number, f'{len(line)} columns, at most {COLUMNS_MAX}'))
        if '\t' in line:
            findings.append(Finding(path, number, 'a tab'))
        if line != line.rstrip():
            findings.append(Finding(path, number, 'blanks at the end of the line'))
    if text and not text.endswith('\n'):
        findings.append(Finding(path, text.count('\n') + 1, 'no newline at the end of the file'))
    if text.endswith('\n\n'):
        findings.append(Finding(path, text.count('\n'), 'empty lines at the end of the file'))
    return findings


def check_file_size(path, text):
    lines = text.count('\n')
    if lines > FILE_LINES_MAX:
        return [Finding(path, lines, f'{lines} lines, at most {FILE_LINES_MAX}: split by a noun')]
    return []


def check_c_functions(path, code):
    """Counts from a brace in column 0 that follows a parameter list to the one that closes it."""
    findings, opened, previous = [], 0, ''
    for number, line in enumerate(code.splitlines(), 1):
        opens_here = line.rstrip() == '{' and previous.endswith(')')
        opens_after = re.match(r'[A-Za-z_].*\)\s*\{\s*$', line)
        if opens_here or opens_after:
            opened = number
        elif line.startswith('}') and opened:
            if number - opened + 1 > FUNCTION_LINES_MAX:
                findings.append(Finding(path, opened, f'a function of {number - opened + 1} lines, '
                                                      f'at most {FUNCTION_LINES_MAX}'))
            opened = 0
        previous = line.strip() or previous
    return findings


def check_python_functions(path, text):
    findings = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                findings.append(Finding(path, node.lineno, f'a function of {lines} lines, '
                                                           f'at most {FUNCTION_LINES_MAX}'))
    return findings


def guards_of(path):
    """CROSSDOCK_WIRE_BATCH_H. A public header counts from its include folder, and inside the broker
    the first folder may be left out: CROSSDOCK_LOG_BLOCK_H."""
    path = path.removeprefix('client/include/').removeprefix('crossdock/')
    return ['CROSSDOCK_' + re.sub(r'[^A-Za-z0-9]', '_', name).upper()
            for name in dict.fromkeys([path.removeprefix('broker/'), path])]


def check_guard(path, code):
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    guards = guards_of(path)
    if any(lines[:2] == [f'#ifndef {guard}', f'#define {guard}'] for guard in guards) and \
            lines[-1] == '#endif':
        return []
    return [Finding(path, 1, f'the whole header must stand inside the guard {guards[0]}')]


def check_include_sequence(path, text, own_header_exists):
    """Own header, project headers, system headers. Tables (.def) are included where needed."""
    findings, system_seen, first = [], False, True
    own = path[:-2] + '.h'
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match or match.group(2).endswith('.def'):
            continue
        if first and own_header_exists and match.group(2) != own:
            findings.append(Finding(path, number, f'the first include must be "{own}"'))
        if match.group(1) == '"' and system_seen:
            findings.append(Finding(path, number, 'project headers stand before system headers'))
        system_seen = system_seen or match.group(1) == '<'
        first = False
    return findings


def check_words(path, text):
    return [Finding(path, number, f'left over: {match.group(0)}')
            for number, line in enumerate(text.splitlines(), 1)
            for match in LEFT_OVERS.finditer(line)]


def check_calls(path, code):
    findings = []
    tables = [(CALLS, BANNED_CALLS)]
    if path.startswith(LIBRARY_FOLDERS):
        tables.append((LIBRARY_CALLS, BANNED_LIBRARY_CALLS))
    for number, line in enumerate(code.splitlines(), 1):
        if re.match(r'\s*(//|#\s*include)', line):
            continue
        for pattern, reasons in tables:
            findings += [Finding(path, number, f'{match.group(1)}(): {reasons[match.group(1)]}')
                         for match in pattern.finditer(line)]
    return findings


def check_dead_code(path, text):
    """Code that was switched off: `#if 0`, and comments whose line ends like a statement."""
    findings = []
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r'\s*#\s*if\s+0\b', line):
            findings.append(Finding(path, number, 'code behind #if 0'))
        if re.match(r'\s*/\*\s*\w[\w>.\-]*(\s*=[^=]|\().*;\s*\*/\s*$', line):
            findings.append(Finding(path, number, 'code inside a comment'))
        if re.match(r'\s*//', line):
            findings.append(Finding(path, number, 'comments are written /* like this */'))
    return findings


def check_c(path, text, own_header_exists):
    code = tree.strip_comments(text)
    findings = check_calls(path, code) + check_c_functions(path, code)
    findings += check_dead_code(path, text)
    if path.endswith('.h'):
        findings += check_guard(path, code)
    if path.endswith('.c') and not path.startswith('tests/'):
        findings += check_include_sequence(path, text, own_header_exists)
    return findings


def check(root):
    findings = []
    paths = tree.files(root)
    known = set(paths)
    for path in paths:
        text = tree.read(root, path)
        findings += check_licence(path, text) + check_layout(path, text)
        findings += check_file_size(path, text)
        if path not in RULE_FILES:
            findings += check_words(path, text)
        if path.endswith(C_SUFFIXES):
            findings += check_c(path, text, path[:-2] + '.h' in known)
        if path.endswith('.py'):
            findings += check_python_functions(path, text)
    for path in tree.files(root, ('.md',)):
        findings += check_words(path, tree.read(root, path))
    return findings


def notes(root):
    for path in tree.files(root):
        lines = tree.read(root, path).count('\n')
        if NOTE_LINES < lines <= FILE_LINES_MAX:
            yield f'note: {path} has {lines} lines, wanted are at most {NOTE_LINES}'


if __name__ == '__main__':
    for note in notes(sys.argv[1]):
        print(note)
    sys.exit(tree.report(check(sys.argv[1])))
