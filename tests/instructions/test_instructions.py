#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What counting says: instructions go to the folder of the function's own file, what libraries did
for our code is apart, tests and the simulator do not count, every call for memory of ours does; a
figure above its tolerance fails with both numbers. Prints TAP."""
import os
import sys

import callgrind
import instructions

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))
import tap  # behind its path

FILE = '''# callgrind format
events: Ir

ob=(1) /build/broker_load
fl=(1) /build/../src/broker/log/append.c
fn=(1) append
10 100
+2 20
fi=(2) /usr/include/bits/string_fortified.h
30 5
fe=(1)
cob=(2) /usr/lib/libc.so.6
cfi=(3) ./string/memmove.S
cfn=(2) memcpy
calls=3 1
40 900
cfi=(4) ../src/wire/frame.c
cfn=(3) xd_frame_encode
calls=2 7
41 60
cob=(2)
cfi=(3)
cfn=(4) malloc
calls=4 1
42 400
* 7

fl=(4) /build/../src/wire/frame.c
fn=(3)
7 60

fl=(5) /build/../src/tests/support/env_sim.c
fn=(5) env_sim_wait
8 5000
cob=(2)
cfi=(3)
cfn=(4)
calls=9 1
9 7000
'''


def gives_instructions_to_the_folder_of_the_function():
    profile = callgrind.parse(FILE, '/src')
    assert profile.folders == {'broker/log': 132, 'wire': 60}, profile


def counts_what_libraries_did_for_our_code_apart():
    assert callgrind.parse(FILE, '/src').library == 1300


def counts_calls_for_memory_of_our_code_only():
    assert callgrind.parse(FILE, '/src').allocations == 4


def leaves_out_what_lies_elsewhere():
    assert callgrind.folder_of('/src/tests/sim/sim_broker.c', '/src') is None
    assert callgrind.folder_of('/usr/include/string.h', '/src') is None
    assert callgrind.folder_of('???', '/src') is None
    assert callgrind.folder_of('/src/client/post.c', '/src') == 'client'
    assert callgrind.folder_of('/src/broker/main.c', '/src') == 'broker'


def fails_above_the_tolerance_with_both_figures():
    wrong, better = instructions.verdict('a: instructions per record', 104.0, 100.0)
    assert '104.0 counted' in wrong and '100.0 recorded' in wrong and not better
    assert instructions.verdict('a: instructions per record', 102.9, 100.0) == ('', False)
    assert instructions.verdict('a: of libraries, per record', 114.0, 100.0) == ('', False)


def tells_when_a_figure_has_become_much_better():
    assert instructions.verdict('a: instructions per record', 90.0, 100.0) == ('', True)


def allows_no_allocation_more():
    wrong, _ = instructions.verdict('a: allocations', 1, 0)
    assert wrong
    assert instructions.verdict('a: allocations', 0, 0) == ('', False)


def fails_for_a_figure_that_nobody_recorded():
    wrong, _ = instructions.verdict('a: instructions per record', 1.0, None)
    assert 'none recorded' in wrong


def shows_which_folders_changed_largest_first():
    assert instructions.changes({'wire': 10.0, 'client': 5.0, 'broker/log': 1.0},
                                {'wire': 11.0, 'client': 2.0, 'broker/log': 1.0}) == [
        'client: 5.0 counted, 2.0 recorded', 'wire: 10.0 counted, 11.0 recorded']


def compares_every_figure_of_every_case():
    case = instructions.CASES[0]
    found, own = instructions.figures(case, callgrind.Profile({'broker/log': 320, 'wire': 60}, 40,
                                                              0), {'records': 10, 'blocks': 4})
    assert found[f'{case.name}: instructions per record'] == 38.0
    assert found[f'{case.name}: of the log, per block'] == 80.0
    recorded = {'figures': dict(found), 'folders': {case.name: own}}
    lines, good = instructions.compare([(case, found, own)], recorded)
    assert good and lines[0] == '1..4'
    recorded['figures'][f'{case.name}: of the log, per block'] = 70.0
    lines, good = instructions.compare([(case, found, own)], recorded)
    assert not good and sum(line.startswith('not ok') for line in lines) == 1
    assert any('--record' in line for line in lines)


CASES = [gives_instructions_to_the_folder_of_the_function,
         counts_what_libraries_did_for_our_code_apart, counts_calls_for_memory_of_our_code_only,
         leaves_out_what_lies_elsewhere, fails_above_the_tolerance_with_both_figures,
         tells_when_a_figure_has_become_much_better, allows_no_allocation_more,
         fails_for_a_figure_that_nobody_recorded, shows_which_folders_changed_largest_first,
         compares_every_figure_of_every_case]


if __name__ == '__main__':
    sys.exit(tap.run(CASES))
