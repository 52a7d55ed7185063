/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/produce/session.c: who may open a channel, with which epoch, and what a client that
 * remembers is told when its memory and the broker's differ.
 */
#include "broker/produce/session.h"

#include "tests/support/session_kit.h"

#include <errno.h>
#include <signal.h>

/* The first open registers the channel as number 1 with both epochs at 1. */
Test(produce_session, registers_a_channel_on_its_first_open)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    struct xd_open_request request = open_of("dc07");
    cr_assert_eq(kit_open(&kit, &request, 7), 1);
    cr_assert_eq(kit.entry.channel, 1);
    cr_assert_eq(kit.entry.producer_epoch, 1);
    cr_assert_eq(kit.entry.channel_epoch, 1);
    cr_assert_eq(kit.entry.facility, 7);
    const struct channel *found =
        session_channel_find(&kit.sessions, text_of("wms"), text_of("dc07"), 7);
    cr_assert_eq(found, session_channel(&kit.sessions, 1));
    cr_assert_null(session_channel_find(&kit.sessions, text_of("wms"), text_of("dc0"), 7));
    cr_assert_null(session_channel_find(&kit.sessions, text_of("wm"), text_of("dc07"), 7));
    cr_assert_null(session_channel_find(&kit.sessions, text_of("wmz"), text_of("dc07"), 7));
    cr_assert_null(session_channel_find(&kit.sessions, text_of("wms"), text_of("dc08"), 7));
    cr_assert_null(session_channel_find(&kit.sessions, text_of("wms"), text_of("dc07"), 8));
    cr_assert_null(session_channel(&kit.sessions, 0));
    cr_assert_null(session_channel(&kit.sessions, 2));
    kit_end(&kit);
}

/* Every further open raises the producer epoch and keeps the channel's number and numbering. */
Test(produce_session, raises_the_producer_epoch_at_every_open)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(kit_open_durable(&kit, "a"), 1);
        cr_assert_eq(kit.entry.producer_epoch, i);
        cr_assert_eq(kit.entry.channel_epoch, 1);
    }
    cr_assert_eq(kit_open_durable(&kit, "b"), 2);
    cr_assert_eq(kit.entry.producer_epoch, 1);
    kit_end(&kit);
}

/* A channel without a name is named after its facility, else "global". */
Test(produce_session, names_a_channel_after_its_facility)
{
    struct xd_open_request request = {.source = text_of("wms")};
    struct xd_text name = session_channel_name(&request);
    cr_assert(name.bytes == 6 && memcmp(name.data, "global", 6) == 0);
    request.facility = text_of("DC07");
    name = session_channel_name(&request);
    cr_assert(name.bytes == 4 && memcmp(name.data, "DC07", 4) == 0);
    request.channel = text_of("file-1");
    name = session_channel_name(&request);
    cr_assert(name.bytes == 6 && memcmp(name.data, "file-1", 6) == 0);
}

/* An attach with the current epoch needs no entry; any other epoch is fenced. */
Test(produce_session, attaches_only_with_the_current_epoch)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    kit_open_durable(&kit, "a");
    kit_open_durable(&kit, "a");
    struct xd_open_request request = open_of("a");
    request.fixed.producer_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), 0);
    request.fixed.channel_epoch = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), 0);
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FENCED);
    request.fixed.channel_epoch = 0;
    request.fixed.producer_epoch = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FENCED);
    request.fixed.producer_epoch = 3;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FENCED);
    cr_assert(strlen(kit.detail) > 0);
    cr_assert_eq(session_channel(&kit.sessions, 1)->producer_epoch, 2);
    kit_end(&kit);
}

/* An attach that names acknowledged records the broker does not have is a loss, and said so. */
Test(produce_session, an_attach_reports_missing_acknowledged_records)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 0, 0, 1, 10);
    kit_append_durable(&kit, &batch, 0, 5);
    struct xd_open_request request = open_of("a");
    request.fixed.producer_epoch = 1;
    request.fixed.acked_sequence = request.fixed.assigned_sequence = 10;
    cr_assert_eq(kit_open(&kit, &request, 0), 0);
    request.fixed.acked_sequence = request.fixed.assigned_sequence = 11;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_ACKED_MISSING);
    kit_end(&kit);
}

/* A client that remembers: acknowledged beyond the broker's last is ACKED_MISSING, a broker beyond
 * the client's assigned is SEQUENCE_REGRESSED, anything between is fine. */
