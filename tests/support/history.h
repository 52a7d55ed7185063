/* SPDX-License-Identifier: Apache-2.0
 *
 * The history of a test: what clients asked for, what they were answered, what readers were served,
 * and what happened to the broker meanwhile. history_check.h judges it.
 *
 * Normal path: history_init; for every operation history_start before it is sent and history_end
 * for each outcome; for every reply to a read history_read and then history_read_record for each
 * record in it; marks, floors and quarantined ranges as they happen; history_deinit.
 * Failure path: a call that finds no memory returns -ENOMEM and the history stays incomplete; the
 * status is kept and history_check gives it back, so a recorder may ignore it.
 *
 * All times are ns of one clock of the caller's (virtual, or monotonic of one machine); what
 * happens in the same ns counts as happening at once. Arrays grow by doubling. Memory: 72 bytes per
 * operation and 24 per record of it, 72 per reply and 32 per record in it. At most 2^32 - 2 of
 * each. Must not judge, must not know how records are sent, read or encoded.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_NONE UINT64_MAX           /* an offset or sequence that is not known */
#define HISTORY_PARTITION_NONE UINT32_MAX /* a partition that is not known yet */

enum history_kind {
    HISTORY_PRODUCE, /* a batch of records, or one record */
    HISTORY_CALL,    /* anything without records: an open, a verb */
    HISTORY_KIND_COUNT
};

enum history_outcome {
    HISTORY_PENDING, /* not ended */
    HISTORY_OK,      /* appended, or a duplicate of what was appended */
    HISTORY_FAIL,    /* certainly not appended, and never will be */
    HISTORY_UNKNOWN, /* given up; a resend may still settle it */
    HISTORY_OUTCOME_COUNT
};

/* How far an ok reaches, strongest first as on the wire. */
enum history_level { HISTORY_FSYNC, HISTORY_WRITTEN, HISTORY_MEMORY, HISTORY_LEVEL_COUNT };

enum history_mark {
    HISTORY_CRASH,   /* the broker is dead: what was not durable may be gone */
    HISTORY_RESTART, /* it serves again */
    HISTORY_FAULTS,  /* faults begin */
    HISTORY_HEALED,  /* faults have ended and the broker serves */
    HISTORY_STOP,    /* a clean stop: nothing may be gone */
    HISTORY_MARK_COUNT
};

/* A record as it was sent. */
struct history_record {
    uint64_t id;       /* unique in the history: of the business key, or of channel and content */
    uint64_t sequence; /* in its channel and channel epoch; rises within an operation */
    uint32_t key;      /* hash of the routing key within the topic */
    uint32_t content;  /* hash of all that must come back unchanged */
};

/* A record as it was read. */
struct history_entry {
    uint64_t id;            /* as in history_record */
    uint64_t sequence;      /* */
    int64_t append_time_us; /* the broker's stamp */
    uint32_t key;           /* as in history_record */
    uint32_t content;       /* */
};

/* What is known when an operation begins. */
struct history_start {
    uint64_t time_ns;        /* before its first byte is sent */
    uint64_t previous;       /* sequence that its channel sent to this partition before, 0 = none;
                                HISTORY_NONE = not known, not judged */
    uint32_t client;         /* for the texts */
    uint32_t channel;        /* of a source; numbering, fencing and chains are per channel */
    uint32_t producer_epoch; /* rises with every open of the channel, 0 = not known. A CALL that has
                                one is that open: once it is ok, nothing that begins under an
                                earlier one may be appended */
    uint32_t partition;      /* or HISTORY_PARTITION_NONE: the outcome names it */
    uint16_t channel_epoch;  /* rises when the channel numbers anew */
    uint16_t topic;          /* a key is bound to one partition per topic */
    uint8_t kind;            /* enum history_kind */
    bool hostile;            /* made to be refused: P12 does not want it to succeed */
};

/* An outcome. */
struct history_end {
    uint64_t time_ns;     /* when the client knew it */
    uint64_t base_offset; /* OK: of the first record, the others follow; or HISTORY_NONE */
    uint64_t log_index;   /* OK: log entry that the answer rests on, 0 = not told */
    uint32_t partition;   /* HISTORY_PARTITION_NONE = as history_start had it */
    uint8_t outcome;      /* enum history_outcome, not PENDING */
    uint8_t level;        /* OK: enum history_level */
    bool duplicate;       /* OK: the answer says that it was there before */
};

/* A reply to a read. Offsets are the partition's. */
struct history_reply {
    uint64_t start_ns;     /* before the request was sent */
    uint64_t end_ns;       /* when the reply was there */
    uint64_t requested;    /* offset that was asked for; HISTORY_NONE = a seek by something else */
    uint64_t first_offset; /* oldest one kept, as the reply says; HISTORY_NONE = not told */
    uint64_t end_offset;   /* behind the last durable one; HISTORY_NONE = not told */
    uint32_t reader;       /* for the texts */
    uint32_t partition;    /* */
};

/* ---- as it is kept --------------------------------------------------------------------------- */

