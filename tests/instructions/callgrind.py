# SPDX-License-Identifier: Apache-2.0
"""What a callgrind file says of our own code: instructions by folder, of libraries that our code
called, and how often it asked for memory. Pure; the format is described in valgrind's manual."""
import os
import re
from typing import NamedTuple

# Folders whose sources are the product; the rest is tests, the simulator, and libraries.
OWN = ('broker', 'client', 'wire')
ALLOCATORS = {'malloc', 'calloc', 'realloc', 'reallocarray', 'aligned_alloc', 'posix_memalign',
              'memalign', 'strdup', 'strndup', 'mmap', 'mmap64', 'asprintf', 'vasprintf'}
NAMED = re.compile(r'\((\d+)\)(?: (.*))?$')
COST = re.compile(r'[+\-*\d]\S* (\d+)$')


class Profile(NamedTuple):
    folders: dict      # instructions of our code by folder, "broker/log"
    library: int       # of what it called in other objects, with all that those called
    allocations: int   # calls that ask for memory


def folder_of(path, root):
    """The folder of a source below `root` when it is ours, else None."""
    relative = os.path.relpath(os.path.normpath(path), root)
    parts = relative.split(os.sep)
    if len(parts) < 2 or parts[0] not in OWN:
        return None
    return os.path.join(*parts[:2]) if len(parts) > 2 and parts[0] == 'broker' else parts[0]


class Names:
    """Names are written once, as "(7) name", and then as "(7)"."""

    def __init__(self):
        self.known = {}

    def get(self, text):
        match = NAMED.match(text)
        if not match:
            return text
        if match[2] is not None:
            self.known[match[1]] = match[2]
        return self.known[match[1]]


def parse(text, root):
    """The profile of a file's text; sources are below `root`. Instructions of a function count for
    the file that it stands in, also where it took in others."""
    objects, files, functions = Names(), Names(), Names()
    spaces = {'ob': objects, 'cob': objects, 'fl': files, 'fi': files, 'fe': files, 'cfi': files,
              'cfl': files, 'fn': functions, 'cfn': functions}
    at = {'ob': '', 'fl': '', 'cob': '', 'cfn': ''}
    folders, library, allocations, called = {}, 0, 0, 0
    for line in text.splitlines():
        key, equals, value = line.partition('=')
        if equals and key in spaces:
            at[key] = spaces[key].get(value)
            continue
        if key == 'calls':
            called = int(value.split()[0])
            continue
        match = COST.match(line)
        if not match:
            continue
        folder = folder_of(at['fl'], root)
        if folder is not None and not called:
            folders[folder] = folders.get(folder, 0) + int(match[1])
        elif folder is not None:
            outside = at['cob'] not in ('', at['ob'])
            library += int(match[1]) if outside else 0
            allocations += called if at['cfn'].partition('@')[0] in ALLOCATORS else 0
        if called:
            called, at['cob'], at['cfn'] = 0, '', ''
    return Profile(folders, library, allocations)
