/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes that wait to be taken, in little memory: one run per batch, and per record the caller's
 * word and the sequence. So a batch's slot is free as soon as its answer is final, though the
 * program looks at its outcomes later.
 *
 * Two rings of fixed size; when one is full the outcomes stay in their slots, which is the
 * back-pressure. Must not know slots or chains.
 */
#ifndef CROSSDOCK_CLIENT_OUTCOMES_H
#define CROSSDOCK_CLIENT_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossdock/producer.h>

/* What the program is told about one record. */
struct xd_entry {
    uint64_t user;     /* the caller's word */
    uint64_t sequence; /* in the channel; 0 = its outcome has been taken */
};

/* What the records of a batch have in common. */
struct xd_outcome_run {
    uint64_t base_offset; /* of the first record */
    uint64_t log_index;   /* entry that the answer rests on */
    uint32_t count;       /* records */
    uint32_t taken;       /* of these handed out */
    uint32_t partition;   /* */
    int32_t status;       /* 0, XD_DUPLICATE or negative */
    uint8_t durability;   /* level reached */
};

struct xd_outcomes {
    struct xd_entry *entries;    /* ring */
    struct xd_outcome_run *runs; /* ring */
    uint32_t entries_max;        /* power of two */
    uint32_t runs_max;           /* power of two */
    uint64_t entry_first;        /* number of the oldest entry, index is modulo entries_max */
    uint64_t entry_end;          /* behind the newest */
    uint64_t run_first;          /* as for entries */
    uint64_t run_end;
};

/* Room for at least entry_count records (within limits). 0 or -ENOMEM; then deinit still may be
 * called. */
int xd_outcomes_init(struct xd_outcomes *outcomes, uint64_t entry_count);
void xd_outcomes_deinit(struct xd_outcomes *outcomes);

/* Takes the outcomes of a batch over: run->count of them. False: no room, nothing was taken. */
bool xd_outcomes_push(struct xd_outcomes *outcomes, const struct xd_outcome_run *run,
                      const struct xd_entry *entries);
/* Hands out up to acks_max, oldest first; their count. */
size_t xd_outcomes_take(struct xd_outcomes *outcomes, xdock_ack_t *ret_acks, size_t acks_max);

static inline bool xd_outcomes_empty(const struct xd_outcomes *outcomes)
{
    return outcomes->run_first == outcomes->run_end;
}

/* The ack of a record that is number `index` of its run. */
xdock_ack_t xd_outcome_ack(const struct xd_outcome_run *run, const struct xd_entry *entry,
                           uint32_t index);

#endif
