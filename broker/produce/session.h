/* SPDX-License-Identifier: Apache-2.0
 *
 * Producer sessions: channels of sources, and the sequence chain of each channel in each partition.
 * This is what makes a produce exactly once.
 *
 * A batch names the last sequence that its channel sent to its partition before it (`previous`).
 * The table keeps, per (channel, partition), the last sequence appended and proof of the newest
 * batches:
 *
 *   chain's last            verdict
 *   = previous              append
 *   >= last of the batch    the same batch (sequences, hash) is among the proofs: duplicate, with
 * the original offset; else SEQUENCE_REUSED, never a success inside the batch        OVERLAP;
 * resume from the last otherwise               OUT_OF_SEQUENCE; resume from the last. Batches
 * pipelined behind it are refused the same way, so nothing refused can be overtaken
 *
 * Verdicts fall before append over applied and staged batches; the answer rests on the log index of
 * the batch or of its original and leaves when that is durable. Two views are kept apart: `staged`
 * runs ahead, `applied` is the fold of the durable log and the only thing that a checkpoint holds.
 *
 * Proof window: an announced in-flight limit of W batches per chain means that a client which has
 * sent batch n holds acknowledgements up to n - W, so W proofs are enough; 2 W are kept, so that W
 * applied ones remain beside W staged ones and a checkpoint equals a rebuild byte for byte.
 *
 * Must not do I/O, and must not know connections (the shard does).
 */
#ifndef CROSSDOCK_PRODUCE_SESSION_H
#define CROSSDOCK_PRODUCE_SESSION_H

#include "broker/base/arena.h"
#include "broker/base/hashmap.h"
#include "broker/partition/control.h"
#include "wire/batch.h"
#include "wire/request.h"

#include <stdint.h>

#define SESSION_PROOFS (2u * XD_INFLIGHT_BATCHES_MAX)

/* A channel's number has its shard in bits 31..24: it is the producer_id of its batches, and a
 * connection to any shard must lead to the one that has the channel. */
#define SESSION_NUMBER_BITS 24u

/* Limits given at start. */
struct session_options {
    uint32_t channels_max; /* channels of all sources, 1..65536, default 4096 */
    uint32_t chains_max;   /* (channel, partition) pairs in use, default 8192 */
    uint32_t shard;        /* whose channels they are, below XD_SHARDS_MAX, default 0 */
};

/* One independent numbering of a source. Feeds one facility. */
struct channel {
    uint32_t number;         /* shard and number from 1; the producer_id of its batches */
    uint32_t facility;       /* registry number */
    uint32_t producer_epoch; /* staged: raised at every open */
    uint32_t applied_producer_epoch;
    uint16_t channel_epoch;         /* staged: raised when the source restarts its numbers */
    uint16_t applied_channel_epoch; /* 0 = its first entry is not durable yet */
    uint8_t source_bytes;
    uint8_t name_bytes;
    char source[XD_NAME_BYTES_MAX]; /* rest zero */
    char name[XD_NAME_BYTES_MAX];   /* rest zero */
    uint64_t staged_last;    /* highest sequence appended in the staged channel epoch, 0 = none */
    uint64_t last_sequence;  /* applied: highest sequence of the applied epoch */
    uint64_t first_sequence; /* applied: lowest sequence of the applied epoch, 0 = none */
    uint64_t record_count;   /* applied: records of the applied epoch */
    int64_t append_time_us;  /* applied: of the newest batch, 0 = none */
    uint64_t low;         /* all sequences below it have been sent, as the client says; not kept */
    uint32_t first_chain; /* index + 1 of its newest chain, 0 = none; linked by next_chain */
    uint32_t chain_count; /* chains linked there, of whichever epoch */
};

/* Proof that a batch was appended. */
struct chain_proof {
    uint64_t first_sequence; /* */
    uint64_t last_sequence;  /* */
    uint64_t hash;           /* batch_xxh3 */
    uint64_t base_offset;    /* */
    uint64_t log_index;      /* entry that it is part of */
    uint32_t record_count;   /* */
    uint16_t channel_epoch;  /* */
    uint16_t reserved;       /* zero */
};

struct chain {
    uint32_t channel;        /* number */
    uint32_t partition;      /* */
    uint32_t next_chain;     /* index + 1 of the next chain of the channel, 0 = last */
    uint16_t staged_epoch;   /* channel epoch of staged_last */
    uint16_t applied_epoch;  /* */
    uint64_t staged_count;   /* proofs ever pushed; the newest is at (count - 1) % SESSION_PROOFS */
    uint64_t applied_count;  /* of these applied */
    uint64_t staged_last;    /* last sequence appended */
    uint64_t applied_last;   /* last sequence applied */
    uint64_t applied_offset; /* offset of that record */
    struct chain_proof proofs[SESSION_PROOFS];
};

