#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Probes for tracers: table, code, scripts and program agree, and one that nobody traces is a nop.

  test_probes.py ROOT [PROGRAM]

PROGRAM is a broker that was built with probes; without it there are none to look for. Prints TAP.
"""
import glob
import os
import re
import subprocess
import sys
import unittest

import tree
from kit import main

ROOT = sys.argv[1]
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else None
HEADER = 'broker/base/probes.h'


def probes():
    """Names of the arguments by probe, as the header has them."""
    text = tree.read(ROOT, HEADER).replace('\\\n', ' ')
    found = {}
    for macro, names, count, probe, given in re.findall(
            r'#define PROBE_(\w+)\(([^)]*)\)\s+PROBE(\d)\((\w+), ([^)]*)\)', text):
        arguments = [name.strip() for name in names.split(',')]
        assert macro.lower() == probe and len(arguments) == int(count), macro
        assert [name.strip() for name in given.split(',')] == arguments, macro
        found[probe] = arguments
    return found


def notes():
    """(place, number of arguments) by probe: what a tracer finds in the program."""
    said = subprocess.run(['readelf', '-nW', PROGRAM], capture_output=True, text=True, check=True)
    found = {}
    for name, place, arguments in re.findall(
            r'Provider: crossdock\n\s+Name: (\w+)\n\s+Location: (\w+),.*\n\s+Arguments:(.*)\n',
            said.stdout):
        found.setdefault(name, []).append((int(place, 16), len(arguments.split())))
    return found


def instruction(place):
    """Text of the instruction at a place of the program."""
    said = subprocess.run(['objdump', '-d', '--no-show-raw-insn', f'--start-address={place}',
                           f'--stop-address={place + 1}', PROGRAM],
                          capture_output=True, text=True, check=True)
    return said.stdout.strip().splitlines()[-1].split(':')[-1].strip()


class Probes(unittest.TestCase):
    def setUp(self):
        if 'program' in self.id() and PROGRAM is None:
            self.skipTest('the broker was built without sys/sdt.h')

    def test_the_page_has_every_probe_with_its_arguments(self):
        rows = {tree.quoted(cells[0])[0]: tree.quoted(cells[1])
                for cells in tree.table_rows(tree.read(ROOT, 'docs/PROBES.md'), 'probe')}
        self.assertGreater(len(rows), 10)
        self.assertEqual(rows, probes())

    def test_every_probe_is_somewhere_in_the_code(self):
        code = ''.join(tree.read(ROOT, path) for path in tree.files(ROOT, ('.c',))
                       if path.startswith('broker/'))
        for probe in probes():
            self.assertEqual(len(re.findall(rf'\bPROBE_{probe.upper()}\(', code)), 1, probe)

    def test_scripts_ask_for_what_there_is(self):
        scripts = sorted(glob.glob(os.path.join(ROOT, 'tools/probes/*.bt')))
        known = probes()
        page = tree.read(ROOT, 'docs/PROBES.md')
        self.assertEqual(len(scripts), 3)
        for script in scripts:
            self.assertIn(f'| `{os.path.basename(script)}` |', page)
            parts = re.split(r'^usdt:/usr/sbin/crossdockd:crossdock:(\w+)$',
                             tree.read(ROOT, os.path.relpath(script, ROOT)), flags=re.M)
            self.assertGreater(len(parts), 3, script)
            for probe, body in zip(parts[1::2], parts[2::2]):
                self.assertIn(probe, known, script)
                body = re.split(r'^(?:interval|END|BEGIN)', body, flags=re.M)[0]
                for number in re.findall(r'\barg(\d)\b', body):
                    self.assertLess(int(number), len(known[probe]), f'{script}: {probe}')

    def test_the_program_has_every_probe_with_all_arguments(self):
        counts = {name: {count for _, count in places} for name, places in notes().items()}
        self.assertEqual(counts, {name: {len(arguments)} for name, arguments in probes().items()})

    def test_a_probe_of_the_program_that_nobody_traces_is_one_nop(self):
        for name, places in notes().items():
            for place, _ in places:
                self.assertEqual(instruction(place), 'nop', name)


if __name__ == '__main__':
    sys.exit(main())
