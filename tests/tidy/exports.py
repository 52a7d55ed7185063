#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the client library exports what its symbol map names, and only xdock_ names.

  exports.py NM LIBRARY.so SYMBOL_MAP
"""
import os
import re
import subprocess
import sys

import tree
from tree import Finding

PREFIX = 'xdock_'


def map_names(text):
    """Names in the global sections of a linker version script, with the line of each."""
    text = re.sub(r'/\*.*?\*/', lambda match: '\n' * match.group(0).count('\n'), text, flags=re.S)
    names, section = {}, 'global'
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.findall(r'[\w.*?]+\s*:|[\w.*?]+\s*;|\}', line):
            if word == '}':
                section = 'global'
            elif word.endswith(':'):
                section = word.rstrip(': \t')
            elif section == 'global':
                names[word.rstrip('; \t')] = number
    return names


def exported_names(nm_text):
    """Names that `nm -D --defined-only` lists, without version nodes and version suffixes."""
    names = set()
    for line in nm_text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] != 'A':
            names.add(words[2].split('@')[0])
    return names


def check(exported, named, map_path):
    findings = []
    for name in sorted(exported - set(named)):
        findings.append(Finding(map_path, 0, f'does not name {name}, which the library exports'))
    for name, line in named.items():
        if '*' in name or '?' in name:
            findings.append(Finding(map_path, line, f'{name} is a pattern: name each function'))
        elif name not in exported:
            findings.append(Finding(map_path, line, f'{name} is not exported by the library'))
        if not name.startswith(PREFIX):
            findings.append(Finding(map_path, line, f'{name} lacks the prefix {PREFIX}'))
    return findings


def main(nm, library, map_path):
    output = subprocess.run([nm, '-D', '--defined-only', library], check=True, capture_output=True,
                            text=True)
    with open(map_path, encoding='utf-8') as file:
        named = map_names(file.read())
    if not named:
        return tree.report([Finding(os.path.basename(map_path), 1, 'names no function')])
    return tree.report(check(exported_names(output.stdout), named, os.path.basename(map_path)))


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:4]))