struct sessions {
    struct channel *channels; /* in rising number */
    struct chain *chains;     /* in the sequence of their first batch */
    struct hashmap chain_map; /* channel << 32 | partition -> index in chains */
    uint32_t channel_count;
    uint32_t chain_count;
    struct session_options options;
};

uint64_t session_bytes_needed(const struct session_options *options);
/* Empty tables. -ENOMEM when the arena is too small. */
int session_init(struct sessions *sessions, struct arena *arena,
                 const struct session_options *options, uint64_t hash_seed);

/* ---- channels -------------------------------------------------------------------------------- */
struct channel *session_channel(struct sessions *sessions, uint64_t number);
/* The number of the channel at a position, from 0, whether there is one or not. */
static inline uint32_t session_number(const struct sessions *sessions, uint32_t index)
{
    return (sessions->options.shard << SESSION_NUMBER_BITS) + index + 1;
}
/* Position of a channel in the table, from 0. */
uint32_t session_index(const struct sessions *sessions, const struct channel *channel);
/* Shard of a channel by its number, which may be anybody's; above every shard when it is none. */
static inline uint64_t session_shard(uint64_t number)
{
    return number >> SESSION_NUMBER_BITS;
}
/* The channel of that source, name and facility, which together are its identity; NULL = none. */
struct channel *session_channel_find(struct sessions *sessions, struct xd_text source,
                                     struct xd_text name, uint32_t facility);

/* The name that an open means: the channel's, else the facility's, else "global". */
struct xd_text session_channel_name(const struct xd_open_request *request);

/* Verdict on PRODUCER_OPEN. `facility` is the number that the request's name stands for.
 *   1  append *ret_entry, then session_take() it; answer when it is durable
 *   0  attach: the epoch named is the current one; answer when everything staged is durable
 *   XD_FENCED, XD_FIELD_INVALID (channel epoch), XD_ACKED_MISSING,
 *   XD_SEQUENCE_REGRESSED, XD_CATALOG_FULL, XD_NAME_INVALID; `detail` says more
 *   (XD_DETAIL_BYTES_MAX). */
int session_plan_open(struct sessions *sessions, const struct xd_open_request *request,
                      uint32_t facility, struct control_session *ret_entry, char *detail);
/* Takes a SESSION entry in when it is appended. 0, or XD_LOG_CORRUPT with *ret_why (recovery). */
int session_take(struct sessions *sessions, const struct control_session *entry,
                 const char **ret_why);
/* The same entry has become durable; in recovery directly behind session_take. */
void session_take_durable(struct sessions *sessions, const struct control_session *entry);

/* Writes the applied chains of a channel in its applied epoch, in rising partition number: what an
 * open is told. There is room for `max`, and channel->chain_count is enough. Returns their count.
 */
uint32_t session_chains(const struct sessions *sessions, const struct channel *channel,
                        struct xd_open_chain *ret_chains, uint32_t max);

/* ---- batches --------------------------------------------------------------------------------- */
struct session_verdict {
    int status;               /* 0 append, XD_DUPLICATE, or negative */
    uint64_t base_offset;     /* duplicate: original offset */
    uint64_t log_index;       /* duplicate: entry that the answer rests on */
    uint64_t resume_sequence; /* refusals of the chain: last sequence it holds */
};
/* Verdict on a batch whose header is valid. Statuses: see the table above, and XD_FENCED (older
 * producer or channel epoch), XD_PRODUCER_UNKNOWN, XD_FIELD_INVALID (newer channel epoch),
 * XD_INFLIGHT_EXCEEDED, XD_THROTTLED (no room for another chain). */
struct session_verdict session_check(struct sessions *sessions,
                                     const struct xd_batch_header *batch);
/* The batch (base_offset final) has been appended at log_index; session_check said append. */
void session_append(struct sessions *sessions, const struct xd_batch_header *batch,
                    uint64_t log_index);
/* Folds a durable batch. Live it confirms what session_append staged, in recovery it is the only
 * source. 0, or XD_LOG_CORRUPT with *ret_why when it breaks its chain. */
int session_apply(struct sessions *sessions, const struct xd_batch_header *batch,
                  uint64_t log_index, const char **ret_why);

/* ---- checkpoint ------------------------------------------------------------------------------ */
uint64_t session_save_bytes(const struct sessions *sessions);
/* Serialises the applied view. Returns bytes written (multiple of 8). */
uint64_t session_save(const struct sessions *sessions, uint8_t *out, uint64_t out_bytes);
/* Fills empty tables. Bytes consumed, XD_CHECKPOINT_CORRUPT, or XD_CATALOG_FULL. */
int64_t session_load(struct sessions *sessions, const uint8_t *in, uint64_t in_bytes);

#endif
