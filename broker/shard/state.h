/* SPDX-License-Identifier: Apache-2.0
 *
 * The shard's own tables, shared by the files of this folder and by nothing else.
 */
#ifndef CROSSDOCK_SHARD_STATE_H
#define CROSSDOCK_SHARD_STATE_H

#include "broker/admin/admin.h"
#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/base/list.h"
#include "broker/base/pool.h"
#include "broker/base/ring.h"
#include "broker/base/timer.h"
#include "broker/log/log.h"
#include "broker/net/net.h"
#include "broker/partition/catalog.h"
#include "broker/produce/session.h"
#include "broker/shard/peers.h"
#include "broker/shard/shard.h"
#include "wire/request.h"

#define SHARD_FRAMES_MAX 4096u /* frames handled per turn, so that no turn starves the log */
#define SHARD_LINES 256u       /* lines kept for the owner; power of two */
#define SHARD_STAMPS 256u      /* blocks whose begin is remembered: more than may be undurable */

/* What an answer that waits is. */
enum answer_kind {
    ANSWER_ACK,      /* outcome of a batch */
    ANSWER_OPEN,     /* PRODUCER_OPEN: `channel` */
    ANSWER_CLOSE,    /* PRODUCER_CLOSE */
    ANSWER_CONFIG,   /* ADMIN verb that changed the catalog: `entry` */
    ANSWER_ACK_EARLY /* outcome at a weaker durability; its ANSWER_ACK still waits */
};

/* An answer that waits until the log entry it rests on is durable, and then for room on its
 * connection. */
struct answer {
    struct list_node link; /* shard.waiting in log sequence, then connection.ready */
    uint64_t log_index;    /* what it rests on; 0 = nothing, an ACK of class BACKOFF */
    uint64_t correlation;  /* replies */
    net_id conn;           /* who gets it */
    uint8_t kind;          /* enum answer_kind */
    uint8_t durability;    /* ACK: enum xd_durability asked for */
    uint16_t detail;       /* ACK: refusal text, index in shard.details + 1; 0 = none */
    uint32_t bytes;        /* ACK: stride of the batch, goes back as credit; 0 when early */
    uint32_t channel;      /* OPEN */
    uint32_t epoch;        /* CONFIG: of the catalog with the entry */
    union {
        struct xd_ack ack;            /* ACK */
        struct control_config config; /* CONFIG */
    };
};

/* When what became a block began to come, of blocks that hold batches. */
struct stamp {
    uint64_t log_index; /* of the block */
    uint64_t since_ns;  /* when the frame of its first batch was taken up, monotonic */
};

/* Beside net's connection, by slot; one of another shard's as well. */
struct connection {
    net_id id;    /* 0 = not in use */
    bool greeted; /* HELLO done */
    bool dirty;   /* linked in shard.dirty: has ready answers */
    struct list_node dirty_link;
    struct list ready;          /* answers that may leave */
    struct list held;           /* READ waiters: it has its share of large buffers queued */
    struct list_node held_link; /* in shard.held, while there is one in `held` */
    uint64_t acked_bytes;       /* credit given back since accept */
    uint64_t unanswered_bytes;  /* produce bytes taken and not answered */
    uint64_t stalled_since_ns; /* its first frame finds no room since, 0 = it has not looked in vain
                                * since a batch of it went in */
    uint32_t produce_at;       /* payload bytes of its first frame already handled */
    uint32_t produce_count;    /* batches of it already handled */
    uint32_t waiters;          /* READ requests waiting */
    uint32_t home;             /* shard that has its socket */
    net_id home_conn;          /* as that one names it; its own id at home */
    uint64_t known_to;         /* at home: shards that have been given a frame of it, bit n */
};

/* A READ that waits: for data (linked to its partition), for the disk (with the log), for a large
 * buffer, or for its connection to take what is queued (linked to it). */
struct waiter {
    struct list_node link; /* not linked while it waits for the disk */
    struct log_wait disk;
    struct timer timer; /* end of the long poll */
    net_id conn;
    uint32_t partition;
    uint64_t correlation;
    uint64_t offset;      /* resolved */
    uint64_t deadline_ns; /* 0 = answer at once when there is nothing */
    int64_t time_us;      /* seek by time: skip batches before it; INT64_MIN = no */
    uint32_t bytes_max;
};

