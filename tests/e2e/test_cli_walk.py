#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A walk over every row of the verb table, as a script of somebody else's would call it: no
configuration, no terminal, nothing on standard input; with a broker and without one.

A verb without a row in WALK fails the test, so a new one gets its row.
"""
import json
import os
import re
import subprocess
import tempfile
import unittest

from broker import CLI, Broker

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
NOWHERE = '127.0.0.1:1'
SECONDS = 60

# Verb: words behind it, exit status without a broker. FILE and FOLDER are filled in.
WALK = {
    'status': ([], 5),
    'health': ([], 5),
    'top': (['--interval', '50ms'], 5),
    'check broker': (['--warn', '1m'], 5),
    'check disk': (['--warn', '0%'], 5),
    'topic list': ([], 5),
    'topic show': (['stock'], 5),
    'topic create': (['walk', '--width', '2'], 5),
    'facility list': ([], 5),
    'facility show': (['DC07'], 5),
    'facility add': (['DC08'], 5),
    'source list': ([], 5),
    'source show': (['WMS'], 5),
    'source gaps': (['WMS'], 5),
    'produce': (['stock', '--source', 'WALK', '--file', 'FILE'], 5),
    'read': (['stock'], 5),
    'config show': ([], 5),
    'config explain': (['log.sync'], 0),
    'config check': ([], 0),
    'log dump': (['FOLDER', '--force-read'], 0),
    'log verify': (['FOLDER', '--force-read'], 0),
    'bench': (['produce', '--help'], 0),
    'error': (['FENCED'], 0),
    'names': (['topic'], 5),
    'completion': (['bash'], 0),
    'man': ([], 0),
    'version': ([], 0),
    'help': ([], 0),
}
STREAMS = {'top', 'read', 'log dump'}  # one object a line
PASSED_ON = {'bench'}  # output of another program, with options of its own
SILENT = {'names'}  # tells a failure only when a form of output is asked for


def table():
    """Rows of verbs.def: name, positional arguments, flags."""
    with open(os.path.join(ROOT, 'tools/crossdock/verbs.def'), encoding='utf-8') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
    rows = re.findall(r'^VERB\(\w+,\s*"([^"]*)",\s*"([^"]*)",\s*([A-Z0-9| ]+),', text, flags=re.M)
    return {name: (arguments, set(flags.split(' | '))) for name, arguments, flags in rows if name}


class Walk(unittest.TestCase):
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(cls.settings)
        try:
            cls.broker.start()
            cls.home = tempfile.mkdtemp(dir=cls.broker.folder)
            cls.file = os.path.join(cls.broker.folder, 'day.jsonl')
            with open(cls.file, 'w', encoding='utf-8') as file:
                file.write('{"type":"0xf001","sku":"S"}\n')
            cls.broker.run('facility', 'add', 'DC07')
            result = cls.broker.run('produce', 'stock', '--source', 'WMS', '--file', cls.file)
            assert result.returncode == 0, result.stderr
        except BaseException:
            cls.broker.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def run_alone(self, address, *words):
        """In a session of its own, so that there is no terminal to ask."""
        env = {'HOME': self.home, 'XDG_CONFIG_HOME': self.home, 'CROSSDOCK_ADDRESS': address,
               'PATH': os.environ['PATH']}
        for name in ('LD_LIBRARY_PATH', 'ASAN_OPTIONS', 'UBSAN_OPTIONS'):
            if name in os.environ:
                env[name] = os.environ[name]
        result = subprocess.run([CLI, *words], env=env, stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=SECONDS, check=False,
                                start_new_session=True)
        self.assertNotIn('\033', result.stdout + result.stderr)
        self.assertNotIn('crossdock: ', result.stdout)
        return result

    def words(self, name):
        return [*name.split(), *(self.file if word == 'FILE' else self.broker.data
                                 if word == 'FOLDER' else word for word in WALK[name][0])]

    def envelopes(self, name, result):
        """What a run with -o json printed: one object, or one a line."""
        if name in STREAMS:
            return [json.loads(line) for line in result.stdout.splitlines()]
        return [json.loads(result.stdout)]

    def check_error(self, name, result, exit_status):
        """A failed run with -o json: an object with the error, and the same for people."""
        self.assertEqual(result.returncode, exit_status, result.stderr)
        envelope = self.envelopes(name, result)[-1]
        self.assertIs(envelope['ok'], False)
        error = envelope['error']
        self.assertEqual(set(error), {'code', 'name', 'class', 'text', 'hint'})
        self.assertIn(error['text'], result.stderr)
        return error

    def test_every_verb_has_a_row(self):
        self.assertEqual(set(WALK), set(table()))

    def test_with_a_broker_every_verb_ends_well_and_talks_on_standard_error_only(self):
        for name in WALK:
            with self.subTest(verb=name):
                result = self.run_alone(self.broker.address, *self.words(name))
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotEqual(result.stdout, '')

    def test_with_a_broker_every_verb_has_one_object(self):
        for name in set(WALK) - PASSED_ON:
            with self.subTest(verb=name):
                result = self.run_alone(self.broker.address, '-o', 'json', *self.words(name))
                self.assertEqual(result.returncode, 0, result.stderr)
                for envelope in self.envelopes(name, result):
                    if name in ('read', 'log dump'):  # the rows themselves
                        self.assertNotIn('error', envelope)
                        continue
                    self.assertEqual((envelope['command'], envelope['ok']), (name, True))
                    self.assertIn('data', envelope)

    def test_without_a_broker_every_verb_says_so_or_needs_none(self):
        for name, (_, exit_status) in WALK.items():
            with self.subTest(verb=name):
                result = self.run_alone(NOWHERE, *self.words(name))
                self.assertEqual(result.returncode, exit_status, result.stderr)
                if exit_status == 0:
                    self.assertNotEqual(result.stdout, '')
                    continue
                if name != 'produce':  # which reports what it did until then
                    self.assertEqual(result.stdout, '')
                if name not in SILENT:
                    self.assertIn('(UNREACHABLE)', result.stderr)
                result = self.run_alone(NOWHERE, '-o', 'json', *self.words(name))
                error = self.check_error(name, result, exit_status)
                self.assertIn('crossdockd', error['hint'])

    def test_every_change_has_a_dry_run_and_it_changes_nothing(self):
        changing = [name for name, (_, flags) in table().items() if 'CHANGES' in flags]
        self.assertGreaterEqual(len(changing), 3)
        for name in changing:
            with self.subTest(verb=name):
                before = self.state()
                result = self.run_alone(self.broker.address, '-o', 'json', *self.words(name),
                                        '--dry-run')
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIs(self.envelopes(name, result)[0]['data']['dry_run'], True)
                self.assertEqual(self.state(), before)

    def state(self):
        return [self.run_alone(self.broker.address, '-o', 'json', *words).stdout for words in
                (['topic', 'list'], ['facility', 'list'], ['source', 'list'], ['read', 'stock'])]

    def test_every_verb_has_help(self):
        for name in set(WALK) - PASSED_ON - {'config check'}:
            with self.subTest(verb=name):
                result = self.run_alone(NOWHERE, *name.split(), '--help')
                self.assertEqual((result.returncode, result.stderr), (0, ''))
                self.assertIn(f'crossdock {name}', result.stdout)
                result = self.run_alone(NOWHERE, '-o', 'json', *name.split(), '--help')
                self.assertEqual(json.loads(result.stdout)['ok'], True)

    def test_every_verb_refuses_what_it_does_not_know(self):
        for name, (arguments, flags) in table().items():
            if 'PASS' in flags:
                continue
            with self.subTest(verb=name):
                self.check_error(name, self.run_alone(NOWHERE, '-o', 'json', *self.words(name),
                                                      '--no-such-option'), 2)
                if '...' not in arguments:
                    self.check_error(name, self.run_alone(NOWHERE, '-o', 'json',
                                                          *self.words(name), *'abcdefgh'), 2)
                if arguments and not arguments.startswith('['):
                    self.check_error(name, self.run_alone(NOWHERE, '-o', 'json', *name.split()), 2)

    def test_no_verb_leaves_anything_in_the_home_folder(self):
        for name in WALK:
            self.run_alone(self.broker.address, *self.words(name))
        self.assertEqual(os.listdir(self.home), [])


class WalkOverShards(Walk):
    """The same where the broker has several shards: DC07 and the global facility lie on two."""
    settings = ('process.shards=3',)


if __name__ == '__main__':
    unittest.main()
