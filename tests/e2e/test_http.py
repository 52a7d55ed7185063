#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The listener for machines that watch, on a real broker: what it says in each state of the broker,
and that nobody who uses it badly disturbs the broker or its clients."""
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import bad
import wire
from broker import CLI, Broker
from source import Source

FAILED, USAGE = 1, 2
WAIT_SECONDS = 20
OPEN_METRICS = 'application/openmetrics-text'
CLIENTS_MAX = 32
PAGE_BYTES = 4096
NO_XFSZ = ['env', '--ignore-signal=XFSZ']


def metrics_address(broker):
    """Of the ready line."""
    line = [line for line in broker.read_log().splitlines() if ' ready ' in line][-1]
    return line.split(' metrics=')[1].split()[0]


def get(address, path, method='GET', accept=None):
    """(status, heads, text) of one request."""
    connection = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
    try:
        connection.request(method, path, headers={'Accept': accept} if accept else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()



def listeners_of(pid):
    """How many TCP sockets of IPv4 a process listens on."""
    inodes = set()
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            inodes.add(os.readlink(f'/proc/{pid}/fd/{name}'))
        except OSError:
            continue
    with open(f'/proc/{pid}/net/tcp', encoding='ascii') as file:
        rows = [line.split() for line in file.read().splitlines()[1:]]
    return sum(row[3] == '0A' and f'socket:[{row[9]}]' in inodes for row in rows)

class HttpCase(bad.BadCase):
    def serve(self, *settings, before=()):
        broker = Broker(settings)
        self.addCleanup(broker.close)
        return broker.start(before=before)

    def until(self, condition):
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class Pages(HttpCase):
    def test_a_broker_that_serves_is_alive_and_ready(self):
        for count in (1, 2):
            with self.subTest(count=count):
                broker = self.serve(f'process.shards={count}')
                address = metrics_address(broker)
                self.assertEqual(get(address, '/livez')[::2], (200, 'livez ok\n'))
                self.assertEqual(get(address, '/readyz')[::2], (200, 'readyz ok\n'))
                status, _, text = get(address, '/readyz?verbose')
                self.assertEqual(status, 200)
                checks = [line for line in text.splitlines() if line.startswith('[+] shard ')]
                self.assertEqual(len(checks), 4 * count, text)
                self.assertEqual(get(address, '/nothing')[0], 404)
                self.assertEqual(get(address, '/readyz', 'HEAD')[::2], (200, ''))
                status, heads, _ = get(address, '/metrics', 'POST')
                self.assertEqual((status, heads['Allow']), (405, 'GET, HEAD'))
                self.assertEqual(broker.stop(), 0)

    def test_metrics_come_in_the_form_asked_for_and_of_every_shard(self):
        broker = self.serve('process.shards=2')
        address = metrics_address(broker)
        status, heads, text = get(address, '/metrics')
        self.assertEqual(status, 200)
        self.assertEqual(heads['Content-Type'], 'text/plain; version=0.0.4; charset=utf-8')
        self.assertNotIn('# EOF', text)
        for shard in ('0', '1'):
            self.assertIn(f'shard="{shard}"', text)
        _, heads, text = get(address, '/metrics', accept=OPEN_METRICS + ';q=0.9, */*;q=0.1')
        self.assertEqual(heads['Content-Type'],
                         OPEN_METRICS + '; version=1.0.0; charset=utf-8')
        self.assertTrue(text.endswith('\n# EOF\n'))

    def test_numbers_are_those_of_now(self):
        broker = self.serve()
        address = metrics_address(broker)

        def accepted():
            for line in get(address, '/metrics')[2].splitlines():
                if line.startswith('crossdock_connections_accepted_total'):
                    return int(float(line.split()[-1]))
            raise AssertionError('no crossdock_connections_accepted_total')

        before = accepted()
        for _ in range(3):
            wire.Connection(broker.address).close()
        self.until(lambda: accepted() == before + 3)


class States(HttpCase):
    def test_a_disk_that_is_too_full_is_alive_and_not_ready(self):
        broker = self.serve()
        broker.run('facility', 'add', 'DC01')
        self.assertEqual(broker.stop(), 0)
        broker.settings.append('log.disk_low_bytes=1TiB')
        broker.start()
        address = metrics_address(broker)
        source = Source(broker.address, 'DC01', payload_bytes=10000)
        self.addCleanup(source.close)
        self.until(lambda: not source.send())
        self.assertEqual(get(address, '/readyz')[0], 503)
        self.assertEqual(get(address, '/readyz')[2],
                         '[-] shard 0 writable: read_only\nreadyz failed\n')
        self.assertEqual(get(address, '/livez')[0], 200)

    def test_while_it_comes_back_it_is_alive_and_not_ready(self):
        """Storage that fails ends all shards; the listener stays over their lives."""
        broker = self.serve('process.shards=2', before=NO_XFSZ)
        address = metrics_address(broker)
        pid = broker.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (PAGE_BYTES, resource.RLIM_INFINITY))
        with subprocess.Popen([CLI, '-s', broker.address, 'facility', 'add', 'DC01'],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as adding:
            broker.says(' storage_failed ')
            adding.kill()
        status, _, text = get(address, '/readyz')
        self.assertEqual(status, 503, text)
        self.assertIn('[-] shard 0 listens: ', text)
        self.assertTrue(text.endswith('readyz failed\n'))
        resource.prlimit(pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.until(lambda: broker.read_log().count(' ready ') == 2)
        self.assertEqual(metrics_address(broker), address)
        self.until(lambda: get(address, '/readyz')[0] == 200)


class BadClients(HttpCase):
    def test_silent_clients_do_not_hold_the_broker_up(self):
        broker = self.serve()
        address = metrics_address(broker)
        host, port = address.rsplit(':', 1)
        silent = [socket.create_connection((host, int(port)), timeout=WAIT_SECONDS)
                  for _ in range(CLIENTS_MAX + 8)]
        for one in silent:
            one.send(b'GET /metrics HTTP/1.1\r\nHo')
        with wire.Connection(broker.address) as connection:
            begun = time.monotonic()
            for _ in range(200):
                self.assertEqual(connection.ping().status, 0)
            self.assertLess(time.monotonic() - begun, 10)
        broker.process.send_signal(signal.SIGHUP)
        broker.says(' configuration_checked ')
        for one in silent:
            one.close()
        self.until(lambda: self.answers(address))
        self.assertEqual(broker.stop(), 0)

    def answers(self, address):
        try:
            return get(address, '/livez')[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def test_clients_that_do_not_read_do_not_hold_the_broker_up(self):
        broker = self.serve()
        host, port = metrics_address(broker).rsplit(':', 1)
        deaf = []
        for _ in range(CLIENTS_MAX):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect((host, int(port)))
            one.send(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' * 20)
            deaf.append(one)
        with wire.Connection(broker.address) as connection:
            begun = time.monotonic()
            for _ in range(200):
                self.assertEqual(connection.ping().status, 0)
            self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(broker.stop(), 0)
        for one in deaf:
            one.close()

    def test_bytes_that_are_no_request_change_nothing(self):
        broker = self.serve()
        address = metrics_address(broker)
        host, port = address.rsplit(':', 1)
        for data in (b'\r\n' * 1000, b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(500),
                     b'GET ' + b'/' * 100000, b'GET / HTTP/1.1\r\n' + b'a: b\r\n' * 20000,
                     b'POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n' +
                     bytes(100000), bytes(range(256)) * 100, wire.frame('PING')):
            with socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as one:
                try:
                    one.sendall(data)
                    one.shutdown(socket.SHUT_WR)
                    one.settimeout(0.3)
                    one.recv(100)
                except (OSError, TimeoutError):
                    pass
            self.assertEqual(get(address, '/livez')[0], 200)
        self.assertEqual(broker.stop(), 0)


class Addresses(HttpCase):
    def test_none_is_nowhere(self):
        broker = self.serve('metrics.listen=none')
        self.assertEqual(metrics_address(broker), 'none')
        self.assertEqual(listeners_of(broker.process.pid), 1)

    def test_auto_is_the_port_above_that_of_clients(self):
        """Somebody else may have it: then the next one is tried."""
        broker = Broker(['metrics.listen=auto'])
        self.addCleanup(broker.close)
        for port in range(26000, 26400, 2):
            broker.address = f'127.0.0.1:{port}'
            try:
                broker.start()
                break
            except AssertionError:
                self.assertIn('EADDRINUSE', broker.read_log())
        self.assertEqual(metrics_address(broker), f'127.0.0.1:{port + 1}')

    def test_a_port_in_use_is_named_with_what_to_do(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            address = '127.0.0.1:{}'.format(taken.getsockname()[1])
            data = os.path.join(self.folder, 'data')
            result = bad.start(data, 'metrics.listen=' + address)
            self.refused(result, FAILED, 'step=metrics', 'EADDRINUSE', 'metrics.listen', address,
                         'give another address, or none')
            self.assertFalse(os.path.exists(data))

    def test_an_address_that_is_none_is_named(self):
        result = bad.start(os.path.join(self.folder, 'data'), 'metrics.listen=everywhere')
        self.refused(result, USAGE, 'metrics.listen', 'expected auto, none, ')


if __name__ == '__main__':
    sys.exit(bad.main())
