#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every #include against the two tables of broker/README.md.

A quoted include is a path from the repository's root that exists and that the includer's module
may use. An angled one is the includer's own library class (C, POSIX), a public header of the
client, or a third-party header included in its one wrapping place.

  ranks.py ROOT
"""
import os
import re
import sys
from typing import NamedTuple

import tree

TABLES = 'broker/README.md'
OVERVIEW = 'docs/ARCHITECTURE.md'
RANK_ABOVE_ALL = 99  # rows whose rank is "-"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')

# What a system header class of the table stands for. POSIX adds everything with these prefixes.
# sanitizer/ marks memory for AddressSanitizer and does nothing else.
C_HEADERS = frozenset('''assert.h ctype.h errno.h inttypes.h limits.h stdalign.h stdarg.h
    stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h
    sanitizer/asan_interface.h'''.split())
POSIX_HEADERS = frozenset('''ctype.h dirent.h endian.h fcntl.h ftw.h getopt.h grp.h ifaddrs.h
    libgen.h locale.h math.h netdb.h poll.h pthread.h pwd.h sched.h semaphore.h signal.h spawn.h
    strings.h syslog.h termios.h time.h unistd.h'''.split())
POSIX_PREFIXES = ('arpa/', 'asm/', 'linux/', 'net/', 'netinet/', 'sys/')


class Module(NamedTuple):
    rank: int         # 0 is the lowest; programs and tests stand above all
    name: str         # "broker/log"
    uses: list        # modules it may include besides itself; ["*"] = everything
    headers: list     # "C", "POSIX" or single header names


class Library(NamedTuple):
    name: str      # "LZ4"
    headers: list  # names, or a folder with a trailing slash
    places: list   # files or folders that may include them


def read_tables(markdown):
    """Modules by name, and libraries."""
    modules = {}
    for cells in tree.table_rows(markdown, 'rank'):
        name = tree.quoted(cells[1])[0]
        rank = int(cells[0]) if cells[0].isdigit() else RANK_ABOVE_ALL
        uses = ['*'] if cells[2] == 'everything' else tree.quoted(cells[2])
        modules[name] = Module(rank, name, uses, tree.quoted(cells[3]))
    libraries = [Library(cells[0], tree.quoted(cells[1]), tree.quoted(cells[2]))
                 for cells in tree.table_rows(markdown, 'library')]
    return modules, libraries


def lies_in(path, place):
    return path == place or path.startswith(place + '/')


def holds(name, path):
    """Whether the module holds the path. `broker` holds only the files directly in it: a folder
    below it needs a row of its own."""
    return lies_in(path, name) and not (name == 'broker' and path.count('/') > 1)


def module_of(path, modules):
    """The module with the longest name that holds the path, or None."""
    names = [name for name in modules if holds(name, path)]
    return modules[max(names, key=len)] if names else None


def check_project_include(root, module, modules, target):
    """A quoted include. Returns what is wrong with it, or None."""
    if not os.path.isfile(os.path.join(root, target)):
        return f'"{target}" is not a file from the repository\'s root'
    owner = module_of(target, modules)
    if '*' in module.uses or owner and owner.name in (module.name, *module.uses):
        return None
    return f'{module.name} may not include "{target}" (table in {TABLES})'


def check_system_include(path, module, libraries, target):
    """An angled include. Returns what is wrong with it, or None."""
    for library in libraries:
        if any(target == header or header.endswith('/') and target.startswith(header)
               for header in library.headers):
            if any(lies_in(path, place) for place in library.places):
                return None
            places = ' and '.join(library.places)
            return f'<{target}> of {library.name} may be included only in {places}'
    if target.startswith('crossdock/'):
        allowed = '*' in module.uses or 'client/include' in module.uses or module.name == 'client'
        return None if allowed else f'{module.name} may not include the client\'s <{target}>'
    is_c = target in C_HEADERS
    is_posix = target in POSIX_HEADERS or target.startswith(POSIX_PREFIXES)
    if target in module.headers or is_c and 'C' in module.headers:
        return None
    if is_posix:
        if 'POSIX' in module.headers:
            return None
        return f'{module.name} may not include <{target}>: only the C library stands in its row'
    return f'<{target}> stands in no table: add it to the libraries of {TABLES}'


def check_file(root, path, modules, libraries):
    module = module_of(path, modules)
    if not module:
        return [tree.Finding(path, 1, f'belongs to no module: add a row to {TABLES}')]
    findings = []
    for number, line in enumerate(tree.read(root, path).splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        if match.group(1) == '"':
            wrong = check_project_include(root, module, modules, match.group(2))
        else:
            wrong = check_system_include(path, module, libraries, match.group(2))
        if wrong:
            findings.append(tree.Finding(path, number, wrong))
    return findings


def check_tables(root, modules):
    """A module is there, and uses known ones of a lower rank only, so that there is no circle.
    Programs (rank -) may also share a folder of their own."""
    findings = []
    for name, module in modules.items():
        if not os.path.exists(os.path.join(root, name)):
            findings.append(tree.Finding(TABLES, 0, f'{name} does not exist'))
        for used in module.uses:
            if used in ('*', 'client/include'):
                continue
            if used not in modules:
                findings.append(tree.Finding(TABLES, 0, f'{name} names the unknown {used}'))
            elif modules[used].rank >= module.rank != RANK_ABOVE_ALL:
                findings.append(tree.Finding(TABLES, 0, f'{name} names {used}, which is not of a '
                                                        'lower rank'))
    return findings


def check_overview(root, modules):
    """The overview shows the same modules at the same ranks."""
    if not os.path.isfile(os.path.join(root, OVERVIEW)):
        return []
    shown = {(tree.quoted(cells[1])[0], cells[0])
             for cells in tree.table_rows(tree.read(root, OVERVIEW), 'rank')}
    real = {(module.name, '-' if module.rank == RANK_ABOVE_ALL else str(module.rank))
            for module in modules.values()}
    return [tree.Finding(OVERVIEW, 0, f'{name} with rank {rank} stands in one of {TABLES} and '
                                      'this page only') for name, rank in sorted(shown ^ real)]


def check(root):
    modules, libraries = read_tables(tree.read(root, TABLES))
    if not modules or not libraries:
        return [tree.Finding(TABLES, 0, 'the table of ranks or of libraries is missing')]
    findings = check_tables(root, modules) + check_overview(root, modules)
    for path in tree.files(root, ('.c', '.h', '.def')):
        findings += check_file(root, path, modules, libraries)
    return findings


if __name__ == '__main__':
    sys.exit(tree.report(check(sys.argv[1])))
