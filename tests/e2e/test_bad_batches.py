#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Batches that must not be appended: each gets the status and the name of the field, its neighbours
in the frame are appended all the same, and nothing of it is ever read back."""
import struct
import sys
import unittest

import bad
import wire
from broker import Broker

RAW_BYTES_MAX = 1 << 20
# Places in a record's core.
AT_SEQUENCE, AT_CHANNEL, AT_FACILITY, AT_ROUTE_KEY, AT_RECORD_BYTES = 16, 40, 44, 48, 52
AT_FLAGS, AT_CHANNEL_EPOCH, AT_PRESENT = 58, 60, 62


def patched(data, at, layout, value):
    """A copy of the bytes with one number replaced."""
    copy = bytearray(data)
    struct.pack_into(layout, copy, at, value)
    return bytes(copy)


def lz4_zeros(count):
    """An LZ4 block that decodes to that many zeros: one literal, one long match, five literals."""
    extra = count - 1 - 5 - 4 - 15
    return (b'\x1f\x00\x01\x00' + b'\xff' * (extra // 255) + bytes([extra % 255])
            + b'\x50' + bytes(5))


class BatchesTest(unittest.TestCase):
    """One broker with two facilities; each test has a channel of its own."""
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)
        cls.broker.start()
        for facility in ('DC07', 'DC08'):
            assert cls.broker.run('facility', 'add', facility).returncode == 0

    def setUp(self):
        BatchesTest.number += 1
        self.source = f'S{BatchesTest.number}'
        self.connection = wire.Connection(self.broker.address)
        self.addCleanup(self.connection.close)
        self.channel = self.connection.open(self.source, 'DC07')
        self.places = self.connection.catalog()
        self.sku = 'SKU-1'
        self.body = wire.records(self.channel, self.sku, 1)
        self.partition = self.home(self.body)

    def tearDown(self):
        """The same connection and channel append a good batch, and read it back alone."""
        before = self.end()
        good = wire.batch(self.channel, self.partition, self.body, 1)
        ack, = self.connection.produce(good)
        self.assertEqual((ack.name, ack.base_offset), ('OK', before))
        served = self.connection.read(self.partition, before)
        self.assertEqual(served.name, 'OK')
        self.assertTrue(served.body.endswith(wire.padded(good[wire.HASHED_FROM:])))
        self.assertEqual(self.end(), before + 1)

    def end(self):
        """Offset behind the last record of the partition."""
        return struct.unpack_from('<Q', self.connection.read(self.partition, 0).body, 24)[0]

    def home(self, body, topic='stock', facility='DC07'):
        """The partition that the route key of the first record leads to."""
        place = self.places[topic, facility]
        route_key, = struct.unpack_from('<I', body, AT_ROUTE_KEY)
        return place.base + (route_key * place.width >> 32)

    def refused(self, data, name, *words):
        outcome, = self.connection.produce(data)
        self.assertEqual(outcome.name, name, outcome.detail)
        for word in words:
            self.assertIn(word, outcome.detail)
        return outcome

    def refused_field(self, name, field, body=None, **fields):
        body = self.body if body is None else body
        partition = fields.pop('partition', self.partition)
        return self.refused(wire.batch(self.channel, partition, body, 1, **fields), name, field)


class Header(BatchesTest):
    def test_a_flipped_bit_anywhere_under_the_checksum_is_refused(self):
        good = wire.batch(self.channel, self.partition, self.body, 1)
        for at in (*range(wire.BATCH.size, len(good), 7), len(good) - 1):
            with self.subTest(at=at):
                self.refused(patched(good, at, 'B', good[at] ^ 1), 'BATCH_CHECKSUM', 'batch_xxh3')

    def test_a_wrong_checksum_is_refused(self):
        good = wire.batch(self.channel, self.partition, self.body, 1)
        self.refused(patched(good, 8, '<Q', 1), 'BATCH_CHECKSUM', 'batch_xxh3')

    def test_fields_outside_their_range_are_named(self):
        rows = [('FORMAT_UNKNOWN', 'format', 1), ('CODEC_UNKNOWN', 'codec', 2),
                ('BATCH_MALFORMED', 'flags', 1), ('BATCH_MALFORMED', 'flags', 0x8000),
                ('BATCH_MALFORMED', 'reserved', 1), ('BATCH_MALFORMED', 'control_kind', 1),
                ('BATCH_MALFORMED', 'base_offset', 1), ('BATCH_MALFORMED', 'append_time_us', 1),
                ('BATCH_MALFORMED', 'suppressed_count', 1), ('BATCH_MALFORMED', 'record_count', 0),
                ('BATCH_MALFORMED', 'record_count', 2), ('BATCH_MALFORMED', 'last_sequence', 0),
                ('BATCH_MALFORMED', 'previous_sequence', 1),
                ('BATCH_MALFORMED', 'last_event_time_us', 0),
                ('BATCH_MALFORMED', 'atomic_part', 1), ('BATCH_MALFORMED', 'atomic_parts', 1),
                ('BATCH_MALFORMED', 'atomic_id', 1), ('BATCH_MALFORMED', 'raw_bytes', 1)]
        for name, field, value in rows:
            with self.subTest(field=field, value=value):
                self.refused_field(name, field, **{field: value})

    def test_a_size_that_does_not_fit_its_frame_ends_the_connection(self):
        good = wire.batch(self.channel, self.partition, self.body, 1)
        for size in (0, 8, 119, len(good) + 8, 1 << 20, 0xffffffff):
            with self.subTest(size=size), wire.Connection(self.broker.address) as other:
                self.assertIsNone(other.produce(patched(good, 4, '<I', size)))

    def test_a_wrong_magic_or_dirty_padding_ends_the_connection(self):
        good = wire.batch(self.channel, self.partition, self.body, 1)
        odd = good[:-1]
        for data in (patched(good, 0, '<I', 0x32424458),
                     patched(odd, 4, '<I', len(odd)) + b'\x01'):
            with wire.Connection(self.broker.address) as other:
                self.assertIsNone(other.produce(data))


class Compressed(BatchesTest):
    def packed(self, raw, **fields):
        return self.sealed(wire.tool('pack', data=raw), **{'raw_bytes': len(raw), **fields})

    def sealed(self, data, raw_bytes):
        return wire.batch(self.channel, self.partition, data, 1, codec=1, raw_bytes=raw_bytes)

    def test_an_honest_block_of_zeros_decodes(self):
        """So that what refuses the bombs below is their size: here the record is the fault."""
        self.refused(self.sealed(lz4_zeros(4096), 4096), 'RECORD_MALFORMED', 'record 0 ')

    def test_a_body_that_claims_to_grow_beyond_the_bound_is_refused_unread(self):
        bomb = lz4_zeros(4 * RAW_BYTES_MAX)
        self.refused(self.sealed(bomb, 4 * RAW_BYTES_MAX), 'BATCH_TOO_LARGE', 'raw_bytes')
        self.refused(self.packed(bytes(1000), raw_bytes=0xffffffff), 'BATCH_TOO_LARGE',
                     'raw_bytes')

    def test_a_body_that_claims_an_impossible_ratio_is_refused_unread(self):
        self.refused(self.packed(bytes(1000), raw_bytes=RAW_BYTES_MAX), 'BATCH_MALFORMED',
                     'raw_bytes')

    def test_a_body_that_decodes_to_more_than_it_claims_is_refused(self):
        """The bomb proper: 4 MiB behind an honest-looking header."""
        bomb = lz4_zeros(4 * RAW_BYTES_MAX)
        before = bad.resident_bytes(self.broker.process.pid)
        self.refused(self.sealed(bomb, RAW_BYTES_MAX), 'DECOMPRESS_FAILED', 'body')
        self.assertLess(bad.resident_bytes(self.broker.process.pid) - before, 2 * RAW_BYTES_MAX)
        raw = wire.records(self.channel, self.sku, 1, payload_bytes=500)
        for claimed in (len(raw) - 8, len(raw) + 8):
            self.refused(self.packed(raw, raw_bytes=claimed), 'DECOMPRESS_FAILED', 'body')

    def test_a_body_that_is_no_lz4_is_refused(self):
        self.refused(self.sealed(b'\xff' * 64, 200), 'DECOMPRESS_FAILED', 'body')

    def test_records_inside_a_compressed_body_are_checked_too(self):
        raw = wire.records(self.channel, self.sku, 1, payload_bytes=500)
        self.refused(self.packed(patched(raw, AT_CHANNEL, '<I', 99)), 'RECORD_MALFORMED',
                     'channel')


class Routing(BatchesTest):
    def test_an_unknown_partition_is_refused(self):
        for partition in (1_000_000, 0xfffffffe):
            self.refused_field('PARTITION_UNKNOWN', 'partition', partition=partition)

    def test_a_partition_of_another_facility_is_refused(self):
        other = self.places['stock', 'DC08'].base
        self.refused_field('PARTITION_WRONG', 'facility', partition=other)

    def test_the_wrong_partition_of_a_topic_is_refused(self):
        """A record without an order goes by its SKU in a topic by order."""
        for topic in ('stock', 'order'):
            place = self.places[topic, 'DC07']
            home = self.home(self.body, topic)
            bucket = place.base + (home - place.base + 1) % place.width
            with self.subTest(topic=topic):
                self.refused_field('PARTITION_WRONG', 'partition', partition=bucket)

    def test_a_wrong_route_key_is_refused(self):
        route_key, = struct.unpack_from('<I', self.body, AT_ROUTE_KEY)
        self.refused_field('PARTITION_WRONG', 'route_key',
                           patched(self.body, AT_ROUTE_KEY, '<I', route_key ^ 1))

    def test_an_unknown_facility_cannot_be_opened(self):
        answer = self.connection.open(self.source, 'DC99')
        self.assertEqual(answer.name, 'FACILITY_UNKNOWN')
        self.assertIn('DC99', answer.detail)
        self.assertIn('crossdock facility add', answer.detail)


class Records(BatchesTest):
    def test_fields_that_contradict_the_batch_are_named(self):
        rows = [('RECORD_MALFORMED', 'channel', AT_CHANNEL, '<I', 4000),
                ('RECORD_MALFORMED', 'channel_epoch', AT_CHANNEL_EPOCH, '<H', 9),
                ('RECORD_MALFORMED', 'source_sequence', AT_SEQUENCE, '<Q', 2),
                ('PARTITION_WRONG', 'facility', AT_FACILITY, '<I', 2),
                ('RECORD_MALFORMED', 'flags', AT_FLAGS, '<H', 0xffff),
                ('RECORD_MALFORMED', 'present', AT_PRESENT, 'B', 0x80),
                ('RECORD_MALFORMED', 'record_bytes', AT_RECORD_BYTES, '<I', 63),
                ('RECORD_MALFORMED', 'record_bytes', AT_RECORD_BYTES, '<I', 5000)]
        for name, field, at, layout, value in rows:
            with self.subTest(field=field, value=value):
                self.refused_field(name, field, patched(self.body, at, layout, value))

    def test_a_record_cut_at_any_word_is_refused(self):
        for length in range(8, len(self.body), 8):
            with self.subTest(length=length):
                self.refused_field('RECORD_MALFORMED', 'record', self.body[:length])

    def test_the_wrong_record_of_several_is_named(self):
        body = wire.records(self.channel, self.sku, 1, count=3)
        stride = len(body) // 3
        wrong = patched(body, stride + AT_SEQUENCE, '<Q', 1)
        self.refused(wire.batch(self.channel, self.partition, wrong, 1, count=3),
                     'RECORD_MALFORMED', 'record 1 ', 'source_sequence')

    def test_bytes_behind_the_last_record_are_refused(self):
        self.refused_field('RECORD_MALFORMED', 'record_count', self.body + self.body)

    def test_a_wrong_batch_leaves_its_neighbours_in_the_frame_alone(self):
        """Three channels in one frame; the one in the middle sends a wrong checksum."""
        channels = [self.connection.open(self.source, 'DC07', name) for name in 'abc']
        bodies = [wire.records(channel, self.sku, 1) for channel in channels]
        batches = [wire.batch(channel, self.partition, body, 1)
                   for channel, body in zip(channels, bodies)]
        batches[1] = patched(batches[1], 8, '<Q', 1)
        names = sorted(ack.name for ack in self.connection.produce(*batches))
        self.assertEqual(names, ['BATCH_CHECKSUM', 'OK', 'OK'])


class Chain(BatchesTest):
    """A channel of its own again, so that the one of the test stays at its beginning."""

    def setUp(self):
        super().setUp()
        self.other = self.connection.open(self.source, 'DC07', 'chain')

    def send(self, first, count=1, previous=0, payload_bytes=20, **fields):
        body = wire.records(self.other, self.sku, first, count, payload_bytes)
        outcome, = self.connection.produce(
            wire.batch(self.other, self.partition, body, first, count, previous, **fields))
        return outcome

    def test_each_refusal_of_the_chain_names_where_to_go_on(self):
        self.assertEqual(self.send(1, 10).name, 'OK')
        gap = self.send(21, 10, previous=20)
        self.assertEqual((gap.name, gap.resume), ('OUT_OF_SEQUENCE', 10))
        inside = self.send(6, 10, previous=5)
        self.assertEqual((inside.name, inside.resume), ('OVERLAP', 10))
        reused = self.send(1, 10, payload_bytes=21)
        self.assertEqual(reused.name, 'SEQUENCE_REUSED')
        again = self.send(1, 10)
        self.assertEqual(again.name, 'DUPLICATE')
        self.assertEqual(self.send(11, 10, previous=10).base_offset, again.base_offset + 10)

    def test_what_is_pipelined_behind_a_gap_is_refused_with_it(self):
        batches = [wire.batch(self.other, self.partition, wire.records(self.other, self.sku, first),
                              first, previous=first - 1) for first in (2, 3, 4)]
        acks = self.connection.produce(*batches)
        self.assertEqual([(ack.name, ack.resume) for ack in acks], [('OUT_OF_SEQUENCE', 0)] * 3)

    def test_a_former_holder_is_fenced(self):
        with wire.Connection(self.broker.address) as usurper:
            usurper.open(self.source, 'DC07', 'chain')
            outcome = self.send(1)
            self.assertEqual(outcome.name, 'FENCED')
            self.assertIn('producer_id', outcome.detail)

    def test_a_channel_that_nobody_opened_is_refused(self):
        outcome = self.send(1, producer_id=4000)
        self.assertEqual(outcome.name, 'PRODUCER_UNKNOWN')
        self.assertIn('producer_id', outcome.detail)

    def test_an_epoch_from_the_future_is_refused(self):
        for field in ('producer_epoch', 'channel_epoch'):
            with self.subTest(field=field):
                outcome = self.send(1, **{field: 9})
                self.assertLess(outcome.status, 0, outcome)


if __name__ == '__main__':
    sys.exit(bad.main())
