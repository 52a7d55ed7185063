#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_recovery: whole data folders in pieces, as that target takes them.

Blocks hold the golden stored batches. Hashes, chains and positions are left out here: the target
sets them where a piece asks for it. The seeds are committed; run this again after the disk format
or a golden batch changed. With --check nothing is written and a difference is exit status 1.

  make_recovery_corpus.py GOLDEN_H OUTPUT [--check]
"""
import struct
import sys

import corpus_files
from make_corpus import read_vectors

META, CHECKPOINT_0, CHECKPOINT_1, WAL = 0, 1, 2, 3  # numbers of files, wal.00 first
BYTES, PAGE, BLOCK, CHAIN = 0, 1, 2, 3              # what is sealed
SEGMENT_BYTES = 4 << 20
WAL_END = 48 * 1024  # place in the window from which on it shows the file's end
DATA, SEAL, MARK = 1, 128, 129
UUID = bytes([0x5a]) * 16
EPOCH, SHARD, SHARD_COUNT = 5, 1, 2


def piece(file, seal, place, data):
    return struct.pack('<BBHI', file, seal, len(data), place) + data


def meta(slot, generation, checkpoint=0, durable=0, epoch=EPOCH, first_index=1, sequence=1):
    fields = struct.pack('<QIHHQ16sIIQQQQQQQQQQQQ', 0, 0, 0, 0, generation, UUID, SHARD,
                         SHARD_COUNT, SEGMENT_BYTES, epoch, first_index, SEGMENT_BYTES + 4096, 0,
                         sequence, 1, 0, durable, durable, checkpoint, 0)
    return piece(META, PAGE, slot * 4096, fields)


def metas(**values):
    return meta(0, 20, **values) + meta(1, 21, **values)


def segment(slot, number, epoch=EPOCH):
    fields = struct.pack('<QIHHIIQQQ16sq', 0, 0, 0, 1, SHARD, 4096, number, SEGMENT_BYTES, epoch,
                         UUID, 1790000000000000)
    return piece(WAL + slot, PAGE, 0, fields)


class Log:
    """Blocks one behind the other, each filling a page."""

    def __init__(self, vectors):
        self.vectors = vectors
        self.place, self.sequence, self.index, self.offset = 4096, 1, 1, 0

    def block(self, slot, kind, batches=(), durable=0, epoch=EPOCH, seal=CHAIN):
        payload, records = b'', 0
        for batch in batches:
            payload += batch + bytes(-len(batch) % 8)
            records += struct.unpack_from('<H', batch, 60)[0]
        index = self.index if kind == DATA else self.index - 1
        header = struct.pack('<QIHHQQQQQQQIIIIqQII', 0, 0, 1, kind, epoch, self.sequence, durable,
                             1, index, 0, 0, len(payload), 4096, len(batches), records,
                             1790000000000000, 0, SHARD, 0)
        data = piece(WAL + slot, seal, self.place, header + bytes(16) + payload)
        self.place += 4096
        self.sequence += 1
        self.index += kind == DATA
        return data

    def records(self, slot, **values):
        """A block with one batch of records behind those before."""
        batch = bytearray(self.vectors['STORED_SUPPRESSED'])
        struct.pack_into('<Q', batch, 16, self.offset)
        self.offset += struct.unpack_from('<H', batch, 60)[0]
        return self.block(slot, DATA, [bytes(batch)], **values)

    def control(self, slot, **values):
        return self.block(slot, DATA, [self.vectors['STORED_CONTROL']], **values)


def checkpoint(generation, log, state, local):
    position = SEGMENT_BYTES + log.place
    header = struct.pack('<QIHHII16sQQQQQQQQQQQQq', 0, 0, 0, 1, SHARD, 0, UUID, generation, EPOCH,
                         position, log.index - 1, 1, 0, log.sequence - 1, len(state), 0, len(local),
                         0, SEGMENT_BYTES, 1790000000000000)
    file = CHECKPOINT_0 + generation % 2
    local_at = 4096 + (len(state) + 4095) // 4096 * 4096
    return (piece(file, BYTES, 4096, state) + piece(file, BYTES, local_at, local) +
            piece(file, PAGE, 0, header))


def make_seeds(vectors):
    seeds = {'empty.bin': b'', 'meta_only.bin': metas()}

    log = Log(vectors)
    head = segment(0, 1) + log.control(0) + log.records(0) + log.records(0)
    seeds['blocks.bin'] = metas() + head
    seeds['marked.bin'] = metas(durable=3) + head + log.block(0, MARK, durable=3)
    torn = log.records(0, seal=BYTES)
    seeds['torn.bin'] = metas() + head + torn
    seeds['lost_middle.bin'] = metas() + head + torn + log.records(0)
    seeds['durable_lost.bin'] = metas(durable=9) + head

    log = Log(vectors)
    first = segment(0, 1) + log.records(0) + log.block(0, SEAL)
    log.place = 4096
    seeds['two_segments.bin'] = metas() + first + segment(1, 2) + log.records(1) + log.records(1)
    log = Log(vectors)
    first = segment(2, 1) + log.records(2)
    log.place = WAL_END + 12 * 1024
    seeds['segment_end.bin'] = metas() + first + log.records(2)

    log = Log(vectors)
    epochs = segment(0, 1) + log.records(0, epoch=4)
    seeds['epochs.bin'] = metas(first_index=2, sequence=2) + epochs + log.records(0)

    log = Log(vectors)
    blocks = segment(0, 1)
    local = struct.pack('<IIQ', 0x314c4458, 1, 0) + struct.pack('<QQQqqQ', 1, 1, 1, 1, 1, 8192)
    folded = checkpoint(1, log, b'the fold of nothing', local)
    seeds['checkpoint.bin'] = folded + metas(checkpoint=1) + blocks + log.records(0)
    seeds['checkpoint_lost.bin'] = metas(checkpoint=2) + blocks + log.records(0)
    log = Log(vectors)
    log.place += 5 * SEGMENT_BYTES
    far = checkpoint(1, log, b'the fold of nothing', local)
    seeds['checkpoint_far.bin'] = far + metas(checkpoint=1) + segment(0, 1)
    seeds['foreign.bin'] = piece(META, BYTES, 0, b'meta of somebody else') + head
    return seeds


def main(golden, output):
    return corpus_files.put(output, make_seeds(read_vectors(golden)))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
