#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`produce --follow`: every file that comes into a folder, each once, whatever ends the program."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from broker import CLI, Broker, BrokerTest, run

KILL_AT = os.environ['KILL_AT']
WAIT_SECONDS = 60


def lines(first, count, **members):
    """Records that nobody else sends: their order's number is `first` and up."""
    return ''.join(json.dumps({'type': 'PICK_CONFIRMED', 'facility': 'DC07', 'sku': f'S{n % 7}',
                               'location': 'A-1', 'handling_unit': 'HU', 'order': f'O{n}',
                               'quantity': '1', **members}) + '\n'
                   for n in range(first, first + count))


class Follower:
    """A running `produce --follow`; killed at the end unless it ended itself."""
    def __init__(self, address, folder, *words, before=(), topic='stock'):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith('CROSSDOCK_')}
        environment['CROSSDOCK_CLIENT_CONFIG'] = '/dev/null'
        if before:  # a traced program cannot look for leaks
            environment['ASAN_OPTIONS'] = 'detect_leaks=0'
        self.process = subprocess.Popen(
            [*before, CLI, '-s', address, '-o', 'json', '--timeout', '5s', 'produce', topic,
             '--follow', folder, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self, how=signal.SIGTERM):
        """Exit status, objects on standard output, standard error."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=WAIT_SECONDS)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], err


class OwnBroker(Broker):
    """One that a test may kill."""
    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


class FollowTest(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker.run('facility', 'add', 'DC07')
        cls.sources = 0

    def setUp(self):
        super().setUp()
        type(self).sources += 1
        self.source = f'SRC{self.sources}'
        self.drop = os.path.join(self.folder, 'drop')
        os.mkdir(self.drop)

    def follow(self, *words, **options):
        return Follower(self.broker.address, self.drop, '--source', self.source, *words, **options)

    def put(self, name, text):
        """As a program should: under another name, then renamed."""
        hidden = os.path.join(self.folder, name + '.new')
        with open(hidden, 'w', encoding='utf-8') as file:
            file.write(text)
        time.sleep(0.02)  # or both times of the file are equal, as if it had been written there
        os.rename(hidden, os.path.join(self.drop, name))

    def wait(self, what):
        deadline = time.monotonic() + WAIT_SECONDS
        while not what():
            self.assertLess(time.monotonic(), deadline, os.listdir(self.drop))
            time.sleep(0.02)

    def there(self, name):
        return os.path.exists(os.path.join(self.drop, name))

    def wait_for(self, *names):
        self.wait(lambda: all(self.there(name + '.ack') for name in names))

    def ack(self, name):
        with open(os.path.join(self.drop, name + '.ack'), encoding='utf-8') as file:
            return json.load(file)

    def orders(self, source=None):
        """Orders of what the source has in the log, sorted: one that came twice stands twice."""
        result = self.broker.run('read', 'stock', '--source', source or self.source)
        self.assertIn(result.returncode, (0, 3), result.stderr)
        return sorted(json.loads(line)['order'] for line in result.stdout.splitlines())


class Takes(FollowTest):
    def test_files_that_are_there_and_files_that_come_each_once(self):
        self.put('b.jsonl', lines(10, 5))
        self.put('a.jsonl', lines(0, 5))
        with self.follow() as follower:
            self.wait_for('a.jsonl', 'b.jsonl')
            self.put('c.csv', 'type,sku,order\n0xf001,S,O20\n')
            self.wait_for('c.csv')
            status, rows, err = follower.end()
        self.assertEqual((status, err), (130, ''))
        self.assertEqual([row['file'] for row in rows], ['a.jsonl', 'b.jsonl', 'c.csv'])
        expected = sorted(f'O{n}' for n in [*range(5), *range(10, 15), 20])
        self.assertEqual(self.orders(), expected)
        self.put('d.jsonl', lines(30, 1))
        with self.follow() as follower:
            self.wait_for('d.jsonl')
            self.assertEqual([row['file'] for row in follower.end()[1]], ['d.jsonl'])

    def test_the_acknowledgement_says_what_became_of_the_file(self):
        text = lines(100, 3) + 'no json\n' + lines(103, 2)
        self.put('day.jsonl', text)
        with self.follow():
            self.wait_for('day.jsonl')
        ack = self.ack('day.jsonl')
        self.assertEqual(ack['sha256'], hashlib.sha256(text.encode()).hexdigest())
        self.assertEqual((ack['ok'], ack['lines'], ack['records'], ack['appended'],
                          ack['rejected'], ack['first_sequence'], ack['last_sequence']),
                         (False, 6, 5, 5, 1, 1, 6))
        self.assertEqual([(row['line'], row['name']) for row in ack['errors']],
                         [(4, 'FIELD_INVALID')])
        durable = self.data('status')['log']['durable_index']
        self.assertTrue(0 < ack['log_index'] <= durable, (ack['log_index'], durable))
        with open(os.path.join(self.drop, 'day.jsonl.rejects'), encoding='utf-8') as file:
            self.assertEqual(file.read(), 'no json\n')
        self.assertEqual(sorted(os.listdir(self.drop)),
                         ['day.jsonl', 'day.jsonl.ack', 'day.jsonl.rejects'])

    def test_names_that_are_not_final_and_what_is_no_file_are_left_alone(self):
        for name in ('x.tmp', 'x.part', '.x.jsonl', 'x.ack', 'x.rejects'):
            self.put(name, lines(0, 1))
        os.mkdir(os.path.join(self.drop, 'folder'))
        os.mkfifo(os.path.join(self.drop, 'pipe'))
        os.symlink('x.tmp', os.path.join(self.drop, 'link'))
        before = sorted(os.listdir(self.drop))
        with self.follow() as follower:
            self.put('last.jsonl', lines(1, 1))
            self.wait_for('last.jsonl')
            self.assertEqual([row['file'] for row in follower.end()[1]], ['last.jsonl'])
        self.assertEqual(sorted(os.listdir(self.drop)),
                         sorted([*before, 'last.jsonl', 'last.jsonl.ack']))

    def test_a_file_that_is_written_in_place_is_taken_when_it_is_at_rest(self):
        with self.follow():
            with open(os.path.join(self.drop, 'slow.jsonl'), 'w', encoding='utf-8') as file:
                for n in range(6):
                    file.write(lines(n, 1))
                    file.flush()
                    time.sleep(0.5)
                    self.assertFalse(self.there('slow.jsonl.ack'))
            self.wait_for('slow.jsonl')
        self.assertEqual(self.orders(), [f'O{n}' for n in range(6)])

    def test_another_file_of_the_same_name_is_another_file(self):
        with self.follow():
            self.put('day.jsonl', lines(0, 2))
            self.wait_for('day.jsonl')
            first = self.ack('day.jsonl')
            self.put('day.jsonl', lines(2, 2))
            self.wait(lambda: self.ack('day.jsonl') != first)
        self.assertEqual(self.orders(), ['O0', 'O1', 'O2', 'O3'])

    def test_a_file_without_its_acknowledgement_appends_nothing_twice(self):
        self.put('day.jsonl', lines(0, 4))
        with self.follow():
            self.wait_for('day.jsonl')
        first = self.ack('day.jsonl')
        os.remove(os.path.join(self.drop, 'day.jsonl.ack'))
        with self.follow():
            self.wait_for('day.jsonl')
        again = self.ack('day.jsonl')
        self.assertEqual((again['records'], again['appended'], again['already']), (4, 0, 4))
        for member in ('records', 'first_sequence', 'last_sequence', 'sha256', 'state'):
            self.assertEqual(again[member], first[member])
        self.assertGreaterEqual(again['log_index'], first['log_index'])
        self.assertEqual(len(self.orders()), 4)

    def test_fixed_columns_are_cut_by_a_map(self):
        path = self.write('host.ini', '[columns]\nsku = 1-4\norder = 5-8\n'
                                      '[constants]\ntype = 0xf001\nfacility = DC07\n')
        self.put('a.txt', 'S1  O1\nS2  O2  trailer\n\n')
        with self.follow('--format', 'fixed', '--map', path):
            self.wait_for('a.txt')
        self.assertEqual(self.orders(), ['O1', 'O2'])


class Refuses(FollowTest):
    def test_a_wrong_header_is_acknowledged_with_its_error_and_the_others_go_on(self):
        self.put('a.csv', 'type,skuu\n')
        self.put('b.jsonl', lines(0, 1))
        with self.follow() as follower:
            self.wait_for('a.csv', 'b.jsonl')
            status, rows, err = follower.end()
        self.assertEqual((status, [row['ok'] for row in rows]), (130, [False, True]))
        self.assertIn("did you mean 'sku'", self.ack('a.csv')['error']['text'])
        self.assertIn('a.csv:1', err)

    def test_all_or_nothing_holds_for_each_file(self):
        self.put('a.jsonl', lines(0, 2) + '{}\n')
        self.put('b.jsonl', lines(2, 2))
        with self.follow('--all-or-nothing'):
            self.wait_for('a.jsonl', 'b.jsonl')
        self.assertEqual((self.ack('a.jsonl')['appended'], self.ack('b.jsonl')['appended']),
                         (0, 2))
        self.assertEqual(self.orders(), ['O2', 'O3'])

    def test_a_second_follower_of_a_folder(self):
        with self.follow() as first:
            self.put('a.jsonl', lines(0, 1))
            self.wait_for('a.jsonl')
            with self.follow() as second:
                second.process.wait(timeout=WAIT_SECONDS)
                status, rows, _ = second.end()
            self.assertEqual((status, rows[-1]['error']['name']), (1, 'EBUSY'))
            self.assertIsNone(first.process.poll())

    def test_words_that_do_not_fit_together(self):
        for words in (['--file', 'x'], ['--rejects', 'x'], ['--format', 'fixed'],
                      ['--channel', 'c']):
            self.fails(2, 'OPTION_INVALID', 'produce', 'stock', '--source', 'S', '--follow',
                       self.drop, *words)
        self.fails(2, 'OPTION_INVALID', 'produce', 'stock', '--source', 'S')
        self.fails(3, 'ENOENT', 'produce', 'stock', '--source', 'S', '--follow', '/nowhere')
        self.put('a.jsonl', lines(0, 1))
        error = self.fails(3, 'TOPIC_UNKNOWN', 'produce', 'stokc', '--source', 'S', '--follow',
                           self.drop)['error']
        self.assertIn("did you mean 'stock'", error['text'])
        self.assertFalse(self.there('a.jsonl.ack'))

    def test_a_folder_that_is_removed_ends_the_run(self):
        with self.follow() as follower:
            self.put('a.jsonl', lines(0, 1))
            self.wait_for('a.jsonl')
            shutil.rmtree(self.drop)
            follower.process.wait(timeout=WAIT_SECONDS)
            self.assertEqual(follower.end()[0], 3)


class DryRun(FollowTest):
    def test_equals_the_real_run_but_for_its_mark_and_changes_nothing(self):
        self.put('a.jsonl', lines(0, 5))
        self.put('b.jsonl', lines(5, 5) + 'x\n')
        self.put('c.csv', 'skuu\n')
        before = sorted(os.listdir(self.drop))
        with self.follow('--dry-run') as follower:
            follower.process.wait(timeout=WAIT_SECONDS)
            status, dry, _ = follower.end()
        self.assertEqual((status, sorted(os.listdir(self.drop)), self.orders()), (1, before, []))
        for row in dry:
            self.assertIs(row.pop('dry_run'), True)
        with self.follow() as follower:
            self.wait_for('a.jsonl', 'b.jsonl', 'c.csv')
            self.assertEqual(follower.end()[1], dry)


class Ends(FollowTest):
    def test_a_signal_in_the_middle_of_a_file_leaves_the_rest_for_the_next_run(self):
        count = 200000
        self.put('big.jsonl', lines(0, count))
        with self.follow() as follower:
            self.wait(lambda: self.sent() > 0)
            status, rows, _ = follower.end(signal.SIGINT)
        self.assertEqual((status, rows), (130, []))
        self.assertFalse(self.there('big.jsonl.ack'))
        sent = self.sent()
        self.assertLess(sent, count)
        with self.follow():
            self.wait_for('big.jsonl')
        ack = self.ack('big.jsonl')
        self.assertEqual((ack['already'], ack['appended']), (sent, count - sent))
        self.assertEqual(self.sent(), count)

    def sent(self):
        rows = self.data('source', 'list', '--source', self.source)['channels']
        return sum(row['records'] for row in rows)

    def test_a_broker_that_goes_and_comes_back_loses_and_doubles_nothing(self):
        with OwnBroker() as broker:
            broker.run('facility', 'add', 'DC07')
            with Follower(broker.address, self.drop, '--source', 'S') as follower:
                for round_number in range(3):
                    name = f'{round_number}.jsonl'
                    self.put(name, lines(round_number * 20000, 20000))
                    time.sleep(0.1)
                    broker.kill()
                    time.sleep(0.5)
                    broker.start()
                    self.wait_for(name)
                broker.kill()
                self.put('last.jsonl', lines(60000, 1))
                time.sleep(6)
                broker.start()
                self.wait_for('last.jsonl')
                status, _, err = follower.end()
            self.assertEqual((status, err.count('trying again')),
                             (130, err.count('the broker answers again')), err)
            self.assertGreater(err.count('trying again'), 0)
            self.assertLess(err.count('trying again'), 5)
            result = broker.run('read', 'stock')
            self.assertEqual(sorted(json.loads(line)['order']
                                    for line in result.stdout.splitlines()),
                             sorted(f'O{n}' for n in range(60001)))

    def test_no_broker_at_the_start_is_unreachable(self):
        result = run('-s', 'unix:/nowhere/at.all', 'produce', 'stock', '--source', 'S', '--follow',
                     self.drop)
        self.assertEqual((result.returncode, result.stdout), (5, ''))


class Killed(FollowTest):
    """Killed in front of every visible system call, one after the other."""
    FILES = {'a.jsonl': 4, 'b.csv': 3}

    def fill(self, first):
        shutil.rmtree(self.drop)
        os.mkdir(self.drop)
        self.put('a.jsonl', lines(first, 4))
        self.put('b.csv', 'type,facility,sku,order\n' + ''.join(
            f'0xf001,DC07,S{n},O{n}\n' for n in range(first + 4, first + 7)) + 'x,y\n')

    def killed_at(self, count):
        """Runs until the kill or until all is acknowledged; True when it was killed."""
        with self.follow(before=(KILL_AT, str(count))) as follower:
            self.wait(lambda: follower.process.poll() is not None or
                      all(self.there(name + '.ack') for name in self.FILES))
            try:  # what comes behind the last acknowledgement
                follower.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                return False
            self.assertEqual(follower.process.returncode, 137, follower.process.stderr.read())
            return True

    def check_acknowledged(self):
        """What is acknowledged at the moment of the kill is in the log."""
        acknowledged = sum(self.ack(name)['records'] for name in self.FILES
                           if self.there(name + '.ack'))
        self.assertGreaterEqual(len(self.orders()), acknowledged)

    def test_at_any_point_loses_and_doubles_nothing(self):
        count, killed = 0, True
        while killed:
            count += 1
            self.source = f'KILLED{count}'
            self.fill(count * 100)
            killed = self.killed_at(count)
            self.check_acknowledged()
            with self.follow():
                self.wait_for(*self.FILES)
            with self.subTest(killed_at=count):
                self.assertEqual(self.orders(),
                                 sorted(f'O{n}' for n in range(count * 100, count * 100 + 7)))
                self.assertEqual({name: self.ack(name)['records'] for name in self.FILES},
                                 self.FILES)
                self.assertEqual(sorted(os.listdir(self.drop)),
                                 ['a.jsonl', 'a.jsonl.ack', 'b.csv', 'b.csv.ack',
                                  'b.csv.rejects'])
        self.assertGreater(count, 15)


if __name__ == '__main__':
    unittest.main()