struct history_op {
    uint64_t start_ns;       /* as history_start */
    uint64_t end_ns;         /* of the outcome; 0 while pending */
    uint64_t previous;       /* as history_start */
    uint64_t base_offset;    /* as history_end; HISTORY_NONE = not told */
    uint64_t log_index;      /* 0 = not told */
    uint32_t first_record;   /* index into records */
    uint32_t record_count;   /* 0 for a CALL */
    uint32_t partition;      /* HISTORY_PARTITION_NONE = not known */
    uint32_t channel;        /* */
    uint32_t client;         /* */
    uint32_t producer_epoch; /* */
    uint16_t channel_epoch;  /* */
    uint16_t topic;          /* */
    uint8_t kind;            /* enum history_kind */
    uint8_t outcome;         /* enum history_outcome */
    uint8_t level;           /* enum history_level, valid when OK */
    uint8_t flags;           /* HISTORY_OP_* */
};

#define HISTORY_OP_DUPLICATE 0x01u /* an answer said that it was there before */
#define HISTORY_OP_HOSTILE 0x02u   /* made to be refused */

/* An answer that another one of the same operation has replaced or contradicts. */
struct history_claim {
    uint64_t time_ns;     /* */
    uint64_t base_offset; /* */
    uint32_t op;          /* index into ops */
    uint32_t partition;   /* */
    uint8_t outcome;      /* OK, or FAIL beside an OK */
    uint8_t level;        /* */
};

/* Records of one reply at offsets that follow each other; a reply that skips has several. */
struct history_run {
    struct history_reply reply; /* */
    uint64_t base_offset;       /* of the first record; without records as requested */
    uint32_t first_entry;       /* index into entries */
    uint32_t entry_count;       /* */
    bool continues;             /* same reply as the run before */
};

struct history_floor {
    uint64_t time_ns;   /* when the broker said so */
    uint64_t offset;    /* oldest one kept */
    uint32_t partition; /* */
};

struct history_quarantine {
    uint64_t time_ns;   /* when the broker said so */
    uint64_t until_ns;  /* repaired then; UINT64_MAX = it is still damaged */
    uint64_t first;     /* offsets first..last are damaged and not served */
    uint64_t last;      /* */
    uint32_t partition; /* */
};

struct history_moment {
    uint64_t time_ns;       /* */
    enum history_mark mark; /* */
};

/* Arrays with their counts and rooms. Readable by all; written by the functions below, and by tests
 * that spoil a history on purpose. */
struct history {
    struct history_op *ops;                    /* in the sequence of their start */
    struct history_record *records;            /* of all operations, in their sequence */
    struct history_claim *claims;              /* */
    struct history_run *runs;                  /* in the sequence of recording */
    struct history_entry *entries;             /* of all runs, in their sequence */
    struct history_floor *floors;              /* */
    struct history_quarantine *quarantines;    /* */
    struct history_moment *moments;            /* times do not fall */
    uint64_t op_count, op_max;                 /* elements used, elements there is room for */
    uint64_t record_count, record_max;         /* */
    uint64_t claim_count, claim_max;           /* */
    uint64_t run_count, run_max;               /* */
    uint64_t entry_count, entry_max;           /* */
    uint64_t floor_count, floor_max;           /* */
    uint64_t quarantine_count, quarantine_max; /* */
    uint64_t moment_count, moment_max;         /* */
    uint64_t resolved;                         /* unknown outcomes that became ok or fail */
    int status; /* first failure of a recording, 0 = the history is complete */
};

void history_init(struct history *history);
void history_deinit(struct history *history);
/* Empties it and keeps the memory. */
void history_reset(struct history *history);

/* An operation begins; `records` are copied. Returns its number, or -ENOMEM / -EOVERFLOW. */
int64_t history_start(struct history *history, const struct history_start *start,
                      const struct history_record *records, uint32_t record_count);
/* An outcome. A later one may settle an UNKNOWN, raise the level or repeat the answer; an answer
 * that differs is kept beside it and judged. What was ok below fsync and is sent again needs a new
 * outcome, in the end UNKNOWN when it is given up. 0 or -ENOMEM. */
int history_end(struct history *history, uint64_t op, const struct history_end *end);

/* A reply begins. */
int history_read(struct history *history, const struct history_reply *reply);
/* The next record of the newest reply. */
int history_read_record(struct history *history, uint64_t offset,
                        const struct history_entry *entry);

/* Times of marks do not fall. */
int history_mark(struct history *history, enum history_mark mark, uint64_t time_ns);
/* The broker has told that `offset` is the oldest one kept. */
int history_floor(struct history *history, uint32_t partition, uint64_t offset, uint64_t time_ns);
/* The broker has told that offsets first..last are damaged. */
int history_quarantine(struct history *history, uint32_t partition, uint64_t first, uint64_t last,
                       uint64_t time_ns);
/* Everything that was told as damaged is whole again, or may be: the process that had misread it is
 * gone. From then on it must be served, until it is told anew. */
void history_repaired(struct history *history, uint64_t time_ns);

#endif
