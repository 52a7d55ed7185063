/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/e2e/kill_model.h: what the model tells the history is what was sent, answered and read, so
 * that every violation comes out under its name.
 * Records are made here; the accessors of the library are replaced by ones that hand out
 * `internal`.
 */
#include <criterion/criterion.h>

#include "tests/e2e/kill_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEED 5u
#define SENT 8000u
#define CHANNEL 1u

xdock_bytes_t xdock_view_sku(const xdock_view_t *view, char *scratch)
{
    const struct model_content *content = view->internal;
    (void)scratch;
    return xdock_bytes(content->sku, strlen(content->sku));
}

xdock_bytes_t xdock_view_location(const xdock_view_t *view, char *scratch)
{
    const struct model_content *content = view->internal;
    (void)scratch;
    return xdock_bytes(content->location, strlen(content->location));
}

xdock_bytes_t xdock_view_document(const xdock_view_t *view, char *scratch)
{
    const struct model_content *content = view->internal;
    (void)scratch;
    return xdock_bytes(content->document, strlen(content->document));
}

/* A run of SENT records in one channel; SKUs with even numbers are in partition 3, others in 4. */
struct world {
    struct model model;
    struct model_content contents[SENT]; /* by sequence - 1 */
    uint64_t offsets[SENT];              /* where they are */
    uint64_t ends[2];                    /* of the partitions */
    uint64_t now_ns;
};

static struct world *sent_all(void)
{
    struct world *world = calloc(1, sizeof *world);
    cr_assert_not_null(world);
    cr_assert_eq(model_init(&world->model, SEED), 0);
    for (uint64_t i = 0; i < SENT; i++) {
        struct model_content *content = &world->contents[i];
        cr_assert_eq(model_send(&world->model, CHANNEL, ++world->now_ns, content), (int64_t)i);
        world->offsets[i] = world->ends[content->sku_index % 2]++;
    }
    cr_assert_eq(world->model.sent[CHANNEL], SENT);
    return world;
}

static void free_world(struct world *world)
{
    model_deinit(&world->model);
    free(world);
}

static uint32_t partition_of(const struct world *world, uint64_t sequence)
{
    return 3 + world->contents[sequence - 1].sku_index % 2;
}

static xdock_ack_t ack_of(const struct world *world, uint64_t sequence)
{
    return (xdock_ack_t){.user = sequence - 1,
                         .sequence = sequence,
                         .offset = world->offsets[sequence - 1],
                         .log_index = sequence,
                         .status = sequence % 7 == 0 ? XDOCK_DUPLICATE : 0,
                         .partition = partition_of(world, sequence),
                         .durability = XDOCK_FSYNC};
}

static void ack_all(struct world *world, uint64_t but)
{
    for (uint64_t sequence = 1; sequence <= SENT; sequence++) {
        const xdock_ack_t ack = ack_of(world, sequence);
        if (sequence != but)
            model_ack(&world->model, CHANNEL, &ack, ++world->now_ns);
    }
}

static xdock_view_t view_of(struct world *world, uint64_t sequence)
{
    struct model_content *content = &world->contents[sequence - 1];
    return (xdock_view_t){.sequence = sequence,
                          .offset = world->offsets[sequence - 1],
                          .partition = partition_of(world, sequence),
                          .type = XDOCK_STOCK_MOVED,
                          .append_time_us = (int64_t)sequence,
                          .payload = xdock_bytes(content->payload, content->payload_bytes),
                          .internal = content};
}

static void read_one(struct world *world, const xdock_view_t *view)
{
    model_read(&world->model, CHANNEL, view, world->ends[(view->partition - 3) % 2],
               ++world->now_ns);
}

static void read_all(struct world *world, uint64_t but)
{
    for (uint64_t sequence = 1; sequence <= SENT; sequence++) {
        const xdock_view_t view = view_of(world, sequence);
        if (sequence != but)
            read_one(world, &view);
    }
}

static uint64_t found(const struct world *world, enum history_property property)
{
    return world->model.report.properties[property].count;
}

/* Nothing is found where nothing is wrong, and the figures are right. */
Test(kill_model, passes_a_run_without_violations)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    read_all(world, 0);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(model_faults(&world->model), 0);
    cr_assert_eq(world->model.read_count, SENT);
    cr_assert_eq(world->model.duplicates, SENT / 7);
    cr_assert_eq(world->model.appended, SENT - SENT / 7);
    free_world(world);
}

/* The keys of all SKUs differ, so that none is taken for another. */
Test(kill_model, gives_every_sku_a_key_of_its_own)
{
    struct world *world = sent_all();
    const struct history_record *records = world->model.history.records;
    uint32_t keys[MODEL_SKUS] = {0};
    for (uint64_t i = 0; i < SENT; i++)
        keys[world->contents[i].sku_index] = records[i].key;
    for (uint32_t i = 0; i < MODEL_SKUS; i++)
        for (uint32_t k = 0; k < i; k++)
            cr_assert(keys[i] != keys[k] || keys[i] == 0, "%u and %u", i, k);
    free_world(world);
}

/* A record that was acknowledged and cannot be read is lost: the reader is led past it. */
Test(kill_model, finds_a_lost_record)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    read_all(world, 777);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(found(world, HISTORY_P5) + found(world, HISTORY_DENSE), 1);
    cr_assert_eq(found(world, HISTORY_UNREAD), 2, "the offset, and the record");
    cr_assert_eq(model_faults(&world->model), 3);
    free_world(world);
}

