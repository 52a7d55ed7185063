#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verbs that move records: produce, read, and what a source has sent."""
import csv
import io
import json
import os
import signal
import subprocess
import time
import unittest

from broker import CLI, BrokerTest


def pick(**members):
    record = {'type': 'PICK_CONFIRMED', 'facility': 'DC07', 'sku': 'SKU-1', 'location': 'A-1',
              'order': 'SO1', 'order_line': 1, 'quantity': '1', 'handling_unit': 'HU-1'}
    record.update(members)
    return {name: value for name, value in record.items() if value is not None}


def lines_of(records):
    return ''.join(json.dumps(record) + '\n' for record in records)


class RecordsTest(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for facility in ('DC07', 'DC08'):
            cls.broker.run('facility', 'add', facility)

    def setUp(self):
        super().setUp()
        self.topic = 't' + str(abs(hash(self.id())))[:12]
        self.ok('topic', 'create', self.topic, '--width', '4')

    def produce(self, path, *words):
        return self.data('produce', self.topic, '--source', 'WMS', '--file', path, *words)

    def read(self, *words):
        return [json.loads(line) for line in self.ok('read', self.topic, *words).splitlines()]


class RoundTrip(RecordsTest):
    EVERYTHING = pick(
        lot='L-9', location_to='B-2', owner=7, status='AVAILABLE', status_to='QUALITY',
        handling_unit_to='HU-2', document_step=2, document_revision=3, reference='TASK-1',
        priority=5, quantity='-12.500', uom='KGM', reason=42,
        event_time='2026-11-24T06:00:00.000001Z', posting_date='2026-11-24',
        business_key='a key that is longer than any short key', flags='correction,last_in_doc',
        event_id='0192a3b4-c5d6-7e8f-9012-3456789abcde',
        correlation_id='11111111-2222-3333-4444-555555555555',
        causation_id='66666666-7777-8888-9999-aaaaaaaaaaaa', payload='{"ä": "\\n \u2713"}')

    def test_every_field_comes_back_as_it_was_given(self):
        self.produce(self.write('one.jsonl', lines_of([self.EVERYTHING])))
        record, = self.read()
        for name, value in self.EVERYTHING.items():
            self.assertEqual(record[name], value, name)
        self.assertEqual((record['topic'], record['offset'], record['sequence'],
                          record['source']), (self.topic, 0, 1, 'WMS'))
        self.assertRegex(record['append_time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')

    def test_what_read_prints_can_be_produced(self):
        records = [self.EVERYTHING, pick(order=None, order_line=None, document='D1',
                                         document_type='DELIVERY', document_line=4),
                   {'type': '0xf001', 'sku': 'X', 'payload_base64': 'AAEC/w=='}]
        self.produce(self.write('a.jsonl', lines_of(records)))
        copy = self.write('b.jsonl', self.ok('read', self.topic))
        self.ok('topic', 'create', self.topic + 'copy', '--width', '4')
        self.data('produce', self.topic + 'copy', '--source', 'MIRROR', '--file', copy)
        own = ('topic', 'partition', 'offset', 'append_time', 'source', 'channel', 'sequence')
        plain = [{name: value for name, value in record.items() if name not in own}
                 for record in self.read()]
        other = [json.loads(line) for line in
                 self.ok('read', self.topic + 'copy').splitlines()]
        self.assertEqual(sorted(map(str, plain)), sorted(
            str({name: value for name, value in record.items() if name not in own})
            for record in other))
        self.assertIn('AAEC/w==', str(plain))

    def test_csv_keeps_commas_quotes_and_newlines(self):
        out = io.StringIO()
        writer = csv.writer(out)  # RFC 4180, with \r\n
        texts = ['plain', 'a,b', 'say "x"', 'two\nlines', '']
        writer.writerow(['type', 'facility', 'sku', 'payload'])
        for text in texts:
            writer.writerow(['0xf002', 'DC07', 'S', text])
        self.produce(self.write('x.csv', '\ufeff' + out.getvalue()))
        records = self.read()
        self.assertEqual([record.get('payload', '') for record in records], texts)
        # A record's number is the line that it begins in.
        self.assertEqual([record['sequence'] for record in records], [2, 3, 4, 5, 7])

    def test_standard_input_is_a_file_like_others(self):
        text = lines_of([pick(), pick(sku='SKU-2')])
        first = self.data('produce', self.topic, '--source', 'WMS', '--file', '-', stdin=text)
        self.assertEqual(first['appended'], 2)
        again = self.produce(self.write('same.jsonl', text))
        self.assertEqual((again['appended'], again['already']), (0, 2))


class Produce(RecordsTest):
    BAD = [pick(), '{"type": "PICK_CONFIRMED", "qty": "1"}', pick(quantity='1,5'),
           pick(quantity=1.5), pick(type='PICKED'), pick(facility='DC99'), 'no json',
           pick(event_time='yesterday'), pick(quantity=None), pick(sku='x' * 256),
           pick(document='D1'), pick(sku='SKU-2')]
    WRONG = {2: 'qty', 3: 'quantity', 4: 'quantity', 5: 'type', 6: 'facility', 7: '',
             8: 'event_time', 9: 'quantity', 10: 'sku', 11: 'document'}

    def bad_file(self):
        return self.write('bad.jsonl', ''.join(
            (line if isinstance(line, str) else json.dumps(line)) + '\n' for line in self.BAD))

    def test_wrong_lines_are_told_by_number_and_field_and_the_others_go_on(self):
        path = self.bad_file()
        rejects = os.path.join(self.folder, 'rejects.jsonl')
        envelope = self.fails(1, 'RECORD_MALFORMED', 'produce', self.topic, '--source', 'WMS',
                              '--file', path, '--rejects', rejects)
        data = envelope['data']
        self.assertEqual((data['lines'], data['appended'], data['rejected']), (12, 2, 10))
        self.assertEqual({row['line']: row['field'] for row in data['errors']}, self.WRONG)
        self.assertEqual({record['sequence'] for record in self.read()}, {1, 12})
        result = self.broker.run('produce', self.topic, '--source', 'WMS', '--file', path)
        for line, field in self.WRONG.items():
            self.assertIn(f'{path}:{line}: {field}', result.stderr)
        with open(rejects, encoding='utf-8') as file, open(path, encoding='utf-8') as whole:
            lines = whole.read().splitlines()
            self.assertEqual(file.read().splitlines(), [lines[number - 1] for number in
                                                        sorted(self.WRONG)])

    def test_all_or_nothing_sends_nothing_when_one_line_is_wrong(self):
        path = self.bad_file()
        words = ['produce', self.topic, '--source', 'ALL', '--file', path, '--all-or-nothing']
        data = self.fails(1, 'RECORD_MALFORMED', *words)['data']
        self.assertEqual((data['appended'], data['rejected']), (0, 10))
        self.assertEqual(self.read(), [])
        good = self.write('good.jsonl', lines_of([pick(), pick(sku='SKU-2')]))
        self.assertEqual(self.produce(good, '--all-or-nothing')['appended'], 2)

    def test_a_dry_run_equals_the_real_run_but_for_its_mark(self):
        good = self.write('good.jsonl', lines_of(pick(sku=f'S{n}') for n in range(50)))
        for path, exit_status in ((good, 0), (self.bad_file(), 1), (good, 0)):
            words = ['-o', 'json', 'produce', self.topic, '--source', 'WMS', '--file', path]
            dry = self.broker.run(*words, '--dry-run')
            real = self.broker.run(*words)
            self.assertEqual((dry.returncode, real.returncode), (exit_status, exit_status))
            dry_envelope = json.loads(dry.stdout)
            self.assertIs(dry_envelope['data'].pop('dry_run'), True)
            self.assertEqual(dry_envelope, json.loads(real.stdout))

    def test_the_same_file_again_appends_nothing_and_says_so(self):
        path = self.write('day.jsonl', lines_of(
            pick(sku=f'S{n % 9}', facility=('DC07', 'DC08')[n % 2]) for n in range(200)))
        first = self.produce(path)
        self.assertEqual((first['appended'], first['already']), (200, 0))
        self.assertEqual(len(first['channels']), 2)
        self.assertTrue(all(row['channel'].endswith(row['facility'])
                            for row in first['channels']))
        result = self.broker.run('produce', self.topic, '--source', 'WMS', '--file', path)
        self.assertEqual(result.returncode, 0)
        self.assertIn('nothing was appended', result.stderr)
        self.assertEqual(len(self.read()), 200)

    def test_another_content_is_another_channel(self):
        one = self.produce(self.write('a.jsonl', lines_of([pick()])))
        two = self.produce(self.write('a.jsonl', lines_of([pick(), pick()])))
        self.assertNotEqual(one['channels'][0]['channel'], two['channels'][0]['channel'])
        self.assertEqual(two['appended'], 2)

    def test_facility_fills_in_and_a_long_name_still_makes_a_channel(self):
        name = 'F' * 64
        self.ok('facility', 'add', name)
        path = self.write('a.jsonl', lines_of([pick(facility=None)]))
        data = self.produce(path, '--facility', name)
        self.assertEqual(data['channels'][0]['facility'], name)
        self.assertLessEqual(len(data['channels'][0]['channel']), 64)
        self.assertEqual(self.produce(path, '--facility', name)['already'], 1)

    def test_a_named_channel_feeds_one_facility(self):
        path = self.write('a.jsonl', lines_of([pick(facility='DC99', sequence=1), pick(sequence=2),
                                               pick(facility='DC08', sequence=3)]))
        data = self.fails(1, 'RECORD_MALFORMED', 'produce', self.topic, '--source', 'WMS',
                          '--file', path, '--channel', self.topic, '--sequence', 'field')['data']
        self.assertEqual([(row['line'], row['field']) for row in data['errors']],
                         [(1, 'facility'), (3, 'facility')])
        self.assertEqual(data['appended'], 1)
        self.fails(2, 'OPTION_INVALID', 'produce', self.topic, '--source', 'WMS', '--file', path,
                   '--channel', self.topic)

    def test_a_number_that_a_named_channel_has_gone_past_is_refused_not_skipped(self):
        words = ['--channel', self.topic, '--sequence', 'field']
        first = self.write('a.jsonl', lines_of(
            pick(sequence=n) for n in range(1, 21) if n not in (7, 8)))
        self.assertEqual(self.produce(first, *words)['appended'], 18)
        self.assertEqual(self.produce(first, *words)['already'], 18)
        late = self.write('b.jsonl', lines_of(pick(sequence=n) for n in (6, 7, 20, 21)))
        dry = self.produce(late, *words, '--dry-run')
        self.assertEqual((dry['already'], dry['appended']), (2, 2))
        data = self.fails(1, 'RECORD_MALFORMED', 'produce', self.topic, '--source', 'WMS',
                          '--file', late, *words)['data']
        self.assertEqual((data['already'], data['appended']), (2, 1))
        self.assertEqual([(row['line'], row['field']) for row in data['errors']],
                         [(2, 'sequence')])

    def test_a_channel_s_name_that_is_too_long_is_refused(self):
        path = self.write('a.jsonl', lines_of([pick()]))
        self.fails(2, 'NAME_INVALID', 'produce', self.topic, '--source', 'WMS', '--file', path,
                   '--channel', 'c' * 65, '--sequence', 'field')

    def test_what_is_missing_ends_the_run(self):
        path = self.write('a.jsonl', lines_of([pick()]))
        self.fails(3, 'NOT_FOUND', 'produce', 'nowhere', '--source', 'WMS', '--file', path,
                   '--dry-run')
        self.fails(3, 'TOPIC_UNKNOWN', 'produce', 'nowhere', '--source', 'WMS', '--file', path)
        self.fails(3, 'ENOENT', 'produce', self.topic, '--source', 'WMS', '--file', '/nowhere')
        header = self.write('a.csv', 'type,sku,quantty\n')
        error = self.fails(2, 'FIELD_INVALID', 'produce', self.topic, '--source', 'WMS',
                           '--file', header)['error']
        self.assertIn("did you mean 'quantity'", error['text'])


    def test_a_pipe_is_read_like_a_file_and_a_folder_is_refused(self):
        pipe = os.path.join(self.folder, 'pipe')
        os.mkfifo(pipe)
        with subprocess.Popen(['sh', '-c', 'cat >"$0"', pipe], stdin=subprocess.PIPE,
                              text=True) as writer:
            writer.stdin.write(lines_of([pick()]))
            writer.stdin.close()
            self.assertEqual(self.produce(pipe)['appended'], 1)
        self.fails(1, 'EISDIR', 'produce', self.topic, '--source', 'WMS', '--file', self.folder)

    def test_an_interrupted_run_says_what_was_sent_and_ends_with_130(self):
        path = self.write('big.jsonl', lines_of(pick(sku=f'S{n % 9}') for n in range(300000)))
        importer = subprocess.Popen([CLI, '-s', self.broker.address, '-o', 'json', 'produce',
                                     self.topic, '--source', 'WMS', '--file', path],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and \
                    self.data('topic', 'show', self.topic)['records'] == 0:
                pass
            importer.send_signal(signal.SIGINT)
            envelope = json.loads(importer.communicate(timeout=60)[0])
        finally:
            if importer.poll() is None:
                importer.kill()
                importer.wait()
        self.assertEqual((importer.returncode, envelope['error']['name']), (130, 'EINTR'))
        sent = envelope['data']['appended']
        self.assertEqual(self.data('topic', 'show', self.topic)['records'], sent)
        self.assertEqual(self.produce(path)['appended'], 300000 - sent)


class Read(RecordsTest):
    def setUp(self):
        super().setUp()
        self.produce(self.write('a.jsonl', lines_of(
            pick(sku=f'SKU-{n % 5}', location=f'A-{n % 3}', order=f'SO{n}',
                 facility=('DC07', 'DC08')[n % 2],
                 type=('PICK_CONFIRMED', 'PACK_CONFIRMED')[n % 7 == 0]) for n in range(100))))

    def test_filters_are_exact(self):
        everything = self.read()
        self.assertEqual(len(everything), 100)
        for words, member, value in ((['--facility', 'DC08'], 'facility', 'DC08'),
                                     (['--sku', 'SKU-3'], 'sku', 'SKU-3'),
                                     (['--location', 'A-1'], 'location', 'A-1'),
                                     (['--type', 'PACK_CONFIRMED'], 'type', 'PACK_CONFIRMED')):
            wanted = [record for record in everything if record[member] == value]
            self.assertGreater(len(wanted), 0)
            found = self.read(*words)
            key = lambda record: (record['partition'], record['offset'])
            self.assertEqual(sorted(found, key=key), sorted(wanted, key=key))

    def test_places_bound_what_is_read(self):
        everything = self.read()
        self.assertEqual(len(self.read('--max', '7')), 7)
        self.assertEqual(self.read('--from', 'end'), [])
        found = self.read('--from', '2', '--to', '5')
        self.assertEqual({record['offset'] for record in found}, {2, 3, 4})
        partition = everything[0]['partition']
        one = self.read('--partition', str(partition))
        self.assertEqual([record['offset'] for record in one], list(range(len(one))))
        self.assertEqual(self.read('--to', '2020-01-01'), [])
        self.assertEqual(len(self.read('--from', '2020-01-01T00:00:00Z')), 100)
        self.assertEqual(self.read('--from', '2100-01-01'), [])

    def test_sequence_of_a_key_is_kept(self):
        last = {}
        for record in self.read():
            key = (record['facility'], record['sku'])
            self.assertLess(last.get(key, 0), record['sequence'])
            last[key] = record['sequence']

    def test_follow_shows_what_comes_and_ends_with_130(self):
        reader = subprocess.Popen([CLI, '-s', self.broker.address, 'read', self.topic, '--from',
                                   'end', '--follow'], stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(1)
            self.produce(self.write('b.jsonl', lines_of([pick(order='LATE')])))
            self.assertEqual(json.loads(reader.stdout.readline())['order'], 'LATE')
            reader.send_signal(signal.SIGINT)
            self.assertEqual(reader.wait(timeout=20), 130)
        finally:
            if reader.poll() is None:
                reader.kill()
                reader.wait()
            reader.stdout.close()

    def test_tables_have_a_row_for_each_record(self):
        rows = self.ok('-o', 'tsv', 'read', self.topic).splitlines()
        self.assertEqual(len(rows), 101)
        self.assertEqual(rows[0].split('\t')[:2], ['partition', 'offset'])
        self.assertEqual({row.count('\t') for row in rows}, {rows[0].count('\t')})
        self.assertEqual(len(self.ok('-o', 'table', 'read', self.topic).splitlines()), 101)

    def test_unknown_names_are_not_found(self):
        self.fails(3, 'TOPIC_UNKNOWN', 'read', 'nowhere')
        self.fails(3, 'FACILITY_UNKNOWN', 'read', self.topic, '--facility', 'DC99')


class Sources(RecordsTest):
    def test_gaps_are_the_numbers_that_were_not_sent(self):
        missing = {3, 4, 5, 50, 99}
        path = self.write('a.jsonl', lines_of(
            pick(sku=f'S{n}', sequence=n) for n in range(1, 101) if n not in missing))
        words = ['--channel', self.topic, '--sequence', 'field']
        self.produce(path, *words)
        data = self.data('source', 'gaps', 'WMS', self.topic)
        self.assertEqual([(gap['first'], gap['last'], gap['count']) for gap in data['gaps']],
                         [(3, 5, 3), (50, 50, 1), (99, 99, 1)])
        self.assertEqual((data['missing'], data['complete']), (5, True))
        self.assertEqual(self.ok('-o', 'tsv', 'source', 'gaps', 'WMS', self.topic),
                         'first\tlast\tcount\n3\t5\t3\n50\t50\t1\n99\t99\t1\n')

    def test_a_complete_channel_has_no_gaps(self):
        self.produce(self.write('a.jsonl', lines_of(
            pick(sku=f'S{n}', sequence=n) for n in range(1, 21))),
            '--channel', self.topic, '--sequence', 'field')
        data = self.data('source', 'gaps', 'WMS', self.topic)
        self.assertEqual((data['missing'], data['gaps']), (0, []))

    def test_show_has_the_chains_and_list_the_channels(self):
        self.produce(self.write('a.jsonl', lines_of(
            pick(sku=f'S{n}', sequence=n) for n in range(1, 21))),
            '--channel', self.topic, '--sequence', 'field')
        data = self.data('source', 'show', 'WMS', self.topic)
        self.assertEqual((data['records'], data['missing']), (20, 0))
        self.assertEqual(max(chain['last_sequence'] for chain in data['chains']), 20)
        self.assertIn(self.topic, [row['channel'] for row in
                                   self.data('source', 'list', '--source', 'WMS')['channels']])
        self.assertIn('last_sequence', self.ok('source', 'show', 'WMS', self.topic))

    def test_a_source_s_name_is_checked(self):
        path = self.write('a.jsonl', lines_of([pick()]))
        self.fails(2, 'NAME_INVALID', 'produce', self.topic, '--source', 'a b', '--file', path)


if __name__ == '__main__':
    unittest.main()
