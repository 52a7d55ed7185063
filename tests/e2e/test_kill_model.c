/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/e2e/kill_model.h: the judge of the kill test finds every violation that it has a name for.
 * Records are made here; the accessors of the library are replaced by ones that hand out
 * `internal`.
 */
#include <criterion/criterion.h>

#include "tests/e2e/kill_model.h"

#include <string.h>

#define SEED 5u
#define SENT 8000u

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

/* A record as it should come: SKUs with even numbers in partition 3, others in 4. `offset` counts.
 */
static void make(uint64_t sequence, struct model_content *content, uint64_t offsets[2],
                 xdock_view_t *ret_view)
{
    model_content(SEED, 1, sequence, content);
    uint32_t bucket = content->sku_index % 2;
    *ret_view = (xdock_view_t){.sequence = sequence,
                               .offset = offsets[bucket]++,
                               .partition = 3 + bucket,
                               .type = XDOCK_STOCK_MOVED,
                               .payload = xdock_bytes(content->payload, content->payload_bytes),
                               .internal = content};
}

static void ack(struct model *model, uint64_t sequence, int32_t status, uint8_t durability)
{
    const xdock_ack_t outcome = {
        .user = sequence, .sequence = sequence, .status = status, .durability = durability};
    model_ack(model, 1, &outcome);
}

/* A model of a run in which all went well, up to what `skip` names (0 = nothing). */
static void run_well(struct model *model, uint64_t skip_ack, uint64_t skip_read)
{
    struct model_content content;
    xdock_view_t view;
    uint64_t offsets[2] = {0, 0};
    cr_assert_eq(model_init(model, SEED, SENT), 0);
    model->channels[1].sent = SENT;
    for (uint64_t sequence = 1; sequence <= SENT; sequence++) {
        if (sequence != skip_ack)
            ack(model, sequence, sequence % 7 == 0 ? XDOCK_DUPLICATE : 0, XDOCK_FSYNC);
        if (sequence == skip_read)
            continue;
        make(sequence, &content, offsets, &view);
        model_read(model, 1, &view);
    }
}

static void assert_only(const struct model *model, enum model_fault fault, uint64_t count)
{
    for (unsigned i = 0; i < MODEL_FAULT_COUNT; i++)
        cr_assert_eq(model->faults[i], i == fault ? count : 0, "%s: %lu",
                     model_fault_name((enum model_fault)i), model->faults[i]);
}

/* Nothing is found where nothing is wrong, and the figures are right. */
Test(kill_model, passes_a_run_without_violations)
{
    struct model model;
    run_well(&model, 0, 0);
    model_finish(&model);
    cr_assert_eq(model_faults(&model), 0);
    cr_assert_eq(model.read_count, SENT);
    cr_assert_eq(model.duplicates, SENT / 7);
    cr_assert_eq(model.appended, SENT - SENT / 7);
    model_deinit(&model);
}

/* A record that was sent and cannot be read is lost. */
Test(kill_model, finds_a_lost_record)
{
    struct model model;
    run_well(&model, 0, 777);
    model_finish(&model);
    assert_only(&model, MODEL_LOST, 1);
    model_deinit(&model);
}

/* Every record needs an outcome, and just one. */
Test(kill_model, finds_missing_and_second_outcomes)
{
    struct model model;
    run_well(&model, 31, 0);
    model_finish(&model);
    assert_only(&model, MODEL_NOT_ACKED, 1);
    ack(&model, 32, 0, XDOCK_FSYNC);
    cr_assert_eq(model.faults[MODEL_ACKED_TWICE], 1);
    model_deinit(&model);
}

/* A record that comes a second time, at a new offset, is doubled and out of every sequence. */
Test(kill_model, finds_a_doubled_record)
{
    struct model model;
    struct model_content content;
    xdock_view_t view;
    uint64_t offsets[2];
    run_well(&model, 0, 0);
    offsets[0] = model.next_offset[3];
    offsets[1] = model.next_offset[4];
    make(SENT / 2, &content, offsets, &view);
    model_read(&model, 1, &view);
    model_finish(&model);
    cr_assert_eq(model.faults[MODEL_DOUBLED], 1);
    cr_assert_eq(model.faults[MODEL_CHANNEL_SEQUENCE], 1);
    cr_assert_eq(model.faults[MODEL_OFFSET_GAP], 0);
    cr_assert_eq(model.faults[MODEL_LOST], 0);
    model_deinit(&model);
}