/* A partition that ends too early has lost its last records. */
Test(kill_model, finds_a_lost_tail)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    world->ends[partition_of(world, SENT) - 3]--;
    read_all(world, SENT);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(found(world, HISTORY_P1), 1);
    cr_assert_eq(found(world, HISTORY_DURABLE), 1);
    free_world(world);
}

/* Every record needs an outcome, and just one. */
Test(kill_model, finds_missing_and_second_outcomes)
{
    struct world *world = sent_all();
    ack_all(world, 31);
    const xdock_ack_t again = ack_of(world, 32);
    model_ack(&world->model, CHANNEL, &again, ++world->now_ns);
    read_all(world, 0);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(world->model.faults[MODEL_NOT_ACKED], 1);
    cr_assert_eq(world->model.faults[MODEL_ACKED_TWICE], 1);
    cr_assert_eq(model_faults(&world->model), 2);
    free_world(world);
}

/* A record that comes a second time, at a new offset, is doubled. */
Test(kill_model, finds_a_doubled_record)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    read_all(world, 0);
    xdock_view_t view = view_of(world, SENT / 2);
    view.offset = world->ends[view.partition - 3]++;
    view.append_time_us = SENT;
    read_one(world, &view);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(found(world, HISTORY_P1), 1);
    cr_assert_eq(found(world, HISTORY_P4), 1);
    free_world(world);
}

/* Each part of a record counts, down to the last byte of the payload. */
Test(kill_model, finds_altered_records)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    for (uint64_t sequence = 1; sequence <= SENT; sequence++) {
        xdock_view_t view = view_of(world, sequence);
        struct model_content *content = &world->contents[sequence - 1];
        if (sequence == 1)
            content->payload[content->payload_bytes - 1] ^= 1;
        if (sequence == 2)
            view.payload.bytes--;
        if (sequence == 3)
            content->document[1] ^= 1;
        if (sequence == 4)
            view.type++;
        if (sequence == 5)
            content->sku[5] ^= 1;
        if (sequence == 6)
            content->location[5] ^= 1;
        read_one(world, &view);
    }
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(found(world, HISTORY_CONTENT), 6);
    cr_assert_eq(model_faults(&world->model), 6);
    free_world(world);
}

/* Records that change places break the sequence of the channel and what was acknowledged. */
Test(kill_model, finds_records_out_of_sequence)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    uint64_t two = 2;
    while (partition_of(world, two) != partition_of(world, 1))
        two++;
    for (uint64_t sequence = 1; sequence <= SENT; sequence++) {
        uint64_t shown = sequence == 1 ? two : sequence == two ? 1 : sequence;
        xdock_view_t view = view_of(world, shown);
        view.offset = world->offsets[sequence - 1];
        view.append_time_us = (int64_t)sequence;
        read_one(world, &view);
    }
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(found(world, HISTORY_P5), 1);
    cr_assert_eq(found(world, HISTORY_CLAIM), 2);
    free_world(world);
}

/* What nobody sent is found, in our channel or in another one. */
Test(kill_model, finds_strangers)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    read_all(world, 0);
    xdock_view_t view = view_of(world, SENT);
    model_read(&world->model, MODEL_CHANNELS, &view, 1, ++world->now_ns);
    view.sequence = SENT + 1;
    view.offset = world->ends[view.partition - 3]++;
    read_one(world, &view);
    cr_assert_eq(model_judge(&world->model, 1), 0);
    cr_assert_eq(world->model.faults[MODEL_STRANGE], 1);
    cr_assert_eq(found(world, HISTORY_P2), 1);
    cr_assert_eq(model_faults(&world->model), 2);
    free_world(world);
}

/* A refusal is no outcome that may stay unnoticed, nor is an answer that promises less or belongs
 * to something else. */
Test(kill_model, finds_refusals_and_weak_and_strange_answers)
{
    struct world *world = sent_all();
    xdock_ack_t acks[4] = {ack_of(world, 1), ack_of(world, 2), ack_of(world, 3), ack_of(world, 4)};
    acks[0].status = XDOCK_SEQUENCE_REUSED;
    acks[1].durability = XDOCK_MEMORY;
    acks[2].sequence = 4;
    acks[3].user = SENT;
    for (unsigned i = 0; i < 4; i++)
        model_ack(&world->model, CHANNEL, &acks[i], ++world->now_ns);
    cr_assert_eq(world->model.faults[MODEL_REFUSED], 1);
    cr_assert_eq(world->model.faults[MODEL_WEAK], 1);
    cr_assert_eq(world->model.faults[MODEL_STRANGE], 2);
    cr_assert_eq(world->model.appended, 1);
    free_world(world);
}

/* Many kills in which nothing had to be sent again have shown nothing. */
Test(kill_model, calls_a_run_without_resends_too_tame)
{
    struct world *world = sent_all();
    ack_all(world, 0);
    read_all(world, 0);
    cr_assert_eq(model_judge(&world->model, 10), 0);
    cr_assert_eq(world->model.faults[MODEL_TAME], 1);
    free_world(world);
}

/* A history that could not be kept is not judged. */
Test(kill_model, does_not_judge_an_incomplete_history)
{
    struct world *world = sent_all();
    world->model.history.status = -ENOMEM;
    cr_assert_eq(model_judge(&world->model, 1), -ENOMEM);
    free_world(world);
}