Test(produce_session, compares_the_memory_of_an_open_with_what_is_staged)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 0, 0, 1, 10);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, 0);
    session_append(&kit.sessions, &batch, 5); /* staged only */

    struct xd_open_request request = open_of("a");
    request.fixed.flags = 0;
    const struct {
        uint64_t acked, assigned;
        int status;
    } rows[] = {
        {11, 11, XD_ACKED_MISSING},    {11, 20, XD_ACKED_MISSING},    {0, 9, XD_SEQUENCE_REGRESSED},
        {9, 9, XD_SEQUENCE_REGRESSED}, {0, 0, XD_SEQUENCE_REGRESSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        request.fixed.acked_sequence = rows[i].acked;
        request.fixed.assigned_sequence = rows[i].assigned;
        cr_assert_eq(kit_open(&kit, &request, 0), rows[i].status, "row %zu", i);
    }
    request.fixed.acked_sequence = 0;
    request.fixed.assigned_sequence = 10;
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    request.fixed.acked_sequence = 10;
    request.fixed.assigned_sequence = 4000;
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    kit_end(&kit);
}

/* The next channel epoch starts a new numbering: memory of the former one is not compared. */
Test(produce_session, opens_the_next_channel_epoch_with_empty_chains)
{
    struct session_kit kit;
    struct xd_open_chain chains[4];
    kit_begin(&kit, 4, 4, 1);
    uint32_t channel = kit_open_durable(&kit, "a");
    struct xd_batch_header batch = batch_of(&kit, channel, 3, 0, 1, 10);
    kit_append_durable(&kit, &batch, 0, 5);
    const struct channel *c = session_channel(&kit.sessions, channel);
    cr_assert_eq(session_chains(&kit.sessions, c, chains, 4), 1);

    struct xd_open_request request = open_of("a");
    request.fixed.channel_epoch = 3;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FIELD_INVALID);
    request.fixed.channel_epoch = 2;
    request.fixed.flags = 0; /* assigned_sequence 0: would be a regress in epoch 1 */
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    cr_assert_eq(kit.entry.channel_epoch, 2);
    cr_assert_eq(kit.entry.producer_epoch, 2);
    session_take_durable(&kit.sessions, &kit.entry);
    cr_assert_eq(c->staged_last, 0);
    cr_assert_eq(c->last_sequence, 0);
    cr_assert_eq(c->record_count, 0);
    cr_assert_eq(session_chains(&kit.sessions, c, chains, 4), 0);
    request.fixed.channel_epoch = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FIELD_INVALID);

    batch = batch_of(&kit, channel, 3, 0, 1, 2);
    kit_append_durable(&kit, &batch, 10, 7);
    cr_assert_eq(session_chains(&kit.sessions, c, chains, 4), 1);
    cr_assert_eq(chains[0].last_sequence, 2);
    cr_assert_eq(chains[0].last_offset, 11);
    kit_end(&kit);
}

/* A channel feeds one facility: the same name at another one is a channel of its own, and neither
 * fences the other. */
Test(produce_session, a_name_at_another_facility_is_another_channel)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    struct xd_open_request request = open_of("a");
    cr_assert_eq(kit_open(&kit, &request, 1), 1);
    const struct control_session first = kit.entry;
    cr_assert_eq(kit_open(&kit, &request, 2), 1);
    const struct control_session second = kit.entry;
    cr_assert_eq(first.facility, 1);
    cr_assert_eq(second.facility, 2);
    cr_assert_neq(first.channel, second.channel);
    cr_assert_eq(second.producer_epoch, 1);
    cr_assert_eq(kit_open(&kit, &request, 1), 1);
    cr_assert_eq(kit.entry.channel, first.channel);
    cr_assert_eq(kit.entry.producer_epoch, 2);
    cr_assert_eq(kit_open(&kit, &request, 2), 1);
    cr_assert_eq(kit.entry.channel, second.channel);
    cr_assert_eq(kit.entry.producer_epoch, 2);
    kit_end(&kit);
}

/* A new channel is not attached to, starts with channel epoch 1, and has nothing acknowledged. */
Test(produce_session, refuses_an_unknown_channel_that_claims_a_past)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    struct xd_open_request request = open_of("a");
    request.fixed.producer_epoch = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_ACKED_MISSING);
    request.fixed.producer_epoch = 0;
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_FIELD_INVALID);
    request.fixed.channel_epoch = 0;
    request.fixed.flags = 0;
    request.fixed.acked_sequence = request.fixed.assigned_sequence = 1;
    cr_assert_eq(kit_open(&kit, &request, 0), XD_ACKED_MISSING);
    cr_assert_eq(kit.sessions.channel_count, 0);
    request.fixed.acked_sequence = 0; /* assigned, never acknowledged: lost on the way, fine */
    cr_assert_eq(kit_open(&kit, &request, 0), 1);
    kit_end(&kit);
}

/* Names are checked before anything is registered. */
Test(produce_session, refuses_names_outside_their_set)
{
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    struct xd_open_request request = open_of("a b");
    cr_assert_eq(kit_open(&kit, &request, 0), XD_NAME_INVALID);
    request = open_of("a");
    request.source = text_of("");
    cr_assert_eq(kit_open(&kit, &request, 0), XD_NAME_INVALID);
    cr_assert_eq(kit.sessions.channel_count, 0);
    kit_end(&kit);
}

