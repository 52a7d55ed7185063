#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of the wire fuzz targets from the golden vectors of tests/wire/golden.h.

One file per seed under OUTPUT/<target>/. The seeds are committed; run this again after a vector
changed or came new. With --check nothing is written and a difference is exit status 1.

  make_corpus.py GOLDEN_H OUTPUT [--check]
"""
import re
import struct
import sys

import corpus_files

FRAME_REPLY, FRAME_PUSH = 1, 2
HEAD_BYTES = 32  # struct xd_reply_head

# Vector, op, frame flags.
FRAMES = [
    ('HELLO_REQUEST', 0x0001, 0),
    ('HELLO_REPLY', 0x0001, FRAME_REPLY),
    ('CATALOG_REQUEST', 0x0010, 0),
    ('CATALOG_REPLY', 0x0010, FRAME_REPLY),
    ('OPEN_REQUEST', 0x0020, 0),
    ('OPEN_REPLY', 0x0020, FRAME_REPLY),
    ('PRODUCE', 0x0021, 0),
    ('ACK', 0x0022, FRAME_PUSH),
    ('READ', 0x0040, 0),
    ('REPLY_REFUSED', 0x0040, FRAME_REPLY),
]
BATCHES = ['BATCH', 'BATCH_LZ4', 'STORED_SUPPRESSED', 'STORED_CONTROL']
# Vector, bytes to skip. The position is the selector of fuzz_request.c.
BODIES = [
    ('HELLO_REQUEST', 0), ('OPEN_REQUEST', 0), ('PRODUCE', 0), ('CLOSE', 0), ('READ', 0),
    ('ADMIN_REQUEST', 0), ('HELLO_REPLY', HEAD_BYTES), ('CATALOG_REPLY', HEAD_BYTES),
    ('OPEN_REPLY', HEAD_BYTES), ('READ_REPLY', HEAD_BYTES), ('ACK', 0), ('REPLY_REFUSED', 0),
    ('CATALOG_REQUEST', 0),
]


def read_vectors(path):
    """Name and bytes of each GOLDEN_ macro: string literals and names of earlier macros."""
    with open(path, encoding='utf-8') as file:
        text = file.read().replace('\\\n', ' ')
    vectors = {}
    for name, parts in re.findall(r'^#define GOLDEN_(\w+)[ ]+(\S.*)$', text, re.M):
        tokens = re.findall(r'"([0-9a-f ]*)"|GOLDEN_(\w+)', parts)
        vectors[name] = b''.join(vectors[other] if other else bytes.fromhex(literal)
                                 for literal, other in tokens)
    return vectors


def frame(payload, op, flags, correlation):
    return struct.pack('<IHBBQ', len(payload), op, 1, flags, correlation) + payload


def make_seeds(vectors):
    """Bytes by path below the corpus folder."""
    seeds, stream = {}, b''
    for number, (name, op, flags) in enumerate(FRAMES, 1):
        whole = frame(vectors[name], op, flags, 0 if flags == FRAME_PUSH else number)
        seeds[f'fuzz_frame/{name.lower()}.bin'] = whole
        stream += whole
    seeds['fuzz_frame/stream.bin'] = stream
    for name in BATCHES:
        seeds[f'fuzz_batch/{name.lower()}.bin'] = vectors[name]
    for selector, (name, skip) in enumerate(BODIES):
        seeds[f'fuzz_request/{name.lower()}.bin'] = (bytes([selector] + [0] * 7) +
                                                     vectors[name][skip:])
    return seeds


def main(golden, output):
    return corpus_files.put(output, make_seeds(read_vectors(golden)))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