/* Connections that were closed when they arrived. */
struct refused {
    uint64_t count;   /* since the last line about them */
    uint64_t said_ns; /* when that was, 0 = never */
};

struct shard {
    struct env *env;
    struct arena arena;
    struct counters counters;
    struct latency_window recent; /* the last minute of their latencies */
    struct shard_options options;
    struct log *log;
    struct net *net;
    struct catalog catalog;
    struct sessions sessions;

    struct env_event *events; /* SHARD_EVENTS_MAX */
    uint64_t now_ns;          /* monotonic clock of this turn */
    int64_t now_us;           /* wall clock of this turn, never falling */
    uint64_t ready_ns;        /* when recovery ended */
    uint8_t cluster_id[16];   /* names the broker: the uuid of shard 0's log */

    struct connection *connections; /* by net_slot(), connections_max + remote_max + 1 */
    net_id *holders;                /* connections that hold channels, by index; 0 = none */
    struct pool answers;
    struct list waiting;   /* answers in log sequence */
    struct list spreading; /* CONFIG answers that wait for the other shards */
    struct list written;   /* early answers that wait for the device to have the bytes */
    struct list dirty;     /* connections with ready answers */
    uint64_t waiting_count;
    struct stamp stamps[SHARD_STAMPS]; /* by log index modulo their number */
    uint64_t timed_index;              /* blocks up to it are durable and their stamps are taken */

    struct pool waiters;
    struct list *parked;  /* by partition: waiters for data */
    struct list runnable; /* waiters to be served now */
    struct list held;     /* connections that have held waiters */
    struct timers timers;
    uint32_t waiters_count;

    uint8_t *scratch;    /* XD_BATCH_RAW_BYTES_MAX, decoded bodies */
    char *json;          /* XD_ADMIN_REPLY_BYTES_MAX */
    struct pool details; /* XD_DETAIL_BYTES_MAX each: refusal texts of waiting answers */

    struct shard_line *lines; /* SHARD_LINES */
    struct ring lines_ring;
    uint64_t lines_lost;
    struct refused refused[NET_REFUSAL_COUNT]; /* by reason */
    uint64_t memory_said_ns;                   /* when `memory_said` was, 0 = never */
    enum net_memory memory_said;               /* newest state that there is a line of */

    struct peers peers; /* the other shards */

    uint64_t stall_retry_ns; /* when stalled frames are tried again, 0 = none is stalled */
    enum admin_state state;
    uint8_t stage;             /* enum shard_stage */
    uint64_t stop_deadline_ns; /* connections are closed by then, answered or not */
};

enum shard_stage {
    STAGE_OPENED,
    STAGE_RECOVERED,
    STAGE_JOINING, /* turns are taken, nobody is served */
    STAGE_SERVING,
    STAGE_STOPPING,
    STAGE_STOPPED
};

/* The connection that holds a channel. */
static inline net_id *shard_holder(struct shard *shard, const struct channel *channel)
{
    return &shard->holders[session_index(&shard->sessions, channel)];
}

/* ---- fold.c ---------------------------------------------------------------------------------- */
/* Folds one durable entry, live or in recovery. 0 or XD_LOG_CORRUPT with `why`. */
int fold_entry(struct shard *shard, const struct log_entry *entry, char *why);
/* The fold state as a checkpoint holds it. Bytes written. */
uint64_t fold_save(struct shard *shard, uint8_t *out, uint64_t out_bytes);
int fold_load(struct shard *shard, const uint8_t *in, uint64_t in_bytes, char *why);
/* Bytes that fold_save writes at most with these limits. */
uint64_t fold_bytes_max(const struct shard_options *options);
/* Appends a control entry. 0 and its index, or the status of log_reserve. */
int fold_append_control(struct shard *shard, enum control_kind kind, const void *body,
                        uint32_t body_bytes, uint64_t *ret_index);

/* ---- answers.c ------------------------------------------------------------------------------- */
uint64_t answers_bytes_needed(const struct shard_options *options);
int answers_init(struct shard *shard);
/* True when another batch may be taken: there is an element for its answer. */
bool answers_room(const struct shard *shard);
/* Queues an answer; `template`'s link is ignored. answers_room() must hold. It rests on the newest
 * log entry; a duplicate on that of its original, "later" (class BACKOFF) on none. */
