/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox of a producer: batches being filled, batches kept until they are durable, and outcomes
 * that the program has not taken yet.
 *
 * Memory is cut into slots of one batch each when the producer is opened:
 *
 *   free -> open (being filled) -> kept (closed, until its final answer) -> free
 *                                  settled (outcome known and not taken over yet) ---------'
 *
 * kept and settled overlap: with a weaker durability the outcome comes before the final answer. A
 * slot is free again when it is neither, and when no shipment points into it. Outcomes move to a
 * ring of their own (outcomes.h) as long as that has room.
 *
 * Per partition there is a chain: its open slot and its kept ones in sequence. A refused chain
 * halts until everything that it has out is answered, then all that it keeps is sent again in
 * sequence; so pipelined batches cannot pass each other, and a refusal costs one round, not a
 * storm.
 *
 * Must not do I/O and must not know connections.
 */
#ifndef CROSSDOCK_CLIENT_OUTBOX_H
#define CROSSDOCK_CLIENT_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "client/list.h"
#include "client/outcomes.h"
#include "wire/batch.h"
#include "wire/request.h"

struct xd_chain;

struct xd_slot {
    struct xd_link link;            /* open: in outbox.open; kept: in chain.kept */
    struct xd_link settled;         /* in outbox.settled while outcomes are left */
    struct xd_slot *next;           /* in the free list */
    struct xd_chain *chain;         /* that it belongs to */
    struct xd_batch_header *header; /* start of its memory, the body behind */
    struct xd_entry *entries;       /* one per record */
    uint32_t bytes;                 /* header and body so far */
    uint32_t count;                 /* records */
    uint32_t left;                  /* settled: outcomes here that are not taken */
    uint64_t opened_ns;             /* first record came in */
    uint64_t sent_ns;               /* first time that it was sent, 0 = never */
    struct xd_outcome_run run;      /* settled: the outcome */
    bool sealed;                    /* previous sequence and checksum are in place */
    bool sent;                      /* on this connection, without a final answer */
    bool kept;                      /* closed, without a final answer ever */
    bool is_settled;                /* outcome known */
    bool shipped;                   /* a shipment points into it */
    bool awaited;                   /* xdock_send waits for it: keep its outcome in any case */
};

/* Batches of one partition. */
struct xd_chain {
    struct xd_link waiting; /* in outbox.waiting while it has something unsent or open */
    struct xd_link kept;    /* slots in sequence */
    struct xd_slot *unsent; /* first kept slot to be sent, NULL = none */
    struct xd_slot *open;   /* being filled, or NULL */
    uint64_t held;          /* last sequence that the broker is known to hold here */
    uint64_t last_posted;   /* last sequence given to this partition */
    uint64_t resume;        /* halted: last sequence of the broker, as the newest refusal says */
    uint64_t retry_ns;      /* halted: not before */
    uint32_t partition;     /* */
    uint32_t out_count;     /* batches sent and not finally answered */
    uint32_t halts;         /* in a row without a success */
    bool halted;            /* sends nothing until out_count is 0 and retry_ns has come */
    bool resume_known;      /* resume is valid */
    bool confirmed;         /* the broker has answered a batch of this chain with success */
};

/* Who seals: numbers that go into every batch. */
struct xd_identity {
    uint64_t producer_id;
    uint32_t producer_epoch;
    uint32_t facility;
    uint16_t channel_epoch;
};

struct xd_outbox {
    uint8_t *memory; /* slot_count * slot_bytes */
    struct xd_slot *slots;
    struct xd_entry *entries;    /* slot_count * entries_max */
    struct xd_slot *free;        /* last in, first out: warm memory is used again */
    struct xd_chain *chains;     /* chains_max, used ones first */
    uint16_t *chain_of;          /* XD_PARTITIONS_MAX: 1 + index of its chain, 0 = it has none */
    uint8_t *scratch;            /* for compression, slot_bytes; NULL = none */
    struct xd_link waiting;      /* chains with something to send */
    struct xd_link open;         /* slots being filled, oldest first */
    struct xd_link settled;      /* slots with outcomes, oldest first */
    struct xd_outcomes outcomes; /* that were taken over from settled slots */
    uint64_t pending_records;    /* without outcome */
    uint32_t settled_count;      /* settled slots that are not awaited */
    uint32_t slot_bytes;         /* largest batch, multiple of 64 */
    uint32_t batch_bytes_max;    /* header and body of a batch, <= slot_bytes */
    uint32_t entries_max;        /* records of a slot */
    uint32_t slot_count;
    uint32_t free_count;
    uint32_t kept_count; /* closed slots without final answer */
    uint32_t open_count; /* slots being filled */
    uint32_t chain_count;
    uint32_t chains_max;
    bool keep_successes; /* option producer.acks = all */
};