/* Each part of a record counts, down to the last byte of the payload. */
Test(kill_model, finds_altered_records)
{
    struct model model;
    struct model_content content;
    xdock_view_t view;
    uint64_t offsets[2] = {0, 0};
    cr_assert_eq(model_init(&model, SEED, SENT), 0);
    model.channels[1].sent = 4;
    for (uint64_t sequence = 1; sequence <= 4; sequence++) {
        make(sequence, &content, offsets, &view);
        if (sequence == 1)
            content.payload[content.payload_bytes - 1] ^= 1;
        if (sequence == 2)
            view.payload.bytes--;
        if (sequence == 3)
            content.document[1] ^= 1;
        if (sequence == 4)
            view.type++;
        model_read(&model, 1, &view);
        ack(&model, sequence, 0, XDOCK_FSYNC);
    }
    model_finish(&model);
    assert_only(&model, MODEL_ALTERED, 4);
    model_deinit(&model);
}

/* Records that change places break the sequence of the channel, and of the SKU if it is theirs. */
Test(kill_model, finds_records_out_of_sequence)
{
    struct model model;
    struct model_content one, two;
    xdock_view_t first, second;
    uint64_t offsets[2] = {0, 0};
    cr_assert_eq(model_init(&model, SEED, SENT), 0);
    model.channels[1].sent = SENT;
    make(1, &one, offsets, &first);
    uint64_t sequence = 2;
    do {
        model_content(SEED, 1, sequence, &two);
    } while (two.sku_index != one.sku_index && ++sequence <= SENT);
    cr_assert_leq(sequence, SENT);
    offsets[one.sku_index % 2] = 0;
    make(sequence, &two, offsets, &second);
    first.offset = 1;
    model_read(&model, 1, &second);
    model_read(&model, 1, &first);
    cr_assert_eq(model.faults[MODEL_CHANNEL_SEQUENCE], 1);
    cr_assert_eq(model.faults[MODEL_SKU_SEQUENCE], 1);
    cr_assert_eq(model_faults(&model), 2);
    model_deinit(&model);
}

/* Offsets are dense, a SKU has one partition, nothing comes that nobody sent. */
Test(kill_model, finds_gaps_strays_and_strangers)
{
    struct model model;
    struct model_content content;
    xdock_view_t view;
    uint64_t offsets[2];
    run_well(&model, 0, 0);
    offsets[0] = model.next_offset[3] + 1;
    offsets[1] = model.next_offset[4] + 1;
    make(SENT, &content, offsets, &view);
    model_read(&model, 1, &view);
    cr_assert_eq(model.faults[MODEL_OFFSET_GAP], 1);
    view.partition = 5;
    view.offset = 0;
    model_read(&model, 1, &view);
    cr_assert_eq(model.faults[MODEL_MISPLACED], 1);
    view.sequence = SENT + 1;
    model_read(&model, 1, &view);
    view.sequence = 0;
    model_read(&model, 1, &view);
    view.sequence = 1;
    model_read(&model, MODEL_CHANNELS, &view);
    cr_assert_eq(model.faults[MODEL_NEVER_SENT], 3);
    model_deinit(&model);
}

/* A refusal is no outcome that may stay unnoticed, nor is an answer that promises less. */
Test(kill_model, finds_refusals_and_weak_answers)
{
    struct model model;
    cr_assert_eq(model_init(&model, SEED, SENT), 0);
    model.channels[1].sent = 2;
    ack(&model, 1, XDOCK_SEQUENCE_REUSED, XDOCK_FSYNC);
    ack(&model, 2, 0, XDOCK_MEMORY);
    cr_assert_eq(model.faults[MODEL_REFUSED], 1);
    cr_assert_eq(model.faults[MODEL_WEAK], 1);
    cr_assert_eq(model.appended, 1);
    model_deinit(&model);
}
