# SPDX-License-Identifier: Apache-2.0
"""Data folders for tests that damage them: filled once for a class, copied for each test."""
import json
import os
import shutil
import struct

import bad
import wire
from broker import Broker, run

SEGMENT_BYTES = 4 << 20
META_SLOT_BYTES = PAGE_BYTES = 4096
BLOCK_HEADER_BYTES = 128
AT_VERSION = 12
SKUS = 8
BATCH_RECORDS = 100


def fill(broker, rounds, payload_bytes=1000):
    """Appends batches of 8 SKUs, a channel each, to topic stock of facility DC07; the partitions
    that they went to, by SKU."""
    partitions, first = {}, {}
    with wire.Connection(broker.address) as connection:
        place = connection.catalog()['stock', 'DC07']
        for number in range(rounds):
            sku = f'SKU-{number % SKUS}'
            channel = connection.open('FILL', 'DC07', sku)
            at = first.setdefault(sku, 1)
            body = wire.records(channel, sku, at, BATCH_RECORDS, payload_bytes)
            route_key, = struct.unpack_from('<I', body, 48)
            partitions[sku] = place.base + (route_key * place.width >> 32)
            ack, = connection.produce(wire.batch(channel, partitions[sku], body, at,
                                                 BATCH_RECORDS, at - 1))
            assert ack.name == 'OK', ack
            first[sku] = at + BATCH_RECORDS
    return partitions


def records_of(output):
    """Lines of records; a read that fails adds one that says so."""
    return [line for line in output.splitlines() if not line.startswith('{"command"')]


class FolderCase(bad.BadCase):
    """`self.data` is a copy of a folder with a log of two segments; `settings` say how it is
    written, `rounds` how much of it."""
    settings = ()
    rounds = 60

    @classmethod
    def setUpClass(cls):
        cls.made = Broker(cls.settings)
        cls.addClassCleanup(cls.made.close)
        cls.made.start()
        assert cls.made.run('facility', 'add', 'DC07').returncode == 0
        cls.partitions = fill(cls.made, cls.rounds)
        cls.whole = cls.read_all(cls.made)
        assert cls.made.stop() == 0, cls.made.read_log()

    def setUp(self):
        super().setUp()
        self.data = os.path.join(self.folder, 'data')
        shutil.copytree(self.made.data, self.data)

    # -- what is in it --

    def rows(self, kind):
        result = run('-o', 'jsonl', 'log', 'dump', self.data)
        return [row for row in map(json.loads, result.stdout.splitlines()) if row['kind'] == kind]

    def blocks(self):
        """Data blocks with records; each row has the name of its file too."""
        files = {row['segment']: row['file'] for row in self.rows('segment')}
        return [{**row, 'file': files[row['segment']]} for row in self.rows('block')
                if row['type'] == 'data' and row['records'] > 0]

    def partition_of(self, block):
        """Partition of the block's first batch."""
        at = block['at'] + BLOCK_HEADER_BYTES
        return wire.Header(*wire.BATCH.unpack(self.bytes(block['file'], at, wire.BATCH.size))
                           ).partition

    def bytes(self, name, at, count):
        with open(os.path.join(self.data, name), 'rb') as file:
            file.seek(at)
            return file.read(count)

    # -- what is done to it --

    def put(self, name, at, data):
        with open(os.path.join(self.data, name), 'r+b') as file:
            file.seek(at)
            file.write(data)

    def flip(self, name, at, bit=0):
        self.put(name, at, bytes([self.bytes(name, at, 1)[0] ^ 1 << bit]))

    def newer_page(self, name, at=0, version=2):
        """Raises the version of a header page under a checksum that is right."""
        page = bytearray(self.bytes(name, at, PAGE_BYTES))
        struct.pack_into('<H', page, AT_VERSION, version)
        struct.pack_into('<Q', page, 0, wire.xxh3(bytes(page[8:])))
        self.put(name, at, page)

    # -- what comes of it --

    def start(self, *settings):
        return bad.start(self.data, *self.settings, *settings)

    def serve(self):
        """A broker on the folder that is expected to start."""
        broker = Broker(self.settings)
        self.addCleanup(broker.close)
        broker.data = self.data
        return broker.start()

    @staticmethod
    def read_all(broker):
        """{partition: standard output of a whole read of it}."""
        result = broker.run('-o', 'jsonl', 'read', 'stock')
        assert result.returncode == 0, result.stderr
        lines = {}
        for line in result.stdout.splitlines():
            lines.setdefault(json.loads(line)['partition'], []).append(line)
        return lines

    def read_one(self, broker, partition):
        """(exit status, records, standard error) of reading one partition."""
        result = broker.run('-o', 'jsonl', 'read', 'stock', '--partition', str(partition))
        return result.returncode, records_of(result.stdout), result.stderr

    def verify(self, severity):
        """Findings or notes of `crossdock log verify`."""
        result = run('-o', 'json', 'log', 'verify', self.data)
        data = json.loads(result.stdout).get('data', {'findings': []})
        return [row for row in data['findings'] if row['severity'] == severity]
