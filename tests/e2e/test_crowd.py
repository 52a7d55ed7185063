#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands of connections to a real broker, well-behaved and not: who works is served and what it
was told is true, who does harm is ended, and nothing stays behind."""
import json
import os
import re
import resource
import subprocess
import sys
import time
import urllib.request

import bad
from broker import Broker

BENCH = os.environ['CROSSDOCK_BENCH']
SANITIZED = os.environ['SANITIZED'] == 'true'
WAIT_SECONDS = 60
RUN_SECONDS = 240
# What a process has open beside connections: files of the log, standard streams, rings.
OTHER_DESCRIPTORS = 600
# AddressSanitizer makes everything slower, and what it finds it finds in two thousand as well.
MANY = min(2000 if SANITIZED else 10000,
           resource.getrlimit(resource.RLIMIT_NOFILE)[1] - OTHER_DESCRIPTORS)
STORM = 20000
LORIS, MUTE, SMALL = 500, 24, 30
CONNECTION_BYTES = 4096
# What a crowd may add to the resident memory: libraries' pages, and buffers not used before.
TOUCHED_BYTES = 2 << 20


class Crowd:
    """A run of `crossdock-bench crowd`; with --hold it goes on until it is let go."""

    def __init__(self, broker, *words, hold=False):
        self.ledger = os.path.join(broker.folder, 'ledger')
        self.lines = ''
        words = [BENCH, 'crowd', '-a', broker.address, '-d', f'{RUN_SECONDS}s', '--warmup', '0',
                 '--ledger', self.ledger, '-o', 'json', *map(str, words)]
        self.process = subprocess.Popen(words + ['--hold'] * hold, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not re.search(r'^crowd: \d+ open', self.lines, re.M):
            line = self.process.stderr.readline()
            self.lines += line
            if line == '':
                self.process.wait()
                raise AssertionError('the crowd did not come:\n' + self.lines)

    def end(self):
        """Lets it go; its result, when it is content."""
        out, more = self.process.communicate(timeout=RUN_SECONDS)
        if self.process.returncode != 0:
            raise AssertionError(self.lines + more + out)
        result = json.loads(out)
        with open(self.ledger, encoding='ascii') as file:
            result['ledger'] = {name: int(last) for name, last in map(str.split, file)}
        return result


class CrowdCase(bad.BadCase):
    def serve(self, *settings):
        broker = Broker(['log.segment_bytes=16MiB', 'log.retention_bytes=8GiB', *settings])
        self.addCleanup(broker.close)
        broker.start()
        self.assertEqual(broker.run('facility', 'add', 'BENCH').returncode, 0)
        return broker

    def crowd(self, broker, *words, hold=False):
        made = Crowd(broker, *words, hold=hold)
        self.addCleanup(self.clear, made.process)
        return made

    @staticmethod
    def clear(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def until(self, condition, what=''):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def metric(self, broker, name):
        """The sum over shards."""
        line = [line for line in broker.read_log().splitlines() if ' ready ' in line][-1]
        address = line.split(' metrics=')[1].split()[0]
        with urllib.request.urlopen(f'http://{address}/metrics', timeout=WAIT_SECONDS) as page:
            rows = re.findall(rf'^crossdock_{name}(?:{{[^}}]*}})? (\S+)$', page.read().decode(),
                              re.M)
        self.assertTrue(rows, name)
        return sum(map(float, rows))

    def is_empty(self, broker):
        """All places are free again."""
        self.until(lambda: self.metric(broker, 'connections_open') == 0, 'connections stay')

    def resident(self, broker):
        with open(f'/proc/{broker.process.pid}/status', encoding='ascii') as file:
            return int(re.search(r'^VmRSS:\s+(\d+) kB', file.read(), re.M).group(1)) << 10

    def sockets(self, broker):
        folder = f'/proc/{broker.process.pid}/fd'
        count = 0
        for name in os.listdir(folder):
            try:
                count += os.readlink(os.path.join(folder, name)).startswith('socket:')
            except FileNotFoundError:
                pass  # closed meanwhile
        return count

    def has_sockets(self, broker, count):
        """No more than that, once who asked for metrics is gone."""
        self.until(lambda: self.sockets(broker) <= count, 'sockets stay open')

    def is_true(self, broker, *results):
        """Each channel has all of its records once, in sequence, up to the last one it was told
        of, and there is nothing else."""
        told = {}
        for result in results:
            told.update(result['ledger'])
        seen = dict.fromkeys(told, 0)
        read = broker.run('-o', 'jsonl', 'read', 'stock', '--facility', 'BENCH')
        self.assertEqual(read.returncode, 0, read.stderr)
        for line in read.stdout.splitlines():
            record = json.loads(line)
            if 'sku' not in record or record['sku'] not in seen:
                continue
            seen[record['sku']] += 1
            self.assertEqual(record['sequence'], seen[record['sku']], line)
        self.assertEqual(seen, told)
        self.assertGreater(min(told.values()), 0)


class Thousands(CrowdCase):
    def roomy(self):
        return self.serve(f'net.connections_max={MANY + 64}', 'produce.channels_max=16384',
                          'produce.chains_max=32768')

    def test_many_are_open_and_a_tenth_of_them_works(self):
        broker = self.roomy()
        crowd = self.crowd(broker, '-c', MANY, '-n', MANY // 10, '-m', 3, hold=True)
        self.assertEqual(self.metric(broker, 'connections_open'), MANY)
        self.assertEqual(self.metric(broker, 'connections_shed_total'), 0)
        status = broker.run('-o', 'json', 'status')
        self.assertEqual(status.returncode, 0, status.stderr)
        self.assertIs(json.loads(status.stdout)['ok'], True)
        result = crowd.end()
        self.assertEqual(result['connections_open'], MANY)
        self.assertEqual(result['connections_refused'] + result['connections_lost'], 0)
        self.assertEqual(len(result['ledger']), MANY // 10)
        self.assertGreaterEqual(min(result['ledger'].values()), 3)
        self.assertEqual(sum(result['ledger'].values()), result['records_acked'])
        self.is_empty(broker)
        self.is_true(broker, result)
        self.assertEqual(broker.stop(), 0)

    def test_places_are_given_back_and_take_no_more_memory_when_they_are_used(self):
        broker = self.roomy()
        self.crowd(broker, '-c', 64, hold=True).end()
        self.is_empty(broker)
        sockets, before = self.sockets(broker), self.resident(broker)
        for _ in range(3):
            crowd = self.crowd(broker, '-c', MANY, hold=True)
            self.assertEqual(self.metric(broker, 'connections_open'), MANY)
            if not SANITIZED:  # which has memory of its own for each byte
                self.assertLess(self.resident(broker) - before, TOUCHED_BYTES)
            crowd.end()
            self.is_empty(broker)
            self.has_sockets(broker, sockets)

    def test_room_for_a_connection_takes_little_memory(self):
        """All of it is taken at the start."""
        small = self.serve('net.connections_max=64')
        large = self.serve(f'net.connections_max={MANY + 64}')
        grown = self.resident(large) - self.resident(small)
        self.assertLess(grown, MANY * CONNECTION_BYTES)
        self.assertGreater(grown, 0)


class Storm(CrowdCase):
    def test_who_works_is_served_while_others_come_and_go(self):
        places = 256
        broker = self.serve(f'net.connections_max={places}')
        self.crowd(broker, '-c', 1, hold=True).end()
        self.is_empty(broker)
        sockets = self.sockets(broker)
        accepted = self.metric(broker, 'connections_accepted_total')
        shed = self.metric(broker, 'connections_shed_total')
        crowd = self.crowd(broker, '-c', 4, '-n', 4, '-m', 20, '--storm', 64, '--storm-count',
                           STORM, '--addresses', 16, '--seed', 7)
        result = crowd.end()
        self.assertGreaterEqual(result['storm_connections'], STORM)
        self.assertEqual(result['connections_lost'], 0)
        self.is_empty(broker)
        self.has_sockets(broker, sockets)
        # One that is reset before it is accepted is none; but most of them come through.
        came = (self.metric(broker, 'connections_accepted_total') - accepted +
                self.metric(broker, 'connections_shed_total') - shed)
        self.assertLessEqual(came, result['storm_connections'] + 16)
        self.assertGreater(came, STORM // 2)
        self.is_true(broker, result)
        full = self.crowd(broker, '-c', places, hold=True)
        self.assertEqual(full.end()['connections_open'], places)
        self.assertEqual(broker.stop(), 0)


class Slow(CrowdCase):
    def test_who_drips_or_stops_inside_a_frame_is_ended_and_others_are_served(self):
        broker = self.serve('net.hello_timeout_ms=1000', 'net.frame_timeout_ms=1500')
        crowd = self.crowd(broker, '-c', 8, '-n', 8, '-m', 20, '--loris', LORIS, '--drip', '100ms',
                           '--addresses', 16)
        result = crowd.end()
        self.assertEqual(result['loris_ended'], LORIS)
        self.assertEqual(result['connections_lost'], 0)
        self.assertGreaterEqual(min(result['ledger'].values()), 20)
        self.is_empty(broker)
        self.is_true(broker, result)

    def test_who_does_not_read_its_answers_is_ended_and_others_are_served(self):
        broker = self.serve('net.send_timeout_ms=1000')
        crowd = self.crowd(broker, '-c', 8, '-n', 8, '-m', 20, '--mute', MUTE)
        result = crowd.end()
        self.assertEqual(result['mute_ended'], MUTE)
        self.assertEqual(result['connections_lost'], 0)
        self.assertGreaterEqual(min(result['ledger'].values()), 20)
        self.is_empty(broker)
        self.is_true(broker, result)


class Bulk(CrowdCase):
    def test_small_producers_get_on_beside_one_that_fills_its_window(self):
        broker = self.serve()
        bulk = subprocess.Popen([BENCH, 'produce', '-a', broker.address, '-f', 'BENCH',
                                 '--encoded', '-w', '16', '-d', f'{RUN_SECONDS}s'],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            self.until(lambda: self.metric(broker, 'frames_received_total') > 200)
            result = self.crowd(broker, '-c', SMALL, '-n', SMALL, '-m', 20).end()
            self.assertIsNone(bulk.poll())
            frames = self.metric(broker, 'frames_received_total')
            self.until(lambda: self.metric(broker, 'frames_received_total') > frames + 50)
        finally:
            bulk.kill()
            bulk.wait()
            bulk.stderr.close()
        self.assertEqual(result['connections_lost'], 0)
        self.assertEqual(len(result['ledger']), SMALL)
        self.assertGreaterEqual(min(result['ledger'].values()), 20)


if __name__ == '__main__':
    sys.exit(bad.main())
