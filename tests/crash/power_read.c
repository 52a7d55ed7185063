/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading everything back into a history; see power_read.h.
 */
#include "tests/crash/power_read.h"

#include "tests/crash/power_load.h"
#include "wire/checksum.h"

#include <stdbool.h>
#include <string.h>

#define POLL_MS 5u

uint64_t read_id(uint32_t channel, uint64_t sequence)
{
    return (uint64_t)(channel + 1) << 48 | sequence;
}

uint32_t read_key(xdock_bytes_t sku)
{
    return (uint32_t)xd_xxh3(sku.data, sku.bytes);
}

uint32_t read_content(xdock_bytes_t location, xdock_bytes_t document, xdock_bytes_t payload)
{
    uint64_t hash = xd_xxh3(location.data, location.bytes);
    hash = xd_xxh3_seeded(document.data, document.bytes, hash);
    return (uint32_t)xd_xxh3_seeded(payload.data, payload.bytes, hash);
}

/* Where the reader is: records of one partition that follow each other are one reply. */
struct place {
    uint64_t start_ns;                  /* before the first request */
    uint64_t offset;                    /* the next one of `partition` */
    uint32_t partition;                 /* HISTORY_PARTITION_NONE = none yet */
    bool seen[LOAD_PARTITIONS_MAX];     /* something of it was read */
    uint64_t next[LOAD_PARTITIONS_MAX]; /* offset behind what was read of it */
};

/* The oldest record of a partition is the first one that is given. */
static void begin_reply(struct history *history, struct place *place, const xdock_view_t *view)
{
    uint32_t partition = view->partition;
    bool seen = place->seen[partition];
    const struct history_reply reply = {.start_ns = place->start_ns,
                                        .end_ns = load_now_ns(),
                                        .requested = seen ? place->next[partition] : HISTORY_NONE,
                                        .first_offset = HISTORY_NONE,
                                        .end_offset = HISTORY_NONE,
                                        .partition = partition};
    if (!seen)
        (void)history_floor(history, partition, view->offset, reply.end_ns);
    (void)history_read(history, &reply); /* The history keeps a failure. */
    place->seen[partition] = true;
}

static void take(struct history *history, struct place *place, const xdock_view_t *view)
{
    char sku[20], location[20], document[20];
    struct read_stamp stamp = {0};
    if (view->partition >= LOAD_PARTITIONS_MAX)
        return; /* Not one of ours; what is missing elsewhere is judged. */
    if (view->partition != place->partition || view->offset != place->offset)
        begin_reply(history, place, view);
    if (view->payload.bytes >= sizeof stamp)
        memcpy(&stamp, view->payload.data, sizeof stamp);
    const struct history_entry entry = {.id = stamp.id,
                                        .sequence = view->sequence,
                                        .append_time_us = view->append_time_us,
                                        .key = read_key(xdock_view_sku(view, sku)),
                                        .content = read_content(xdock_view_location(view, location),
                                                                xdock_view_document(view, document),
                                                                view->payload)};
    (void)history_read_record(history, view->offset, &entry);
    place->partition = view->partition;
    place->offset = view->offset + 1;
    place->next[view->partition] = place->offset;
}

/* Every partition tells where it ends. */
static void take_ends(xdock_reader_t *reader, struct history *history, struct place *place)
{
    int64_t number;
    for (unsigned i = 0; (number = xdock_reader_partition(reader, i)) >= 0; i++) {
        uint64_t offset = 0, end = 0;
        if (xdock_reader_position(reader, (uint32_t)number, &offset, &end) < 0)
            continue;
        const struct history_reply reply = {.start_ns = place->start_ns,
                                            .end_ns = load_now_ns(),
                                            .requested = offset,
                                            .first_offset = HISTORY_NONE,
                                            .end_offset = end,
                                            .partition = (uint32_t)number};
        if (!place->seen[number])
            (void)history_floor(history, (uint32_t)number, offset, reply.end_ns);
        (void)history_read(history, &reply);
    }
}

int read_all(xdock_client_t *client, struct history *history, uint32_t timeout_ms, uint64_t *count)
{
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .partition = -1};
    struct place place = {.start_ns = load_now_ns(), .partition = HISTORY_PARTITION_NONE};
    uint64_t deadline_ns = place.start_ns + (uint64_t)timeout_ms * 1000000u;
    xdock_reader_t *reader = NULL;
    int status = xdock_reader_open(client, &selection, timeout_ms, &reader);
    while (status >= 0 && !xdock_reader_at_end(reader)) {
        const xdock_view_t *view;
        status = xdock_reader_poll(reader, POLL_MS);
        while (status > 0 && (view = xdock_reader_next(reader)) != NULL) {
            take(history, &place, view);
            ++*count;
        }
        if (status == 0 && load_now_ns() > deadline_ns)
            status = XDOCK_DEADLINE_EXCEEDED;
    }
    if (status >= 0)
        take_ends(reader, history, &place);
    xdock_reader_close(&reader);
    return status < 0 ? status : 0;
}
