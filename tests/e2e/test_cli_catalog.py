#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verbs on broker, topics, facilities and configuration, against a real broker."""
import concurrent.futures
import json
import unittest

from broker import BrokerTest


class Catalog(BrokerTest):
    def test_status_is_the_broker_s_own_word(self):
        data = self.data('status')
        self.assertEqual(data['state'], 'running')
        self.assertIn('durable_index', data['log'])
        table = self.ok('status')
        self.assertIn('running', table)
        self.assertIn('log.durable_index', self.ok('-o', 'wide', 'status'))

    def test_health_is_well_with_exit_status_0(self):
        data = self.data('health')
        self.assertIs(data['ok'], True)
        self.assertIn('disk', [check['check'] for check in data['checks']])

    def test_a_dry_run_equals_the_real_run_but_for_its_mark(self):
        for words in (['topic', 'create', 'returns', '--strategy', 'order', '--width', '2'],
                      ['facility', 'add', 'DC01']):
            with self.subTest(words=words):
                dry = self.data(*words, '--dry-run')
                self.assertEqual(dry.pop('dry_run'), True)
                self.fails(3, 'NOT_FOUND', words[0], 'show', words[2])
                self.assertEqual(self.data(*words), dry)
                self.assertEqual(self.data(words[0], 'show', words[2]), dry)

    def test_creating_again_changes_nothing_and_other_values_are_refused(self):
        first = self.data('topic', 'create', 'twice', '--width', '3')
        self.assertEqual(self.data('topic', 'create', 'twice', '--width', '3'), first)
        self.fails(1, 'EXISTS', 'topic', 'create', 'twice', '--width', '4')

    def test_wrong_names_and_values_are_usage_errors_that_say_what_fits(self):
        self.assertIn('1 to 64', self.fails(2, 'NAME_INVALID', 'facility', 'add', 'a b')
                      ['error']['text'])
        self.fails(2, 'OPTION_INVALID', 'topic', 'create', 'x', '--width', 'many')
        self.fails(2, 'FIELD_INVALID', 'topic', 'create', 'x', '--width', '65')

    def test_an_unknown_object_is_not_found_with_the_nearest_name(self):
        error = self.fails(3, 'NOT_FOUND', 'topic', 'show', 'stok')['error']
        self.assertIn("did you mean 'stock'", error['text'])
        self.fails(3, 'NOT_FOUND', 'facility', 'show', 'nowhere')
        self.fails(3, 'NOT_FOUND', 'source', 'show', 'nobody')

    def test_every_form_of_a_list_has_the_same_rows(self):
        self.ok('facility', 'add', 'FORMS')
        rows = self.data('facility', 'list')['facilities']
        names = [row['name'] for row in rows]
        self.assertIn('FORMS', names)
        self.assertEqual(self.ok('-o', 'name', 'facility', 'list').split(), names)
        lines = self.ok('-o', 'jsonl', 'facility', 'list').splitlines()
        self.assertEqual([json.loads(line) for line in lines], rows)
        tsv = [line.split('\t') for line in self.ok('-o', 'tsv', 'facility', 'list').splitlines()]
        self.assertEqual([line[0] for line in tsv], ['name', *names])
        self.assertTrue(all(len(line) == len(tsv[0]) for line in tsv))
        table = self.ok('facility', 'list').splitlines()
        self.assertTrue(table[0].startswith('NAME'))
        self.assertEqual([line.split()[0] for line in table[1:]], names)

    def test_lists_longer_than_a_page_come_whole(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: self.ok('facility', 'add', f'P{number:03}'),
                          range(501)))
        rows = self.data('facility', 'list')['facilities']
        self.assertGreater(len(rows), 500)
        self.assertEqual(len({row['name'] for row in rows}), len(rows))

    def test_colours_only_where_they_are_wanted(self):
        self.assertNotIn('\033', self.ok('topic', 'list'))
        self.assertIn('\033', self.ok('--color', 'always', 'topic', 'list'))
        self.assertNotIn('\033', self.ok('--color', 'always', '-o', 'json', 'topic', 'list'))

    def test_config_show_names_the_origin_of_each_value(self):
        options = self.data('config', 'show')['options']
        self.assertEqual(options['log.segment_bytes']['value'], 4 << 20)
        self.assertNotEqual(options['log.segment_bytes']['origin'], 'default')
        self.assertEqual(options['net.connections_max']['origin'], 'default')
        self.assertIn('log.segment_bytes', self.ok('config', 'show'))


if __name__ == '__main__':
    unittest.main()
