/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker behind the client's transport seam, in the test's own process and thread: it speaks the
 * wire protocol, keeps channels, chains and batches as the real one does, and misbehaves on order.
 * Its clock moves only when the client waits, so a test of a thirty-second deadline takes no time
 * and is the same every run. A wait that nothing could ever end fails the test.
 *
 * Frames are answered as soon as they are whole. Batches are checked as the real broker checks
 * them; what it must never receive from a client (a malformed frame, a broken checksum, more
 * batches than announced) fails the test.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_FAKE_BROKER_H
#define CROSSDOCK_TESTS_SUPPORT_FAKE_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/transport.h"
#include "wire/batch.h"
#include "wire/frame.h"
#include "wire/request.h"

#define FAKE_NEVER UINT64_MAX
#define FAKE_CHANNELS_MAX 8u
#define FAKE_CHAINS_MAX 64u
#define FAKE_PARTITIONS 256u
#define FAKE_BATCHES_MAX 65536u
#define FAKE_WAITERS_MAX 256u
#define FAKE_ACKS_MAX 4096u
#define FAKE_IN_BYTES (4u << 20)
#define FAKE_OUT_BYTES (16u << 20)

/* The catalog: topics 1 "stock" by sku and 2 "order" by order, facilities 1 "DC07" and 2 "DC08";
 * the placement of (topic, facility) starts at 12 * topic + 4 * facility and is 4 wide. With
 * another width the placements of topic 1 stand one behind the other from FAKE_WIDE_BASE on. */
#define FAKE_WIDTH 4u
#define FAKE_WIDE_BASE 64u
#define FAKE_WIDE_MAX 64u
uint32_t fake_partition_base(uint32_t topic, uint32_t facility);

struct fake_channel {
    char name[140];          /* source/channel; "" = unused */
    uint32_t facility;       /* number */
    uint32_t producer_epoch; /* current */
    uint16_t channel_epoch;  /* current */
    uint64_t last_sequence;  /* highest appended in this epoch */
    bool held;               /* by the present connection */
};

struct fake_chain {
    uint64_t producer_id; /* channel number, from 1; 0 = unused */
    uint32_t partition;
    uint16_t channel_epoch; /* of last */
    uint64_t last;          /* last sequence appended */
    uint64_t last_offset;   /* its offset */
};

/* A batch in the log. */
struct fake_batch {
    struct xd_batch_header *header; /* own copy, as stored */
    uint64_t index;                 /* log index, from 1 */
};

/* READ that waits at an end. */
struct fake_waiter {
    uint64_t correlation;
    uint64_t position;
    uint64_t deadline_ns;
    uint32_t partition;
    bool used;
};

struct fake_broker {
    struct xd_transport transport; /* first member; give &broker->transport to the client */

    /* ---- what tests set ---- */
    int check_status;      /* what transport.check answers */
    int connect_status;    /* negative: attempts fail so; 0: they stay under way; 1: they succeed */
    uint64_t cut_in_bytes; /* the connection breaks when so many more bytes came from the client */
    uint64_t cut_out_bytes;  /* ... or were received by it */
    uint32_t send_bytes_max; /* bytes taken per send, 0 = all */
    uint32_t recv_bytes_max; /* bytes given per recv, 0 = all that fit */
    bool block_send;         /* send takes nothing */
    bool mute;               /* whatever comes is dropped without an answer */
    bool lose_acks;          /* batches are judged, their answers are dropped */
    bool hold_acks;          /* answers to batches wait for fake_broker_release_acks() */
    bool hold_final;         /* weaker durability: only the early answers go out */
    int refuse_status;       /* the next refuse_count batches are refused so */
    uint32_t refuse_count;
    uint32_t refuse_retry_ms; /* retry_after_ms of those */
    uint64_t refuse_resume;   /* resume_sequence of those, FAKE_NEVER = the chain's */
    uint64_t refuse_skip;     /* batches that pass before */
    int open_status;          /* the next open_refusals opens are refused so */
    uint32_t open_refusals;
    uint32_t open_chains_max;    /* chains told in an open's reply */
    int admin_status;            /* status of ADMIN replies */
    int read_status;             /* the next READ is answered so */
    uint32_t read_skip;          /* READs that pass before */
    int hello_status;            /* HELLO is refused so */
    uint64_t first_offset;       /* of every partition: what retention has left */
    struct xd_hello_reply hello; /* what HELLO answers */
    uint64_t catalog_epoch;      /* named in every answer */
    uint32_t topic_count;        /* of the catalog: 1 or 2 */
    uint32_t catalog_rows_max;   /* of a page of the catalog */
    int catalog_status;          /* negative: answer to a client that has a copy already */
    uint32_t width;              /* of every placement; not FAKE_WIDTH: topic_count is 1 */
    uint32_t read_bytes_max;     /* a reply to READ stops behind as many bytes */
    bool damage_reads;           /* the next batch that is read has a flipped bit */

