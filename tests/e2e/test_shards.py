#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A broker with several shards, as clients and operators see it: one broker. Facilities lie on
different shards and are reached over any connection; what was acknowledged is there after kills,
failures and stops of the whole."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

import bad
import folder
import wire
from broker import Broker
from source import BATCH_RECORDS, Source, shard_of

BENCH = os.environ['CROSSDOCK_BENCH']
FAILED, USAGE = 1, 2
FACILITIES = [f'WH{number:02}' for number in range(1, 9)]
# Files of the broker fail behind this; its lines fit in.
LIMIT_BYTES = 256 << 10
WAIT_SECONDS = 20
# Writes beyond a limit of the process fail instead of ending it.
NO_XFSZ = ['env', '--ignore-signal=XFSZ']


class ShardsCase(bad.BadCase):
    count = 2

    def make(self, *settings):
        broker = Broker([f'process.shards={self.count}', *settings])
        self.addCleanup(broker.close)
        return broker

    def serve(self, *settings, facilities=FACILITIES):
        broker = self.make(*settings)
        broker.start(before=NO_XFSZ)
        for facility in facilities:
            self.assertEqual(broker.run('facility', 'add', facility).returncode, 0)
        return broker

    def sources(self, broker):
        """One for each facility."""
        made = []
        for facility in FACILITIES:
            made.append(Source(broker.address, facility))
            self.addCleanup(made[-1].close)
        return made

    def load(self, sources, enough):
        """Sends from all at once until every source has had `enough` batches acknowledged, and goes
        on; the threads, which end when the broker does."""
        def work(source):
            while source.send():
                pass

        threads = [threading.Thread(target=work, args=(source,)) for source in sources]
        for thread in threads:
            thread.start()
        self.until(lambda: min(source.acked for source in sources) >= enough * BATCH_RECORDS)
        return threads

    def until(self, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def holds(self, broker, acked):
        """Everything that was acknowledged is read back, once, in sequence."""
        for facility, last in acked.items():
            result = broker.run('-o', 'jsonl', 'read', 'stock', '--facility', facility)
            self.assertEqual(result.returncode, 0, result.stderr)
            records = [json.loads(line) for line in folder.records_of(result.stdout)]
            self.assertGreaterEqual(len(records), last, facility)
            self.assertEqual([record['sequence'] for record in records],
                             list(range(1, len(records) + 1)), facility)

    def folders(self, data):
        return sorted(name for name in os.listdir(data) if name.startswith('shard-'))


class Served(ShardsCase):
    def test_facilities_lie_on_all_shards_and_any_connection_reaches_them(self):
        broker = self.serve()
        one = wire.Connection(broker.address)
        self.addCleanup(one.close)
        channels = {facility: one.open('ONE', facility) for facility in FACILITIES}
        shards = {shard_of(channel) for channel in channels.values()}
        self.assertEqual(shards, set(range(self.count)))
        sources = self.sources(broker)
        for source in sources:
            self.assertEqual(shard_of(source.channel), shard_of(channels[source.facility]))
            self.assertTrue(source.send())
        self.holds(broker, {source.facility: source.acked for source in sources})
        self.assertEqual(self.folders(broker.data),
                         [f'shard-{number:02}' for number in range(self.count)])
        self.assertEqual(broker.stop(), 0, broker.read_log())
        log = broker.read_log()
        self.assertEqual(log.count(' engine shard='), self.count)
        self.assertEqual(log.count(' ready '), 1)

    def test_a_restart_keeps_port_facilities_and_records(self):
        broker = self.serve()
        sources = self.sources(broker)
        for source in sources:
            self.assertTrue(source.send())
        homes = {source.facility: shard_of(source.channel) for source in sources}
        address = broker.address
        self.assertEqual(broker.stop(), 0)
        broker.start()
        self.assertEqual(broker.address, address)
        self.assertNotIn('log_tail_cut', broker.read_log())
        self.holds(broker, {source.facility: source.acked for source in sources})
        for source in self.sources(broker):
            self.assertEqual(shard_of(source.channel), homes[source.facility])

    def test_a_stop_under_load_answers_what_is_in_flight(self):
        broker = self.serve()
        sources = self.sources(broker)
        threads = self.load(sources, 5)
        self.assertEqual(broker.stop(), 0, broker.read_log())
        for thread in threads:
            thread.join()
        self.assertIn(' stopped exit=0', broker.read_log())
        broker.start()
        self.assertNotIn('log_tail_cut', broker.read_log())
        self.holds(broker, {source.facility: source.acked for source in sources})

    def test_kills_in_the_middle_lose_nothing_that_was_acknowledged(self):
        broker = self.serve()
        acked = {}
        for number in range(3):
            sources = []
            for facility in FACILITIES:
                source = Source(broker.address, facility, f'SRC{number}')
                self.addCleanup(source.close)
                sources.append(source)
            threads = self.load(sources, 3)
            broker.kill()
            for thread in threads:
                thread.join()
            acked[f'SRC{number}'] = {source.facility: source.acked for source in sources}
            broker.start()
        for source, facilities in acked.items():
            for facility, last in facilities.items():
                result = broker.run('-o', 'jsonl', 'read', 'stock', '--facility', facility)
                records = [json.loads(line) for line in folder.records_of(result.stdout)]
                mine = [record['sequence'] for record in records if record['source'] == source]
                self.assertEqual(mine, list(range(1, len(mine) + 1)))
                self.assertGreaterEqual(len(mine), last)

    def test_a_second_broker_on_the_same_port_is_refused(self):
        """The kernel would let it in: shards listen on one port together."""
        broker = self.serve(facilities=[])
        result = bad.start(os.path.join(self.folder, 'other'), f'process.shards={self.count}',
                           listen=broker.address)
        self.refused(result, FAILED, 'step=listen', 'EADDRINUSE', broker.address)


class Reopened(ShardsCase):
    def test_all_shards_reopen_when_the_storage_of_one_fails(self):
        broker = self.serve()
        sources = self.sources(broker)
        for source in sources:
            self.assertTrue(source.send())
        pid, address = broker.process.pid, broker.address
        for turn in range(2):
            victim = sources[-1 - turn]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))
            self.until(lambda: not victim.send())
            broker.says(' storage_failed error=')
            resource.prlimit(pid, resource.RLIMIT_FSIZE,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.until(lambda: broker.read_log().count(' ready ') == 2 + turn)
            log = broker.read_log()
            # The limit is of the process: a mark of another shard may run into it first.
            self.assertRegex(log, r' log_fenced shard=\d error=EFBIG ')
            self.assertEqual(log.count(' engine shard='), (2 + turn) * self.count)
            self.assertEqual(log.count(f' ready addresses={address} '), 2 + turn)
            self.holds(broker, {source.facility: source.acked for source in sources})
            sources = self.sources_again(broker, sources, turn)
        self.assertEqual(broker.stop(), 0)

    def sources_again(self, broker, former, turn):
        """New connections for the same channels, behind what was acknowledged."""
        made = []
        for old in former:
            source = Source(broker.address, old.facility, f'AGAIN{turn}')
            self.addCleanup(source.close)
            made.append(source)
        return [source for source in made if source.send() or self.fail(source.facility)]

    def holds(self, broker, acked):
        for facility, last in acked.items():
            result = broker.run('-o', 'jsonl', 'read', 'stock', '--facility', facility)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertGreaterEqual(len(folder.records_of(result.stdout)), last)


class Folders(ShardsCase):
    def setUp(self):
        super().setUp()
        broker = self.serve()
        self.sources_sent = {source.facility: source.send() and source.acked
                             for source in self.sources(broker)}
        self.assertEqual(broker.stop(), 0)
        self.broker = broker
        self.data = os.path.join(self.folder, 'data')
        shutil.copytree(broker.data, self.data)

    def digest(self):
        """Hash of every file, and every name; locks, which starts write, left out."""
        sums = {name: value for name, value in bad.digest(self.data).items()
                if os.path.basename(name) != 'lock'}
        return sums, sorted(os.listdir(self.data))

    def test_another_number_of_shards_is_refused_and_changes_nothing(self):
        before = self.digest()
        for count in (1, self.count - 1, self.count + 1, 64):
            if count == self.count:
                continue
            with self.subTest(count=count):
                result = bad.start(self.data, f'process.shards={count}')
                self.refused(result, USAGE, 'step=folder', f'process.shards = {count}: ',
                             self.data, f'start with process.shards = {self.count}')
                self.assertEqual(self.digest(), before)

    def test_a_folder_of_one_shard_is_not_opened_by_several(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.start()
        self.assertEqual(broker.stop(), 0)
        before = bad.digest(broker.data), sorted(os.listdir(broker.data))
        result = bad.start(broker.data, f'process.shards={self.count}')
        self.refused(result, USAGE, 'step=folder', 'start with process.shards = 1')
        self.assertEqual((bad.digest(broker.data), sorted(os.listdir(broker.data))), before)

    def test_a_missing_folder_is_named_and_not_made(self):
        last = f'shard-{self.count - 1:02}'
        shutil.rmtree(os.path.join(self.data, 'shard-00'))
        before = self.digest()
        result = bad.start(self.data, f'process.shards={self.count}')
        self.refused(result, FAILED, 'step=folder', 'shard-00 is missing', 'restore it')
        self.assertEqual(self.digest(), before)
        self.assertIn(last, before[1])

    def test_folders_that_changed_places_are_refused(self):
        one, two = (os.path.join(self.data, f'shard-{number:02}') for number in (0, 1))
        os.rename(one, one + 'x')
        os.rename(two, one)
        os.rename(one + 'x', two)
        before = bad.digest(one), bad.digest(two)
        result = bad.start(self.data, f'process.shards={self.count}')
        self.refused(result, FAILED, 'step=open', 'shard')
        self.assertEqual((bad.digest(one), bad.digest(two)), before)

    def test_a_first_start_that_was_killed_at_any_time_is_started_again(self):
        for number in range(12):
            data = os.path.join(self.folder, f'new{number}')
            words = [bad.DAEMON, '--data', data, '--listen', '127.0.0.1:0']
            for setting in [*self.broker.settings]:
                words += ['--set', setting]
            with subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as process:
                time.sleep(0.01 * number)
                process.send_signal(signal.SIGKILL)
                process.wait()
            broker = self.make()
            broker.data = data
            broker.start()
            self.assertEqual(broker.stop(), 0, broker.read_log())
            shutil.rmtree(data)


class Benched(ShardsCase):
    def test_the_judge_finds_nothing_with_several_facilities(self):
        broker = self.serve('log.retention_bytes=2GiB', facilities=FACILITIES[:4])
        for way in (['--post', '-c', '2', '-k', '8', '--rate', '20000'], ['--send', '-c', '4']):
            result = subprocess.run([BENCH, 'produce', '-a', broker.address, '--judge', '-d', '1s',
                                     '--warmup', '50ms', '-f', ','.join(FACILITIES[:4]), *way],
                                    capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            sent = int(re.search(r'judged: .*?(\d+)', result.stderr).group(1))
            self.assertGreater(sent, 100, result.stderr)


class Starts(ShardsCase):
    """Starts that fail end all workers, whatever they have come to."""

    def test_a_shard_that_cannot_open_ends_the_start(self):
        data = os.path.join(self.folder, 'data')
        os.makedirs(data)
        for number in range(self.count - 1):
            os.mkdir(os.path.join(data, f'shard-{number:02}'))
        with open(os.path.join(data, f'shard-{self.count - 1:02}'), 'wb'):
            pass
        result = bad.start(data, f'process.shards={self.count}')
        self.refused(result, FAILED, 'step=engine', 'ENOTDIR', f'shard-{self.count - 1:02}')

    def test_too_few_descriptors_for_all_are_named(self):
        """Enough for one shard, not for all."""
        result = bad.start(os.path.join(self.folder, 'data'), f'process.shards={self.count}',
                           before=['prlimit', '--nofile=1500:1500', '--'])
        self.refused(result, FAILED, 'EMFILE', 'descriptors', '1500 allowed', 'LimitNOFILE')

    def test_a_low_soft_limit_of_descriptors_is_raised_for_all(self):
        broker = self.make()
        broker.start(before=['prlimit', '--nofile=100:', '--'])
        limit = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
        self.assertGreater(limit[0], 1024 * self.count)

    @unittest.skipIf(os.environ['SANITIZED'] == 'true',
                     'AddressSanitizer reserves address space and keeps mlock() away')
    def test_a_thread_that_cannot_be_had_is_named_and_ends_those_that_run(self):
        """There is address space for the stack of one."""
        result = bad.start(os.path.join(self.folder, 'data'), f'process.shards={self.count}',
                           before=['prlimit', f'--as={16 << 30}:{16 << 30}',
                                   f'--stack={10 << 30}:', '--'])
        self.refused(result, FAILED, 'step=threads', 'EAGAIN', 'TasksMax')
        self.assertIn(' stopped exit=1', result.lines[-1])

    def test_a_stop_while_it_recovers_ends_it(self):
        broker = self.make()
        for _ in range(5):
            words = [bad.DAEMON, '--data', broker.data, '--listen', '127.0.0.1:0']
            for setting in broker.settings:
                words += ['--set', setting]
            with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True) as process:
                line = process.stderr.readline()
                self.assertRegex(line, ' starting ')
                for name in ('HUP', 'USR1', 'TERM'):
                    process.send_signal(getattr(signal, 'SIG' + name))
                said = process.stderr.read()
                self.assertEqual(process.wait(WAIT_SECONDS), 0, said)
                self.assertTrue(re.search(r' stopped exit=0\n$', said), said)

    def test_what_memory_all_shards_need_is_told(self):
        told = []
        for count in (1, self.count):
            result = subprocess.run([bad.DAEMON, '--config', '/dev/null', '--check-config', '--set',
                                     f'process.shards={count}'], capture_output=True, text=True,
                                    check=True)
            told.append(int(re.search(r' memory (\d+) bytes', result.stdout).group(1)))
        self.assertGreaterEqual(told[1], self.count * told[0])


def load_tests(loader, _, __):
    """All of it with 2 shards, and what depends on their number with 4."""
    suite = unittest.TestSuite()
    for case in (Served, Reopened, Folders, Benched, Starts):
        suite.addTests(loader.loadTestsFromTestCase(case))
    for case in (Served, Folders, Benched):
        four = type(case.__name__ + 'Four', (case,), {'count': 4})
        suite.addTests(loader.loadTestsFromTestCase(four))
    return suite


if __name__ == '__main__':
    sys.exit(bad.main())
