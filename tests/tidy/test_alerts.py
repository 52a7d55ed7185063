#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The alert rules: promtool accepts them and their cases; every rule has what an operator needs,
names what there is, has cases of its own, and stands in docs/ALERTS.md.

  test_alerts.py ROOT

Prints TAP.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from kit import main

ROOT = sys.argv[1]
RULES = 'tools/packaging/alerts.yml'
CASES = 'tools/packaging/alerts_test.yml'
ENDINGS = re.compile(r'_(bucket|sum|count)$')


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


def folded(text, key):
    """The value of a key, over several lines where it is folded."""
    match = re.search(rf'^( *){key}: (?:>-\n((?:\1 +.*\n)+)|(.*)\n)', text, re.M)
    if not match:
        return ''
    return ' '.join((match.group(2) or match.group(3)).split()).strip("'")


def rules():
    """Text of each rule by the name of its alert."""
    parts = re.split(r'^      - alert: (\w+)\n', read(RULES), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def promtool(*arguments):
    if not shutil.which('promtool'):
        raise unittest.SkipTest('promtool is not installed')
    return subprocess.run(['promtool', *arguments], capture_output=True, text=True, check=False)


class Alerts(unittest.TestCase):
    def test_promtool_accepts_the_rules(self):
        done = promtool('check', 'rules', os.path.join(ROOT, RULES))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_cases_come_out_as_they_say(self):
        done = promtool('test', 'rules', os.path.join(ROOT, CASES))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_rule_that_never_fires_fails_its_case(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(ROOT, CASES), folder)
            with open(os.path.join(folder, 'alerts.yml'), 'w', encoding='utf-8') as file:
                file.write(read(RULES).replace('> 0.9', '> 9'))
            done = promtool('test', 'rules', os.path.join(folder, os.path.basename(CASES)))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('CrossdockConnectionsNearLimit', done.stdout + done.stderr)

    def test_every_rule_says_what_and_what_to_do_and_how_bad_it_is(self):
        self.assertGreater(len(rules()), 10)
        for name, text in rules().items():
            self.assertGreater(len(folded(text, 'summary')), 20, name)
            self.assertIn('$labels.instance', folded(text, 'summary'), name)
            self.assertGreater(len(folded(text, 'action')), 20, name)
            self.assertIn(folded(text, 'severity'), ('critical', 'warning'), name)

    def test_every_name_in_a_rule_is_a_metric(self):
        known = set(re.findall(r'^\| `(crossdock_\w+)`', read('docs/METRICS.md'), re.M))
        self.assertGreater(len(known), 50)
        for name, text in rules().items():
            for metric in re.findall(r'\bcrossdock_[a-z_]+', folded(text, 'expr')):
                self.assertTrue(metric in known or ENDINGS.sub('', metric) in known,
                                f'{name}: {metric}')

    def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(self):
        cases = read(CASES)
        for name in rules():
            found = re.findall(rf'^        alertname: {name}\n        exp_alerts:( \[\])?$', cases,
                               re.M)
            self.assertEqual(sorted(found), ['', ' []'], name)

    def test_the_page_lists_the_rules_with_what_to_do(self):
        rows = re.findall(r'^\| `(\w+)` \| (\w+) \| (\w+) \| [^|]+ \| (.*) \|$',
                          read('docs/ALERTS.md'), re.M)
        wanted = [(name, folded(text, 'severity'), folded(text, 'for') or '0m',
                   folded(text, 'action')) for name, text in rules().items()]
        self.assertEqual(rows, wanted)


if __name__ == '__main__':
    sys.exit(main())
