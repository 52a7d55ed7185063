#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that relative links of markdown files lead to a file, and to a heading when they name one.

  links.py ROOT
"""
import os
import re
import sys

import tree
from tree import Finding

LINK = re.compile(r'\[[^\]\n]*\]\(([^)\s]+)(?:\s+"[^"]*")?\)')
FENCE = re.compile(r'^\s*(```|~~~)')


def prose_lines(text):
    """Numbered lines outside fenced blocks, without inline code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r'`[^`]*`', '', line)


def anchors(text):
    """Anchors of a file's headings, as code hosts make them: lower case, blanks to dashes,
    punctuation dropped, repeated ones numbered."""
    found, fenced = set(), False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        match = None if fenced else re.match(r'#{1,6}\s+(.*?)\s*#*$', line)
        if match:
            base = re.sub(r'[^\w\- ]', '', match.group(1).lower()).replace(' ', '-')
            name, repeat = base, 0
            while name in found:
                repeat += 1
                name = f'{base}-{repeat}'
            found.add(name)
    return found


def check_link(root, path, target):
    """What is wrong with a link of the file at path, or None."""
    if re.match(r'[a-z][a-z0-9+.-]*:', target):
        return None
    file_part, _, anchor = target.partition('#')
    goal = os.path.normpath(os.path.join(os.path.dirname(path), file_part)) if file_part else path
    if goal.startswith('..'):
        return f'{target} leads out of the repository'
    if not os.path.exists(os.path.join(root, goal)):
        return f'{target} leads nowhere'
    if anchor and goal.endswith('.md') and anchor not in anchors(tree.read(root, goal)):
        return f'{target}: {goal} has no such heading'
    return None


def check(root):
    findings = []
    for path in tree.files(root, ('.md',)):
        for number, line in prose_lines(tree.read(root, path)):
            for target in LINK.findall(line):
                wrong = check_link(root, path, target)
                if wrong:
                    findings.append(Finding(path, number, wrong))
    return findings


if __name__ == '__main__':
    sys.exit(tree.report(check(sys.argv[1])))
