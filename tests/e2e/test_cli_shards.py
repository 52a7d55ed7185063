#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A broker of several shards is one broker: whatever shard a connection lands on, the command line
shows all of it, and a change is everywhere when it is answered.

What a good broker never says (a shard that is silent, full or not well) comes from a scripted one.
"""
import json
import socketserver
import threading
import time
import unittest

import wire
from broker import Broker, BrokerTest, run

SHARDS = 3
SITES = [f'DC{number:02}' for number in range(12)]
EACH = 50  # records of each site
DIALS = 200  # connections until every shard has had one


def admin(connection, verb, **arguments):
    """A verb over a connection of its own kind: its reply, or the refusing answer."""
    body = wire.text(verb) + (json.dumps(arguments).encode() if arguments else b'')
    answer = connection.request('ADMIN', body)
    return answer if answer.status < 0 else json.loads(answer.body)


class OverShards(BrokerTest):
    """Records of one source in twelve facilities, and a connection to each shard."""
    settings = (f'process.shards={SHARDS}',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            for site in SITES:
                assert cls.broker.run('facility', 'add', site).returncode == 0
            lines = ['type,facility,sku'] + [f'0xf001,{site},S{number}' for site in SITES
                                             for number in range(EACH)]
            cls.file = '\n'.join(lines) + '\n'
            result = cls.broker.run('produce', 'stock', '--source', 'WMS', '--file', '-',
                                    '--format', 'csv', stdin=cls.file)
            assert result.returncode == 0, result.stderr
            cls.homes = cls.connect_everywhere()
        except BaseException:
            cls.broker.close()
            raise

    @classmethod
    def tearDownClass(cls):
        for connection in cls.homes.values():
            connection.close()
        super().tearDownClass()

    @classmethod
    def connect_everywhere(cls):
        """A connection to each shard: the kernel spreads them, so some are made in vain."""
        homes = {}
        for _ in range(DIALS):
            connection = wire.Connection(cls.broker.address)
            home = admin(connection, 'status')['shard']
            if home in homes:
                connection.close()
            homes.setdefault(home, connection)
            if len(homes) == SHARDS:
                return homes
        raise AssertionError(f'no connection came to another shard than {sorted(homes)}')

    def shards_of(self, verb, **arguments):
        connection = next(iter(self.homes.values()))
        return [admin(connection, verb, shard=shard, **arguments) for shard in range(SHARDS)]


class Whole(OverShards):
    def test_sites_and_channels_lie_on_every_shard(self):
        rows = [len(reply['channels']) for reply in self.shards_of('source list')]
        self.assertEqual(sum(rows), len(SITES))
        self.assertGreater(sum(row > 0 for row in rows), 1, rows)

    def test_status_adds_up_what_the_shards_say(self):
        data, told = self.data('status'), self.shards_of('status')
        self.assertEqual([row['shard'] for row in data['shards']], list(range(SHARDS)))
        self.assertEqual(data['channels'], len(SITES))
        self.assertEqual(data['facilities'], told[0]['facilities'])
        self.assertEqual(data['connections'], SHARDS + 1)  # those of this test, and its own
        self.assertEqual(data['memory']['used_bytes'],
                         sum(one['memory']['used_bytes'] for one in told))
        self.assertEqual(sum(row['log']['log_bytes'] for row in data['shards']),
                         data['log']['log_bytes'])
        self.assertEqual({one['cluster_id'] for one in told}, {data['cluster_id']})
        table = self.ok('status').split('\n\n')[1].splitlines()
        self.assertEqual([line.split()[:2] for line in table[1:]],
                         [[str(shard), 'running'] for shard in range(SHARDS)])

    def test_health_has_every_check_of_every_shard(self):
        rows = self.data('health')['checks']
        one = [row['check'] for row in self.shards_of('health')[0]['checks']]
        self.assertEqual([(row['shard'], row['check']) for row in rows],
                         [(shard, check) for shard in range(SHARDS) for check in one])

    def test_records_of_topics_and_sites_are_those_of_all_shards(self):
        def records(rows):
            return {row['name']: row['records'] for row in rows}
        self.assertEqual(records(self.data('topic', 'list')['topics'])['stock'],
                         EACH * len(SITES))
        sites = records(self.data('facility', 'list')['facilities'])
        self.assertEqual([sites[site] for site in SITES], [EACH] * len(SITES))
        self.assertEqual(self.data('topic', 'show', 'stock')['records'], EACH * len(SITES))
        for site in SITES:
            self.assertEqual(self.data('facility', 'show', site)['records'], EACH)
        for words in (['topic', 'create', 'stock'], ['facility', 'add', SITES[0]],
                      ['facility', 'add', SITES[-1]]):
            shown = self.data(words[0], 'show', words[2])
            self.assertEqual(self.data(*words), shown)
            self.assertEqual(self.data(*words, '--dry-run'), dict(shown, dry_run=True))
            dry = self.data(*words[:2], 'NEW', '--dry-run')
            self.assertEqual((dry['records'], dry['dry_run']), (0, True))

    def test_channels_of_all_shards_are_one_list_in_rising_number(self):
        rows = self.data('source', 'list')['channels']
        self.assertEqual({row['facility'] for row in rows}, set(SITES))
        numbers = [row['number'] for row in rows]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(self.data('source', 'list', '--source', 'NOBODY')['channels'], [])
        self.assertEqual(self.data('names', 'source')['names'], [{'name': 'WMS'}])

    def test_a_channel_is_found_on_whatever_shard_it_is(self):
        for row in self.data('source', 'list')['channels']:
            shown = self.data('source', 'show', 'WMS', row['channel'])
            self.assertEqual({name: shown[name] for name in row}, row)
            self.assertGreater(len(shown['chains']), 0)
            gaps = self.data('source', 'gaps', 'WMS', row['channel'])
            self.assertEqual((gaps['records'], gaps['missing'], gaps['gaps']), (EACH, 0, []))

    def test_a_channel_that_is_none_is_told_as_by_one_broker(self):
        error = self.fails(2, 'FIELD_INVALID', 'source', 'show', 'WMS')['error']
        self.assertIn(f'{len(SITES)} channels; name one', error['text'])
        name = self.data('source', 'list')['channels'][-1]['channel']
        error = self.fails(3, 'NOT_FOUND', 'source', 'show', 'WMS', name[:-1])['error']
        self.assertIn('has no channel', error['text'])
        error = self.fails(3, 'NOT_FOUND', 'source', 'show', 'WMZ')['error']
        self.assertIn("did you mean 'WMS'", error['text'])
        self.fails(3, 'NOT_FOUND', 'source', 'gaps', 'WMS', 'NO')

    def test_top_adds_up_and_has_a_line_for_each_shard(self):
        data = json.loads(self.ok('-o', 'json', 'top', '--interval', '50ms'))['data']
        self.assertEqual([row['shard'] for row in data['shards']], list(range(SHARDS)))
        for member in ('connections_open', 'channels', 'log_kept_bytes'):
            self.assertEqual(data[member], sum(row[member] for row in data['shards']), member)
        self.assertEqual(data['partitions'], data['shards'][0]['partitions'])
        self.assertEqual(data['sync_ns_max'], max(row['sync_ns_max'] for row in data['shards']))
        wide = self.ok('-o', 'wide', 'top', '--interval', '50ms')
        self.assertRegex(wide, r'\nSHARD .*\n0 .*\n1 .*\n2 ')
        self.assertNotIn('SHARD', self.ok('top', '--interval', '50ms'))

    def test_records_are_read_from_all_shards_from_an_offset_on(self):
        def rows(*words):
            return [json.loads(line) for line in self.ok('read', 'stock', *words).splitlines()]
        read = rows()
        self.assertEqual({(row['facility'], row['sequence']) for row in read},
                         {(site, 2 + EACH * number + line) for number, site in enumerate(SITES)
                          for line in range(EACH)})
        self.assertEqual({row['source'] for row in read}, {'WMS'})
        begin = 3
        tail = rows('--from', str(begin))
        self.assertEqual(sorted((row['partition'], row['offset']) for row in tail),
                         sorted((row['partition'], row['offset']) for row in read
                                if row['offset'] >= begin))
        self.assertEqual(rows('--source', 'WMS', '--facility', SITES[-1], '--max', '1')[0]
                         ['facility'], SITES[-1])
        self.fails(3, 'NOT_FOUND', 'read', 'stock', '--source', 'WMZ')

    def test_a_file_that_was_sent_is_known_on_all_shards(self):
        for words in ([], ['--dry-run']):
            data = self.data('produce', 'stock', '--source', 'WMS', '--file', '-',
                             '--format', 'csv', *words, stdin=self.file)
            self.assertEqual((data['appended'], data['already']), (0, EACH * len(SITES)))

    def test_checks_are_of_all_shards(self):
        self.assertRegex(self.ok('check', 'broker', '--warn', '1m'), '^broker ok: running, ')
        self.assertRegex(self.ok('check', 'disk', '--warn', '0%'), '^disk ok: ')


class OneName(BrokerTest):
    """One channel name at several facilities: as many channels, whatever shards they lie on."""
    settings = (f'process.shards={SHARDS}',)
    sites = SITES[:6]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            for number, site in enumerate(cls.sites):
                assert cls.broker.run('facility', 'add', site).returncode == 0
                lines = ['type,sku,sequence'] + [f'0xf001,S{line},{line + 1}'
                                                 for line in range(number + 1)]
                result = cls.broker.run('produce', 'stock', '--source', 'WMS', '--file', '-',
                                        '--format', 'csv', '--channel', 'PICKS', '--sequence',
                                        'field', '--facility', site, stdin='\n'.join(lines) + '\n')
                assert result.returncode == 0, result.stderr
        except BaseException:
            cls.broker.close()
            raise

    def test_each_facility_has_a_numbering_of_its_own(self):
        rows = self.data('source', 'list')['channels']
        self.assertEqual({row['channel'] for row in rows}, {'PICKS'})
        self.assertEqual({row['facility']: row['records'] for row in rows},
                         {site: number + 1 for number, site in enumerate(self.sites)})
        for number, site in enumerate(self.sites):
            for verb in ('show', 'gaps'):
                told = self.data('source', verb, 'WMS', 'PICKS', '--facility', site)
                self.assertEqual((told['facility'], told['records']), (site, number + 1))

    def test_the_facility_is_asked_for(self):
        for words in (['show', 'WMS'], ['gaps', 'WMS']):
            error = self.fails(2, 'FIELD_INVALID', 'source', *words, 'PICKS')['error']
            self.assertIn(f'facility: source \'WMS\' has {len(self.sites)} channels of that name',
                          error['text'])
            error = self.fails(3, 'NOT_FOUND', 'source', *words, 'PICKS', '--facility', 'DC99')
            self.assertIn("no such channel of source 'WMS' feeds 'DC99'", error['error']['text'])


class OneNameOnOneShard(OneName):
    settings = ()


class Changes(OverShards):
    def test_gaps_are_read_from_the_shard_that_has_them(self):
        for site in SITES[:4]:
            lines = [f'{{"type":"0xf001","sku":"S","facility":"{site}","sequence":{number}}}'
                     for number in (1, 2, 5, 9)]
            self.ok('produce', 'stock', '--source', f'GAP-{site}', '--channel', 'C', '--sequence',
                    'field', '--file', '-', stdin='\n'.join(lines) + '\n')
            gaps = self.data('source', 'gaps', f'GAP-{site}')
            self.assertEqual([(gap['first'], gap['last']) for gap in gaps['gaps']],
                             [(3, 4), (6, 8)])
            self.assertIs(gaps['complete'], True)
            read = [json.loads(line) for line in
                    self.ok('read', 'stock', '--source', f'GAP-{site}').splitlines()]
            self.assertEqual([row['sequence'] for row in read], [1, 2, 5, 9])

    def test_a_change_is_on_every_shard_when_it_is_answered(self):
        for home, connection in self.homes.items():
            name = f'T-{home}'
            made = admin(connection, 'topic create', name=name, width=2)
            self.assertEqual(made['name'], name)
            for other in self.homes.values():
                self.assertEqual(admin(other, 'topic show', name=name), made)
                self.assertIn((name, SITES[0]), other.catalog())
            site = f'F-{home}'
            made = admin(connection, 'facility add', name=site)
            for other in self.homes.values():
                self.assertEqual(admin(other, 'facility show', name=site), made)
                opened = other.open('ERP', site)
                self.assertIsInstance(opened, wire.Channel, opened)
                self.assertEqual(opened.facility, made['number'])

    def test_the_same_change_again_and_a_wrong_one_get_one_answer_from_all(self):
        first = [admin(one, 'topic create', name='twice', width=3) for one in self.homes.values()]
        self.assertEqual(first, [first[0]] * SHARDS)
        refused = [admin(one, 'topic create', name='twice', width=4)
                   for one in self.homes.values()]
        self.assertEqual([(one.name, one.detail) for one in refused],
                         [(refused[0].name, refused[0].detail)] * SHARDS)
        self.assertEqual(refused[0].name, 'EXISTS')
        dry = [admin(one, 'facility add', name='F-DRY', dry_run=True)
               for one in self.homes.values()]
        self.assertEqual(dry, [dry[0]] * SHARDS)
        self.assertEqual([admin(one, 'facility show', name='F-DRY').name
                          for one in self.homes.values()], ['NOT_FOUND'] * SHARDS)

    def test_changes_of_all_connections_at_once_get_numbers_of_their_own(self):
        for number in range(4):
            for home, connection in self.homes.items():
                connection.send(wire.frame('ADMIN', wire.text('facility add') + json.dumps(
                    {'name': f'R-{home}-{number}'}).encode(), correlation=2 + number))
        answers = []
        for connection in self.homes.values():
            while len(answers) % 4 or len(answers) < 4 * (1 + list(self.homes.values()).index(
                    connection)):
                frame = connection.receive()
                if frame.flags == wire.REPLY:
                    answer = wire.answer_of(frame.payload)
                    self.assertEqual(answer.status, 0, answer)
                    answers.append(json.loads(answer.body))
        self.assertEqual(len({one['number'] for one in answers}), 4 * SHARDS)
        listed = {row['name']: row['number'] for row in
                  self.data('facility', 'list')['facilities']}
        self.assertEqual({one['name']: one['number'] for one in answers},
                         {name: number for name, number in listed.items()
                          if name.startswith('R-')})

    def test_the_configuration_is_that_of_the_process(self):
        shown = [admin(one, 'config show') for one in self.homes.values()]
        self.assertEqual(shown, [shown[0]] * SHARDS)
        self.assertEqual(shown[0]['options']['process.shards']['value'], SHARDS)
        self.assertEqual(self.data('config', 'show'), shown[0])

    def test_every_connection_is_told_the_same_broker(self):
        greetings = set()
        for _ in range(4 * SHARDS):
            connection = wire.Connection(self.broker.address, greet=False)
            body = connection.request('HELLO', wire.hello_payload()).body
            greetings.add(wire.HELLO_REPLY.unpack(body)[:9])
            connection.close()
        self.assertEqual(len(greetings), 1)

    def test_a_shard_that_is_not_there_is_refused(self):
        for verb in ('status', 'health', 'metrics', 'log stats', 'partition list', 'source list'):
            answer = admin(next(iter(self.homes.values())), verb, shard=SHARDS)
            self.assertEqual((answer.name, answer.detail.split(':')[0]), ('FIELD_INVALID', 'shard'))


class Restart(unittest.TestCase):
    def test_what_was_made_is_there_on_all_shards_after_a_crash(self):
        broker = Broker(OverShards.settings)
        self.addCleanup(broker.close)
        broker.start()
        for number in range(9):
            self.assertEqual(broker.run('facility', 'add', f'S{number}').returncode, 0)
            self.assertEqual(broker.run('topic', 'create', f't{number}', '--width', '1').returncode,
                             0)
        def lists():
            return [broker.run('-o', 'json', kind, 'list').stdout for kind in ('topic', 'facility')]
        before = lists()
        broker.kill()
        broker.start()
        for _ in range(2 * SHARDS):
            self.assertEqual(lists(), before)


# ---- a scripted broker -------------------------------------------------------------------------

def status_of(shard, state='running', steps=()):
    return {'version': '1', 'engine': 'none', 'state': state, 'uptime_seconds': 1, 'shard': shard,
            'shards': SHARDS, 'connections': 1, 'channels': 1, 'log': {'disk_free_bytes': 1 << 40},
            'memory': {'used_bytes': 1, 'limit_bytes': 2, 'budgets_bytes': {}},
            'next_steps': list(steps)}


class Scripted(socketserver.ThreadingTCPServer):
    """Answers ADMIN by `script`: (verb, shard) -> a reply, a list of pages, or None = never."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, script):
        self.script = script
        self.asked = []
        super().__init__(('127.0.0.1', 0), Talk)
        self.address = f'127.0.0.1:{self.server_address[1]}'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reply(self, verb, arguments):
        shard = arguments.get('shard')
        self.asked.append((verb, shard))
        if shard is None and verb == 'status':
            return status_of(0)
        found = self.script.get((verb, shard), status_of(shard))
        return found[arguments.get('from', 0)] if isinstance(found, list) else found