/* Gets the memory. 0 or -ENOMEM; then deinit still may be called. */
int xd_outbox_init(struct xd_outbox *outbox, uint32_t batch_bytes, uint64_t buffer_bytes,
                   bool compressed);
void xd_outbox_deinit(struct xd_outbox *outbox);

/* ---- chains ---------------------------------------------------------------------------------- */
/* `width` new chains for partitions base and up, none of which has one; index of the first, or
 * XD_CATALOG_FULL. */
int xd_chain_add(struct xd_outbox *outbox, uint32_t base, uint32_t width);
/* The chain of a partition, or NULL. */
struct xd_chain *xd_chain_find(struct xd_outbox *outbox, uint32_t partition);

/* Opens a slot for a chain that has none: false when no slot is free. */
bool xd_chain_open(struct xd_outbox *outbox, struct xd_chain *chain, uint64_t now_ns);
/* Gives back an open slot into which nothing has been written; does nothing otherwise. */
void xd_chain_undo_open(struct xd_outbox *outbox, struct xd_chain *chain);
/* Closes the open slot, if there is one: it is kept and unsent from now on. */
void xd_chain_close(struct xd_outbox *outbox, struct xd_chain *chain);
/* A record of `bytes` bytes was written behind the others of the open slot. */
void xd_chain_wrote(struct xd_outbox *outbox, struct xd_chain *chain, uint32_t bytes, uint64_t user,
                    uint64_t sequence, int64_t event_time_us);

/* The first unsent slot gets what it needs to leave: previous sequence, compression, checksum. Only
 * the first time, so that a resend has the same bytes. */
void xd_slot_seal(struct xd_outbox *outbox, const struct xd_identity *identity,
                  struct xd_slot *slot);
/* It leaves. */
void xd_chain_sent(struct xd_chain *chain, struct xd_slot *slot, uint64_t now_ns);

/* The chain was refused: it halts, at least until now + pause. */
void xd_chain_halt(struct xd_outbox *outbox, struct xd_chain *chain, uint64_t retry_ns);
/* A halted chain whose answers are in goes on: what it keeps is unsent again, in sequence, and
 * names the predecessor that the broker really has. 0, or XD_OVERLAP or XD_ACKED_MISSING when the
 * broker's last sequence cannot be. */
int xd_chain_resume(struct xd_chain *chain);
/* The connection is gone: nothing is out any more, and all that is kept will be sent again. */
void xd_outbox_lost(struct xd_outbox *outbox);

/* ---- outcomes -------------------------------------------------------------------------------- */
/* The sent slot that starts with this sequence, or NULL. */
struct xd_slot *xd_chain_sent_slot(struct xd_chain *chain, uint64_t first_sequence);
/* The next sent slot of the chain, or NULL. */
struct xd_slot *xd_chain_sent_next(struct xd_chain *chain, struct xd_slot *slot);

/* The outcome of a slot's records is known; the first one counts. */
void xd_slot_settle(struct xd_outbox *outbox, struct xd_slot *slot, int32_t status,
                    uint64_t base_offset, uint64_t log_index, uint8_t durability);
/* Its final answer is in, or will never come: it is not kept any more. */
void xd_slot_finish(struct xd_outbox *outbox, struct xd_slot *slot);
/* The outcome of entry `index` is taken: its ack. */
xdock_ack_t xd_slot_take(struct xd_outbox *outbox, struct xd_slot *slot, uint32_t index);
/* Hands out up to acks_max outcomes; their count. */
size_t xd_outbox_take(struct xd_outbox *outbox, xdock_ack_t *ret_acks, size_t acks_max);
/* True when there are outcomes to be taken. */
bool xd_outbox_has_outcomes(const struct xd_outbox *outbox);
/* No shipment points into it any more. */
void xd_slot_landed(struct xd_outbox *outbox, struct xd_slot *slot);
/* Everything without an outcome gets `status`, and nothing is kept any more. */
void xd_outbox_abandon(struct xd_outbox *outbox, int32_t status);

/* Lowest sequence that has not been sent, or `none`. */
uint64_t xd_outbox_low(const struct xd_outbox *outbox, uint64_t none);

/* Everything that hangs together does: for tests and debug builds. */
void xd_outbox_check(const struct xd_outbox *outbox);

#endif
