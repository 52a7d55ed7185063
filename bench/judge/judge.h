/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a measurement was told the truth: what feeds sent and were answered, and what readers
 * were given, is recorded as a history, and the judge that the tests of the broker have looks at
 * it.
 *
 * Normal path: judge_make; for each feed judge_feed, and its records carry judge_document;
 * judge_sent before records are posted and judge_acked for each outcome; judge_read for each record
 * that a reader gives and judge_read_end where it has come to the end, or judge_read_all for both;
 * judge_verdict. A record that no feed of this judge has sent counts as sent by somebody when it is
 * first read: it must not come twice, change, or stand elsewhere for another reader.
 *
 * Failure path: a record that finds no memory leaves the history incomplete, which judge_verdict
 * tells. About 150 bytes for each record sent and read. Must not post, and must not be part of a
 * figure: it costs more than the sending.
 */
#ifndef CROSSDOCK_BENCH_JUDGE_JUDGE_H
#define CROSSDOCK_BENCH_JUDGE_JUDGE_H

#include <crossdock/crossdock.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JUDGE_DOCUMENT_BYTES 20u

struct judge;

/* What is known of a feed before it sends. */
struct judge_feed {
    const char *facility; /* borrowed for the time of the judge */
    uint64_t resume;      /* highest sequence of its channel so far */
    int64_t partition;    /* that all its records go to, -1 = several */
    uint8_t level;        /* enum xdock_durability that it asks for */
};

/* Room for feeds and readers with numbers below these. 0 or -ENOMEM. */
int judge_make(uint32_t feeds, uint32_t readers, struct judge **ret_judge);
/* Accepts a pointer to NULL. */
void judge_free(struct judge **judge);

/* The document that all records of a feed carry. */
void judge_document(const struct judge *judge, uint32_t feed, char ret_text[JUDGE_DOCUMENT_BYTES]);
void judge_feed(struct judge *judge, uint32_t feed, const struct judge_feed *options);
/* `count` records like this one follow the first `before` of the feed. Saying it again of a record
 * that could not be posted changes nothing. */
void judge_sent(struct judge *judge, uint32_t feed, uint64_t before, uint32_t count,
                const xdock_record_t *record);
void judge_acked(struct judge *judge, uint32_t feed, const xdock_ack_t *ack);

/* The reader has given this record. */
void judge_read(struct judge *judge, uint32_t number, xdock_reader_t *reader,
                const xdock_view_t *view);
/* It has read everything up to the ends that it has heard of. */
void judge_read_end(struct judge *judge, uint32_t number, xdock_reader_t *reader);
/* Reads the topic from its beginning to its end as reader 0. 0 or a status of the library. */
int judge_read_all(struct judge *judge, xdock_client_t *client, const char *topic,
                   uint32_t timeout_ms);

/* Says what it has found, `who` first. Number of promises broken, or -errno. `retention`: the
 * oldest records may have gone. */
int judge_verdict(const struct judge *judge, const char *who, bool retention, FILE *out);

#endif
