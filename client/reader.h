/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader handle inside the library. reader.c opens, seeks and hands records out; reader_ask.c
 * asks for batches; reader_fetch.c takes them in.
 *
 *   buffer:  free -> asked (a READ will fill it) -> ready -> current -> free
 *
 * Each partition has at most one READ out, asked from where the former reply ended; its reply is
 * received straight into a buffer. While the program goes through the current one, the next ones
 * are on their way.
 */
#ifndef CROSSDOCK_CLIENT_READER_H
#define CROSSDOCK_CLIENT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include <crossdock/reader.h>

#include "client/client.h"
#include "client/view.h"
#include "wire/limits.h"
#include "wire/request.h"

/* Every record has at least its core, so a batch body holds no more. */
#define XD_VIEWS_MAX (XD_BATCH_RAW_BYTES_MAX / sizeof(struct xd_record_core))

/* Where a partition waits for its next READ. */
enum xd_reader_queue {
    XD_QUEUE_DATA,   /* there is more, or it was not asked yet */
    XD_QUEUE_IDLE,   /* at its end */
    XD_QUEUE_PAUSED, /* refused: not before retry_ns */
    XD_QUEUE_COUNT
};

/* What a READ that is out does at the end of its partition. */
enum xd_poll {
    XD_POLL_NONE, /* answers at once */
    XD_POLL_LONG, /* waits */
    XD_POLL_PROBE /* answers at once; a turn of an idle partition that may not wait */
};

/* One partition of the selection. */
struct xd_reader_partition {
    struct xd_link link;  /* in reader.queues */
    uint64_t position;    /* of the next READ: offset or time, see seek */
    uint64_t offset;      /* that the program gets next or later; valid when resolved */
    uint64_t end;         /* behind the last durable record, as last heard */
    uint64_t missing;     /* report OFFSET_GONE: records that are not there any more */
    uint64_t retry_ns;    /* no READ before, 0 = no pause */
    uint64_t at_end_ns;   /* at_end: when that was heard */
    uint32_t partition;   /* number */
    uint32_t generation;  /* rises at every seek; answers to older READs are dropped */
    uint32_t ready_count; /* ready buffers with its batches */
    int report;           /* status that the next poll returns, 0 = none */
    uint8_t queue;        /* enum xd_reader_queue, when it is in one */
    uint8_t seek;         /* enum xd_seek of the next READ */
    bool asked;           /* a READ is out */
    bool resolved;        /* offset is known */
    bool at_end;          /* the last reply came to the end: the next READ waits there */
    bool stopped;         /* until a seek */
};

struct xd_reader_buffer {
    struct xd_link link;    /* in reader.free or reader.ready */
    uint8_t *data;          /* XD_FRAME_BYTES_DEFAULT_MAX: payload of a READ reply */
    const uint8_t *batches; /* ready, current: in data */
    uint32_t bytes;         /* of the batches */
    uint32_t at;            /* current: next batch */
    uint32_t partition;     /* index in reader.partitions */
    uint32_t generation;    /* of the partition when it was asked */
    enum xd_poll poll;      /* asked: of that READ */
    bool asked;             /* a READ will fill it */
};

/* What records must be; empty texts and type 0 restrict nothing. */
struct xd_reader_filter {
    char sku[XD_TEXT_BYTES_MAX + 1];
    char location[XD_TEXT_BYTES_MAX + 1];
    struct xd_text sku_text;      /* of sku */
    struct xd_text location_text; /* of location */
    uint64_t sku_key;             /* key64 of sku */
    uint64_t location_key;        /* key64 of location */
    uint16_t type;                /* event code */
    bool active;                  /* anything is restricted */
};

struct xdock_reader {
    struct xd_link link; /* in client.readers */
    xdock_client_t *client;
    struct xd_reader_filter filter;
    struct xd_reader_partition *partitions;
    uint32_t partition_count;
    struct xd_link queues[XD_QUEUE_COUNT]; /* partitions, longest in line first */
    uint32_t queue_counts[XD_QUEUE_COUNT]; /* partitions in each */
    struct xd_reader_buffer *buffers;
    uint32_t buffer_count;
    uint32_t free_count;              /* buffers in free */
    uint32_t long_count;              /* READs out that wait at an end */
    uint32_t wait_ms;                 /* long poll at the end */
    bool probing;                     /* a READ of kind XD_POLL_PROBE is out */
    struct xd_link free;              /* buffers */
    struct xd_link ready;             /* buffers, oldest first */
    struct xd_reader_buffer *current; /* whose batch is available, or NULL */
    uint8_t *memory;                  /* of all buffers */
    uint8_t *scratch;                 /* XD_BATCH_RAW_BYTES_MAX, for compressed batches */
    struct xd_view *views;            /* XD_VIEWS_MAX; records of the available batch */
    uint32_t view_count;              /* records available */
    uint32_t view_at;                 /* next one */
    uint64_t batch_end;               /* offset behind the available batch */
    bool wants_turn;                  /* a buffer became free: something can be asked */
    char name[XD_NAME_BYTES_MAX + 1]; /* of xdock_reader_facility_name */
};

/* ---- for the turn (drive.c) ------------------------------------------------------------------ */
void xd_reader_lost(struct xdock_reader *reader);
/* Sends READs that are due. */
void xd_reader_ask(struct xdock_reader *reader, uint64_t now_ns);
/* Reply to one of them: NULL, or the field that cannot be. */
const char *xd_reader_reply(struct xdock_reader *reader, uint64_t tag,
                            const struct xd_reply_head *head, struct xd_text detail,
                            const uint8_t *body, size_t body_bytes);
/* Time by which a READ wants to leave. */
uint64_t xd_reader_deadline(const struct xdock_reader *reader);

/* ---- between the reader's files -------------------------------------------------------------- */
/* Makes the next batch with fitting records available: its records, 0 = none is here, or a status
 * to be reported. */
int xd_reader_next_batch(struct xdock_reader *reader);
/* What is available is gone. */
void xd_reader_release_batch(struct xdock_reader *reader);
/* Puts a partition into the queue where it belongs now, or into none. To be called whenever asked,
 * stopped, ready_count, report, retry_ns or at_end have changed. */
void xd_reader_queue(struct xdock_reader *reader, struct xd_reader_partition *partition);
/* Nothing that a buffer holds is wanted, or what it was asked for has come to an end. */
void xd_reader_buffer_free(struct xdock_reader *reader, struct xd_reader_buffer *buffer);
/* A free buffer holds batches. */
void xd_reader_buffer_ready(struct xdock_reader *reader, struct xd_reader_buffer *buffer);
/* Takes the buffer that has been ready for longest, NULL = none is. */
struct xd_reader_buffer *xd_reader_take_ready(struct xdock_reader *reader);
/* Drops answers that were asked for before a seek, of one partition by index. */
void xd_reader_drop(struct xdock_reader *reader, uint32_t index);

#endif
