/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends picks, and remembers what became of each.
 *
 * Normal path: sender_open, sender_post as often as wanted with sender_drain in between,
 * sender_flush, sender_close. Pick number i carries sequence i + 1 of its channel. Trouble, made on
 * purpose: sender_burst puts picks on the wire and waits without looking at answers;
 * sender_lose_answers throws away those that have arrived, as a network does that fails together
 * with the broker; sender_abandon forgets the client as if this program had died. sender_open
 * then resumes from the outbox, which is the list of picks and what became of them.
 * Failure path: a negative status, with the sentence in `why`.
 */
#ifndef CROSSDOCK_TOOLS_DEMO_SENDER_H
#define CROSSDOCK_TOOLS_DEMO_SENDER_H

#include "tools/demo/picks.h"

#include <crossdock/crossdock.h>

#include <stdint.h>

#define SENDER_WHY_BYTES 512u
#define SENDER_TOPIC "stock"
#define SENDER_SOURCE "demo-wms"

enum fate {
    FATE_OPEN,      /* no outcome yet */
    FATE_APPENDED,  /* acknowledged as appended */
    FATE_DUPLICATE, /* sent again and recognised: it was in the log already */
    FATE_RESUMED,   /* found durable when the restarted program asked */
    FATE_COUNT
};

/* What became of one pick. */
struct delivery {
    uint64_t offset;    /* valid for APPENDED and DUPLICATE */
    uint32_t partition; /* likewise */
    uint8_t fate;       /* enum fate */
    uint8_t durability; /* enum xdock_durability, likewise */
};

struct sender {
    const struct picks *picks;
    const char *address;
    const char *facility;
    xdock_client_t *client; /* NULL = not open */
    xdock_producer_t *producer;
    struct delivery *deliveries; /* one per pick; owned */
    uint32_t posted;             /* picks given out so far */
    uint32_t posted_again;       /* by a restarted program, out of its outbox */
    uint32_t fates[FATE_COUNT];  /* outcomes so far; OPEN is not counted */
    uint32_t twice;              /* outcomes for a pick that had one: must stay 0 */
    uint32_t weaker;             /* acknowledgements below XDOCK_FSYNC */
    uint64_t answer_bytes_lost;  /* thrown away by sender_lose_answers */
    uint64_t acked;              /* highest sequence acknowledged, 0 = none */
    uint64_t batches_sent;       /* of all clients so far, resends included */
    uint64_t batches_resent;
    uint64_t connects;
    uint64_t ack_ns_max; /* longest time from first send to acknowledgement */
    char why[SENDER_WHY_BYTES];
};

/* -ENOMEM. */
int sender_init(struct sender *sender, const struct picks *picks, const char *address,
                const char *facility);
/* Connects and opens the channel; when picks were posted before, resumes: those that the broker has
 * are noted, the others are posted again. */
int sender_open(struct sender *sender, uint32_t timeout_ms);
/* Adds the facility if the broker does not have it. */
int sender_add_facility(struct sender *sender, uint32_t timeout_ms);
/* Posts the next `count` picks, fewer at the end of the list. */
int sender_post(struct sender *sender, uint32_t count);
/* Takes outcomes that are there, waiting up to timeout_ms for the first. */
int sender_drain(struct sender *sender, uint32_t timeout_ms);
/* Posts `count` picks, puts them on the wire, and waits so long that the broker has certainly made
 * them durable. No answer is looked at. Returns how many picks are without an outcome. */
int sender_burst(struct sender *sender, uint32_t count);
void sender_lose_answers(struct sender *sender);
/* Waits until every posted pick has its outcome. */
int sender_flush(struct sender *sender, uint32_t timeout_ms);
/* Drops client and channel without flushing. */
void sender_abandon(struct sender *sender);
/* The wire form of a pick; borrows from it. */
void sender_record(const struct pick *pick, uint64_t sequence, xdock_record_t *ret_record);
/* Frees everything. Accepts a zeroed object. */
void sender_deinit(struct sender *sender);

#endif
