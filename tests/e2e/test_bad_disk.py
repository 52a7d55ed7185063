#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that runs full under a real broker: producers are told to wait, readers are served, and
producing goes on when there is room again."""
import os
import subprocess
import sys
import time

import bad
import folder
import wire
from broker import Broker

DISK_BYTES = 64 << 20
SETTINGS = ('log.segment_bytes=4MiB', 'log.retention_bytes=0', 'log.disk_low_bytes=4MiB',
            'produce.stall_ms=200')
BATCH_RECORDS = 100
PAYLOAD_BYTES = 8000
BATCHES_MAX = 200
WAIT_SECONDS = 15


class FullDisk(bad.BadCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(bad.own_mounts(self.folder))
        image = os.path.join(self.folder, 'image')
        self.disk = os.path.join(self.folder, 'disk')
        os.mkdir(self.disk)
        with open(image, 'wb') as file:
            file.truncate(DISK_BYTES)
        subprocess.run(['mkfs.ext4', '-q', '-m', '0', image], check=True, capture_output=True)
        bad.mount('-o', 'loop', image, self.disk)
        self.addCleanup(bad.unmount, self.disk)
        self.broker = Broker(SETTINGS)
        self.addCleanup(self.broker.close)
        self.broker.data = os.path.join(self.disk, 'data')

    def begin(self):
        self.broker.start()
        self.assertEqual(self.broker.run('facility', 'add', 'DC07').returncode, 0)
        self.connection = wire.Connection(self.broker.address)
        self.addCleanup(self.connection.close)
        self.channel = self.connection.open('FILL', 'DC07')
        body = wire.records(self.channel, 'SKU-1', 1)
        place = self.connection.catalog()['stock', 'DC07']
        route_key = int.from_bytes(body[48:52], 'little')
        self.partition = place.base + (route_key * place.width >> 32)
        self.acked = 0

    def produce(self):
        """One batch more; its outcome."""
        first = self.acked + 1
        body = wire.records(self.channel, 'SKU-1', first, BATCH_RECORDS, PAYLOAD_BYTES)
        ack, = self.connection.produce(wire.batch(self.channel, self.partition, body, first,
                                                  BATCH_RECORDS, self.acked))
        if ack.status >= 0:
            self.acked += BATCH_RECORDS
        return ack

    def fill(self):
        """Until the broker says no; that answer."""
        for _ in range(BATCHES_MAX):
            ack = self.produce()
            if ack.status < 0:
                return ack
        raise AssertionError('the disk never ran full')

    def served(self):
        result = self.broker.run('-o', 'jsonl', 'read', 'stock')
        self.assertEqual(result.returncode, 0, result.stderr)
        return len(folder.records_of(result.stdout))

    def produce_again(self):
        deadline = time.monotonic() + WAIT_SECONDS
        while (ack := self.produce()).status < 0:
            self.assertIn(ack.name, ('READ_ONLY', 'THROTTLED'))
            self.assertLess(time.monotonic(), deadline, ack)
            time.sleep(0.1)

    def test_producers_wait_and_readers_are_served_until_there_is_room(self):
        ballast = os.path.join(self.disk, 'ballast')
        with open(ballast, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, 20 << 20)
        self.begin()
        refused = self.fill()
        self.assertEqual(refused.name, 'READ_ONLY')
        self.assertIn('disk', refused.detail)
        self.assertGreater(refused.retry_after_ms, 0)
        acked = self.acked
        self.assertGreater(acked, 0)
        self.assertEqual(self.served(), acked)
        self.assertEqual(self.produce().name, 'READ_ONLY')
        self.assertEqual(self.broker.run('facility', 'list').returncode, 0)
        os.remove(ballast)
        self.produce_again()
        self.assertEqual(self.served(), self.acked)
        self.assertEqual(self.broker.stop(), 0)

    def test_a_broker_on_a_full_disk_stops_and_starts_again_with_all_that_was_acknowledged(self):
        self.begin()
        self.fill()
        acked = self.acked
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        self.assertEqual(self.served(), acked)
        self.broker.kill()
        self.broker.start()
        self.assertEqual(self.served(), acked)

    def test_somebody_else_filling_the_disk_to_the_last_byte_loses_nothing(self):
        self.begin()
        for _ in range(5):
            self.assertEqual(self.produce().name, 'OK')
        with open(os.path.join(self.disk, 'ballast'), 'wb') as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                pass
        refused = self.fill()
        self.assertIn(refused.name, ('READ_ONLY', 'THROTTLED'))
        self.assertEqual(self.served(), self.acked)
        os.remove(os.path.join(self.disk, 'ballast'))
        self.produce_again()
        self.broker.kill()
        self.broker.start()
        self.assertEqual(self.served(), self.acked)

    def test_a_disk_without_room_for_a_segment_refuses_the_start(self):
        with open(os.path.join(self.disk, 'ballast'), 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, 50 << 20)
        result = bad.start(self.broker.data, *SETTINGS)
        self.refused(result, 1, 'a segment of 4194304 bytes cannot be prepared', 'free space')


if __name__ == '__main__':
    sys.exit(bad.main())
