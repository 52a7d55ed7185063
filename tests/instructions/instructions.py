#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions of the paths that every record takes, counted under callgrind.

  instructions.py --broker-load FILE --client-load FILE --compiler TEXT [--record]

Runs fixed loads, counts what our own code executed (see callgrind.py), and compares it, by record
and by block, with instructions.json beside this script. A figure above the recorded one by more
than its tolerance fails; one below it by as much is told, so that it is recorded. --record writes
what was counted into that file. The time of day, the machine's speed and its load have no say: the
loads run in the simulator and on a broker in the same process. Prints TAP. Figures of another
compiler say nothing about those recorded, and none are told apart without -Dc_args=-g: skipped.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import callgrind

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RECORDED = os.path.join(HERE, 'instructions.json')
# Shares. Libraries choose their code by the processor and change with the distribution.
TOLERANCE, LIBRARY_TOLERANCE = 0.03, 0.15
LOG = 'broker/log'


class Case(NamedTuple):
    name: str        # as the figures are called
    program: str     # "broker" or "client"
    arguments: list  # of the load
    function: str    # what is counted
    without: list    # called by it and not counted
    blocks: bool     # whether the log writes


BATCHES, SINGLES, RECORDS = 64, 2000, 20000
CASES = [
    Case('produce, 255 records a batch', 'broker', ['produce', BATCHES, 255], 'measured_turn', [],
         True),
    Case('produce, one record a batch', 'broker', ['produce', SINGLES, 1], 'measured_turn', [],
         True),
    Case('read, 255 records a batch', 'broker', ['read', BATCHES, 255], 'measured_turn', [], False),
    Case('read, one record a batch', 'broker', ['read', SINGLES, 1], 'measured_turn', [], False),
    Case('client, post', 'client', ['post', RECORDS], 'measured_post',
         ['excluded_send', 'excluded_recv'], False),
    Case('client, read', 'client', ['read', RECORDS], 'measured_read',
         ['excluded_send', 'excluded_recv'], False),
]


def run(case, program, folder):
    """The load under callgrind: its profile, and what it says that it did."""
    out = os.path.join(folder, 'callgrind.out')
    done = subprocess.run(
        ['valgrind', '--tool=callgrind', '--collect-atstart=no', '--callgrind-out-file=' + out,
         *(f'--toggle-collect={name}' for name in [case.function, *case.without]),
         program, *map(str, case.arguments)], capture_output=True, text=True, timeout=300,
        check=False)
    if done.returncode != 0:
        raise RuntimeError(f'{case.name}: {done.stderr[-1000:]}')
    with open(out, encoding='utf-8', errors='replace') as file:
        profile = callgrind.parse(file.read(), ROOT)
    return profile, json.loads(done.stdout)


def figures(case, profile, done):
    """Figures by name, and instructions of each folder per record."""
    own = {folder: count / done['records'] for folder, count in profile.folders.items()}
    found = {f'{case.name}: instructions per record': sum(own.values()),
             f'{case.name}: of libraries, per record': profile.library / done['records'],
             f'{case.name}: allocations': profile.allocations}
    if case.blocks:
        found[f'{case.name}: of the log, per block'] = (profile.folders.get(LOG, 0)
                                                        / done['blocks'])
    return found, own


def tolerance(name):
    if name.endswith('allocations'):
        return 0.0
    return LIBRARY_TOLERANCE if 'libraries' in name else TOLERANCE


def verdict(name, counted, recorded):
    """What is wrong with a figure, "" = nothing, and whether it is much better than recorded."""
    if recorded is None:
        return f'{counted:.1f} counted, none recorded', False
    allowed = recorded * (1 + tolerance(name))
    if counted > allowed:
        return (f'{counted:.1f} counted, {recorded:.1f} recorded, at most {allowed:.1f} allowed',
                False)
    return '', counted < recorded * (1 - tolerance(name))


def changes(own, recorded):
    """Folders whose share changed, largest first."""
    both = sorted(set(own) | set(recorded),
                  key=lambda folder: -abs(own.get(folder, 0) - recorded.get(folder, 0)))
    return [f'{folder}: {own.get(folder, 0):.1f} counted, {recorded.get(folder, 0):.1f} recorded'
            for folder in both if round(own.get(folder, 0) - recorded.get(folder, 0), 1)]


def count_all(programs):
    """(case, figures, folders) of all cases."""
    counted = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            profile, done = run(case, programs[case.program], folder)
            counted.append((case, *figures(case, profile, done)))
    return counted


def record(counted, compiler):
    every = {name: round(value, 1) for _, found, _ in counted for name, value in found.items()}
    folders = {case.name: {folder: round(value, 1) for folder, value in sorted(own.items())}
               for case, _, own in counted}
    with open(RECORDED, 'w', encoding='utf-8') as file:
        json.dump({'compiler': compiler, 'figures': every, 'folders': folders}, file, indent=1)
        file.write('\n')


def compare(counted, recorded):
    """TAP lines and whether all is well."""
    lines, good, number = [], True, 0
    for case, found, own in counted:
        for name, value in found.items():
            number += 1
            wrong, better = verdict(name, value, recorded['figures'].get(name))
            lines.append(f'{"not ok" if wrong else "ok"} {number} - {name}')
            if wrong:
                good = False
                lines += [f'# {text}' for text in
                          [wrong, *changes(own, recorded['folders'].get(case.name, {}))]]
                lines.append('# meant? then record anew, and say why in the commit: '
                             'instructions.py ... --record')
            elif better:
                lines.append(f'# {value:.1f}, down from {recorded["figures"][name]:.1f}: '
                             'record anew, or a regression has room')
    return [f'1..{number}', *lines], good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--broker-load', required=True)
    parser.add_argument('--client-load', required=True)
    parser.add_argument('--compiler', required=True, help='what built them, "gcc 12.2.0"')
    parser.add_argument('--record', action='store_true')
    args = parser.parse_args()
    if shutil.which('valgrind') is None:
        print('1..0 # SKIP valgrind is not installed')
        return 0
    with open(RECORDED, encoding='utf-8') as file:
        recorded = json.load(file)
    if recorded['compiler'] != args.compiler and not args.record:
        print(f'1..0 # SKIP built by {args.compiler}, recorded with {recorded["compiler"]}')
        return 0
    counted = count_all({'broker': args.broker_load, 'client': args.client_load})
    if not any(own for _, _, own in counted):
        print('1..0 # SKIP no source files are known: configure with -Dc_args=-g')
        return 0
    if args.record:
        record(counted, args.compiler)
        return 0
    lines, good = compare(counted, recorded)
    print('\n'.join(lines))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
