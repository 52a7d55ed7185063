#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of sim_broker: what a failing seed prints can be run again and shrunk.

A failure is asked for with --fail-on, which lets a seed fail when something comes up.

  test_sim_broker.py PROGRAM
"""
import re
import shlex
import subprocess
import sys

PROGRAM = sys.argv[1]


def run(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


def command_in(text, label):
    match = re.search(rf'^sim_broker: {label}: \S+ (.*)$', text, re.MULTILINE)
    return shlex.split(match.group(1)) if match else None


def value(command, option):
    return command[command.index(option) + 1]


def names_seed_profile_and_commit():
    status, _, errors = run('--seeds', '60', '--fail-on', 'rolls')
    assert status == 1, status
    assert re.search(r'^sim_broker: seed=\d+ profile=[a-z_]+ commit=\S+: rolls came up$', errors,
                     re.MULTILINE), errors


def prints_a_command_that_fails_again():
    _, _, errors = run('--seeds', '60', '--fail-on', 'rolls')
    command = command_in(errors, 'again')
    status, _, again = run(*command)
    assert status == 1 and 'rolls came up' in again, again
    assert command_in(again, 'again') == command, again


def shrinks_to_fewer_faults_and_steps():
    _, _, errors = run('--seeds', '60', '--fail-on', 'rolls', '--shrink')
    large = command_in(errors, 'again')
    small = command_in(errors, r'smallest of \d+')
    assert int(value(small, '--steps')) < int(value(large, '--steps')), errors
    faults = value(small, '--faults').split(',')
    assert len(faults) < len(value(large, '--faults').split(',')), errors
    status, _, again = run(*small)
    assert status == 1 and 'rolls came up' in again, again
    # Nothing more can be left out: without any of these faults it does not fail.
    for fault in faults:
        fewer = ','.join(name for name in faults if name != fault) or 'none'
        arguments = list(small)
        arguments[arguments.index('--faults') + 1] = fewer
        assert run(*arguments)[0] == 0, f'without {fault}'


def leaves_out_the_faults_that_are_not_allowed():
    status, out, errors = run('--profile', 'clock', '--seeds', '8', '--faults', 'none')
    assert status == 0, errors
    assert 'jumps_ahead=0 jumps_back=0' in out, out
    _, out, _ = run('--profile', 'clock', '--seeds', '8', '--faults', 'clock')
    assert 'jumps_ahead=0' not in out and 'fences=0 ' in out, out


def runs_as_many_shards_as_asked_for():
    _, out, _ = run('--seeds', '12', '--shards', '1')
    assert 'frames_forwarded=0 ' in out, out
    _, out, errors = run('--seeds', '12', '--shards', '4', '--fail-on', 'frames_forwarded')
    command = command_in(errors, 'again')
    assert value(command, '--shards') == '4', errors
    assert run(*command)[0] == 1
    _, _, errors = run('--seeds', '1', '--shards', '4', '--fail-on', 'bells', '--shrink')
    assert value(command_in(errors, r'smallest of \d+'), '--shards') == '2', errors


def draws_several_shards_for_a_third_of_the_seeds():
    seen = [value(command_in(run('--seed', str(seed), '--steps', '1', '--fail-on', 'opens')[2],
                             'again'), '--shards') for seed in range(1, 49)]
    assert set(seen) == {'1', '2', '4'} and 8 <= len(seen) - seen.count('1') <= 24, seen


def tells_a_run_step_by_step():
    _, out, _ = run('--profile', 'clock', '--seed', '3', '--trace')
    for text in ('turn 0\n', 'the clock jumps by ', 'PROCESS ', 'turn '):
        assert text in out, text


def fails_a_hundred_seeds_that_are_too_tame():
    status, _, errors = run('--profile', 'clock', '--seeds', '100', '--steps', '1')
    assert status == 1 and 'too tame: total ' in errors, errors
    status, _, errors = run('--shards', '2', '--seeds', '100', '--faults', 'none')
    assert status == 0, errors
    status, _, errors = run('--shards', '2', '--seeds', '100', '--faults', 'spread_crash',
                            '--steps', '1')
    assert status == 1 and 'total crashes_in_a_spread never' in errors, errors


def refuses_unknown_names():
    for arguments in (('--profile', 'mild'), ('--faults', 'crash,rust'), ('--fail-on', 'luck'),
                      ('--seed', 'x'), ('--shards', '3'), ('--steps',)):
        assert run(*arguments)[0] == 2, arguments


CASES = [names_seed_profile_and_commit, prints_a_command_that_fails_again,
         shrinks_to_fewer_faults_and_steps, leaves_out_the_faults_that_are_not_allowed,
         runs_as_many_shards_as_asked_for, draws_several_shards_for_a_third_of_the_seeds,
         tells_a_run_step_by_step, fails_a_hundred_seeds_that_are_too_tame, refuses_unknown_names]


def main():
    print(f'1..{len(CASES)}')
    failed = 0
    for number, case in enumerate(CASES, 1):
        try:
            case()
            print(f'ok {number} - {case.__name__}', flush=True)
        except AssertionError as error:
            failed += 1
            print(f'not ok {number} - {case.__name__}', flush=True)
            print(f'{case.__name__}: {error}', file=sys.stderr)
    return failed > 0


sys.exit(main())
