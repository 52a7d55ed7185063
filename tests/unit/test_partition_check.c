/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/partition/check.c: a batch is taken only when each of its records belongs exactly there;
 * the refusal names the record and the field.
 */
#include "broker/partition/catalog.h"

#include "tests/support/batch_kit.h"
#include "tests/support/catalog_kit.h"

/* Topic "stock" with 4 partitions per facility, facility DC07 (number 1). */
struct check {
    struct catalog_kit kit;
    struct batch_build build;
    struct batch_target target;
    uint32_t record;   /* of the refusal */
    const char *field; /* of the refusal */
};

static void check_begin(struct check *check)
{
    kit_begin(&check->kit, 4, 64);
    kit_topic(&check->kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&check->kit, "DC07");
    check->target = (struct batch_target){
        .producer_id = 3,
        .producer_epoch = 1,
        .channel_epoch = 2,
        .facility = 1,
        .partition = 4 + xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, "SKU-1"), 4),
        .strategy = XD_STRATEGY_SKU};
}

static struct xd_record_core *core_of(struct check *check)
{
    return (struct xd_record_core *)(void *)(check->build.bytes + XD_BATCH_HEADER_BYTES);
}

/* Three records of one SKU, sequences 11, 12 and 15. */
static void check_build(struct check *check)
{
    batch_begin(&check->build, &check->target, 10);
    batch_add(&check->build, 11, "SKU-1", "one", 3);
    batch_add(&check->build, 12, "SKU-1", "two", 3);
    batch_add(&check->build, 15, "SKU-1", "three", 5);
    batch_end(&check->build);
}

static int check_run(struct check *check)
{
    check->record = 99;
    check->field = "";
    return catalog_check_records(&check->kit.catalog, &check->build.header,
                                 check->build.bytes + XD_BATCH_HEADER_BYTES,
                                 check->build.header.raw_bytes, &check->record, &check->field);
}

static void expect(struct check *check, int status, uint32_t record, const char *field)
{
    cr_assert_eq(check_run(check), status);
    cr_assert_eq(check->record, record);
    cr_assert_str_eq(check->field, field);
}

/* The batch of a well-behaved client passes. */
Test(partition_check, takes_a_batch_that_belongs_there)
{
    struct check check;
    check_begin(&check);
    check_build(&check);
    cr_assert_eq(check_run(&check), 0, "%s", check.field);
    kit_end(&check.kit);
}

/* Each identity field of a record is compared with the batch. */
Test(partition_check, names_the_record_and_the_field)
{
    struct check check;
    check_begin(&check);
    check_build(&check);
    core_of(&check)->channel = 4;
    expect(&check, XD_RECORD_MALFORMED, 0, "channel");
    check_build(&check);
    core_of(&check)->channel_epoch = 1;
    expect(&check, XD_RECORD_MALFORMED, 0, "channel_epoch");
    check_build(&check);
    core_of(&check)->facility = 0;
    expect(&check, XD_PARTITION_WRONG, 0, "facility");
    check_build(&check);
    core_of(&check)->route_key ^= 1;
    expect(&check, XD_PARTITION_WRONG, 0, "route_key");
    kit_end(&check.kit);
}

/* Sequences: the first is the batch's first, they rise, the last is the batch's last. */
Test(partition_check, sequences_rise_inside_the_batch_and_meet_its_ends)
{
    struct check check;
    check_begin(&check);
    check_build(&check);
    core_of(&check)->source_sequence = 10; /* before the batch */
    expect(&check, XD_RECORD_MALFORMED, 0, "source_sequence");
    check_build(&check);
    core_of(&check)->source_sequence = 12; /* not its first; the next one then does not rise */
    expect(&check, XD_RECORD_MALFORMED, 0, "source_sequence");
    check_build(&check);
    check.build.header.last_sequence = 14;
    expect(&check, XD_RECORD_MALFORMED, 2, "source_sequence");
    check_build(&check);
    check.build.header.last_sequence = 16;
    expect(&check, XD_RECORD_MALFORMED, 2, "last_sequence");
    kit_end(&check.kit);
}

/* The body holds exactly record_count records. */
Test(partition_check, counts_the_records_of_the_body)
{
    struct check check;
    check_begin(&check);
    check_build(&check);
    check.build.header.record_count = 2;
    expect(&check, XD_RECORD_MALFORMED, 1, "record_count");
    check_build(&check);
    check.build.header.record_count = 4;
    cr_assert(check_run(&check) < 0);
    cr_assert_eq(check.record, 3);
    kit_end(&check.kit);
}

/* A record of another bucket is refused although everything else is right. */
Test(partition_check, refuses_a_record_of_another_bucket)
{
    struct check check;
    check_begin(&check);
    static const char *const others[] = {"SKU-2", "SKU-3", "SKU-4", "SKU-5", "SKU-6", "SKU-7"};
    const char *other = NULL;
    for (uint32_t i = 0; i < 6 && other == NULL; i++)
        if (4 + xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, others[i]), 4) !=
            check.target.partition)
            other = others[i];
    cr_assert_not_null(other);
    batch_begin(&check.build, &check.target, 0);
    batch_add(&check.build, 1, "SKU-1", "x", 1);
    batch_add(&check.build, 2, other, "x", 1);
    batch_end(&check.build);
    expect(&check, XD_PARTITION_WRONG, 1, "partition");
    kit_end(&check.kit);
}

/* No bit of the cores can be turned without notice where it says who, when and where to; no damage
 * anywhere makes the check read outside the body. */
Test(partition_check, survives_damage_in_any_byte)
{
    struct check check;
    check_begin(&check);
    check_build(&check);
    for (uint32_t i = XD_BATCH_HEADER_BYTES; i < check.build.used; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            check.build.bytes[i] ^= (uint8_t)(1u << bit);
            int status = check_run(&check);
            cr_assert(status == 0 || status == XD_RECORD_MALFORMED ||
                      status == XD_RECORD_TOO_LARGE || status == XD_PARTITION_WRONG);
            uint32_t at = i - XD_BATCH_HEADER_BYTES;
            bool identity = (at >= 16 && at < 24) || (at >= 40 && at < 52) || at == 60 || at == 61;
            cr_assert(!identity || status < 0, "byte %u bit %u", at, bit);
            check.build.bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    kit_end(&check.kit);
}
