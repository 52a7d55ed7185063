#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Filters of `read`: each is exact, together they are all required, also with --follow and -n."""
import json
import signal
import subprocess
import time
import unittest

from broker import CLI, BrokerTest

COUNT = 120


def record(n):
    """The n-th record; its members differ in periods that have no common divisor."""
    members = {'type': ('PICK_CONFIRMED', 'PACK_CONFIRMED')[n % 2], 'facility': f'DC0{n % 3}',
               'sku': f'SKU-{n % 5}', 'location': f'A-{n % 7}', 'lot': f'L-{n % 11}',
               'handling_unit': f'HU-{n % 13}', 'handling_unit_to': f'HU-{n % 17}',
               'quantity': '1', 'business_key': f'fact {n % 19}',
               'event_time': f'2026-11-{1 + n % 23:02}T06:00:00.000000Z'}
    if n % 4 == 0:
        members |= {'document': f'D{n % 3}', 'document_type': 'DELIVERY'}
    else:
        members |= {'order': f'D{n % 3}', 'order_line': 1}
    return members


class Filters(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for n in range(3):
            cls.broker.run('facility', 'add', f'DC0{n}')
        for source in ('WMS', 'ERP'):
            for channel in ('c1', 'c2'):
                for facility in range(3):
                    text = ''.join(json.dumps(record(n) | {'sequence': n + 1}) + '\n'
                                   for n in range(COUNT) if n % 3 == facility and
                                   (n // 3) % 2 == (channel == 'c2'))
                    result = cls.broker.run('produce', 'stock', '--source', source, '--file', '-',
                                            '--channel', f'{channel}-{facility}', '--sequence',
                                            'field', stdin=text)
                    assert result.returncode == 0, result.stderr
        cls.everything = [json.loads(line) for line in
                          cls.broker.run('read', 'stock').stdout.splitlines()]

    def read(self, *words):
        return [json.loads(line) for line in self.ok('read', 'stock', *words).splitlines()]

    def check(self, words, passes):
        """The filter gives what `passes` takes of everything: neither all nor nothing."""
        key = lambda row: (row['partition'], row['offset'])
        wanted = [row for row in self.everything if passes(row)]
        self.assertTrue(0 < len(wanted) < len(self.everything), words)
        self.assertEqual(sorted(self.read(*words), key=key), sorted(wanted, key=key), words)

    def test_everything_is_there(self):
        self.assertEqual(len(self.everything), 2 * COUNT)

    def test_each_filter_is_exact(self):
        for words, passes in (
                (['--facility', 'DC01'], lambda row: row['facility'] == 'DC01'),
                (['--sku', 'SKU-3'], lambda row: row['sku'] == 'SKU-3'),
                (['--location', 'A-2'], lambda row: row['location'] == 'A-2'),
                (['--type', 'PACK_CONFIRMED'], lambda row: row['type'] == 'PACK_CONFIRMED'),
                (['--order', 'D1'], lambda row: row.get('order') == 'D1'),
                (['--document', 'D1'],
                 lambda row: 'D1' in (row.get('order'), row.get('document'))),
                (['--handling-unit', 'HU-3'],
                 lambda row: 'HU-3' in (row['handling_unit'], row['handling_unit_to'])),
                (['--lot', 'L-10'], lambda row: row['lot'] == 'L-10'),
                (['--business-key', 'fact 7'], lambda row: row['business_key'] == 'fact 7'),
                (['--source', 'ERP'], lambda row: row['source'] == 'ERP'),
                (['--channel', 'c2-1'], lambda row: row['channel'] == 'c2-1'),
                (['--event-from', '2026-11-20T06:00Z'],
                 lambda row: row['event_time'] >= '2026-11-20T06'),
                (['--event-to', '2026-11-05T06:00Z'],
                 lambda row: row['event_time'] < '2026-11-05T06')):
            with self.subTest(words=words):
                self.check(words, passes)

    def test_a_text_that_only_begins_alike_does_not_pass(self):
        self.assertEqual(self.read('--lot', 'L-'), [])
        self.assertEqual(self.read('--business-key', 'fact 7 '), [])
        self.assertEqual(self.read('--channel', 'c'), [])

    def test_a_record_must_pass_all_of_them(self):
        partition = next(row['partition'] for row in self.everything
                         if row['sku'] == 'SKU-1' and row['facility'] == 'DC00')
        self.check(['--partition', str(partition), '--sku', 'SKU-1', '--source', 'WMS',
                    '--event-from', '2026-11-02', '--event-to', '2026-11-20', '--from', '1'],
                   lambda row: row['partition'] == partition and row['sku'] == 'SKU-1' and
                   row['source'] == 'WMS' and row['offset'] >= 1 and
                   '2026-11-02' <= row['event_time'] < '2026-11-20')
        self.assertEqual(self.read('--order', 'D1', '--document', 'D2'), [])

    def test_the_append_time_bounds_as_well(self):
        times = sorted(row['append_time'] for row in self.everything)
        middle = times[len(times) // 2]
        self.check(['--from', middle, '--source', 'ERP'],
                   lambda row: row['append_time'] >= middle and row['source'] == 'ERP')

    def test_max_counts_what_is_printed(self):
        found = self.read('--source', 'ERP', '--lot', 'L-4', '-n', '3')
        self.assertEqual([(row['source'], row['lot']) for row in found], [('ERP', 'L-4')] * 3)

    def test_follow_shows_only_what_passes_also_of_a_source_that_is_new(self):
        with subprocess.Popen([CLI, '-s', self.broker.address, 'read', 'ops', '--from', 'end',
                               '--follow', '--source', 'LATE', '--lot', 'L-1', '-n', '2'],
                              stdout=subprocess.PIPE, text=True) as reader:
            try:
                time.sleep(1)
                for source in ('WMS', 'LATE', 'ERP'):
                    path = self.write(f'{source}.jsonl', ''.join(
                        json.dumps(record(n)) + '\n' for n in (1, 2, 12)))
                    self.ok('produce', 'ops', '--source', source, '--file', path)
                rows = [json.loads(line) for line in reader.communicate(timeout=60)[0]
                        .splitlines()]
            finally:
                if reader.poll() is None:
                    reader.send_signal(signal.SIGKILL)
        self.assertEqual(reader.returncode, 0)
        self.assertEqual([(row['source'], row['lot']) for row in rows], [('LATE', 'L-1')] * 2)

    def test_a_source_that_never_sent_is_not_found_and_a_near_one_is_named(self):
        error = self.fails(3, 'NOT_FOUND', 'read', 'stock', '--source', 'WSM')['error']
        self.assertIn("did you mean 'WMS'", error['text'])

    def test_wrong_times_are_usage_errors(self):
        for option in ('--event-from', '--event-to', '--from', '--to'):
            self.fails(2, 'OPTION_INVALID', 'read', 'stock', option, 'yesterday')


if __name__ == '__main__':
    unittest.main()
