#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles every header alone in one dialect, and reports each as a test of its own (TAP).

  headers.py ROOT SET DIALECT COMPILER...

SET is `internal` (wire, client, broker, tests/support) or `public` (what is installed). Pedantic
warnings are errors for public headers, which strangers compile.
"""
import concurrent.futures
import os
import subprocess
import sys

import tree

PUBLIC = 'client/include/'
INTERNAL = ('wire/', 'client/', 'broker/', 'tests/support/')
PROJECT_FLAGS = ['-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wshadow', '-Wundef', '-Wstrict-prototypes']
# A header of inline functions uses few of them here.
COMMON_FLAGS = ['-fsyntax-only', '-Werror', '-Wno-unused-function', '-Wno-unused-macros']


def headers(root, which):
    return [path for path in tree.files(root, ('.h',))
            if (path.startswith(PUBLIC) if which == 'public'
                else path.startswith(INTERNAL) and not path.startswith(PUBLIC))]


def compile_alone(root, path, which, dialect, compiler):
    """None when the header compiles, else the compiler's words."""
    if path.startswith(PUBLIC):
        include = f'#include <{path.removeprefix(PUBLIC)}>\n'
    else:
        include = f'#include "{path}"\n'
    flags = ['-Wall', '-Wextra', '-pedantic'] if which == 'public' else ['-I', '.', *PROJECT_FLAGS]
    language = 'c++' if '++' in dialect else 'c'
    # Twice: the guard must hold. The declaration keeps the unit from being empty.
    result = subprocess.run(
        [*compiler, f'-std={dialect}', *COMMON_FLAGS, '-I', PUBLIC, *flags, '-x', language, '-'],
        cwd=root, input=include * 2 + 'extern int unit_is_not_empty;\n', text=True,
        capture_output=True, check=False)
    return None if result.returncode == 0 else result.stderr or 'the compiler failed silently'


def main(root, which, dialect, compiler):
    paths = headers(root, which)
    if not paths:
        print(f'1..0 # SKIP there is no {which} header')
        return 0
    print(f'1..{len(paths)}')
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: compile_alone(root, path, which, dialect, compiler), paths)
        for number, (path, wrong) in enumerate(zip(paths, results), 1):
            print(f'{"not ok" if wrong else "ok"} {number} - {path} as {dialect}')
            for line in (wrong or '').splitlines():
                print(f'# {line}')
            failed = failed or wrong is not None
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
