#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names that exist now: in did-you-mean, in completions, in profiles. And families of verbs."""
import json
import os
import shutil
import subprocess
import time
import unittest

from broker import CLI, BrokerTest, run

NOWHERE = 'unix:/nowhere/at.all'


def cut(words):
    """Words as bash cuts them: a colon and an equals sign are words of their own."""
    out = []
    for word in words:
        part = ''
        for c in word:
            if c in ':=':
                out += [part] if part else []
                out.append(c)
                part = ''
            else:
                part += c
        if part or not word:
            out.append(part)
    return out


class NamesTest(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for facility in ('DC07', 'DC08'):
            cls.broker.run('facility', 'add', facility)
        result = cls.broker.run('produce', 'stock', '--source', 'WMS1', '--file', '-',
                                stdin='{"type":"0xf001","sku":"S"}\n')
        assert result.returncode == 0, result.stderr

    def setUp(self):
        super().setUp()
        self.config = self.write('client.conf', '[client]\naddress = unix:/nowhere/day.sock\n'
                                                f'[profile test]\naddress = {self.broker.address}\n'
                                                '# [profile none]\n[profile night shift]\n'
                                                'address = unix:/nowhere/night.sock\n')


class DidYouMean(NamesTest):
    def test_names_of_topics_facilities_and_sources_that_are_near(self):
        path = self.write('a.jsonl', '{"type":"0xf001","sku":"S"}\n')
        for words, meant in ((['read', 'stokc'], 'stock'), (['topic', 'show', 'stokc'], 'stock'),
                             (['produce', 'stokc', '--source', 'S', '--file', path], 'stock'),
                             (['produce', 'stokc', '--source', 'S', '--file', path, '--dry-run'],
                              'stock'),
                             (['read', 'stock', '--facility', 'DC7'], 'DC07'),
                             (['facility', 'show', 'DC7'], 'DC07'),
                             (['read', 'stock', '--source', 'WSM1'], 'WMS1'),
                             (['source', 'show', 'WSM1'], 'WMS1'),
                             (['source', 'gaps', 'WMS'], 'WMS1')):
            with self.subTest(words=words):
                result = self.broker.run('-o', 'json', *words)
                self.assertEqual(result.returncode, 3, result.stderr)
                error = json.loads(result.stdout)['error']
                self.assertEqual(error['text'].count('did you mean'), 1, error['text'])
                self.assertIn(f"did you mean '{meant}'", error['text'])

    def test_a_facility_in_a_line(self):
        path = self.write('a.jsonl', '{"type":"0xf001","sku":"S","facility":"DC7"}\n')
        data = self.fails(1, 'RECORD_MALFORMED', 'produce', 'stock', '--source', 'S', '--file',
                          path)['data']
        self.assertIn("did you mean 'DC07'", data['errors'][0]['text'])

    def test_words_of_a_record(self):
        path = self.write('a.jsonl', '{"type":"PICK_CONFIRMD"}\n'
                                     '{"type":"0xf001","status":"AVAILABEL"}\n'
                                     '{"type":"0xf001","document_type":"DELIVREY"}\n')
        data = self.fails(1, 'RECORD_MALFORMED', 'produce', 'stock', '--source', 'S', '--file',
                          path)['data']
        for row, meant in zip(data['errors'], ('PICK_CONFIRMED', 'AVAILABLE', 'DELIVERY')):
            self.assertIn(f"did you mean '{meant}'", row['text'])
        error = self.fails(2, 'OPTION_INVALID', 'read', 'stock', '--type', 'PCIK_SHORT')['error']
        self.assertIn("did you mean 'PICK_SHORT'", error['text'])

    def test_what_is_found_is_not_suggested(self):
        """The source is known, its channel is not: the source is no news."""
        error = self.fails(3, 'NOT_FOUND', 'source', 'show', 'WMS1', 'nothing')['error']
        self.assertNotIn("did you mean 'WMS1'", error['text'])

    def test_a_name_that_is_near_to_nothing_has_no_suggestion(self):
        self.assertNotIn('did you mean',
                         self.fails(3, 'TOPIC_UNKNOWN', 'read', 'xyzzyx')['error']['text'])

    def test_profiles(self):
        env = {'CROSSDOCK_CLIENT_CONFIG': self.config}
        result = run('-p', 'tset', 'status', env=env)
        self.assertEqual(result.returncode, 2)
        self.assertIn("did you mean 'test'", result.stderr)
        self.assertEqual(run('-p', 'test', 'status', env=env).returncode, 0)
        result = run('-p', 'night shift', '--timeout', '300ms', 'status', env=env)
        self.assertEqual(result.returncode, 5)
        self.assertIn('night.sock', result.stderr)


class Profiles(NamesTest):
    def test_come_from_the_home_folder_and_the_environment_wins(self):
        home = os.path.join(self.folder, 'home/.config/crossdock')
        os.makedirs(home)
        shutil.copy(self.config, os.path.join(home, 'client.conf'))
        env = {'HOME': os.path.join(self.folder, 'home'), 'PATH': os.environ['PATH'],
               'LD_LIBRARY_PATH': os.environ.get('LD_LIBRARY_PATH', '')}

        def crossdock(*words, **more):
            return subprocess.run([CLI, *words], env=env | more, text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=60, check=False)
        self.assertEqual(crossdock('-p', 'test', 'status').returncode, 0)
        self.assertIn('day.sock', crossdock('status').stderr)
        self.assertIn('other.sock', crossdock('-p', 'test', 'status',
                                              CROSSDOCK_ADDRESS='unix:/nowhere/other.sock').stderr)
        self.assertEqual(crossdock('-s', self.broker.address, '-p', 'night shift', 'status')
                         .returncode, 0)
        self.assertEqual(crossdock('names', 'profile').stdout, 'test\nnight shift\n')

    def test_without_a_file_are_a_configuration_error(self):
        result = run('-o', 'json', '-p', 'test', 'status',
                     env={'CROSSDOCK_CLIENT_CONFIG': '/nowhere/client.conf'})
        self.assertEqual((result.returncode, json.loads(result.stdout)['error']['name']),
                         (2, 'OPTION_INVALID'))


class Names(NamesTest):
    def test_are_listed_one_a_line_and_each_once(self):
        self.assertEqual(self.ok('names', 'facility').split(), ['DC07', 'DC08'])
        self.assertEqual(self.ok('names', 'source').split(), ['WMS1'])
        self.assertIn('stock', self.ok('names', 'topic').split())
        self.assertEqual(self.data('names', 'source')['names'], [{'name': 'WMS1'}])

    def test_without_a_broker_are_silent_and_fast(self):
        begin = time.monotonic()
        result = run('-s', NOWHERE, 'names', 'topic')
        self.assertEqual((result.returncode, result.stdout, result.stderr), (5, '', ''))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(run('-s', NOWHERE, 'names', 'profile').returncode, 0)

    def test_of_an_unknown_kind_are_a_usage_error(self):
        self.assertIn('none of topic', run('names', 'topics').stderr)


class Completion(NamesTest):
    def bash(self, *words):
        script = run('completion', 'bash').stdout
        asked = ' '.join(f"'{word}'" for word in cut([CLI, *words]))
        script += f'\nCOMP_WORDS=({asked}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); ' \
                  '_crossdock\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
        result = subprocess.run(['bash', '-c', script], text=True, capture_output=True, timeout=60,
                                env=os.environ | {'CROSSDOCK_CLIENT_CONFIG': self.config},
                                cwd=self.folder, check=True)
        self.assertEqual(result.stderr, '')
        return result.stdout.split()

    def test_of_bash_has_live_names_where_a_name_is_wanted(self):
        at = ['-s', self.broker.address]
        self.assertIn('stock', self.bash(*at, 'topic', 'show', ''))
        self.assertEqual(self.bash(*at, 'read', 'st'), ['stock'])
        self.assertEqual(self.bash(*at, 'read', 'stock', '--facility', ''), ['DC07', 'DC08'])
        self.assertEqual(self.bash('--address=' + self.broker.address, 'source', 'show', ''),
                         ['WMS1'])
        self.assertEqual(self.bash('-p', 'test', 'facility', 'show', 'DC08'), ['DC08'])
        self.assertEqual(self.bash('-p', 'te'), ['test'])
        self.assertIn('--facility', self.bash(*at, 'read', 'stock', '--fac'))

    def test_of_bash_without_a_broker_offers_nothing_else(self):
        self.write('stock-file', '')
        self.assertEqual(self.bash('-s', NOWHERE, 'topic', 'show', 'st'), [])

    @unittest.skipIf(shutil.which('fish') is None, 'fish is not installed')
    def test_of_fish_has_live_names_where_a_name_is_wanted(self):
        script = self.write('crossdock.fish', run('completion', 'fish').stdout)
        bin_folder = os.path.join(self.folder, 'bin')
        os.mkdir(bin_folder)
        os.symlink(CLI, os.path.join(bin_folder, 'crossdock'))
        env = os.environ | {'HOME': self.folder, 'CROSSDOCK_CLIENT_CONFIG': self.config,
                            'PATH': bin_folder + ':' + os.environ['PATH'],
                            'CROSSDOCK': os.path.join(bin_folder, 'crossdock')}

        def fish(line):
            result = subprocess.run(['fish', '--no-config', '-c',
                                     f'source {script}; complete -C "{line}"'], env=env, text=True,
                                    capture_output=True, timeout=60, check=True)
            return [row.split('\t')[0] for row in result.stdout.splitlines()]
        at = f'crossdock -s {self.broker.address} '
        self.assertEqual(fish(at + 'read stock --facility '), ['DC07', 'DC08'])
        self.assertIn('stock', fish(at + 'topic show '))
        self.assertEqual(fish('crossdock -p '), ['night shift', 'test'])


class Families(unittest.TestCase):
    FAMILIES = {'topic': 3, 'facility': 3, 'source': 3, 'config': 3, 'log': 2, 'check': 2}

    def test_alone_list_their_verbs_and_are_a_usage_error(self):
        for family, least in self.FAMILIES.items():
            result = run(family)
            self.assertEqual((result.returncode, result.stdout), (2, ''))
            self.assertGreaterEqual(result.stderr.count(f'\n  {family} '), least, result.stderr)

    def test_with_help_list_their_verbs_on_standard_output(self):
        for family, least in self.FAMILIES.items():
            for words in ([family, '--help'], ['-h', family]):
                result = run(*words)
                self.assertEqual((result.returncode, result.stderr), (0, ''))
                self.assertGreaterEqual(result.stdout.count(f'\n  {family} '), least)

    def test_have_an_envelope(self):
        result = run('-o', 'json', 'topic')
        envelope = json.loads(result.stdout)
        self.assertEqual((result.returncode, envelope['command'], envelope['error']['name']),
                         (2, 'topic', 'OPTION_INVALID'))

    def test_name_their_verbs_when_none_is_near(self):
        result = run('topic', 'xyzzyx')
        self.assertIn("'topic' has list, show, create", result.stderr)


if __name__ == '__main__':
    unittest.main()
