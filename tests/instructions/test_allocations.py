#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Neither broker nor client library asks for memory while records flow: a counter under both of
them (count_allocations.c) stands still from one line of progress to a later one, in between
records were acknowledged or read.

  test_allocations.py COUNTER CROSSDOCKD CROSSDOCK-BENCH [ENGINE]

ENGINE is io_uring or epoll. Only processes started here are ended. Prints TAP.
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback

COUNTER, DAEMON, BENCH = (os.path.abspath(path) for path in sys.argv[1:4])
ENGINE = sys.argv[4] if len(sys.argv) > 4 else 'auto'
PROGRESS = re.compile(r'^(?:produce|read): +(\d+) s +(\d+) records/s')
# Lines between which nothing may be asked for; those before them are for tables to grow.
FIRST, LAST = 2, 4
PATIENCE_SECONDS = 120


class Counted:
    """A process with the counter under it."""

    def __init__(self, folder, name, command, **how):
        self.path = os.path.join(folder, name + '.count')
        with open(self.path, 'wb') as file:
            file.write(bytes(8))
        environment = dict(os.environ, LD_PRELOAD=COUNTER, CROSSDOCK_ALLOCATIONS=self.path)
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, **how)

    def count(self):
        with open(self.path, 'rb') as file:
            return struct.unpack('=Q', file.read(8))[0]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=PATIENCE_SECONDS)


class World:
    """A broker, and the clients of one case."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='crossdock-allocations-')
        self.log = os.path.join(self.folder, 'log')
        with open(self.log, 'wb') as log:
            self.broker = Counted(self.folder, 'broker', [
                DAEMON, '--data', os.path.join(self.folder, 'data'), '--listen', '127.0.0.1:0',
                '--set', 'process.engine=' + ENGINE, '--set', 'metrics.listen=none',
                '--set', 'log.retention_bytes=2GiB'], stderr=log)
        self.clients = []
        self.address = self.ready()

    def ready(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.broker.process.poll() is None:
            with open(self.log, encoding='utf-8', errors='replace') as log:
                match = re.search(r' ready addresses=([^ ,]+)', log.read())
            if match:
                return match.group(1)
            time.sleep(0.01)
        with open(self.log, encoding='utf-8', errors='replace') as log:
            raise AssertionError('the broker did not start:\n' + log.read()[-2000:])

    def client(self, name, *arguments):
        self.clients.append(Counted(self.folder, name, [
            BENCH, *arguments, '-a', self.address, '-d', f'{LAST + 2}s'],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        return self.clients[-1]

    def end(self):
        for process in [*self.clients, self.broker]:
            process.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def counts_at(client, others, second):
    """Counts of all when `client` has told of that second, and the records that it tells of."""
    for line in client.process.stderr:
        match = PROGRESS.match(line)
        if match and int(match[1]) >= second:
            return [process.count() for process in [client, *others]], int(match[2])
    raise AssertionError(f'no progress up to second {second}')


def stands_still(world, client, *others):
    before, _ = counts_at(client, others, FIRST)
    after, records = counts_at(client, others, LAST)
    assert records > 0, 'nothing was done in between'
    assert after == before, f'memory was asked for: {before} before, {after} after'


def producing_whole_batches_asks_for_none(world):
    stands_still(world, world.client('p', 'produce', '--encoded', '-c', '2', '-w', '8'),
                 world.broker)


def posting_records_asks_for_none(world):
    stands_still(world, world.client('p', 'produce', '--post', '-c', '2', '-w', '8', '-k', '64'),
                 world.broker)


def sending_records_one_by_one_asks_for_none(world):
    stands_still(world, world.client('p', 'produce', '--send', '-c', '8'), world.broker)


def reading_along_asks_for_none(world):
    producer = world.client('p', 'produce', '--post', '-c', '1', '--rate', '20000', '--keys', '16')
    stands_still(world, world.client('r', 'read', '--from', 'end', '-c', '3'), producer,
                 world.broker)


def a_request_to_the_administration_is_counted(world):
    """What nothing else here shows: the counter counts."""
    before = world.broker.count()
    client = world.client('p', 'produce', '--send', '-c', '1')
    counts_at(client, [], 1)
    assert world.broker.count() > before
    assert client.count() > 0


CASES = [producing_whole_batches_asks_for_none, posting_records_asks_for_none,
         sending_records_one_by_one_asks_for_none, reading_along_asks_for_none,
         a_request_to_the_administration_is_counted]


def main():
    failed = 0
    print(f'1..{len(CASES)}')
    for number, case in enumerate(CASES, 1):
        world = None
        try:
            world = World()
            case(world)
        except Exception:  # any failure of a case is its result
            failed += 1
            print(f'not ok {number} - {case.__name__}')
            print('# ' + traceback.format_exc().replace('\n', '\n# '))
        else:
            print(f'ok {number} - {case.__name__}')
        finally:
            if world:
                world.end()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