    /* ---- what tests look at ---- */
    uint64_t now_ns;                       /* the clock */
    uint64_t waited_ns;                    /* time that passed in waits */
    uint32_t connects;                     /* attempts that succeeded */
    uint32_t attempts;                     /* all attempts */
    uint32_t greetings;                    /* HELLO frames */
    uint32_t catalogs;                     /* CATALOG frames */
    struct xd_catalog_request catalog_has; /* what the newest one said */
    uint32_t opens;                        /* PRODUCER_OPEN frames */
    uint32_t closes;                       /* PRODUCER_CLOSE frames */
    uint32_t pings;                        /* PING frames */
    uint32_t reads;                        /* READ frames */
    uint32_t waits;                        /* READs that wait at an end now */
    uint32_t waits_max;                    /* most of them at once */
    uint32_t produces;                     /* PRODUCE frames */
    uint32_t batches;                      /* batches in them */
    uint32_t refusals;                     /* batches answered with a negative status */
    uint32_t duplicates;                   /* batches recognised */
    uint64_t low;                          /* of the newest PRODUCE */
    uint32_t unanswered;                   /* batches judged whose final answer has not been sent */
    uint32_t unanswered_max;
    uint64_t in_bytes_total;        /* received from the client, over all connections */
    uint64_t out_bytes_total;       /* given to the client */
    uint32_t batch_count;           /* batches in the log */
    uint64_t ends[FAKE_PARTITIONS]; /* end offset per partition */
    bool freed;                     /* the client has freed its transport */

    /* ---- inside ---- */
    bool up;         /* a connection stands */
    bool connecting; /* one is under way */
    int64_t wall_us;
    uint64_t random;
    uint8_t *payload; /* of the frame that is taken, aligned; XD_FRAME_BYTES_DEFAULT_MAX */
    uint8_t *body;    /* of the reply that is made; XD_FRAME_BYTES_DEFAULT_MAX */
    uint8_t *reply;   /* head and body of it; XD_FRAME_BYTES_DEFAULT_MAX */
    uint8_t *raw;     /* body of a batch; XD_BATCH_RAW_BYTES_MAX */
    uint8_t *in;      /* a frame that is not whole yet */
    uint32_t in_at;
    uint8_t *out; /* not received yet */
    uint32_t out_at;
    uint32_t out_end;
    uint64_t acked_bytes;
    uint64_t log_index;
    struct fake_channel channels[FAKE_CHANNELS_MAX];
    struct fake_chain chains[FAKE_CHAINS_MAX];
    struct fake_batch *log; /* FAKE_BATCHES_MAX */
    struct fake_waiter waiters[FAKE_WAITERS_MAX];
    struct xd_ack *acks;                 /* FAKE_ACKS_MAX held answers */
    uint32_t ack_strides[FAKE_ACKS_MAX]; /* their credit */
    uint32_t ack_count;
};

/* A broker that behaves. Aborts when memory is short. */
struct fake_broker *fake_broker_new(void);
/* The client must be closed before. */
void fake_broker_free(struct fake_broker *broker);

/* Sends held answers. */
void fake_broker_release_acks(struct fake_broker *broker);
/* Breaks the connection, if there is one. */
void fake_broker_cut(struct fake_broker *broker);
/* Another program opens the channel: the holder is fenced. */
void fake_broker_steal(struct fake_broker *broker, const char *name);
/* Sends a GOAWAY push. */
void fake_broker_goaway(struct fake_broker *broker);
/* Appends one record to a partition, as another producer would. */
void fake_broker_append(struct fake_broker *broker, uint32_t partition, const char *sku,
                        uint64_t sequence);
/* Sequences of a channel in one partition, in log sequence; their count. */
uint32_t fake_broker_sequences(const struct fake_broker *broker, uint64_t producer_id,
                               uint32_t partition, uint64_t *ret_sequences, uint32_t max);
/* Records of all partitions. */
uint64_t fake_broker_records(const struct fake_broker *broker);

/* ---- between the files ----------------------------------------------------------------------- */
/* Cuts whole frames out of what has come and answers them. Payloads are moved to an aligned place.
 */
void fake_frames_take(struct fake_broker *broker);
/* Answers READs that have something now, or whose wait is over. */
void fake_frames_serve(struct fake_broker *broker);
/* Judges one batch, appends it if it may be, and fills its answer. */
void fake_model_batch(struct fake_broker *broker, const struct xd_batch_header *batch,
                      struct xd_ack *ret_ack);
/* Answers an open: 0 and the reply with its chains, or a status. */
int fake_model_open(struct fake_broker *broker, const struct xd_open_request *request,
                    struct xd_open_reply *ret_reply, struct xd_open_chain *ret_chains);
/* Copies batches of a partition from an offset on; bytes, and the offset behind them. */
uint32_t fake_model_read(struct fake_broker *broker, uint32_t partition, uint64_t offset,
                         uint32_t bytes_max, uint8_t *out, uint64_t *ret_next);
/* Puts a batch into the log. */
void fake_model_store(struct fake_broker *broker, const struct xd_batch_header *batch);

#endif
