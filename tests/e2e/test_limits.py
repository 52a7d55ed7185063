#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of connections: by address, of those that say nothing, and the places that a full network
leaves to people at the unix socket."""
import json
import os
import re
import socket
import sys
import time
import urllib.request

import bad
import wire
from broker import Broker, run

WAIT_SECONDS = 20


class Caller(wire.Connection):
    """A connection from another address of this host."""

    def __init__(self, address, source, greet=True):
        self.source = source
        host, port = address.rsplit(':', 1)
        self.socket = socket.create_connection((host, int(port)), timeout=wire.ANSWER_SECONDS,
                                               source_address=(source, 0))
        if greet:
            self.greet()

    def greet(self):
        answer = self.request('HELLO', wire.hello_payload())
        if answer is None or answer.status < 0:
            self.close()
            raise ConnectionError(f'HELLO was answered by {answer}')


class Limits(bad.BadCase):
    def serve(self, *settings, unix=False):
        broker = Broker(settings)
        self.addCleanup(broker.close)
        if unix:
            broker.unix = 'unix:' + os.path.join(self.folder, 'sock')
            broker.address += ',' + broker.unix
        return broker.start()

    def metric(self, broker, name):
        """Value of a metric of shard 0."""
        line = re.search(r' ready addresses=.*', broker.read_log()).group(0)
        address = line.split(' metrics=')[1].split()[0]
        with urllib.request.urlopen(f'http://{address}/metrics', timeout=WAIT_SECONDS) as page:
            rows = page.read().decode()
        return int(re.search(rf'^crossdock_{name}{{shard="0"}} (\d+)$', rows, re.M).group(1))

    def until(self, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def greets(self, broker, source):
        try:
            with Caller(broker.address, source) as caller:
                return caller.ping().status == 0
        except OSError:
            return False

    def test_one_address_has_no_more_than_its_share(self):
        broker = self.serve('net.address_connections_max=4')
        crowd = [Caller(broker.address, '127.0.0.2') for _ in range(4)]
        late = Caller(broker.address, '127.0.0.2', greet=False)
        self.assertTrue(late.is_closed())
        broker.says('connection_refused reason=address_connections_max count=1')
        other = Caller(broker.address, '127.0.0.3')
        for caller in [*crowd, other]:
            self.assertEqual(caller.ping().status, 0)
        self.assertEqual(self.metric(broker, 'connections_refused_address_total'), 1)
        crowd.pop().close()
        self.until(lambda: self.greets(broker, '127.0.0.2'))

    def test_one_address_has_few_that_say_nothing(self):
        broker = self.serve('net.address_strangers_max=3')
        silent = [Caller(broker.address, '127.0.0.2', greet=False) for _ in range(3)]
        late = Caller(broker.address, '127.0.0.2', greet=False)
        self.assertTrue(late.is_closed())
        broker.says('connection_refused reason=address_strangers_max count=1')
        self.assertTrue(self.greets(broker, '127.0.0.3'))
        silent[0].greet()
        self.assertTrue(self.greets(broker, '127.0.0.2'), 'who says HELLO makes room')
        self.assertEqual(self.metric(broker, 'connections_refused_hello_total'), 1)
        for caller in silent[1:]:
            self.assertTrue(caller.is_closed(), 'who does not is closed in time')
        self.assertEqual(silent[0].ping().status, 0)

    def test_few_descriptors_make_the_default_of_connections_smaller(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.start(before=['prlimit', '--nofile=100:4000', '--'])
        broker.says('connections_reduced')
        line = re.search(r' connections_reduced .*', broker.read_log()).group(0)
        self.assertIn('descriptors=4000 why="raise LimitNOFILE', line)
        room = int(re.search(r' connections=(\d+) ', line).group(1))
        self.assertGreaterEqual(room, 1024)
        self.assertEqual(self.metric(broker, 'connections_limit'), room)
        crowd = [Caller(broker.address, '127.0.0.2') for _ in range(50)]
        self.assertEqual(crowd[-1].ping().status, 0)
        result = bad.start(os.path.join(self.folder, 'data'), 'net.connections_max=10240',
                           before=['prlimit', '--nofile=100:4000', '--'])
        self.refused(result, 1, 'EMFILE', '4000 allowed', 'net.connections_max')

    def test_a_flood_of_refusals_is_one_line(self):
        broker = self.serve('net.address_connections_max=1')
        with Caller(broker.address, '127.0.0.2') as first:
            for _ in range(50):
                late = Caller(broker.address, '127.0.0.2', greet=False)
                self.assertTrue(late.is_closed())
                late.close()
            self.assertEqual(first.ping().status, 0)
        self.assertEqual(self.metric(broker, 'connections_refused_address_total'), 50)
        lines = re.findall(r'connection_refused reason=\S+ count=(\d+)', broker.read_log())
        self.assertLess(sum(map(int, lines)), 51)
        self.assertLessEqual(len(lines), 1 + WAIT_SECONDS // 10)

    def test_the_unix_socket_answers_when_the_network_has_taken_all(self):
        broker = self.serve('net.connections_max=4', 'net.address_strangers_max=0', unix=True)
        self.assertTrue(broker.address.startswith('127.'), broker.address)
        crowd = [Caller(broker.address, '127.0.0.2') for _ in range(4)]
        for _ in range(40):
            late = Caller(broker.address, '127.0.0.2', greet=False)
            self.assertTrue(late.is_closed())
            late.close()
        result = run('-s', broker.unix, '-o', 'json', 'status')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)['data']['connections'], 5)
        self.assertEqual(self.metric(broker, 'connections_limit'), 4)
        self.assertEqual(self.metric(broker, 'connections_shed_total'), 40)
        self.assertEqual(self.metric(broker, 'memory_state'), 0)
        result = run('-s', broker.unix, 'topic', 'create', 'late', '--strategy', 'key', '--width',
                     '2')
        self.assertEqual(result.returncode, 0, result.stderr)
        for caller in crowd:
            self.assertEqual(caller.ping().status, 0)
        crowd.pop().close()
        self.until(lambda: self.greets(broker, '127.0.0.3'))


if __name__ == '__main__':
    sys.exit(bad.main())
