#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`log dump` and `log verify` on data folders, whole and damaged, and imports over a crash."""
import hashlib
import json
import os
import shutil
import subprocess
import time
import unittest

from broker import CLI, Broker, run

RECORDS = 4000


def import_file(path, count):
    with open(path, 'w', encoding='utf-8') as file:
        file.write('type,facility,sku,payload\n')
        for number in range(count):
            file.write(f'0xf001,DC07,SKU-{number % 97},{"x" * 200}{number}\n')


class LogTest(unittest.TestCase):
    """One stopped broker with a few segments; each test gets a copy of its folder."""
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.path = os.path.join(cls.broker.folder, 'day.csv')
        import_file(cls.path, RECORDS)
        try:
            cls.broker.start()
            cls.broker.run('facility', 'add', 'DC07')
            for source in ('A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'):
                result = cls.broker.run('produce', 'stock', '--source', source, '--file', cls.path)
                assert result.returncode == 0, result.stderr
            cls.locked = run('log', 'verify', cls.broker.data)
            cls.forced = run('log', 'verify', cls.broker.data, '--force-read')
            cls.broker.stop()
        except BaseException:
            cls.broker.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def setUp(self):
        self.data = os.path.join(self.broker.folder, 'copy')
        shutil.copytree(self.broker.data, self.data)
        self.addCleanup(shutil.rmtree, self.data)

    def verify(self):
        result = run('-o', 'json', 'log', 'verify', self.data)
        envelope = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0 if envelope['ok'] else 1, result.stderr)
        self.assertEqual(envelope['command'], 'log verify')
        return envelope['data']

    def findings(self):
        return [row for row in self.verify()['findings'] if row['severity'] == 'finding']

    def dump(self, *words):
        result = run('-o', 'jsonl', 'log', 'dump', self.data, *words)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def blocks(self):
        return [row for row in self.dump() if row['kind'] == 'block']

    def file_of(self, segment):
        return next(row['file'] for row in self.dump()
                    if row['kind'] == 'segment' and row['segment'] == segment)

    def damage(self, name, at, data=b'\xff\x00\xff\x00'):
        with open(os.path.join(self.data, name), 'r+b') as file:
            file.seek(at)
            file.write(data)


class Whole(LogTest):
    def test_a_clean_folder_has_no_findings(self):
        data = self.verify()
        self.assertEqual((data['finding_count'], data['records']), (0, 8 * RECORDS))
        self.assertGreater(data['segments'], 1)
        self.assertEqual(run('log', 'verify', self.data).returncode, 0)

    def test_a_folder_in_use_is_refused_unless_that_is_asked_for(self):
        self.assertEqual((self.locked.returncode, self.locked.stdout), (1, ''))
        self.assertIn('DATA_LOCKED', self.locked.stderr)
        self.assertIn('--force-read', self.locked.stderr)
        self.assertEqual(self.forced.returncode, 0, self.forced.stdout + self.forced.stderr)

    def test_nothing_is_written(self):
        def digest():
            sums = {}
            for folder, _, names in os.walk(self.data):
                for name in names:
                    path = os.path.join(folder, name)
                    with open(path, 'rb') as file:
                        sums[path] = (hashlib.sha256(file.read()).hexdigest(),
                                      os.stat(path).st_mtime_ns)
            return sums
        before = digest()
        self.verify()
        self.dump('--records')
        self.assertEqual(digest(), before)

    def test_dump_has_every_record(self):
        rows = self.dump('--records')
        records = [row for row in rows if row['kind'] == 'record']
        self.assertEqual(len(records), 8 * RECORDS)
        self.assertEqual(sum(row['records'] for row in rows if row['kind'] == 'batch'),
                         len(records))
        self.assertEqual({row['kind'] for row in rows} & {'meta', 'segment', 'checkpoint'},
                         {'meta', 'segment', 'checkpoint'})
        partition = next(row['partition'] for row in rows if row['kind'] == 'batch')
        one = self.dump('--partition', str(partition))
        self.assertEqual({row['partition'] for row in one if row['kind'] == 'batch'}, {partition})

    def test_folders_that_are_none_are_told(self):
        result = run('-o', 'json', 'log', 'verify', '/nowhere/at/all')
        self.assertEqual(result.returncode, 3)
        self.assertEqual(json.loads(result.stdout)['error']['name'], 'ENOENT')
        os.remove(os.path.join(self.data, 'meta'))
        self.assertEqual(run('log', 'dump', self.data).returncode, 3)


