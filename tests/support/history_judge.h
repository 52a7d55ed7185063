/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the judge share: the log as the reads show it, and where each record stands.
 *
 *   history_index.c   ids, operations and partitions by number
 *   history_log.c     all replies laid over each other: one log per partition
 *   history_order.c   the log from its beginning: who sent it, in which sequence; from here on
 *                     places name records
 *   history_claim.c   every acknowledgement against the log
 *   history_past.c    the log from its end: what must have been there already
 *   history_heal.c    operations after faults
 *
 * They run in this sequence, each on what those before it have found. Not for users of the judge.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_JUDGE_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_JUDGE_H

#include "tests/support/history_check.h"

#include <inttypes.h>
#include <stdio.h>

#define JUDGE_NONE UINT32_MAX /* no record, no place */

/* A run in the sequence of the log. */
struct judge_run {
    uint64_t base_offset; /* of a run with records */
    uint32_t partition;   /* index into partitions */
    uint32_t run;         /* index into the history's runs */
};

/* Offsets of one partition that have been read without a gap. */
struct judge_stretch {
    uint64_t first_offset; /* */
    uint32_t first_place;  /* index into places */
    uint32_t count;        /* */
    uint32_t partition;    /* index into partitions */
};

struct judge_partition {
    uint32_t number;           /* as in the history */
    uint32_t first_stretch;    /* index into stretches */
    uint32_t stretch_count;    /* */
    uint32_t first_run;        /* index into runs */
    uint32_t run_count;        /* */
    uint32_t first_quarantine; /* index into quarantines */
    uint32_t quarantine_count; /* */
    uint64_t floor;            /* highest one told */
    uint64_t end;              /* highest end that a reply shows */
    uint64_t last_start_ns;    /* start of the reply that was asked for last */
    uint64_t last_end;         /* end that this reply tells, HISTORY_NONE = none has */
};

/* The first record of a chain that stands in the log and is kept. */
struct judge_begin {
    uint64_t sequence;  /* */
    uint32_t channel;   /* */
    uint32_t partition; /* index into partitions */
    uint16_t epoch;     /* of the channel */
};

/* Whether anything that was acknowledged by `time_ns` stands at `offset` or behind it. */
enum judge_question_kind {
    QUESTION_REPLY, /* a reply that ended at `offset` and began at that time */
    QUESTION_WEAK,  /* a weak record lost at `offset` in a crash at that time */
};

struct judge_question {
    uint64_t offset;    /* */
    uint64_t time_ns;   /* */
    uint32_t partition; /* index into partitions */
    uint32_t subject;   /* run, or record */
    uint8_t kind;       /* enum judge_question_kind */
};

/* Offsets that an acknowledgement names and nobody could read. */
struct judge_excuse {
    uint64_t offset;    /* */
    uint32_t partition; /* index into partitions */
    uint32_t record;    /* */
};

struct judge {
    const struct history *history;
    const struct history_options *options;
    struct history_report *report;
    uint32_t *record_ops;                   /* operation of each record */
    uint32_t *record_places;                /* place where it stands, or JUDGE_NONE */
    uint32_t *id_slots;                     /* hash table of records, JUDGE_NONE = empty */
    uint64_t id_mask;                       /* slots - 1 */
    struct judge_partition *partitions;     /* by number */
    uint32_t partition_count;               /* */
    uint32_t partition_hint;                /* found last */
    struct judge_run *runs;                 /* by partition and offset, those without records too */
    struct history_quarantine *quarantines; /* by partition and first offset */
    struct judge_stretch *stretches;        /* by partition and offset */
    uint32_t stretch_count;                 /* */
    uint32_t *places;           /* of each offset read: its entry, then the record that it holds */
    uint32_t place_count;       /* */
    struct judge_begin *begins; /* by channel and partition */
    uint64_t begin_count;       /* */
    uint64_t last_ns;           /* the last time that the history knows of */
    struct judge_question *questions;      /* */
    uint64_t question_count, question_max; /* */
    struct judge_excuse *excuses;          /* */
    uint64_t excuse_count, excuse_max;     /* */
};

/* Counts a violation; the first of its property is told. */
#define JUDGE_VIOLATE(judge, property, ...)                                                        \
    ((void)((judge)->report->properties[property].count++ == 0 &&                                  \
            snprintf((judge)->report->properties[property].first,                                  \
                     sizeof((judge)->report->properties[property].first), __VA_ARGS__) > 0))

/* A record as the texts name it: JUDGE_RECORD in the format, judge_text as its argument. */
struct judge_text {
    char text[96];
};
struct judge_text judge_describe(const struct judge *judge, uint32_t record);

/* ---- history_index.c ------------------------------------------------------------------------- */
/* Everything that can be looked up. -ENOMEM, or -EINVAL (report->malformed). */
int judge_index(struct judge *judge);
void judge_deinit(struct judge *judge);
/* Record with that id, or JUDGE_NONE. */
uint32_t judge_find_record(const struct judge *judge, uint64_t id);
/* Asks memory for what the records a few places behind this one will need. Changes nothing. */
void judge_expect(const struct judge *judge, uint32_t place);
/* Index of a partition that occurs in the history. */
uint32_t judge_find_partition(struct judge *judge, uint32_t number);
/* Whether the range of offsets meets one that was reported as damaged before, and was not repaired
 * by then. UINT64_MAX: at the end. */
bool judge_quarantined(const struct judge *judge, uint32_t partition, uint64_t first, uint64_t last,
                       uint64_t time_ns);
/* Whether every offset of first..last is reported as damaged, at any time, and was not repaired
 * before `time_ns`. */
bool judge_quarantined_whole(const struct judge *judge, uint32_t partition, uint64_t first,
                             uint64_t last, uint64_t time_ns);
/* Makes room for one more in an array of the judge; `array` points to its pointer. */
int judge_reserve(void *array, uint64_t *max, uint64_t count, size_t bytes);

/* ---- history_log.c --------------------------------------------------------------------------- */
int judge_log(struct judge *judge);
/* The stretch that holds the offset, or NULL. */
const struct judge_stretch *judge_find_stretch(const struct judge *judge, uint32_t partition,
                                               uint64_t offset);
/* The stretch that holds the place. */
const struct judge_stretch *judge_stretch_of(const struct judge *judge, uint32_t place);
static inline uint64_t judge_offset(const struct judge_stretch *stretch, uint32_t place)
{
    return stretch->first_offset + (place - stretch->first_place);
}

/* ---- history_order.c ------------------------------------------------------------------------- */
int judge_order(struct judge *judge);
/* Where the chain begins in the log, or NULL when nothing of it is kept. */
const struct judge_begin *judge_find_begin(const struct judge *judge, uint32_t channel,
                                           uint32_t partition);

/* ---- history_claim.c ------------------------------------------------------------------------- */
int judge_claims(struct judge *judge);

/* ---- history_past.c -------------------------------------------------------------------------- */
int judge_past(struct judge *judge);

/* ---- history_heal.c -------------------------------------------------------------------------- */
void judge_heal(struct judge *judge);
/* The last time that the history knows of. */
uint64_t judge_last_time(const struct history *history);

#endif
