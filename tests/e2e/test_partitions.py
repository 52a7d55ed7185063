#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A catalog of more than 100,000 partitions: made by the command line, listed, produced to and read
back over a kill and a restart."""
import json
import os
import re
import subprocess
import sys

import bad
import wire
from broker import BrokerTest

BENCH = os.environ['CROSSDOCK_BENCH']
TOPICS = 16
WIDTH = 64
FACILITIES = 98
# The global facility has the topics' partitions too.
PARTITIONS = TOPICS * WIDTH * (FACILITIES + 1)
# Facilities and partitions of one topic that get records.
USED = 40
RECORD_BYTES = 256


class ManyPartitions(BrokerTest):
    settings = ('catalog.partitions_max=102000', 'produce.chains_max=8192',
                'catalog.topics=' + ','.join(f'lane{number}:key:{WIDTH}'
                                             for number in range(TOPICS)))

    def produce(self, facilities):
        """Records into most partitions of one topic in each of the facilities; their number."""
        done = subprocess.run(
            [BENCH, 'produce', '-a', self.broker.address, '-t', 'lane3', '-f',
             ','.join(facilities), '-c', str(len(facilities)), '-k', '256', '--post', '-r',
             str(RECORD_BYTES), '-b', '4KiB', '-w', '2', '-R', '40000', '-d', '1s', '--warmup', '0',
             '-o', 'json'],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def partitions(self, **filters):
        """All rows of the broker's own list, page by page."""
        rows, start = [], 0
        with wire.Connection(self.broker.address) as connection:
            while start is not None:
                page = connection.admin('partition list', **{'from': start}, **filters)
                rows += page['partitions']
                start = page['next']
        return rows

    def test_a_hundred_thousand_partitions_live_through_a_kill(self):
        names = [f'DC{number:03}' for number in range(FACILITIES)]
        for name in names:
            self.ok('facility', 'add', name)
        self.assertGreater(PARTITIONS, 100000)
        self.assertEqual(sum(row['partitions'] for row in self.data('topic', 'list')['topics']),
                         PARTITIONS)
        refused = self.fails(1, 'CATALOG_FULL', 'facility', 'add', 'ONE-MORE')['error']
        self.assertIn(f'{PARTITIONS} of 102000 are in use', refused['text'])

        self.produce(names[-USED:])
        before = self.partitions(topic='lane3')
        self.assertEqual(len(before), WIDTH * (FACILITIES + 1))
        used = [row for row in before if row['end_offset'] > 0]
        self.assertGreater(len(used), USED * WIDTH * 9 // 10)
        self.assertEqual({row['facility'] for row in used}, set(names[-USED:]))

        self.broker.kill()
        self.broker.start()
        self.assertEqual(self.partitions(topic='lane3'), before)
        whole = self.partitions()
        self.assertEqual([row['partition'] for row in whole], list(range(PARTITIONS)))
        with wire.Connection(self.broker.address) as connection:
            places = connection.catalog()
        self.assertEqual(len(places), TOPICS * (FACILITIES + 1))
        self.assertEqual(sum(place.width for place in places.values()), PARTITIONS)
        last = [row for row in used if row['facility'] == names[-1]][-1]
        read = self.ok('-o', 'jsonl', 'read', 'lane3', '--facility', names[-1], '--from', 'begin')
        self.assertGreater(last['end_offset'], 0)
        offsets = [json.loads(line)['offset'] for line in read.splitlines()
                   if json.loads(line)['partition'] == last['partition']]
        self.assertEqual(offsets, list(range(last['end_offset'])))

    def test_memory_is_what_was_reckoned(self):
        """Two starts with other limits say what a partition takes."""
        taken = re.search(r' memory bytes=(\d+)', self.broker.read_log())
        self.assertIsNotNone(taken)
        self.broker.stop()
        settings = list(self.broker.settings)
        try:
            self.broker.settings.append('catalog.partitions_max=131072')
            self.broker.start()
            more = re.findall(r' memory bytes=(\d+)', self.broker.read_log())[-1]
        finally:
            self.broker.settings = settings
        self.assertLessEqual((int(more) - int(taken.group(1))) / (131072 - 102000), 256)


if __name__ == '__main__':
    sys.exit(bad.main())