class Damaged(LogTest):
    def middle(self):
        data = [block for block in self.blocks() if block['records'] > 0]
        return data[len(data) // 2]

    def test_a_flipped_byte_of_a_batch_is_found_with_its_partition(self):
        block = self.middle()
        at = block['at'] + 128 + 120 + 40
        self.damage(self.file_of(block['segment']), at)
        finding, = self.findings()
        self.assertEqual((finding['segment'], finding['index']),
                         (block['segment'], block['index']))
        self.assertTrue(block['at'] <= finding['at'] < block['at'] + block['bytes'])
        self.assertIn('partition', finding)
        self.assertNotEqual(finding['next'], '')

    def test_a_damaged_block_header_is_found_and_the_walk_goes_on_behind_it(self):
        block = self.middle()
        self.damage(self.file_of(block['segment']), block['at'] + 64)
        finding, = self.findings()
        self.assertEqual((finding['segment'], finding['at'], finding['index']),
                         (block['segment'], block['at'], block['index']))
        self.assertEqual(self.verify()['records'], 8 * RECORDS - block['records'])

    def test_several_damages_are_all_found(self):
        data = [block for block in self.blocks() if block['type'] == 'data' and block['records']]
        chosen = [data[3], data[len(data) // 3], data[-4]]
        for block in chosen:
            self.damage(self.file_of(block['segment']), block['at'] + 16)
        self.assertEqual([finding['index'] for finding in self.findings()],
                         [block['index'] for block in chosen])

    def test_a_durable_block_that_is_gone_at_the_end_is_found(self):
        last = [block for block in self.blocks() if block['type'] == 'data'][-1]
        following = [block for block in self.blocks() if block['sequence'] > last['sequence']]
        self.assertTrue(any(block['durable_index'] >= last['index'] for block in following))
        self.damage(self.file_of(last['segment']), last['at'], bytes(last['bytes']))
        self.assertEqual([finding['index'] for finding in self.findings()], [last['index']])

    def test_the_segment_that_the_next_start_needs_is_missed(self):
        position = next(row['position'] for row in self.dump()
                        if row['kind'] == 'checkpoint' and row['state'] == 'current')
        needed = position // (4 << 20)
        os.remove(os.path.join(self.data, self.file_of(needed)))
        self.assertTrue(any(f'segment {needed}' in finding['text']
                            for finding in self.findings()), self.findings())

    def test_a_damaged_checkpoint_is_a_finding_when_meta_names_it_else_a_note(self):
        rows = {row['state']: row['file'] for row in self.dump() if row['kind'] == 'checkpoint'}
        self.damage(rows['current'], 4096 + 100)
        self.assertEqual([finding['file'] for finding in self.findings()], [rows['current']])
        if 'older' in rows:
            shutil.copy(os.path.join(self.broker.data, rows['current']), self.data)
            self.damage(rows['older'], 4096 + 100)
            self.assertEqual(self.findings(), [])
            self.assertGreater(self.verify()['note_count'], 0)

    def test_one_damaged_meta_slot_is_a_note_and_two_are_the_end(self):
        self.damage('meta', 100)
        data = self.verify()
        self.assertEqual((data['finding_count'], data['note_count'] > 0), (0, True))
        self.damage('meta', 4096 + 100)
        result = run('-o', 'json', 'log', 'verify', self.data)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(json.loads(result.stdout)['error']['name'], 'LOG_CORRUPT')

    def test_an_unacknowledged_tail_is_no_finding(self):
        # The mark at the end is local and tells nothing that must be kept.
        mark = self.blocks()[-1]
        self.assertEqual(mark['type'], 'mark')
        self.damage(self.file_of(mark['segment']), mark['at'], bytes(4096))
        self.assertEqual(self.findings(), [])


class Shards(unittest.TestCase):
    """A broker of three shards: its data folder has a folder for each."""
    SITES = [f'DC{number:02}' for number in range(6)]
    EACH = 100

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(['process.shards=3'])
        try:
            cls.broker.start()
            for site in cls.SITES:
                cls.broker.run('facility', 'add', site)
            lines = ['type,facility,sku', *(f'0xf001,{site},S{number}' for site in cls.SITES
                                            for number in range(cls.EACH))]
            result = cls.broker.run('produce', 'stock', '--source', 'A', '--file', '-', '--format',
                                    'csv', stdin='\n'.join(lines) + '\n')
            assert result.returncode == 0, result.stderr
            cls.locked = run('log', 'verify', cls.broker.data)
            cls.locked_one = run('log', 'dump', os.path.join(cls.broker.data, 'shard-02'))
            cls.broker.stop()
        except BaseException:
            cls.broker.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def setUp(self):
        self.data = os.path.join(self.broker.folder, 'copy')
        shutil.copytree(self.broker.data, self.data)
        self.addCleanup(shutil.rmtree, self.data)

    def shard(self, number):
        return os.path.join(self.data, f'shard-{number:02}')

    def verify(self, path, exit_status=0):
        result = run('-o', 'json', 'log', 'verify', path)
        self.assertEqual(result.returncode, exit_status, result.stdout + result.stderr)
        return json.loads(result.stdout)['data']

    def finding(self):
        data = self.verify(self.data, 1)
        finding, = (row for row in data['findings'] if row['severity'] == 'finding')
        self.assertNotEqual(finding['next'], '')
        return data, finding

    def test_the_whole_folder_is_the_sum_of_its_shards(self):
        data = self.verify(self.data)
        self.assertEqual([row['folder'] for row in data['folders']],
                         ['shard-00', 'shard-01', 'shard-02'])
        self.assertEqual(data['records'], self.EACH * len(self.SITES))
        for number, row in enumerate(data['folders']):
            one = self.verify(self.shard(number))
            self.assertEqual({name: row[name] for name in row if name != 'folder'},
                             {name: one[name] for name in row if name != 'folder'})
        for name in ('segments', 'blocks', 'batches', 'records', 'bytes'):
            self.assertEqual(sum(row[name] for row in data['folders']), data[name])
        lines = run('log', 'verify', self.data).stdout.splitlines()
        self.assertEqual([line.split(':')[0] for line in lines],
                         ['shard-00 clean', 'shard-01 clean', 'shard-02 clean', 'clean'])

    def test_dump_has_the_rows_of_each_shard_with_its_folder(self):
        result = run('-o', 'jsonl', 'log', 'dump', self.data, '--records')
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(sum(row['kind'] == 'record' for row in rows),
                         self.EACH * len(self.SITES))
        folders = [row['folder'] for row in rows]
        self.assertEqual(folders, sorted(folders))
        for number in range(3):
            one = run('-o', 'jsonl', 'log', 'dump', self.shard(number), '--records')
            mine = [row for row in rows if row['folder'] == f'shard-{number:02}']
            self.assertEqual([dict(json.loads(line), folder=f'shard-{number:02}')
                              for line in one.stdout.splitlines()], mine)
        self.assertIn(' folder=shard-01 ', run('log', 'dump', self.data).stdout)

    def test_damage_is_found_in_the_shard_that_has_it(self):
        rows = [json.loads(line) for line in
                run('-o', 'jsonl', 'log', 'dump', self.data).stdout.splitlines()]
        block = [row for row in rows if row['kind'] == 'block' and row['records']][-1]
        file = next(row['file'] for row in rows if row['kind'] == 'segment' and
                    (row['folder'], row['segment']) == (block['folder'], block['segment']))
        with open(os.path.join(self.data, block['folder'], file), 'r+b') as wal:
            wal.seek(block['at'] + 16)
            wal.write(b'\xff\x00\xff')
        data, finding = self.finding()
        self.assertEqual((finding['folder'], finding['file'], finding['index']),
                         (block['folder'], file, block['index']))
        self.assertEqual([row['finding_count'] for row in data['folders']],
                         [int(row['folder'] == block['folder']) for row in data['folders']])

    def test_a_shard_that_is_missing_is_a_finding_and_the_others_are_checked(self):
        for number in (2, 0):
            with self.subTest(shard=number):
                shutil.rmtree(self.shard(number))
                data, finding = self.finding()
                self.assertEqual(finding['folder'], f'shard-{number:02}')
                self.assertIn('missing', finding['text'])
                self.assertEqual(len(data['folders']), 3)
                self.assertEqual(run('log', 'dump', self.data).returncode, 1)
                shutil.copytree(os.path.join(self.broker.data, f'shard-{number:02}'),
                                self.shard(number))

    def test_a_shard_without_its_meta_file_is_a_finding(self):
        os.remove(os.path.join(self.shard(1), 'meta'))
        _, finding = self.finding()
        self.assertEqual(finding['folder'], 'shard-01')
        self.assertIn('meta', finding['text'])

    def test_a_shard_in_the_place_of_another_is_a_finding(self):
        shutil.rmtree(self.shard(1))
        shutil.copytree(self.shard(2), self.shard(1))
        _, finding = self.finding()
        self.assertEqual(finding['folder'], 'shard-01')
        self.assertIn('shard 2', finding['text'])

    def test_a_folder_in_use_is_refused_as_a_whole_and_by_shard(self):
        for result in (self.locked, self.locked_one):
            self.assertEqual((result.returncode, result.stdout), (1, ''))
            self.assertIn('DATA_LOCKED', result.stderr)

    def test_a_folder_that_is_none_is_told_with_what_to_name(self):
        empty = os.path.join(self.broker.folder, 'empty')
        os.makedirs(empty, exist_ok=True)
        for verb in ('verify', 'dump'):
            result = run('log', verb, empty)
            self.assertEqual((result.returncode, result.stdout), (3, ''))
            self.assertIn(empty, result.stderr)
            self.assertIn('--data', result.stderr)
        for number in range(3):
            os.remove(os.path.join(self.shard(number), 'meta'))
        result = run('-o', 'json', 'log', 'verify', self.data)
        self.assertEqual(result.returncode, 3, result.stdout)
        self.assertIn('shard-00', json.loads(result.stdout)['error']['text'])


class Crash(unittest.TestCase):
    def test_an_import_over_a_crash_appends_each_line_once(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.start()
        broker.run('facility', 'add', 'DC07')
        path = os.path.join(broker.folder, 'day.csv')
        count = 60000
        import_file(path, count)
        words = ['produce', 'stock', '--source', 'WMS', '--file', path]
        first = subprocess.Popen([CLI, '-s', broker.address, '--timeout', '1s', *words],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and first.poll() is None:
            listed = json.loads(broker.run('-o', 'json', 'source', 'list').stdout)
            if any(row['records'] > 1000 for row in listed['data']['channels']):
                break
        broker.kill()
        self.assertIn(first.wait(timeout=60), (0, 1, 5))
        self.assertEqual(run('log', 'verify', broker.data).returncode, 0)
        broker.start()
        result = broker.run('-o', 'json', *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        data = json.loads(result.stdout)['data']
        self.assertEqual(data['appended'] + data['already'], count)
        self.assertGreater(data['already'], 0)
        records = broker.run('read', 'stock').stdout.splitlines()
        numbers = sorted(json.loads(line)['sequence'] for line in records)
        self.assertEqual(numbers, list(range(2, count + 2)))


if __name__ == '__main__':
    unittest.main()
