#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every source has its mirror test, is built, and that every test runs.

  wire/batch.c          tests/wire/test_batch.c
  broker/log/segment.c  tests/unit/test_log_segment.c, or in tests/sim
  broker/config.c       tests/unit/test_config.c
  client/producer.c     tests/unit/test_client_producer.c, or tests/api/test_producer.c

A source without a test stands in untested.txt, with the reason. The density of assertions per
folder is reported, not judged.

  names.py ROOT
"""
import os
import re
import sys

import tree
from tree import Finding

UNTESTED = 'tests/tidy/untested.txt'
MIRRORED_FOLDERS = ('wire/', 'client/', 'broker/')
EXAMPLES = 'client/examples/'  # run as they are by the end-to-end tests
BUILT_FOLDERS = MIRRORED_FOLDERS + ('tools/', 'bench/', 'tests/')
ASSERTION = re.compile(r'\bXD_(?:DEBUG_)?ASSERT\s*\(')


def mirrors(path):
    """The files of which one must exist for this source."""
    folder, name = os.path.split(path)
    if folder == 'wire':
        return [f'tests/wire/test_{name}']
    if folder.startswith('client'):
        return [f'tests/unit/test_client_{name}', f'tests/api/test_{name}']
    module = folder.removeprefix('broker').strip('/').replace('/', '_')
    test = f'test_{module + "_" if module else ""}{name}'
    return [f'tests/unit/{test}', f'tests/sim/{test}']


def read_untested(text):
    """Reasons by path, and findings for lines that lack one."""
    reasons, findings = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        path, _, reason = line.strip().partition(' ')
        if not path or path.startswith('#'):
            continue
        if len(reason.split()) < 2:
            findings.append(Finding(UNTESTED, number, f'{path} needs a reason'))
        reasons[path] = number
    return reasons, findings


def check_mirrors(paths, reasons):
    known, findings = set(paths), []
    for path in paths:
        if not path.startswith(MIRRORED_FOLDERS) or not path.endswith('.c'):
            continue
        if path.startswith(EXAMPLES):
            continue
        tested = any(test in known for test in mirrors(path))
        if not tested and path not in reasons:
            findings.append(Finding(path, 1, f'has no test: {" or ".join(mirrors(path))}'))
        if tested and path in reasons:
            findings.append(Finding(UNTESTED, reasons[path], f'{path} has a test by now'))
    for path in sorted(set(reasons) - known):
        findings.append(Finding(UNTESTED, reasons[path], f'{path} does not exist'))
    return findings


def check_built(root, paths):
    """The meson.build nearest to a source must name it: as a file, or, where a table of test
    programs builds the file name, by its row."""
    findings = []
    for path in paths:
        if not path.startswith(BUILT_FOLDERS) or not path.endswith('.c'):
            continue
        folder, name = os.path.split(path)
        while folder and f'{folder}/meson.build' not in paths:
            folder = os.path.dirname(folder)
        build_file = f'{folder}/meson.build'.lstrip('/')
        below = os.path.relpath(path, folder) if folder else path
        row = re.sub(r'^test_', '', name)[:-2]
        text = tree.read(root, build_file) if build_file in paths else ''
        named = any(f"'{word}'" in text for word in (below, name, name[:-2], row))
        if not named:
            findings.append(Finding(path, 1, f'no build file names it (looked at {build_file})'))
    return findings


def densities(root, paths):
    """(folder, assertions, functions) for every folder with C functions."""
    counts = {}
    for path in paths:
        if not path.startswith(MIRRORED_FOLDERS) or not path.endswith(('.c', '.h')):
            continue
        code = tree.strip_comments(tree.read(root, path))
        functions = len(re.findall(r'\)\n\{\n', code))
        asserted = len(ASSERTION.findall(code)) - len(re.findall(r'#define XD_\w*ASSERT', code))
        folder = os.path.dirname(path)
        old = counts.get(folder, (0, 0))
        counts[folder] = (old[0] + max(asserted, 0), old[1] + functions)
    return [(folder, *numbers) for folder, numbers in sorted(counts.items()) if numbers[1]]


def check(root):
    paths = tree.files(root)
    text = tree.read(root, UNTESTED) if UNTESTED in tree.files(root, ('.txt',)) else ''
    reasons, findings = read_untested(text)
    return findings + check_mirrors(paths, reasons) + check_built(root, paths)


if __name__ == '__main__':
    for folder, assertions, functions in densities(sys.argv[1], tree.files(sys.argv[1])):
        print(f'note: {folder}: {assertions} assertions in {functions} functions, '
              f'{assertions / functions:.1f} each')
    sys.exit(tree.report(check(sys.argv[1])))
