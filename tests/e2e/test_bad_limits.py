#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of the process and of the machine: each is named with the way out, and a broker that has
run into one goes on when it is gone."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import bad
import folder
import wire
from broker import Broker

NO_URING = os.environ['NO_URING']
NEEDS_PLAIN = unittest.skipIf(os.environ['SANITIZED'] == 'true',
                              'AddressSanitizer reserves address space and keeps mlock() away')
# Words before a command that runs it without the right to lock memory beyond the limit.
NO_PRIVILEGE = (['setpriv', '--bounding-set', '-ipc_lock', '--inh-caps', '-ipc_lock', '--']
                if os.geteuid() == 0 else [])
FAILED = 1
SKIPPED = 77
WAIT_SECONDS = 15


def within(limit):
    """Words before a command that runs it under a limit of prlimit(1)."""
    return ['prlimit', limit, '--']


class AtStart(bad.BadCase):
    def data(self):
        return os.path.join(self.folder, 'data')

    def test_too_few_descriptors_are_named_with_what_is_needed(self):
        result = bad.start(self.data(), before=within('--nofile=100:100'))
        self.refused(result, FAILED, 'EMFILE', 'descriptors', '100 allowed', 'LimitNOFILE')

    def test_a_low_soft_limit_of_descriptors_is_raised(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.start(before=within('--nofile=100:'))
        limit = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
        self.assertGreater(limit[0], 1024)

    def test_no_locked_memory_at_all_is_enough_or_is_named(self):
        """Which of both is the kernel's affair: whether it counts a ring's memory as locked."""
        for privilege in ([], NO_PRIVILEGE):
            with self.subTest(privilege=privilege):
                broker = Broker()
                self.addCleanup(broker.close)
                try:
                    broker.start(before=within('--memlock=0:0') + privilege)
                except AssertionError:
                    self.assertIn('LimitMEMLOCK', broker.read_log())
                    continue
                self.assertEqual(broker.run('topic', 'list').returncode, 0)

    def test_an_address_that_is_free_in_a_moment_is_waited_for(self):
        """A broker that was killed may hold its ports a little longer than it lives."""
        broker = Broker()
        self.addCleanup(broker.close)
        holder = socket.create_server(('127.0.0.1', int(broker.address.rpartition(':')[2])))
        timer = threading.Timer(1, holder.close)
        timer.start()
        self.addCleanup(timer.join)
        broker.start()
        self.assertEqual(broker.run('topic', 'list').returncode, 0)

    @NEEDS_PLAIN
    def test_locked_memory_that_was_asked_for_but_is_not_allowed_is_named(self):
        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        locked = 4 << 20 if hard == resource.RLIM_INFINITY else min(hard, 4 << 20)
        before = within(f'--memlock={locked}:{locked}') + NO_PRIVILEGE
        result = bad.start(self.data(), 'process.mlock=yes', before=before)
        self.refused(result, FAILED, 'process.mlock = yes', 'LimitMEMLOCK')

    @NEEDS_PLAIN
    def test_too_little_address_space_is_named_with_the_options_to_lower(self):
        result = bad.start(self.data(), before=within('--as=200000000:200000000'))
        self.refused(result, FAILED, 'ENOMEM', 'bytes cannot be had', 'log.tail_bytes')

    @NEEDS_PLAIN
    def test_a_budget_beyond_the_machine_is_named_and_not_tried(self):
        """The tail alone would take more than the limit of this process."""
        result = bad.start(self.data(), 'log.tail_bytes=8GiB', 'log.index_bytes=64GiB',
                           before=within('--as=17179869184:17179869184'))
        self.refused(result, FAILED, 'ENOMEM', 'log.tail_bytes', 'log.index_bytes')


class WithoutRing(bad.BadCase):
    """io_uring is refused as containers, policies and kernels do it. The folder that one engine
    leaves is the other's."""

    # Way, what the line names, and how it goes on.
    WAYS = {'EPERM': ('ring set-up: EPERM', 'seccomp'),
            'EACCES': ('ring set-up: EACCES', 'seccomp'),
            'ENOSYS': ('ring set-up: ENOSYS', 'seccomp'),
            'register': ('ring opcodes: EPERM', 'io_uring_register'),
            'enter': ('ring entry: EPERM', 'io_uring_enter'),
            'old': ('ring set-up: ENOSYS', 'Linux 6.0')}

    @classmethod
    def setUpClass(cls):
        probe = subprocess.run([NO_URING, 'EPERM', '/bin/true'], capture_output=True, check=False)
        if probe.returncode == SKIPPED:
            raise unittest.SkipTest(probe.stderr.decode().strip())

    def engine_of(self, broker):
        """What the status says about the engine: its name and the reason."""
        status = json.loads(broker.run('-o', 'json', 'status').stdout)['data']
        return status['engine'], status['engine_reason']

    def test_epoll_serves_and_says_how_to_allow_io_uring(self):
        broker = Broker(['process.engine=auto'])
        self.addCleanup(broker.close)
        for number, (way, (step, remedy)) in enumerate(self.WAYS.items(), 1):
            with self.subTest(way=way):
                broker.start(before=[NO_URING, way])
                line = [line for line in broker.read_log().splitlines() if ' engine ' in line][0]
                self.assertIn(f' name=epoll why="no io_uring: {step}; ', line)
                self.assertIn(remedy, line)
                self.assertEqual('epoll_pwait2' in line, way == 'old')
                engine, reason = self.engine_of(broker)
                self.assertEqual(engine, 'epoll')
                self.assertIn(remedy, reason)
                broker.run('facility', 'add', f'DC{number:02}')
                self.assertEqual(broker.stop(), 0)
        broker.start()
        listed = broker.run('facility', 'list').stdout
        for number in range(1, len(self.WAYS) + 1):
            self.assertIn(f'DC{number:02}', listed)

    def test_epoll_that_is_asked_for_serves_where_io_uring_could(self):
        broker = Broker(['process.engine=epoll', 'process.file_threads=3'])
        self.addCleanup(broker.close)
        broker.start()
        self.assertIn(' engine name=epoll why="asked for; file threads: 3"', broker.read_log())
        self.assertEqual(self.engine_of(broker)[0], 'epoll')
        self.assertEqual(broker.stop(), 0)

    def test_io_uring_that_is_asked_for_is_not_replaced(self):
        for way, (step, remedy) in self.WAYS.items():
            with self.subTest(way=way):
                result = bad.start(os.path.join(self.folder, way), 'process.engine=io_uring',
                                   before=[NO_URING, way])
                self.refused(result, FAILED, step, remedy)

    def test_where_asking_for_a_ring_ends_the_process_epoll_can_be_asked_for(self):
        before = [NO_URING, 'kills']
        result = bad.start(os.path.join(self.folder, 'auto'), 'process.engine=auto', before=before)
        self.assertEqual(result.status, -signal.SIGSYS, result.lines)
        broker = Broker(['process.engine=epoll'])
        self.addCleanup(broker.close)
        broker.start(before=before)
        self.assertEqual(broker.stop(), 0)


class WhileServing(folder.FolderCase):
    rounds = 8

    def until(self, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def greets(self, broker):
        """Whether a new client is served now."""
        try:
            with wire.Connection(broker.address) as connection:
                return connection.ping().status == 0
        except OSError:
            return False

    def test_connections_beyond_the_limit_are_closed_and_told(self):
        broker = Broker(['net.connections_max=8'])
        self.addCleanup(broker.close)
        broker.start()
        crowd = [wire.Connection(broker.address) for _ in range(8)]
        late = wire.Connection(broker.address, greet=False)
        self.assertTrue(late.is_closed())
        broker.says('connection_refused reason=connections_max')
        for connection in crowd:
            self.assertEqual(connection.ping().status, 0)
        for connection in crowd:
            connection.close()
        self.until(lambda: self.greets(broker))

    def test_a_broker_without_descriptors_serves_again_when_there_are_some(self):
        broker = self.serve()
        crowd = [wire.Connection(broker.address) for _ in range(4)]
        pid = broker.process.pid
        used = len(os.listdir(f'/proc/{pid}/fd'))
        former = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, former[1]))
        waiting = [wire.Connection(broker.address, greet=False) for _ in range(4)]
        for connection in crowd:
            self.assertEqual(connection.ping().status, 0)
        self.assertEqual(crowd[0].catalog()['stock', 'DC07'].width, 8)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, former)
        for connection in crowd:
            connection.close()
        for connection in waiting:
            connection.close()
        self.until(lambda: self.greets(broker))
        self.assertEqual(self.read_all(broker), self.whole)
        self.assertEqual(broker.stop(), 0)

    def test_a_stop_under_load_loses_nothing_that_was_acknowledged(self):
        broker = self.serve()
        acked = {}

        def load(name):
            connection = wire.Connection(broker.address)
            channel = connection.open('LOAD', 'DC07', name)
            place = connection.catalog()['stock', 'DC07']
            first = 1
            try:
                while True:
                    body = wire.records(channel, name, first, 10, 500)
                    route_key = int.from_bytes(body[48:52], 'little')
                    partition = place.base + (route_key * place.width >> 32)
                    acks = connection.produce(wire.batch(channel, partition, body, first, 10,
                                                         first - 1))
                    if not acks or acks[0].status < 0:
                        return
                    first += 10
                    acked[name] = first - 1
            except OSError:
                return
            finally:
                connection.close()

        loaders = [threading.Thread(target=load, args=(f'LOAD-{number}',)) for number in range(4)]
        for loader in loaders:
            loader.start()
        self.until(lambda: len(acked) == 4 and min(acked.values()) >= 50)
        self.assertEqual(broker.end(signal.SIGTERM), 0)
        for loader in loaders:
            loader.join()
        self.assertIn(' stopped exit=0', broker.read_log())
        self.assertEqual(self.verify('finding'), [])
        broker.start()
        self.assertNotIn('log_tail_cut', broker.read_log())
        for name, last in acked.items():
            result = broker.run('-o', 'jsonl', 'read', 'stock', '--sku', name)
            records = folder.records_of(result.stdout)
            self.assertGreaterEqual(len(records), last)
            for number, line in enumerate(records, 1):
                self.assertIn(f'"sequence":{number},', line)


if __name__ == '__main__':
    sys.exit(bad.main())
