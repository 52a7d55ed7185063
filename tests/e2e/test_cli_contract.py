#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line without a broker: help, wrong words, deadlines, what it prints about itself."""
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from broker import CLI, run

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))


def verbs():
    page = run('man', '--markdown').stdout
    return re.findall(r'^### (.+)$', page, flags=re.M)


class Help(unittest.TestCase):
    def test_every_verb_has_help_with_two_examples(self):
        names = verbs()
        self.assertGreater(len(names), 20)
        for name in names:
            with self.subTest(verb=name):
                result = run(*name.split(), '--help')
                if name in ('bench', 'config check'):  # hand every word on
                    result = run('help', *name.split())
                self.assertEqual((result.returncode, result.stderr), (0, ''))
                self.assertIn(f'crossdock {name}', result.stdout)
                examples = result.stdout.split('\nExamples\n')[1].split('\n\n')[0].splitlines()
                self.assertEqual(len(examples), 2)
                for example in examples:
                    self.assertIn(name if name != 'help' else 'crossdock help', example)

    def test_no_verb_is_a_usage_error_told_on_standard_error(self):
        result = run()
        self.assertEqual((result.returncode, result.stdout), (2, ''))
        self.assertIn('topic create', result.stderr)

    def test_help_that_was_asked_for_goes_to_standard_output(self):
        result = run('--help')
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        self.assertIn('topic create', result.stdout)

    def test_help_of_a_noun_has_all_its_verbs(self):
        text = run('help', 'topic').stdout
        for verb in ('topic list', 'topic show', 'topic create'):
            self.assertIn(f'crossdock {verb}', text)


class WrongWords(unittest.TestCase):
    CASES = [
        (['topic', 'lst'], 'topic list'),
        (['topics', 'list'], 'topic list'),
        (['produse', 'stock'], 'produce'),
        (['stauts'], 'status'),
        (['read', 'stock', '--folow'], '--follow'),
        (['status', '--outptu', 'json'], '--output'),
        (['status', '--output', 'jsn'], 'json'),
        (['topic', 'create', 'x', '--strategy', 'skus'], 'sku'),
    ]

    def test_are_told_with_the_nearest_known_one(self):
        for words, meant in self.CASES:
            with self.subTest(words=words):
                result = run(*words)
                self.assertEqual((result.returncode, result.stdout), (2, ''))
                self.assertIn(f"did you mean '{meant}'", result.stderr)

    def test_have_an_envelope_when_json_is_asked_for_anywhere(self):
        for words in (['-o', 'json', 'topic', 'lst'], ['topic', 'lst', '--output=json'],
                      ['topic', 'lst', '-ojson']):
            result = run(*words)
            self.assertEqual(result.returncode, 2)
            error = json.loads(result.stdout)['error']
            self.assertEqual(error['name'], 'OPTION_UNKNOWN')
            self.assertIn('did you mean', error['text'])

    def test_missing_and_surplus_arguments_are_usage_errors(self):
        for words in (['topic', 'show'], ['topic', 'show', 'a', 'b'], ['produce', 'stock'],
                      ['read'], ['status', '--timeout'], ['status', '--timeout', '5'],
                      ['read', 'stock', '--from', 'yesterday'], ['read', 'stock', '--max', '-1'],
                      ['read', 'stock', '--type', 'PICKED']):
            with self.subTest(words=words):
                result = run(*words)
                self.assertEqual((result.returncode, result.stdout), (2, ''), result.stderr)
                self.assertNotEqual(result.stderr, '')

    def test_nothing_is_suggested_for_a_word_that_is_like_nothing(self):
        self.assertNotIn('did you mean', run('xyzzyx').stderr)