void answers_wait(struct shard *shard, const struct answer *template);
/* A batch of a frame taken up at since_ns was appended to the block of this index. */
void answers_stamp(struct shard *shard, uint64_t log_index, uint64_t since_ns);
/* Age of the oldest answer that waits, in ns; 0 when none does. */
uint64_t answers_oldest_ns(const struct shard *shard);
/* Keeps a refusal text until its answer has left; returns what goes into answer.detail: 0 when all
 * are in use, the ack then goes without a text. */
uint16_t answers_detail(struct shard *shard, const char *text);
/* Moves what the log has made durable (or written, for early ones) to its connections and writes it
 * out as far as there is room. */
void answers_release(struct shard *shard);
/* The connection is gone: its ready answers are dropped. */
void answers_forget(struct shard *shard, struct connection *connection);
/* Writes a reply at once. `body` may be NULL. False when the connection has no room: nothing was
 * written. */
bool answers_reply(struct shard *shard, net_id conn, uint16_t op, uint64_t correlation, int status,
                   uint64_t log_index, const char *detail, const void *body, uint32_t body_bytes);

/* Where the body of a reply begins in a large buffer, in bytes. */
#define ANSWERS_BODY_AT (XD_FRAME_HEADER_BYTES + (uint32_t)sizeof(struct xd_reply_head))
/* A large buffer for a reply that no output chunk holds; NULL when none is free or the connection
 * has its share queued. */
uint8_t *answers_large(struct shard *shard, net_id conn);
/* Sends a success whose body has been written to large + ANSWERS_BODY_AT; the buffer is net's
 * afterwards. */
void answers_send_large(struct shard *shard, net_id conn, uint16_t op, uint64_t correlation,
                        uint64_t log_index, uint8_t *large, uint32_t body_bytes);

/* Refuses a request at once: 0, or -EAGAIN when the connection has no room. Also what was decided
 * over staged entries may be refused so: a refusal promises nothing that a crash could take back.
 */
int answers_refuse(struct shard *shard, const struct net_frame *frame, int status,
                   const char *detail);

/* ---- frame handlers: 0 = handled, -EAGAIN = not now (stall), -ECONNABORTED = close ------------
 */
int on_hello(struct shard *shard, const struct net_frame *frame);
int on_ping(struct shard *shard, const struct net_frame *frame);
int on_catalog(struct shard *shard, const struct net_frame *frame);
int on_open(struct shard *shard, const struct net_frame *frame);
int on_close(struct shard *shard, const struct net_frame *frame);
int on_produce(struct shard *shard, const struct net_frame *frame);
int on_read(struct shard *shard, const struct net_frame *frame);
int on_admin(struct shard *shard, const struct net_frame *frame);

/* ---- on_session.c, for answers.c ------------------------------------------------------------- */
/* Writes the reply of an open whose entry is durable. False when there is no room. */
bool session_answer_open(struct shard *shard, const struct answer *answer);

/* ---- on_read.c ------------------------------------------------------------------------------- */
uint64_t readers_bytes_needed(const struct shard_options *options);
int readers_init(struct shard *shard);
/* Data of this partition became durable. */
void readers_wake(struct shard *shard, uint32_t partition);
/* Serves what can be served; ends long polls. */
void readers_turn(struct shard *shard);
/* The connection is gone. */
void readers_forget(struct shard *shard, net_id conn);
uint64_t readers_deadline_ns(const struct shard *shard);

/* ---- on_admin.c ------------------------------------------------------------------------------ */
void admin_view_of(struct shard *shard, struct admin_view *ret_view);
bool admin_answer_config(struct shard *shard, const struct answer *answer);

/* ---- lines.c --------------------------------------------------------------------------------- */
/* Queues a line for the owner. */
void lines_say(struct shard *shard, bool warning, const char *event, const char *text);
/* Connections were refused: a line, or one later that counts them too. */
void lines_refused(struct shard *shard, enum net_refusal refusal, uint64_t count);
/* A line when the state of memory is another one than the last line said. */
void lines_memory(struct shard *shard);
/* Turns the log's news into lines. */
void lines_take_news(struct shard *shard);

/* ---- shard.c --------------------------------------------------------------------------------- */
/* The connection of an id, or NULL when it is gone. */
struct connection *shard_connection(struct shard *shard, net_id conn);
/* The place of a connection that net has just given a slot. */
struct connection *shard_connection_open(struct shard *shard, net_id conn);
/* Whether a crash can take no catalog entry away. */
bool shard_catalog_settled(const struct shard *shard);

#endif
