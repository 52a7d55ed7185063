#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_record from the golden records of docs/PROTOCOL.md.

Beside the golden records: a bare one, one with every group, one with a full TLV area, one with a
TLV that may not be, and a body of several. The seeds are committed; run this again after a golden
record changed. With --check nothing is written and a difference is exit status 1.

  make_record_corpus.py PROTOCOL_MD OUTPUT [--check]
"""
import struct
import sys

import corpus_files

TLV_BYTES_MAX = 2040


def record(present, groups, tlvs, payload, code=0x0804, flags=2):
    record_bytes = 64 + len(groups) + len(tlvs) + len(payload)
    core = bytes(range(16)) + struct.pack('<QqQIIIIHHHBB', 1, 2, 3, 4, 5, 6, record_bytes, code,
                                          flags, 1, present, len(tlvs) // 8)
    padding = bytes(-record_bytes % 8)
    return core + groups + tlvs + payload + padding


def every_group():
    stock = bytes(32) + struct.pack('<IHBB', 1, 2, 3, 4)
    quantity = struct.pack('<qiHbB', -5, -5, 29401, -6, 15)
    document = bytes(16) + struct.pack('<IHBB', 1, 2, 3, 4)
    lineage = bytes(range(32)) + struct.pack('<qIHh', 1, 2, 3, -60)
    batch_ref = struct.pack('<QII', 7, 1, 2)
    revision = struct.pack('<II', 1, 20241112)
    groups = stock + quantity + document + bytes(16) + lineage + batch_ref + revision
    return record(0x7f, groups, b'', b'payload', 0xf000, 0)


def full_tlv_area():
    serial = bytes([10, 253]) + b'S' * 253
    return record(0, b'', serial * (TLV_BYTES_MAX // 255), b'')


def make_seeds(text):
    pick, receipt = (corpus_files.read_dump(text, word) for word in ('pick', 'receipt'))
    bare, groups = record(0, b'', b'', b''), every_group()
    return {
        'bare.bin': bare,
        'empty_business_key.bin': record(0, b'', bytes([9, 0] + [0] * 6), b''),
        'body.bin': pick + receipt + bare + groups + pick,
        'every_group.bin': groups,
        'full_tlv_area.bin': full_tlv_area(),
        'pick.bin': pick,
        'receipt.bin': receipt,
    }


def main(protocol, output):
    with open(protocol, encoding='utf-8') as file:
        return corpus_files.put(output, make_seeds(file.read()))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
