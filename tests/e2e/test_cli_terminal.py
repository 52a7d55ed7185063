#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What only a terminal sees: progress bars, colours, the screen of `top`."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from broker import CLI, Broker, BrokerTest, run

ENTER, LEAVE = '\033[?1049h', '\033[?1049l'
ERASE = '\r\033[K'
BAR = re.compile(r'\[[#-]+\](\033\[0m)? +\d+ %')
SECONDS = 60


class Terminal:
    """A terminal of its own; `text` is what has been written to it so far."""
    def __init__(self, lines=40, columns=100):
        self.master, self.slave = pty.openpty()
        self.resize(lines, columns)
        self.text = ''

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))

    def run(self, *words, on=('stderr',), term='xterm', **more):
        """Starts the command line with these of its streams on the terminal."""
        env = {name: value for name, value in os.environ.items()
               if not name.startswith('CROSSDOCK_') and name != 'NO_COLOR'}
        env |= {'CROSSDOCK_CLIENT_CONFIG': '/dev/null', 'TERM': term} | more
        streams = {name: self.slave if name in on else subprocess.PIPE
                   for name in ('stdout', 'stderr')}
        return subprocess.Popen([CLI, *words], env=env, stdin=subprocess.DEVNULL, **streams)

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536).decode()
        return self.text

    def wait_for(self, what, begin=0):
        deadline = time.monotonic() + SECONDS
        while what not in self.read()[begin:]:
            if time.monotonic() > deadline:
                raise AssertionError(f'{what!r} is not on the terminal: {self.text[-2000:]!r}')

    def wait(self, process):
        """Exit status of a process, whatever it still writes to the terminal."""
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            self.read()
        self.read()
        return process.poll()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def ended(process):
    """Ends the process when the test does not."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()


class Bars(BrokerTest):
    """A bar is shown at the first chance, so that a short run has one too."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = os.path.join(cls.broker.folder, 'day.csv')
        with open(cls.path, 'w', encoding='utf-8') as file:
            file.write('type,sku,payload\n' + f'0xf001,S,{"x" * 90}\n' * 60000)
        result = cls.broker.run('produce', 'stock', '--source', 'FIRST', '--file', cls.path)
        assert result.returncode == 0, result.stderr

    def bar(self, *words, **more):
        """What the terminal saw of a run."""
        more = {'CROSSDOCK_PROGRESS_AFTER_MS': '0'} | more
        with Terminal() as terminal, ended(terminal.run(*words, **more)) as process:
            while process.stdout is not None and os.read(process.stdout.fileno(), 65536):
                terminal.read(0)
            self.assertEqual(terminal.wait(process), 0, terminal.text)
            return terminal.read()

    def produce(self, **more):
        return self.bar('-s', self.broker.address, 'produce', 'stock', '--source', 'A', '--file',
                        self.path, '--dry-run', **more)

    def test_of_a_file_that_is_sent(self):
        text = self.produce()
        self.assertRegex(text, BAR)
        self.assertIn('day.csv', text)
        self.assertIn('\033[32m', text)
        self.assertTrue(text.endswith(ERASE), text[-100:])

    def test_without_colour_when_that_is_not_wanted(self):
        text = self.produce(NO_COLOR='1')
        self.assertRegex(text, BAR)
        self.assertNotIn('\033[32m', text)

    def test_without_colour_by_option(self):
        text = self.bar('log', 'verify', self.broker.data, '--force-read', '--color', 'never')
        self.assertRegex(text, BAR)
        self.assertNotIn('\033[32m', text)

    def test_not_on_a_dumb_terminal(self):
        self.assertEqual(self.bar('-s', self.broker.address, 'produce', 'stock', '--source', 'A',
                                  '--file', self.path, '--dry-run', term='dumb'), '')

    def test_of_a_number_of_records_that_is_read_into_a_file(self):
        text = self.bar('-s', self.broker.address, 'read', 'stock', '-n', '50000')
        self.assertRegex(text, BAR)
        self.assertTrue(text.endswith(ERASE), text[-100:])

    def test_not_beside_records_on_the_same_terminal(self):
        text = self.bar('-s', self.broker.address, 'read', 'stock', '-n', '3000',
                        on=('stdout', 'stderr'))
        self.assertIsNone(BAR.search(text))
        self.assertEqual(len([line for line in text.splitlines() if json.loads(line)]), 3000)

    def test_of_a_folder_that_is_verified(self):
        text = self.bar('log', 'verify', self.broker.data, '--force-read')
        self.assertRegex(text, BAR)
        self.assertTrue(text.endswith(ERASE), text[-100:])

    def test_not_of_a_short_run(self):
        text = self.bar('log', 'verify', self.broker.data, '--force-read',
                        CROSSDOCK_PROGRESS_AFTER_MS='3600000')
        self.assertEqual(text, '')

    def test_nowhere_but_on_a_terminal(self):
        result = self.broker.run('read', 'stock', '-n', '50000')
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        self.assertEqual(run('log', 'verify', self.broker.data, '--force-read').stderr, '')

    def test_a_wrong_line_is_told_on_a_line_of_its_own(self):
        path = self.write('bad.jsonl', '{"type":"0xf001","sku":"S"}\n' * 30000 + 'no json\n' +
                          '{"type":"0xf001","sku":"S"}\n' * 30000)
        with Terminal() as terminal, ended(terminal.run(
                '-s', self.broker.address, 'produce', 'stock', '--source', 'A', '--file', path,
                '--dry-run', CROSSDOCK_PROGRESS_AFTER_MS='0')) as process:
            self.assertNotEqual(terminal.wait(process), 0)
            text = terminal.read()
        self.assertRegex(text.split('bad.jsonl:30001')[0], BAR)
        self.assertRegex(text, r'(\r\033\[K|^|\n)crossdock: \S*bad.jsonl:30001: no JSON')


