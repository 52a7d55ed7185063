#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_config and fuzz_admin from the tables of options and verbs.

Of every option: its default and both bounds, in a file, a variable and a setting. Of every verb: a
call without arguments and one with each of them. The seeds are committed; run this again after a
table changed. With --check nothing is written and a difference is exit status 1.

  make_table_corpus.py CONFIG_DEF VERBS_DEF OUTPUT [--check]
"""
import json
import re
import sys

import corpus_files

TOKEN = re.compile(r'/\*.*?\*/|"(?:[^"\\]|\\.)*"|[(),]|[^\s(),"]+', re.S)
NAME_FIRST = 0x80    # in fuzz_config: stands for the name of the first option
VERB_BY_NAME = 0xff  # in fuzz_admin: the verb is named
# Arguments whose value must be known to the world of fuzz_admin, or follow a rule.
VALUES = {'name': 'stock', 'topic': 'stock', 'strategy': 'sku+location', 'facility': 'DC07',
          'source': 'wms', 'channel': 'main', 'width': 4, 'from': 1, 'limit': 2, 'dry_run': True}
VERB_VALUES = {('facility_show', 'name'): 'DC07', ('facility_add', 'name'): 'DC09',
               ('topic_create', 'name'): 'returns'}


def table_rows(path, macro):
    """Arguments of each `macro(...)` of a table, strings joined and unquoted."""
    with open(path, encoding='utf-8') as file:
        tokens = [token for token in TOKEN.findall(file.read()) if not token.startswith('/*')]
    for at, token in enumerate(tokens):
        if token != macro:
            continue
        row, cell = [], ''
        for part in tokens[at + 2:]:
            if part in (',', ')'):
                row.append(cell)
                cell = ''
            else:
                cell += part[1:-1] if part.startswith('"') else part
            if part == ')':
                break
        yield row


def values_of(kind, unit, default, low, high):
    """Texts of an option's value: the default, and the bounds where the kind has them."""
    if kind in ('NUMBER', 'BYTES'):
        return [default, low, high]
    if kind == 'TIME':
        return [default, '0', '90s', '365d']
    if kind == 'CHOICE':
        return unit.split()
    if kind == 'FLAG':
        return ['yes', 'no']
    return [default] if default else ['/srv/crossdock']


def config_seeds(path):
    seeds, whole = {}, b'# Options with their defaults.\n'
    for number, row in enumerate(table_rows(path, 'OPTION')):
        own, key, kind, unit, default, low, high, *_ = row
        values = [value.encode() for value in values_of(kind, unit, default, low, high)]
        name = bytes([NAME_FIRST + number])
        variable = f'CROSSDOCK_{own.upper()}__{key.upper()}='.encode()
        pieces = [name + b' = ' + values[0] + b'\n', variable + values[-1]]
        pieces += [name + b'=' + value for value in values]
        seeds[f'fuzz_config/{own}.{key}.bin'] = b'\0'.join(pieces)
        if default:
            whole += name + f' = {default}\n'.encode()
    seeds['fuzz_config/all.bin'] = whole
    seeds['fuzz_config/sections.bin'] = (b'; Old style.\n# New style.\n\n[server]\ninsecure = yes\n'
                                         b'[log]\ntail_bytes: 64MiB ; behind a value\n'
                                         b'segment_bytes =  4MiB  # so as well\n')
    return seeds


def admin_seeds(path):
    calls = {}
    for verb, name, *_ in table_rows(path, 'VERB'):
        calls[verb] = (name, [])
    for verb, argument, kind, required, *_ in table_rows(path, 'ARGUMENT'):
        calls[verb][1].append((argument, kind, required == 'true'))
    seeds = {}
    for number, (verb, (name, arguments)) in enumerate(calls.items()):
        def given(wanted):
            return {argument: VERB_VALUES.get((verb, argument), VALUES.get(argument, 1))
                    for argument, kind, required in arguments if wanted(argument, kind, required)}
        seeds[f'fuzz_admin/{verb}.bin'] = bytes([VERB_BY_NAME]) + name.encode() + b'\0{}'
        every = given(lambda argument, kind, required: kind != 'SETTING')
        seeds[f'fuzz_admin/{verb}_all.bin'] = bytes([number]) + json.dumps(every).encode()
        for argument, kind, required in arguments:
            one = given(lambda other, _, needed: needed or other == argument)
            text = json.dumps(one, separators=(',', ':'))
            seeds[f'fuzz_admin/{verb}_{argument}.bin'] = bytes([number]) + text.encode()
    return seeds


def main(config_def, verbs_def, output):
    return corpus_files.put(output, {**config_seeds(config_def), **admin_seeds(verbs_def)})


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:4]))
