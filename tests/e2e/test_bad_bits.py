#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One flipped bit in every class of file of a data folder: found at start or when it is read, named
with its place, copied to quarantine/ where bytes of the log are damaged, and never served. What is
not damaged is served as before."""
import os
import random
import sys

import bad
import folder
import wire
from broker import Broker

FAILED = 1
QUARANTINE = 'quarantine'
HEADER = folder.BLOCK_HEADER_BYTES
# Places in a block: its header, the header of its first batch, the first record's payload.
IN_BLOCK = {'block header': 40, 'batch header': HEADER + 64,
            'record': HEADER + wire.BATCH.size + 600}
SEED = 20261124


class BitsCase(folder.FolderCase):
    def serves_everything(self, broker):
        self.assertEqual(self.read_all(broker), self.whole)

    def copies(self):
        """Names of complete copies in quarantine/: those with their description."""
        place = os.path.join(self.data, QUARANTINE)
        names = os.listdir(place) if os.path.isdir(place) else []
        return [name for name in names if name.endswith('.bin')
                and name[:-3] + 'txt' in names]

    def copied(self, block):
        """The damaged block lies in quarantine/ as it is on disk, and is described there."""
        name, = self.copies()
        self.assertTrue(name.startswith(f'corrupt-{block["segment"]}-{block["at"]}-'), name)
        data = self.bytes(os.path.join(QUARANTINE, name), 0, block['bytes'])
        self.assertEqual(data, self.bytes(block['file'], block['at'], block['bytes']))
        text = self.bytes(os.path.join(QUARANTINE, name[:-3] + 'txt'), 0, 4096).decode()
        for line in (f'file={block["file"]}', f'segment={block["segment"]}',
                     f'at={block["at"]}', f'first_index={block["index"]}'):
            if not line.startswith('first_index') or 'first_index=0' not in text:
                self.assertIn(line, text)

    def found(self, block):
        """`log verify` names the file and a place inside the block."""
        finding, = self.verify('finding')
        self.assertEqual(finding['file'], block['file'])
        self.assertTrue(block['at'] <= finding['at'] < block['at'] + block['bytes'], finding)
        self.assertNotEqual(finding['next'], '')


class AtStart(BitsCase):
    """Blocks that the next start reads: no checkpoint lies behind them."""
    settings = ('log.checkpoint_every_bytes=1GiB',)

    def stops(self, block, place):
        self.flip(block['file'], block['at'] + IN_BLOCK[place])
        self.found(block)
        logs = self.log_digest()
        result = self.start()
        position = block['segment'] * folder.SEGMENT_BYTES + block['at']
        self.refused(result, FAILED, 'LOG_CORRUPT', block['file'], f'segment {block["segment"]}',
                     f'position {position}', f'block {block["sequence"]} is damaged',
                     QUARANTINE, 'restore the folder from a copy')
        self.assertEqual(self.log_digest(), logs)
        self.copied(block)

    def log_digest(self):
        """The log itself; quarantine/ is what a failed start may add."""
        return {name: value for name, value in bad.digest(self.data).items()
                if not name.startswith(QUARANTINE)}

    def test_a_flipped_bit_in_a_sealed_segment_stops_the_start(self):
        block = self.blocks()[5]
        self.assertEqual(block['segment'], 1)
        for place in IN_BLOCK:
            with self.subTest(place=place):
                self.stops(block, place)
                self.flip(block['file'], block['at'] + IN_BLOCK[place])
                for name in os.listdir(os.path.join(self.data, QUARANTINE)):
                    os.remove(os.path.join(self.data, QUARANTINE, name))

    def test_a_flipped_bit_in_the_newest_durable_block_stops_the_start(self):
        """Only the MARK behind it and meta know that it was durable."""
        block = self.blocks()[-1]
        self.assertEqual(block['segment'], 2)
        self.stops(block, 'record')

    def test_a_restored_bit_lets_the_broker_start_again(self):
        block = self.blocks()[7]
        self.stops(block, 'record')
        self.flip(block['file'], block['at'] + IN_BLOCK['record'])
        self.serves_everything(self.serve())

    def test_a_damaged_copy_in_quarantine_is_never_read_and_made_anew(self):
        block = self.blocks()[7]
        self.stops(block, 'record')
        name, = self.copies()
        self.flip(os.path.join(QUARANTINE, name), 100)
        self.refused(self.start(), FAILED, 'LOG_CORRUPT', QUARANTINE)
        self.copied(block)

    def test_a_flipped_bit_of_a_mark_loses_nothing(self):
        mark = self.rows('block')[-1]
        self.assertEqual(mark['type'], 'mark')
        self.flip(self.blocks()[-1]['file'], mark['at'] + 40)
        self.serves_everything(self.serve())


class AtRead(BitsCase):
    """Blocks below the checkpoint: the start does not read them, readers do."""
    settings = ('log.checkpoint_every_bytes=1MiB',)

    def stays_out(self, block, place):
        partition = self.partition_of(block)
        self.flip(block['file'], block['at'] + IN_BLOCK[place])
        self.found(block)
        broker = self.serve()
        status, lines, error = self.read_one(broker, partition)
        whole = self.whole[partition]
        self.assertEqual(status, FAILED)
        self.assertIn('RANGE_QUARANTINED', error)
        self.assertIn(f'partition {partition}', error)
        self.assertIn('crossdock log verify', error)
        self.assertEqual(lines, whole[:len(lines)])
        self.assertLess(len(lines), len(whole))
        position = block['segment'] * folder.SEGMENT_BYTES + block['at']
        broker.says(f'log_corrupt position={position} bytes={block["bytes"]}')
        for other, expected in self.whole.items():
            if other != partition:
                self.assertEqual(self.read_one(broker, other)[:2], (0, expected))
        # Behind the block everything is there, and a second look gives the same.
        behind = len(lines) + folder.BATCH_RECORDS
        result = broker.run('-o', 'jsonl', 'read', 'stock', '--partition', str(partition),
                            '--from', str(behind))
        self.assertEqual((result.returncode, result.stdout.splitlines()), (0, whole[behind:]))
        self.assertEqual(self.read_one(broker, partition)[:2], (FAILED, lines))
        self.assertEqual(broker.stop(), 0)
        self.copied(block)

    def test_a_flipped_bit_of_a_block_header_is_never_served(self):
        self.stays_out(self.blocks()[5], 'block header')

    def test_a_flipped_bit_of_a_batch_header_is_never_served(self):
        self.stays_out(self.blocks()[9], 'batch header')

    def test_a_flipped_bit_of_a_record_is_never_served(self):
        self.stays_out(self.blocks()[14], 'record')


class Pages(BitsCase):
    """Meta, segment headers, checkpoints: what a single bit costs there is nothing."""
    settings = ('log.checkpoint_every_bytes=1MiB',)

    def checkpoint(self, state):
        return next(row['file'] for row in self.rows('checkpoint') if row['state'] == state)

    def noted(self, severity, name, at):
        row, = self.verify(severity)
        self.assertEqual((row['file'], row['at']), (name, at))

    def test_a_flipped_bit_of_either_meta_slot_costs_nothing(self):
        for slot in range(2):
            with self.subTest(slot=slot):
                self.flip('meta', slot * folder.META_SLOT_BYTES + 60)
                self.noted('note', 'meta', slot * folder.META_SLOT_BYTES)
                broker = self.serve()
                self.serves_everything(broker)
                self.assertEqual(broker.stop(), 0)
                self.assertEqual(self.verify('note'), [])

    def test_a_flipped_bit_of_both_meta_slots_stops_the_start(self):
        for slot in range(2):
            self.flip('meta', slot * folder.META_SLOT_BYTES + 60)
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'LOG_CORRUPT', 'meta', 'checksum',
                     'restore meta from a copy')
        self.assertEqual(bad.digest(self.data), before)

    def test_a_flipped_bit_of_a_segment_header_is_told_and_costs_nothing(self):
        self.flip('wal.00', 30)
        self.assertEqual([row['file'] for row in self.verify('finding')], ['wal.00'])
        broker = self.serve()
        self.assertIn(f'log_corrupt position={folder.SEGMENT_BYTES} ', broker.read_log())
        self.serves_everything(broker)

    def test_a_flipped_bit_of_an_unused_segment_costs_nothing(self):
        unused = max(name for name in os.listdir(self.data) if name.startswith('wal.'))
        self.assertNotIn(unused, {block['file'] for block in self.blocks()})
        self.flip(unused, 30)
        broker = self.serve()
        self.serves_everything(broker)
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(self.verify('finding'), [])

    def test_a_flipped_bit_of_the_current_checkpoint_is_told_and_costs_nothing(self):
        name = self.checkpoint('current')
        for at in (50, 4096 + 200):
            with self.subTest(at=at):
                self.flip(name, at)
                self.noted('finding', name, 0)
                broker = self.serve()
                self.assertIn('log_checkpoint_fallback bad_generation=', broker.read_log())
                self.serves_everything(broker)
                broker.kill()
                self.setUp()

    def test_a_flipped_bit_of_the_older_checkpoint_costs_nothing(self):
        name = self.checkpoint('older')
        self.flip(name, 4096 + 200)
        self.noted('note', name, 0)
        self.serves_everything(self.serve())

    def test_a_flipped_bit_of_both_checkpoints_stops_the_start(self):
        for state in ('current', 'older'):
            self.flip(self.checkpoint(state), 4096 + 200)
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'CHECKPOINT_CORRUPT', 'generation',
                     'from a copy of the folder')
        self.assertEqual(bad.digest(self.data), before)


class Anywhere(BitsCase):
    """Whatever bit it is: a broker that starts serves what was written, or says that it cannot."""
    settings = ('log.checkpoint_every_bytes=2MiB',)

    def test_no_flipped_bit_is_ever_served(self):
        chance = random.Random(SEED)
        names = sorted(name for name in os.listdir(self.data) if name != 'lock')
        for number in range(16):
            name = names[number % len(names)]
            size = os.path.getsize(os.path.join(self.data, name))
            at = chance.randrange(min(size, 2 << 20))
            bit = chance.randrange(8)
            with self.subTest(name=name, at=at, bit=bit):
                self.setUp()
                self.flip(name, at, bit)
                self.honest()

    def honest(self):
        broker = Broker(self.settings)
        self.addCleanup(broker.close)
        broker.data = self.data
        try:
            broker.start()
        except AssertionError:
            self.assertIn('error start_failed', broker.read_log())
            return
        result = broker.run('-o', 'jsonl', 'read', 'stock')
        lines = set(folder.records_of(result.stdout))
        whole = {line for lines in self.whole.values() for line in lines}
        self.assertLessEqual(lines, whole)
        self.assertEqual(result.returncode == 0, lines == whole, result.stderr)
        self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    sys.exit(bad.main())