class Deadlines(unittest.TestCase):
    def test_no_broker_is_unreachable(self):
        with socket.socket() as closed:
            closed.bind(('127.0.0.1', 0))
            address = '127.0.0.1:%d' % closed.getsockname()[1]
        result = run('-s', address, '-o', 'json', '--timeout', '2s', 'status')
        self.assertEqual(result.returncode, 5)
        error = json.loads(result.stdout)['error']
        self.assertEqual((error['name'], error['class']), ('UNREACHABLE', 'BACKOFF'))
        self.assertIn('CROSSDOCK_ADDRESS', error['hint'])

    def test_the_address_comes_from_the_environment_and_the_option_wins(self):
        address = 'unix:/nowhere/%s.sock'
        result = run('status', '--timeout', '300ms', env={'CROSSDOCK_ADDRESS': address % 'one'})
        self.assertIn('one.sock', result.stderr)
        result = run('-s', address % 'two', '--timeout', '300ms', 'status',
                     env={'CROSSDOCK_ADDRESS': address % 'one'})
        self.assertIn('two.sock', result.stderr)

    def test_a_profile_of_the_client_s_file_names_another_address(self):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write('[client]\naddress = unix:/nowhere/day.sock\n'
                       '[profile night]\naddress = unix:/nowhere/night.sock\n')
            file.flush()
            env = {'CROSSDOCK_CLIENT_CONFIG': file.name}
            for words, name in (([], 'day.sock'), (['-p', 'night'], 'night.sock')):
                result = run(*words, '--timeout', '300ms', 'status', env=env)
                self.assertEqual(result.returncode, 5)
                self.assertIn(name, result.stderr)
            result = run('-p', 'nigth', 'status', env=env)
            self.assertEqual(result.returncode, 2, result.stderr)

    def test_a_silent_broker_does_not_hang_the_command(self):
        with socket.socket() as silent:
            silent.bind(('127.0.0.1', 0))
            silent.listen()
            address = '127.0.0.1:%d' % silent.getsockname()[1]
            begin = time.monotonic()
            result = run('-s', address, '--timeout', '500ms', 'status')
            self.assertEqual(result.returncode, 5, result.stderr)
            self.assertLess(time.monotonic() - begin, 10)


class Statuses(unittest.TestCase):
    def test_are_found_by_name_and_by_number(self):
        for word in ('FENCED', 'fenced', 'XDOCK_FENCED', '-10065'):
            data = json.loads(run('-o', 'json', 'error', word).stdout)['data']
            self.assertEqual((data['name'], data['code'], data['class']),
                             ('FENCED', -10065, 'FENCED'))
        data = json.loads(run('-o', 'json', 'error', 'ENOSPC').stdout)['data']
        self.assertEqual(data['code'], -28)

    def test_that_do_not_exist_are_not_found(self):
        result = run('error', 'FENCE')
        self.assertEqual((result.returncode, result.stdout), (3, ''))
        self.assertIn("did you mean 'FENCED'", result.stderr)
        self.assertEqual(run('error', '-19999').returncode, 3)


class Completions(unittest.TestCase):
    def complete(self, *words):
        script = run('completion', 'bash').stdout
        asked = ' '.join(f"'{word}'" for word in words)
        script += f'\nCOMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}; _crossdock\n' \
                  'printf "%s\\n" "${COMPREPLY[@]}"\n'
        result = subprocess.run(['bash', '-c', script], text=True, capture_output=True, check=True)
        self.assertEqual(result.stderr, '')
        return result.stdout.split()

    def test_of_bash_offer_verbs_options_and_values(self):
        self.assertIn('topic', self.complete('crossdock', ''))
        self.assertEqual(self.complete('crossdock', 'topic', 'cr'), ['create'])
        self.assertIn('--strategy', self.complete('crossdock', 'topic', 'create', '--'))
        self.assertIn('--dry-run', self.complete('crossdock', 'topic', 'create', 'x', '--'))
        self.assertEqual(self.complete('crossdock', 'topic', 'create', '--strategy', 'ord'),
                         ['order'])
        self.assertEqual(self.complete('crossdock', '-o', 'jsonl'), ['jsonl'])
        self.assertIn('--follow', self.complete('crossdock', '-o', 'json', 'read', '--f'))
        self.assertEqual(self.complete('crossdock', 'completion', 'b'), ['bash'])

    def test_are_valid_scripts(self):
        for shell in ('bash', 'zsh', 'fish'):
            script = run('completion', shell)
            self.assertEqual((script.returncode, script.stderr), (0, ''))
            if shutil.which(shell) is None:
                continue
            flag = '--no-execute' if shell == 'fish' else '-n'
            check = subprocess.run([shell, flag], input=script.stdout, text=True,
                                   capture_output=True, check=False)
            self.assertEqual((check.returncode, check.stderr), (0, ''))

    def test_of_an_unknown_shell_are_a_usage_error(self):
        self.assertEqual(run('completion', 'tcsh').returncode, 2)


