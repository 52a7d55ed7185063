#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`crossdock-bench --judge` on small runs: it finds nothing where nothing is wrong, in every way to
send, and what is wrong where something is: a broker that lacks the records, or only some of them,
as one does that was started on the wrong folder or on an old copy of it. Prints TAP.

CROSSDOCKD and CROSSDOCK_BENCH name the programs.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/support'))
import tap  # behind its path

DAEMON = os.environ['CROSSDOCKD']
BENCH = os.environ['CROSSDOCK_BENCH']
SETTINGS = ['--set', 'log.segment_bytes=4MiB', '--set', 'log.retention_bytes=256MiB',
            '--set', 'log.tail_bytes=16MiB', '--set', 'log.disk_low_bytes=1MiB']
WAIT_SECONDS = 60
FAILED = 1
SHORT = ['-d', '200ms', '--warmup', '20ms']
RATE = ['--rate', '10000']
WAYS = [['--post', '-c', '2', '-k', '8', *RATE], ['--post', '-c', '2', *RATE],
        ['--encoded', '-c', '2', *RATE], ['--encoded', '-k', '16', *RATE], ['--send'],
        ['--send', '-c', '4', '-f', 'A,B'], ['--post', '--durability', 'written', *RATE],
        ['--post', '--durability', 'memory', *RATE]]


class Broker:
    def __init__(self, folder):
        log = folder + '.log'
        with open(log, 'wb') as file:
            self.process = subprocess.Popen([DAEMON, '--data', folder, '--listen', '127.0.0.1:0',
                                             *SETTINGS], stdin=subprocess.DEVNULL, stderr=file)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with open(log, encoding='utf-8') as file:
                ready = re.search(r' ready addresses=([^ ,]+)', file.read())
            if ready:
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError('the broker did not become ready')
            time.sleep(0.02)
        self.address = ready.group(1)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WAIT_SECONDS)


class Case:
    """Brokers in a folder of their own, gone at the end."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='crossdock-judge-')
        self.brokers = []
        return self

    def __exit__(self, *_):
        for broker in self.brokers:
            broker.stop()
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def broker(self, name):
        self.brokers.append(Broker(self.path(name)))
        return self.brokers[-1]


def bench(*words):
    """(exit status, what it says of the judgement)."""
    done = subprocess.run([BENCH, *words], capture_output=True, text=True, timeout=WAIT_SECONDS,
                          check=False)
    assert 'judged: ' in done.stderr, done.stderr
    return done.returncode, done.stderr[done.stderr.index('judged: '):]


def numbers(said):
    """(records sent, records read, records of others)."""
    return tuple(int(number) for number in re.findall(r'(\d+)', said.splitlines()[0]))


def finds_nothing_in_good_runs():
    with Case() as case:
        broker = case.broker('data')
        total = 0
        for way in WAYS:
            status, said = bench('produce', '-a', broker.address, '--judge', *SHORT, *way)
            assert status == 0, f'{way}: {said}'
            assert numbers(said)[0] > 0, said
            total += numbers(said)[0]
            assert numbers(said)[1:] == (total, total - numbers(said)[0]), said
        status, said = bench('read', '-a', broker.address, '--judge', '-c', '3')
        assert status == 0, said
        assert numbers(said) == (0, 3 * total, total), said


def finds_all_missing_in_another_broker():
    with Case() as case:
        other = case.broker('other')
        bench('produce', '-a', other.address, '--judge', *SHORT, '--send')  # makes the facility
        status, said = bench('produce', '-a', case.broker('data').address, '--judge',
                             '--judge-from', other.address, *SHORT, '--send')
        assert status == FAILED and 'DURABLE' in said, said


def finds_what_an_old_copy_of_the_folder_lacks():
    """What was copied is read as somebody else's, as before; what came later is missed."""
    with Case() as case:
        broker = case.broker('data')
        _, before = bench('produce', '-a', broker.address, '--judge', *SHORT, '--send')
        broker.stop()
        shutil.copytree(case.path('data'), case.path('copy'))
        status, said = bench('produce', '-a', case.broker('data').address, '--judge',
                             '--judge-from', case.broker('copy').address, *SHORT, '--send')
        assert status == FAILED and 'DURABLE' in said, said
        assert numbers(said)[1] == numbers(said)[2] == numbers(before)[0], said


CASES = [finds_nothing_in_good_runs, finds_all_missing_in_another_broker,
         finds_what_an_old_copy_of_the_folder_lacks]


if __name__ == '__main__':
    sys.exit(tap.run(CASES))
