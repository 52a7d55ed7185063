/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden byte vectors of the wire format, as hex. Each is a released layout: a change here is a
 * change of the protocol and needs a version. The tests decode them field by field; the fuzz
 * corpus is made from them (tests/fuzz/make_corpus.py), so a new vector also becomes a seed.
 *
 * Must hold nothing but vectors: one macro each, string literals and earlier vectors only.
 */
#ifndef CROSSDOCK_TESTS_WIRE_GOLDEN_H
#define CROSSDOCK_TESTS_WIRE_GOLDEN_H

/* PRODUCER_OPEN reply of 112 bytes, correlation 0x0102030405060708. */
#define GOLDEN_FRAME                                                                               \
    "7000000020000101 0807060504030201"

/* Version 1, client "wms-dc07" "0.1.0". */
#define GOLDEN_HELLO_REQUEST                                                                       \
    "0100010000000000"                                                                             \
    "08776d732d646330 37"                                                                          \
    "05302e312e30"

/* Head (log index 0, catalog epoch 9), version 1, limits. */
#define GOLDEN_HELLO_REPLY                                                                         \
    "0000000000000000 0000000000000000 0900000000000000 0000000000000000"                          \
    "0100010001000000 0000100000c00f00 1000000000008000 1011121314151617"                          \
    "18191a1b1c1d1e1f 00401e18240a0600 0000000000000000"

/* 1 topic, 2 facilities, 24 partitions are known. */
#define GOLDEN_CATALOG_REQUEST "0100000002000000 1800000000000000"

/* Head, 1 topic, 1 facility, 1 placement; there are 3, 2 and 24 partitions. */
#define GOLDEN_CATALOG_REPLY                                                                       \
    "0000000000000000 0000000000000000 0900000000000000 0000000000000000"                          \
    "0900000000000000 0100000001000000 0100000003000000 0200000018000000"                          \
    "0300000000080500"                                                                             \
    "73746f636b000000 0000000000000000 0000000000000000 0000000000000000"                          \
    "0000000000000000 0000000000000000 0000000000000000 0000000000000000"                          \
    "0000000000000000"                                                                             \
    "0200000004000000"                                                                             \
    "4443303700000000 0000000000000000 0000000000000000 0000000000000000"                          \
    "0000000000000000 0000000000000000 0000000000000000 0000000000000000"                          \
    "0000000000000000"                                                                             \
    "0300000002000000 1000000008000000"

/* Acked 40, assigned 44, channel epoch 1, attach to epoch 3; source, channel, facility. */
#define GOLDEN_OPEN_REQUEST                                                                        \
    "2800000000000000 2c00000000000000 0100000003000000"                                           \
    "03776d73"                                                                                     \
    "00"                                                                                           \
    "0444433037"

/* Head, channel 0x1122 epoch 3, chains of partitions 7 and 9. */
#define GOLDEN_OPEN_REPLY                                                                          \
    "0000000000000000 4d00000000000000 0900000000000000 0000000000000000"                          \
    "2211000000000000 0300000001000000 0200000002000000 2c00000000000000"                          \
    "0700000000000000 2c00000000000000 eb03000000000000"                                           \
    "0900000000000000 0c00000000000000 f401000000000000"

/* 2 records, sequences 41..44 behind 40, body of 21 opaque bytes. */
#define GOLDEN_BATCH                                                                               \
    "584442318d000000 d7835e3697042ae9 0000000000000000 0000000000000000"                          \
    "0000000000000000"                                                                             \
    "0000000007000000 2211000000000000 0300000002000100 2900000000000000"                          \
    "2c00000000000000 2800000000000000 00401e18240a0600 90102218240a0600"                          \
    "1500000000000000 0000000000000000"                                                            \
    "6162636465666768 696a6b6c6d6e6f70 7172737475"