class Talk(socketserver.BaseRequestHandler):
    def exactly(self, count):
        data = b''
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                return None
            data += more
        return data

    def handle(self):
        while (head := self.exactly(wire.FRAME.size)) is not None:
            length, op, version, _, correlation = wire.FRAME.unpack(head)
            payload = self.exactly(length)
            if op == wire.OPS['HELLO']:
                body = wire.HELLO_REPLY.pack(1, 1, 1, 0, 0, 1 << 20, 1 << 16, 16, 1 << 20,
                                             bytes(range(16)), int(time.time() * 1e6), 0, 0)
            else:
                size = payload[0]
                verb, text = payload[1:1 + size].decode(), payload[1 + size:]
                reply = self.server.reply(verb, json.loads(text) if text else {})
                if reply is None:
                    continue
                body = json.dumps(reply).encode()
            self.request.sendall(wire.frame(op, wire.REPLY_HEAD.pack(0, 0, 0, 1, 0, 0) + body,
                                            correlation, version, wire.REPLY))


class Bad(unittest.TestCase):
    def serve(self, **replies):
        """A broker with these replies by verb: a list by shard number."""
        script = {(verb.replace('_', ' '), shard): reply for verb, by_shard in replies.items()
                  for shard, reply in enumerate(by_shard)}
        server = Scripted(script)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def test_a_silent_shard_is_named_and_the_exit_status_says_so(self):
        health = {'checks': [], 'ok': True}
        server = self.serve(status=[status_of(0), None, status_of(2)],
                            health=[health, health, None], log_stats=[{}, None, {}],
                            metrics=[None], source_list=[{'channels': []}, None])
        for words, shard in ((['status'], 1), (['health'], 2), (['check', 'disk'], 1),
                             (['check', 'broker'], 2), (['top'], 0), (['source', 'list'], 1),
                             (['source', 'show', 'A'], 1), (['source', 'gaps', 'A'], 1)):
            with self.subTest(words=words):
                result = run('-s', server.address, '--timeout', '300ms', '-o', 'json', *words)
                self.assertEqual(result.returncode, 5, result.stdout + result.stderr)
                error = json.loads(result.stdout)['error']
                self.assertEqual(error['name'], 'DEADLINE_EXCEEDED')
                self.assertTrue(error['text'].startswith(f'shard {shard}: '), error['text'])
                self.assertIn(f'shard {shard}: ', result.stderr)

    def test_the_worst_state_is_told_with_its_shard(self):
        server = self.serve(status=[status_of(0), status_of(1, 'read_only', ['free space']),
                                    status_of(2, 'throttling')],
                            health=[{'checks': [], 'ok': True}] * SHARDS)
        result = run('-s', server.address, '-o', 'json', 'status')
        data = json.loads(result.stdout)['data']
        self.assertEqual((data['state'], data['shard']), ('read_only', 1))
        self.assertIn('shard 1: free space', result.stderr)
        result = run('-s', server.address, 'check', 'broker', '--warn', '1m')
        self.assertEqual(result.returncode, 6)
        self.assertTrue(result.stdout.startswith('broker warning: read_only in shard 1, '),
                        result.stdout)

    def test_one_check_that_is_not_well_is_critical(self):
        well = {'checks': [{'check': 'index', 'ok': True, 'text': 'room'}], 'ok': True}
        ill = {'checks': [{'check': 'index', 'ok': False, 'text': 'full'}], 'ok': False}
        server = self.serve(health=[well, well, ill])
        result = run('-s', server.address, 'health')
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertEqual([line.split() for line in result.stdout.splitlines()[1:]],
                         [['index', '0', 'yes', 'room'], ['index', '1', 'yes', 'room'],
                          ['index', '2', 'no', 'full']])
        result = run('-s', server.address, 'check', 'broker', '--warn', '1m')
        self.assertEqual(result.returncode, 7)
        self.assertIn('shard 2: full', result.stdout)

    def test_the_disk_with_the_worst_is_judged_each_by_its_own_size(self):
        def disk(free, size):
            return {'disk_free_bytes': free, 'disk_size_bytes': size}
        for disks, words, exit_status, expected in (
                ([disk(50, 100), disk(300, 2000), disk(60, 100)], [], 6, r'300 B of .* in shard 1'),
                ([disk(50, 100), disk(15, 100), disk(300, 4000)], [], 7, r'300 B of .* in shard 2'),
                ([disk(50, 100), disk(49, 100), disk(60, 100)], [], 0, r'49 B of 100 B free \(49'),
                ([disk(50, 100)] * 3, ['--warn', '51B', '--crit', '0B'], 6, r'50 B of 100 B')):
            with self.subTest(disks=disks):
                server = self.serve(log_stats=disks)
                result = run('-s', server.address, 'check', 'disk', *words)
                self.assertEqual(result.returncode, exit_status, result.stdout + result.stderr)
                self.assertRegex(result.stdout, expected)
                if 'shard' not in expected:
                    self.assertNotIn('shard', result.stdout)

    def test_pages_are_followed_on_each_shard(self):
        def channel(number):
            return {'source': 'S', 'channel': f'c{number}', 'number': number, 'facility': 'F',
                    'last_sequence': 1, 'records': 1, 'missing': 0, 'last_append_time': None}
        def pages(base):
            return {0: {'channels': [channel(base + 1)], 'next': base + 2},
                    base + 2: {'channels': [channel(base + 2)], 'next': base + 3},
                    base + 3: {'channels': [channel(base + 3)], 'next': None}}
        class Pages(list):
            """Looked up by the number that a page begins with."""
            def __init__(self, rows):
                super().__init__()
                self.rows = rows

            def __getitem__(self, number):
                return self.rows[number]
        server = self.serve(source_list=[Pages(pages(100)), Pages(pages(0)), Pages(pages(200))])
        result = run('-s', server.address, '-o', 'jsonl', 'source', 'list')
        self.assertEqual([json.loads(line)['number'] for line in result.stdout.splitlines()],
                         [1, 2, 3, 101, 102, 103, 201, 202, 203])
        self.assertEqual([shard for verb, shard in server.asked if verb == 'source list'],
                         [0, 0, 0, 1, 1, 1, 2, 2, 2])

    def test_a_broker_with_one_shard_is_not_asked_for_others(self):
        server = self.serve(status=[status_of(0)])
        server.reply = lambda verb, arguments: (server.asked.append((verb, arguments)) or
                                                dict(status_of(0), shards=1))
        result = run('-s', server.address, '-o', 'json', 'status')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({json.dumps(arguments) for _, arguments in server.asked}, {'{}'})


if __name__ == '__main__':
    unittest.main()
