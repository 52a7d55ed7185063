/* SPDX-License-Identifier: Apache-2.0
 *
 * Producer sessions without a broker: tables over plain memory, opens, and batches that consist of
 * a header only, which is all that the verdicts look at. Failures are Criterion assertions.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SESSION_KIT_H
#define CROSSDOCK_TESTS_SUPPORT_SESSION_KIT_H

#include "broker/produce/session.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct session_kit {
    struct sessions sessions;
    struct arena arena;
    void *memory;                     /* of the arena */
    char detail[XD_DETAIL_BYTES_MAX]; /* of the newest open */
    struct control_session entry;     /* of the newest open that was accepted */
};

static inline void kit_begin(struct session_kit *kit, uint32_t channels_max, uint32_t chains_max,
                             uint64_t hash_seed)
{
    struct session_options options = {.channels_max = channels_max, .chains_max = chains_max};
    uint64_t bytes = session_bytes_needed(&options);
    memset(kit, 0, sizeof *kit);
    kit->memory = malloc(bytes);
    cr_assert_not_null(kit->memory);
    arena_init(&kit->arena, kit->memory, bytes);
    cr_assert_eq(session_init(&kit->sessions, &kit->arena, &options, hash_seed), 0);
}

static inline void kit_end(struct session_kit *kit)
{
    free(kit->memory);
}

static inline struct xd_text text_of(const char *text)
{
    return (struct xd_text){text, (uint32_t)strlen(text)};
}

/* An open of source "wms" that remembers nothing, changed by the caller before kit_plan. */
static inline struct xd_open_request open_of(const char *channel)
{
    return (struct xd_open_request){.fixed = {.flags = XD_OPEN_NO_MEMORY},
                                    .source = text_of("wms"),
                                    .channel = text_of(channel)};
}

/* The verdict; an entry is taken in at once, as the shard does. */
static inline int kit_open(struct session_kit *kit, const struct xd_open_request *request,
                           uint32_t facility)
{
    int status = session_plan_open(&kit->sessions, request, facility, &kit->entry, kit->detail);
    if (status == 1) {
        const char *why = NULL;
        cr_assert_eq(session_take(&kit->sessions, &kit->entry, &why), 0, "%s", why);
    }
    return status;
}

/* Opens channel `name` for facility 0 and makes the entry durable. Returns its number. */
static inline uint32_t kit_open_durable(struct session_kit *kit, const char *name)
{
    struct xd_open_request request = open_of(name);
    cr_assert_eq(kit_open(kit, &request, 0), 1, "%s", kit->detail);
    session_take_durable(&kit->sessions, &kit->entry);
    return kit->entry.channel;
}

/* A batch of records first..last, without gaps, under the channel's staged epochs. */
static inline struct xd_batch_header batch_of(struct session_kit *kit, uint32_t channel,
                                              uint32_t partition, uint64_t previous, uint64_t first,
                                              uint64_t last)
{
    const struct channel *c = session_channel(&kit->sessions, channel);
    cr_assert_not_null(c);
    return (struct xd_batch_header){.batch_xxh3 = first * 1000003u + last,
                                    .partition = partition,
                                    .producer_id = channel,
                                    .producer_epoch = c->producer_epoch,
                                    .channel_epoch = c->channel_epoch,
                                    .record_count = (uint16_t)(last - first + 1),
                                    .first_sequence = first,
                                    .last_sequence = last,
                                    .previous_sequence = previous};
}

/* Appends and applies; the chain must accept it. */
static inline void kit_append_durable(struct session_kit *kit, struct xd_batch_header *batch,
                                      uint64_t base_offset, uint64_t log_index)
{
    const char *why = NULL;
    cr_assert_eq(session_check(&kit->sessions, batch).status, 0);
    batch->base_offset = base_offset;
    session_append(&kit->sessions, batch, log_index);
    cr_assert_eq(session_apply(&kit->sessions, batch, log_index, &why), 0, "%s", why);
}

#endif
