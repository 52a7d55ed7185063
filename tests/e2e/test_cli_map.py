#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`produce --map` and `--format fixed`: foreign files become records, wrong maps say why."""
import json
import os
import unittest

from broker import BrokerTest

CONSTANTS = '[constants]\ntype = PICK_CONFIRMED\nfacility = DC07\nlocation = A-1\n' \
            'order = SO1\nhandling_unit = H1\n'


class MapTest(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker.run('facility', 'add', 'DC07')

    def setUp(self):
        super().setUp()
        self.topic = 't' + str(abs(hash(self.id())))[:12]
        self.ok('topic', 'create', self.topic)

    def produce_words(self, path, text, *words):
        return ['produce', self.topic, '--source', 'HOST', '--file', path, '--map',
                self.write('map.ini', text), *words]

    def records(self, *members):
        """Members of the records, in the sequence of their lines."""
        rows = [json.loads(line) for line in self.ok('read', self.topic).splitlines()]
        rows.sort(key=lambda row: row['sequence'])
        return [tuple(row.get(member) for member in members) for row in rows]


class Good(MapTest):
    def test_csv_columns_are_renamed_passed_over_or_keep_their_name(self):
        path = self.write('a.csv', 'ARTNR,"MENGE, ST",BEM,lot\r\nS1,3,x,L1\r\n"S,2",4,"y\nz",\r\n')
        data = self.data(*self.produce_words(path, '[rename]\nARTNR = sku\nMENGE, ST = quantity\n'
                                                   'BEM = -\n' + CONSTANTS))
        self.assertEqual(data['appended'], 2)
        self.assertEqual(self.records('sku', 'quantity', 'lot', 'location', 'type'),
                         [('S1', '3', 'L1', 'A-1', 'PICK_CONFIRMED'),
                          ('S,2', '4', None, 'A-1', 'PICK_CONFIRMED')])

    def test_json_members_are_renamed_and_may_be_anything_when_passed_over(self):
        path = self.write('a.jsonl', '{"ARTNR": "S1", "n": 3, "x": {"deep": [1.5]}}\n'
                                     '{"sku": "S2", "n": "4"}\n')
        self.ok(*self.produce_words(path, '[rename]\nARTNR = sku\nn = quantity\nx = -\n'
                                    + CONSTANTS))
        self.assertEqual(self.records('sku', 'quantity', 'order'),
                         [('S1', '3', 'SO1'), ('S2', '4', 'SO1')])

    def test_fixed_columns_are_cut_by_character(self):
        path = self.write('a.txt', 'S1      0003KGM rest\nKäse    0012    \n\nS3      0.5\n')
        self.ok(*self.produce_words(path, '[columns]\nsku = 1-8\nquantity = 9-12\nuom = 13-15\n'
                                    + CONSTANTS, '--format', 'fixed'))
        self.assertEqual(self.records('sku', 'quantity', 'uom', 'sequence'),
                         [('S1', '3', 'KGM', 1), ('Käse', '12', None, 2), ('S3', '0.5', None, 4)])

    def test_the_same_file_with_another_map_appends_nothing_twice(self):
        path = self.write('a.csv', 'ARTNR,quantity\nS1,3\n')
        rename = '[rename]\nARTNR = sku\n'
        self.ok(*self.produce_words(path, rename + CONSTANTS))
        other = CONSTANTS.replace('location = A-1', 'location = B-1')
        data = self.data(*self.produce_words(path, rename + other))
        self.assertEqual((data['appended'], data['already']), (0, 1))

    def test_rejected_lines_can_be_sent_again_with_the_same_map(self):
        text = '[columns]\nsku = 1-4\nquantity = 5-8\n' + CONSTANTS
        path = self.write('a.txt', 'S1  0003\nS2  000x\nS3  0005\n')
        rejects = os.path.join(self.folder, 'rejects.txt')
        words = self.produce_words(path, text, '--format', 'fixed', '--rejects', rejects)
        data = self.fails(1, 'RECORD_MALFORMED', *words)['data']
        self.assertEqual([(row['line'], row['field']) for row in data['errors']],
                         [(2, 'quantity')])
        with open(rejects, encoding='utf-8') as file:
            again = self.write('again.txt', file.read().replace('x', '4'))
        self.assertEqual(self.data(*self.produce_words(again, text, '--format', 'fixed'))
                         ['appended'], 1)

    def test_a_dry_run_equals_the_real_run_but_for_its_mark(self):
        path = self.write('a.txt', 'S1  0003\nS2  000x\n')
        words = self.produce_words(path, '[columns]\nsku = 1-4\nquantity = 5-8\n' + CONSTANTS,
                                   '--format', 'fixed')
        dry = self.broker.run('-o', 'json', *words, '--dry-run')
        envelope = json.loads(dry.stdout)
        self.assertIs(envelope['data'].pop('dry_run'), True)
        self.assertEqual(self.records('sku'), [])
        self.assertEqual(envelope, json.loads(self.broker.run('-o', 'json', *words).stdout))


class Wrong(MapTest):
    def test_what_file_and_map_say_both_is_refused(self):
        path = self.write('a.jsonl', '{"sku":"S","quantity":"1"}\n'
                                     '{"sku":"S","quantity":"1","location":"B"}\n')
        data = self.fails(1, 'RECORD_MALFORMED', *self.produce_words(path, CONSTANTS))['data']
        row, = data['errors']
        self.assertEqual((row['line'], row['field']), (2, 'location'))
        self.assertIn('map.ini:4', row['text'])
        header = self.write('a.csv', 'sku,order\nS,X\n')
        error = self.fails(2, 'FIELD_INVALID', *self.produce_words(header, CONSTANTS))['error']
        self.assertIn('order: is a constant of the map', error['text'])

    def test_a_field_that_a_line_has_under_both_names_is_refused(self):
        path = self.write('a.jsonl', '{"ARTNR":"S","sku":"T","quantity":"1"}\n')
        data = self.fails(1, 'RECORD_MALFORMED', *self.produce_words(
            path, '[rename]\nARTNR = sku\n' + CONSTANTS))['data']
        self.assertEqual(data['errors'][0]['field'], 'sku')
        self.assertIn("also as 'ARTNR'", data['errors'][0]['text'])
        header = self.write('a.csv', 'ARTNR,sku\nS,T\n')
        error = self.fails(2, 'FIELD_INVALID', *self.produce_words(
            header, '[rename]\nARTNR = sku\n' + CONSTANTS))['error']
        self.assertIn('sku: stands twice', error['text'])

    def test_a_renamed_column_that_the_header_lacks_names_the_near_one(self):
        path = self.write('a.csv', 'sku,quantity\nS,1\n')
        error = self.fails(2, 'FIELD_INVALID', *self.produce_words(
            path, '[rename]\nqantity = -\n' + CONSTANTS))['error']
        self.assertIn('map.ini:2', error['text'])
        self.assertIn("did you mean 'quantity'", error['text'])
        path = self.write('b.csv', 'ARTNRR,quantity\nS,1\n')
        error = self.fails(2, 'FIELD_INVALID', *self.produce_words(
            path, '[rename]\nARTNR = sku\n' + CONSTANTS))['error']
        self.assertIn("did you mean 'ARTNR'", error['text'])

    def test_a_wrong_map_stops_the_run_before_anything_is_sent(self):
        path = self.write('a.csv', 'sku\nS\n')
        for text, expected in (('[rename]\nA = skuu\n', "map.ini:2: A: 'skuu' is no field"),
                               ('[constants]\ntype = PICKED\n', "map.ini:2: type: 'PICKED'"),
                               ('[columns]\nsku = 8-3\n', 'map.ini:2: sku: expected FIRST-LAST'),
                               ('sku\n', 'map.ini:1: expected [section]')):
            error = self.fails(2, 'OPTION_INVALID', *self.produce_words(path, text))['error']
            self.assertIn(expected, error['text'])
        self.fails(3, 'ENOENT', 'produce', self.topic, '--source', 'S', '--file', path, '--map',
                   '/nowhere/map.ini')

    def test_format_and_map_must_fit(self):
        path = self.write('a.txt', 'S\n')
        for text, words, expected in (
                (CONSTANTS, ['--format', 'fixed'], 'needs a --map with [columns]'),
                ('[columns]\nsku = 1\n', [], 'needs --format fixed'),
                ('[columns]\nsku = 1\n[rename]\nA = lot\n', ['--format', 'fixed'],
                 'have no names')):
            error = self.fails(2, 'OPTION_INVALID', *self.produce_words(path, text, *words))
            self.assertIn(expected, error['error']['text'])


if __name__ == '__main__':
    unittest.main()
