#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`top` and `check`: what a broker is doing, for people and for monitoring programs."""
import json
import re
import signal
import subprocess
import time
import unittest

from broker import CLI, BrokerTest, run

NOWHERE = 'unix:/nowhere/at.all'


class Top(BrokerTest):
    def objects(self, *words):
        return [json.loads(line)['data'] for line in
                self.ok('-o', 'json', 'top', *words).splitlines()]

    def test_without_a_terminal_it_prints_one_picture_and_ends(self):
        begin = time.monotonic()
        text = self.ok('top', '--interval', '200ms')
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn('records/s', text)
        self.assertIn('running', text.splitlines()[0])
        self.assertNotIn('\033', text)

    def test_as_json_it_prints_one_object_a_tick(self):
        rows = self.objects('--interval', '100ms', '--count', '3')
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertGreaterEqual(row['interval_ms'], 100)
            self.assertEqual((row['records_in_per_second'], row['busiest_partitions']), (0, []))
            self.assertGreater(row['disk_free_bytes'], 0)
        self.assertEqual([row['time'] for row in rows], sorted(row['time'] for row in rows))

    def test_its_rates_add_up_to_what_was_sent(self):
        self.ok('facility', 'add', 'DC07')
        path = self.write('day.csv', 'type,facility,sku\n' + '0xf001,DC07,S\n' * 5000)
        with subprocess.Popen([CLI, '-s', self.broker.address, '-o', 'json', 'top', '--interval',
                               '300ms', '--count', '12'], stdout=subprocess.PIPE,
                              text=True) as process:
            time.sleep(1)
            self.ok('produce', 'stock', '--source', 'WMS', '--file', path)
            rows = [json.loads(line)['data'] for line in process.communicate(timeout=60)[0]
                    .splitlines()]
        for member, list_name in (('records_in_per_second', None),
                                  (None, 'busiest_partitions'), (None, 'busiest_channels')):
            total = sum((row[member] if member else
                         sum(one['records_per_second'] for one in row[list_name])) *
                        row['interval_ms'] / 1000 for row in rows)
            self.assertAlmostEqual(total, 5000, delta=100, msg=member or list_name)
        busy = max(rows, key=lambda row: row['records_in_per_second'])
        self.assertEqual(busy['busiest_partitions'][0]['topic'], 'stock')
        self.assertEqual(busy['busiest_channels'][0]['source'], 'WMS')

    def test_an_interrupted_one_ends_with_130(self):
        with subprocess.Popen([CLI, '-s', self.broker.address, '-o', 'json', 'top', '--interval',
                               '1h', '--count', '2'], stdout=subprocess.PIPE) as process:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=20), 130)
            self.assertEqual(process.stdout.read(), b'')

    def test_wrong_intervals_and_counts_are_usage_errors(self):
        for words in (['--interval', '2'], ['--count', '0'], ['--count', 'x'],
                      ['--interval', '0s']):
            self.fails(2, 'OPTION_INVALID', 'top', *words)


class Check(BrokerTest):
    def test_a_well_broker_is_one_line_and_exit_status_0(self):
        for name, unit in (('broker', 'us'), ('disk', 'B')):
            text = self.ok('check', name, *(['--warn', '0%'] if name == 'disk' else
                                            ['--warn', '1m']))
            self.assertRegex(text, rf'^{name} ok: [^|\n]+ \| \w+=\d+{unit};\d+:?;\d+:?;0\n$')

    def test_thresholds_give_warning_and_critical(self):
        for words, exit_status, state in (
                (['disk', '--warn', '8000TiB', '--crit', '0B'], 6, 'warning'),
                (['disk', '--crit', '8000TiB'], 7, 'critical'),
                (['disk', '--warn', '100%', '--crit', '0%'], 6, 'warning'),
                (['disk', '--warn', '100%', '--crit', '100%'], 7, 'critical'),
                (['disk', '--warn', '0%'], 0, 'ok'),
                (['broker', '--warn', '1m'], 0, 'ok')):
            with self.subTest(words=words):
                result = self.broker.run('check', *words)
                self.assertEqual((result.returncode, result.stderr), (exit_status, ''))
                self.assertTrue(result.stdout.startswith(f'{words[0]} {state}: '), result.stdout)
                result = self.broker.run('-o', 'json', 'check', *words)
                self.assertEqual(result.returncode, exit_status)
                data = json.loads(result.stdout)['data']
                self.assertEqual((data['check'], data['state']), (words[0], state))
                self.assertEqual(set(data), {'check', 'state', 'text', 'value', 'warn', 'crit',
                                             'unit'})

    def test_a_stopped_broker_makes_the_answer_late(self):
        self.broker.process.send_signal(signal.SIGSTOP)
        try:
            process = subprocess.Popen([CLI, '-s', self.broker.address, 'check', 'broker', '--warn',
                                        '100ms', '--crit', '900ms'], stdout=subprocess.PIPE,
                                       text=True)
            time.sleep(3)
        finally:
            self.broker.process.send_signal(signal.SIGCONT)
        out = process.communicate(timeout=30)[0]
        self.assertEqual(process.returncode, 7, out)
        self.assertRegex(out, r'^broker critical: running, connected and answered in \d')

    def test_free_space_is_what_the_broker_says(self):
        result = self.broker.run('-o', 'json', 'check', 'disk')
        self.assertIn(result.returncode, (0, 6, 7), result.stderr)
        data = json.loads(result.stdout)['data']
        stats = self.data('status')['log']
        self.assertAlmostEqual(data['value'], stats['disk_free_bytes'], delta=1 << 30)
        self.assertAlmostEqual(data['warn'], stats['disk_size_bytes'] / 5, delta=200)

    def test_wrong_thresholds_say_what_fits_also_without_a_broker(self):
        for words, expected in ((['disk', '--warn', '5GB'], '50GiB or 10%'),
                                (['disk', '--crit', '101%'], '50GiB or 10%'),
                                (['broker', '--crit', '5'], '500ms'),
                                (['broker', '--warn', '3s', '--crit', '2s'], 'below --crit')):
            result = run('-s', NOWHERE, 'check', *words)
            self.assertEqual((result.returncode, result.stdout), (2, ''))
            self.assertIn(expected, result.stderr)
        self.fails(2, 'OPTION_INVALID', 'check', 'disk', '--warn', '1B', '--crit', '2B')

    def test_no_broker_is_unreachable(self):
        for name in ('broker', 'disk'):
            result = run('-s', NOWHERE, 'check', name)
            self.assertEqual((result.returncode, result.stdout), (5, ''))
            self.assertTrue(re.search('UNREACHABLE|ENOENT', result.stderr), result.stderr)


if __name__ == '__main__':
    unittest.main()