class Documents(unittest.TestCase):
    def test_the_manual_page_renders_without_warnings(self):
        page = run('man').stdout
        self.assertTrue(page.startswith('.\\"'))
        if shutil.which('groff') is not None:
            check = subprocess.run(['groff', '-man', '-Tutf8', '-ww', '-rHY=0'], input=page,
                                   text=True, capture_output=True, check=False)
            self.assertEqual((check.returncode, check.stderr), (0, ''))
            text = re.sub('.\b', '', check.stdout)  # bold is overstruck
            self.assertRegex(text, r'\n +topic create NAME\n')
        for name in verbs():
            self.assertIn('.SS ' + name.replace('-', '\\-'), page)

    def test_docs_cli_md_is_current(self):
        with open(os.path.join(ROOT, 'docs/CLI.md'), encoding='utf-8') as file:
            self.assertEqual(file.read(), run('man', '--markdown').stdout,
                             'run `crossdock man --markdown > docs/CLI.md`')

    def test_version_names_program_and_library(self):
        data = json.loads(run('-o', 'json', 'version').stdout)['data']
        self.assertEqual(data['version'], data['library'])
        self.assertEqual(run('-o', 'name', 'version').stdout.strip(), data['version'])


class Siblings(unittest.TestCase):
    def test_config_explain_tells_default_and_range(self):
        data = json.loads(run('-o', 'json', 'config', 'explain', 'log.tail_bytes').stdout)['data']
        self.assertEqual(set(data), {'option', 'text', 'default', 'expected'})
        self.assertEqual(data['default'], '128MiB')
        result = run('config', 'explain', 'log.tail_byte')
        self.assertEqual(result.returncode, 3)
        self.assertIn("did you mean 'log.tail_bytes'", result.stderr)

    def test_config_check_gives_the_verdict_of_the_daemon(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'broker.conf')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('[log]\ntail_bytes = 64MiB\n')
            good = run('-o', 'json', 'config', 'check', '--config', path)
            with open(path, 'w', encoding='utf-8') as file:
                file.write('[log]\ntail_bytes = many\n')
            bad = run('-o', 'json', 'config', 'check', '--config', path)
        self.assertEqual((good.returncode, json.loads(good.stdout)['ok']), (0, True))
        error = json.loads(bad.stdout)['error']
        self.assertEqual((bad.returncode, error['name']), (2, 'OPTION_INVALID'))
        self.assertIn(f'{path}:2', error['text'])
        self.assertIn('tail_bytes', error['text'])

    def test_bench_hands_every_word_on(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'crossdock-bench')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('#!/bin/sh\necho "$@" $CROSSDOCK_ADDRESS\nexit 9\n')
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
            result = run('bench', 'produce', '-o', 'json', '--rate', '5', '--help',
                         env={'CROSSDOCK_LIBEXEC': folder})
            other = run('-o', 'json', '-s', '[::1]:1', 'bench', 'disk',
                        env={'CROSSDOCK_LIBEXEC': folder})
        self.assertEqual((result.returncode, result.stdout),
                         (9, 'produce -o json --rate 5 --help\n'))
        self.assertEqual(other.stdout, 'disk -o json [::1]:1\n')

    def test_a_program_that_is_missing_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = os.path.join(folder, 'crossdock')
            shutil.copy(CLI, alone)
            result = subprocess.run([alone, 'log', 'verify', '/'], text=True, capture_output=True,
                                    env={**os.environ, 'LD_LIBRARY_PATH': library_folder()},
                                    check=False)
        self.assertEqual((result.returncode, result.stdout), (3, ''))
        self.assertIn('crossdock-inspect', result.stderr)


def library_folder():
    """Where the client library of the build lies, for a program that was copied away."""
    return os.path.join(os.path.dirname(CLI), '../../client')


if __name__ == '__main__':
    unittest.main()