class Colours(BrokerTest):
    def table(self, *words, **more):
        with Terminal() as terminal, ended(terminal.run(
                '-s', self.broker.address, *words, 'topic', 'list', on=('stdout',), **more)) as one:
            self.assertEqual(one.wait(timeout=SECONDS), 0)
            return terminal.read()

    def test_of_tables_are_for_terminals_and_can_be_switched_off(self):
        self.assertIn('\033[1m', self.table())
        self.assertNotIn('\033', self.table(NO_COLOR='1'))
        self.assertNotIn('\033', self.table('--color', 'never'))
        self.assertNotIn('\033', self.table('-o', 'tsv'))


class Top(BrokerTest):
    def top(self, terminal, address=None):
        return ended(terminal.run('-s', address or self.broker.address, 'top', '--interval',
                                  '200ms', on=('stdout',)))

    def last_picture(self, terminal):
        return terminal.text.split('\033[H')[-1]

    def test_refreshes_until_a_signal_and_gives_the_terminal_back(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with Terminal() as terminal, self.top(terminal) as process:
                terminal.wait_for('running')
                for _ in range(3):
                    terminal.wait_for('\033[H', len(terminal.text))
                process.send_signal(how)
                self.assertEqual(process.wait(timeout=SECONDS), 130)
                text = terminal.read()
                self.assertTrue(text.startswith(ENTER), text[:20])
                self.assertTrue(text.endswith('\033[?25h' + LEAVE), text[-40:])
                self.assertEqual((text.count(ENTER), text.count(LEAVE)), (1, 1))

    def test_fits_its_terminal_whatever_its_size_becomes(self):
        with Terminal(40, 100) as terminal, self.top(terminal) as process:
            terminal.wait_for('FACILITY')
            for lines, columns in ((5, 30), (1, 1), (50, 200)):
                terminal.resize(lines, columns)
                time.sleep(0.3)
                begin = len(terminal.read())
                terminal.wait_for('\033[J', begin)
                terminal.wait_for('\033[J', len(terminal.text))
                picture = self.last_picture(terminal).replace('\033[J', '')
                rows = [row.replace('\033[K', '') for row in picture.split('\r\n')]
                self.assertLessEqual(len(rows), lines)
                self.assertLessEqual(max(len(row) for row in rows), columns)
            self.assertIn('FACILITY', picture)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=SECONDS), 130)

    def test_stays_while_the_broker_is_away(self):
        broker = Broker()
        try:
            broker.start()
            with Terminal() as terminal, self.top(terminal, broker.address) as process:
                terminal.wait_for('running')
                broker.kill()
                terminal.wait_for('trying again')
                broker.start()
                terminal.wait_for('running', len(terminal.read()))
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(timeout=SECONDS), 130)
                self.assertTrue(terminal.read().endswith(LEAVE))
        finally:
            broker.close()

    def test_without_a_broker_leaves_the_terminal_alone(self):
        with Terminal() as terminal, self.top(terminal, 'unix:/nowhere/at.all') as process:
            self.assertEqual(process.wait(timeout=SECONDS), 5)
            self.assertEqual(terminal.read(), '')


if __name__ == '__main__':
    unittest.main()