/* A full table refuses new channels and still opens known ones. */
Test(produce_session, refuses_a_channel_over_the_limit)
{
    struct session_kit kit;
    kit_begin(&kit, 2, 4, 1);
    kit_open_durable(&kit, "a");
    kit_open_durable(&kit, "b");
    struct xd_open_request request = open_of("c");
    cr_assert_eq(kit_open(&kit, &request, 0), XD_CATALOG_FULL);
    kit_open_durable(&kit, "a");
    kit_end(&kit);
}

/* Entries out of a log are checked: unknown channel, epochs that jump, another name or facility. */
Test(produce_session, take_refuses_entries_that_contradict_the_table)
{
    struct session_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 2, 4, 1);
    kit_open_durable(&kit, "a");
    struct control_session good = kit.entry;
    good.producer_epoch = 2;
    struct control_session bad[] = {good, good, good, good, good, good, good, good, good};
    bad[0].channel = 3;
    bad[1].channel = 2; /* a new one starts with epoch 1 */
    bad[2].producer_epoch = 1;
    bad[3].producer_epoch = 3;
    bad[4].channel_epoch = 3;
    bad[5].facility = 1;
    bad[6].name[0] = 'z';
    bad[7].source[0] = 'z';
    bad[8].channel = 2;
    bad[8].producer_epoch = 1;
    bad[8].channel_epoch = 2;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why = NULL;
        cr_assert_eq(session_take(&kit.sessions, &bad[i], &why), XD_LOG_CORRUPT, "row %zu", i);
        cr_assert_not_null(why);
    }
    cr_assert_eq(session_take(&kit.sessions, &good, &why), 0);

    struct control_session fresh = good;
    fresh.channel = 2;
    fresh.producer_epoch = 1;
    cr_assert_eq(session_take(&kit.sessions, &fresh, &why), 0);
    fresh.channel = 3;
    cr_assert_eq(session_take(&kit.sessions, &fresh, &why), XD_LOG_CORRUPT);
    kit_end(&kit);
}

/* Tables that do not fit the arena are refused at start, whichever of them it is. */
Test(produce_session, init_needs_the_memory_it_asks_for)
{
    struct session_options options = {.channels_max = 16, .chains_max = 16};
    struct sessions sessions;
    struct arena arena;
    uint64_t bytes = session_bytes_needed(&options);
    uint8_t *memory = malloc(bytes);
    cr_assert_not_null(memory);
    for (uint64_t part = 64; part < bytes - 3 * 64; part += 64) {
        arena_init(&arena, memory, part);
        cr_assert_eq(session_init(&sessions, &arena, &options, 1), -ENOMEM, "%llu bytes",
                     (unsigned long long)part);
    }
    arena_init(&arena, memory, bytes);
    cr_assert_eq(session_init(&sessions, &arena, &options, 1), 0);
    free(memory);
}

/* On another shard than the first, numbers carry the shard, and those of other shards are nobody's.
 */
Test(produce_session, numbers_channels_of_its_shard)
{
    static uint8_t saved[16384];
    struct session_kit kit;
    kit_begin(&kit, 4, 4, 1);
    kit.sessions.options.shard = 5;
    uint32_t first = kit_open_durable(&kit, "a"), second = kit_open_durable(&kit, "b");
    cr_assert_eq(first, 5u << SESSION_NUMBER_BITS | 1u);
    cr_assert_eq(second, first + 1);
    cr_assert_eq(session_shard(first), 5);
    cr_assert_eq(session_index(&kit.sessions, session_channel(&kit.sessions, second)), 1);
    cr_assert_null(session_channel(&kit.sessions, 1));
    cr_assert_null(session_channel(&kit.sessions, first + 2));
    cr_assert_null(session_channel(&kit.sessions, (uint64_t)first + (1ull << 32)));
    struct xd_batch_header batch = batch_of(&kit, second, 3, 0, 1, 2);
    kit_append_durable(&kit, &batch, 0, 9);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_DUPLICATE);
    uint64_t bytes = session_save(&kit.sessions, saved, sizeof saved);
    kit_end(&kit);
    kit_begin(&kit, 4, 4, 1);
    cr_assert_eq(session_load(&kit.sessions, saved, bytes), XD_CHECKPOINT_CORRUPT);
    kit_end(&kit);
    kit_begin(&kit, 4, 4, 1);
    kit.sessions.options.shard = 5;
    cr_assert_eq(session_load(&kit.sessions, saved, bytes), (int64_t)bytes);
    cr_assert_eq(session_check(&kit.sessions, &batch).status, XD_DUPLICATE);
    kit_end(&kit);
}