/* One batch, durability fsync, low 41. */
#define GOLDEN_PRODUCE                                                                             \
    "0100000000000000 2900000000000000"                                                            \
    GOLDEN_BATCH                                                                                   \
    "000000"

/* The same with a body of 180 bytes compressed to 43. */
#define GOLDEN_BATCH_LZ4                                                                           \
    "58444231a3000000 973f129740bbf2f1 0000000000000000 0000000000000000"                          \
    "0000000000000000"                                                                             \
    "0001000007000000 2211000000000000 0300000002000100 2900000000000000"                          \
    "2c00000000000000 2800000000000000 00401e18240a0600 90102218240a0600"                          \
    "b400000000000000 0000000000000000"                                                            \
    "ff11736b75203437 31312066726f6d20 412d31322d303320 746f20444f434b2d"                          \
    "323b20007c502d31 322d30"

/* The batch as stored: offset 1000, second record suppressed, bitmap, padding. */
#define GOLDEN_STORED_SUPPRESSED                                                                   \
    "584442318d000000 d7835e3697042ae9 e803000000000000 40822d18240a0600"                          \
    "0100000000000000"                                                                             \
    "0000000007000000 2211000000000000 0300000002000100 2900000000000000"                          \
    "2c00000000000000 2800000000000000 00401e18240a0600 90102218240a0600"                          \
    "1500000000000000 0000000000000000"                                                            \
    "6162636465666768 696a6b6c6d6e6f70 7172737475"                                                 \
    "02"                                                                                           \
    "0000"

/* A control entry of kind 4 with a body of 2 bytes. */
#define GOLDEN_STORED_CONTROL                                                                      \
    "584442317a000000 7c3622f38f91179a 0000000000000000 40822d18240a0600"                          \
    "0000000004000000"                                                                             \
    "00000900ffffffff 0000000000000000 0000000000000000 0000000000000000"                          \
    "0000000000000000 0000000000000000 0000000000000000 0000000000000000"                          \
    "0200000000000000 0000000000000000"                                                            \
    "7b7d"                                                                                         \
    "000000000000"

/* Two outcomes: 41..44 durable at 1000, and a refusal with a text of 10 bytes. */
#define GOLDEN_ACK                                                                                 \
    "0200000000000000 0900000000000000 3001000000000000"                                           \
    "2211000000000000 0700000000000000 2900000000000000 2c00000000000000"                          \
    "e803000000000000 0000000000000000 4e00000000000000 0200000000000000"                          \
    "0000000000000000"                                                                             \
    "2211000000000000 09000000b4d8ffff 0f00000000000000 1000000000000000"                          \
    "0000000000000000 0c00000000000000 0000000000000000 02000000fa000000"                          \
    "0a00000000000000"                                                                             \
    "77616e7473203133 2e2e"

/* Channel 0x1122 of epoch 3. */
#define GOLDEN_CLOSE                                                                               \
    "2211000000000000 0300000000000000"

/* Partition 7 from offset 1000, up to 256 KiB, waits 5 s. */
#define GOLDEN_READ                                                                                \
    "0700000000000000 e803000000000000 0000040088130000"

/* Head, offsets, one stored batch. */
#define GOLDEN_READ_REPLY                                                                          \
    "0000000000000000 0000000000000000 0900000000000000 0000000000000000"                          \
    "e803000000000000 ea03000000000000 0000000000000000 ea03000000000000"                          \
    "9000000007000000"                                                                             \
    GOLDEN_STORED_SUPPRESSED

/* Verb "topic list", arguments {}. */
#define GOLDEN_ADMIN_REQUEST                                                                       \
    "0a746f706963206c 697374"                                                                      \
    "7b7d"

/* Head of a refusal: THROTTLED, 250 ms, detail "shard over budget". */
#define GOLDEN_REPLY_REFUSED                                                                       \
    "a0d8fffffa000000 0000000000000000 0900000000000000 1100000000000000"                          \
    "7368617264206f76 6572206275646765 7400000000000000"

#endif
