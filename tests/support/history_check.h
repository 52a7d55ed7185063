/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge of a history: which promises of the broker it breaks, by name, with the first case of
 * each.
 *
 * Normal path: history_check when everything has its outcome and every partition has been read back
 * from its oldest offset to its end after the last outcome; history_totals and history_require to
 * make sure that the run was not too tame to show anything.
 * Failure path: -ENOMEM, or -EINVAL when the history itself is wrong (an id given to two records);
 * the report's text says which.
 *
 * Judged are P1, P2, P4, P5 and P12 of the broker's properties, with readers in the place of
 * groups, and the rules of the log below. Groups (P1, P3, P7), atomic batches (P6), ledgers (P8),
 * replicas (P9), dead letters (P10) and permissions (P11) come with those features.
 *
 * Time O(n log n). Memory beside the history: at most 20 bytes per record sent, 4 per record read,
 * 128 per reply, 48 per answer that a crash or retention may excuse, 24 per open, 168 per key and
 * per chain.
 * Must not change the history.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_CHECK_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_CHECK_H

#include "tests/support/history.h"

#include <stdio.h>

enum history_property {
    /* An ok record is there exactly once, unless retention or quarantine removed it, or a crash
     * took a weak one. */
    HISTORY_P1,
    /* A failed record is never there, nor one that nobody sent; an unknown one is there once or
     * not, whole or not. */
    HISTORY_P2,
    /* One id per partition and offset, whenever it is read; one offset per id. */
    HISTORY_P4,
    /* Sequences rise per channel and per key, from one holder at a time; a chain has no gap; a key
     * stays in its partition; a reader is not led past an offset, and ends never go back. */
    HISTORY_P5,
    /* When faults have healed, operations succeed within the limit. */
    HISTORY_P12,
    /* What was acknowledged at fsync is never missing, neither in the end nor for any read that
     * began after the acknowledgement. */
    HISTORY_DURABLE,
    /* What was acknowledged below fsync may go at a crash after it was sent, and only together with
     * everything behind it in its partition. */
    HISTORY_WEAK,
    /* Offsets follow each other within a reply. */
    HISTORY_DENSE,
    /* Append times do not fall within a partition. */
    HISTORY_APPEND_TIME,
    /* Log indexes and offsets rise together within a partition; what began after an
     * acknowledgement stands behind it. */
    HISTORY_LOG_ORDER,
    /* A record stands where its acknowledgements say; answers do not contradict each other. */
    HISTORY_CLAIM,
    /* Sequence, key and content come back as they were sent. */
    HISTORY_CONTENT,
    /* The oldest offset only rises, only where it may, never past the end, not over what is too
     * young to go, and nothing older is served. */
    HISTORY_FLOOR,
    /* Damaged ranges are not served until they are repaired, and no more is excused for them than
     * allowed. */
    HISTORY_QUARANTINE,
    /* Everything between the oldest offset and the end has been read, so that all could be
     * judged. */
    HISTORY_UNREAD,
    HISTORY_PROPERTY_COUNT
};

struct history_options {
    uint64_t heal_ns;               /* limit of P12 */
    uint64_t quarantine_record_max; /* acknowledged records that damage may excuse */
    uint64_t retention_ns;  /* acknowledged records that began less than this before the end of the
                               history are kept; 0 = retention goes by other things than age */
    bool retention;         /* the oldest offset may rise */
    bool floor_per_process; /* it may fall at a restart: what was dropped is there again unless its
                               space was used meanwhile */
};

/* P12 within 10 s; neither retention nor quarantine. */
void history_options_init(struct history_options *ret_options);

struct history_report {
    struct {
        uint64_t count;  /* violations */
        char first[320]; /* the first one, "" = none */
    } properties[HISTORY_PROPERTY_COUNT];
    uint64_t below_floor; /* acknowledged records that retention removed */
    uint64_t quarantined; /* acknowledged records that were lost to reported damage */
    uint64_t weak_lost;   /* acknowledged below fsync and lost at a crash, as they may be */
    char malformed[320];  /* why history_check returned -EINVAL */
};

/* Number of properties that are violated, 0 = none, or a negative status. */
int history_check(const struct history *history, const struct history_options *options,
                  struct history_report *ret_report);
/* "P1", "DURABLE", ... */
const char *history_property_name(enum history_property property);
/* One line per violated property: name, count, the first case. */
void history_report_print(const struct history_report *report, FILE *file);

/* ---- whether it was worth judging ------------------------------------------------------------ */

enum history_total {
    HISTORY_TOTAL_OPS,
    HISTORY_TOTAL_RECORDS,     /* sent */
    HISTORY_TOTAL_OK,          /* operations by outcome, and so on */
    HISTORY_TOTAL_FAIL,        /* */
    HISTORY_TOTAL_UNKNOWN,     /* */
    HISTORY_TOTAL_PENDING,     /* */
    HISTORY_TOTAL_RESOLVED,    /* unknown at first */
    HISTORY_TOTAL_DUPLICATES,  /* ok, and it was there before */
    HISTORY_TOTAL_WRITTEN,     /* ok at no more than this level */
    HISTORY_TOTAL_MEMORY,      /* ok at no more than this level */
    HISTORY_TOTAL_REPLACED,    /* answers that a later one replaced or contradicts */
    HISTORY_TOTAL_CRASHES,     /* */
    HISTORY_TOTAL_STOPS,       /* clean ones */
    HISTORY_TOTAL_HEALED,      /* operations that began while all was well after faults */
    HISTORY_TOTAL_OVER_CRASH,  /* operations that a crash fell into */
    HISTORY_TOTAL_REPLIES,     /* to reads */
    HISTORY_TOTAL_READ,        /* records read */
    HISTORY_TOTAL_FLOORS,      /* */
    HISTORY_TOTAL_QUARANTINES, /* */
    HISTORY_TOTAL_COUNT
};

struct history_totals {
    uint64_t counts[HISTORY_TOTAL_COUNT];
};

/* "ops", "records", ... */
const char *history_total_name(enum history_total total);
/* Adds what the history holds to `totals`, so that many runs can be counted together. */
void history_totals(const struct history *history, struct history_totals *totals);
/* The first total that is below its minimum, or HISTORY_TOTAL_COUNT when none is. */
enum history_total history_require(const struct history_totals *totals,
                                   const struct history_totals *minimum);

#endif
