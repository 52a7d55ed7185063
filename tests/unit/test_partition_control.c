/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/partition/control.c: control batches are valid batches, come back as they were written,
 * and a body that breaks a rule is named corruption.
 */
#include "broker/partition/control.h"

#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

/* A control batch in aligned memory. */
struct memory {
    union {
        struct xd_batch_header batch;
        _Alignas(8) uint8_t bytes[512];
    };
};

static struct control_session session_body(void)
{
    struct control_session body = {.channel = 7,
                                   .facility = 2,
                                   .producer_epoch = 9,
                                   .channel_epoch = 3,
                                   .source_bytes = 3,
                                   .name_bytes = 4};
    memcpy(body.source, "wms", 3);
    memcpy(body.name, "dc07", 4);
    return body;
}

static struct control_config topic_body(void)
{
    struct control_config body = {
        .object = CONTROL_TOPIC, .strategy = 1, .width = 8, .number = 1, .name_bytes = 5};
    memcpy(body.name, "stock", 5);
    return body;
}

/* What is encoded passes the checks of a stored batch and decodes to the same body. */
Test(partition_control, comes_back_as_it_was_written)
{
    struct memory memory;
    struct control_session body = session_body();
    struct control_session decoded;
    const char *why = NULL;
    const char *field = NULL;
    control_encode(CONTROL_SESSION, &body, sizeof body, 1234567, memory.bytes);
    cr_assert_eq(memory.batch.batch_bytes, control_bytes(sizeof body));
    cr_assert_eq(memory.batch.append_time_us, 1234567);
    cr_assert_eq(memory.batch.control_kind, CONTROL_SESSION);
    cr_assert_eq(memory.batch.partition, XD_PARTITION_NONE);
    cr_assert_eq(memory.batch.record_count, 0);
    cr_assert_eq(xd_batch_check_stored(&memory.batch, sizeof memory, &field), 0, "%s", field);
    cr_assert_eq(xd_batch_check_hash(&memory.batch), 0);
    cr_assert_eq(control_session_decode(&memory.batch, &decoded, &why), 0, "%s", why);
    cr_assert_eq(memcmp(&decoded, &body, sizeof body), 0);

    struct control_config topic = topic_body();
    struct control_config again;
    control_encode(CONTROL_CONFIG, &topic, sizeof topic, 5, memory.bytes);
    cr_assert_eq(control_config_decode(&memory.batch, &again, &why), 0, "%s", why);
    cr_assert_eq(memcmp(&again, &topic, sizeof topic), 0);
}

/* Kinds have names; an unknown one has none. */
Test(partition_control, names_its_kinds)
{
    cr_assert_str_eq(control_kind_name(CONTROL_SESSION), "SESSION");
    cr_assert_str_eq(control_kind_name(CONTROL_CONFIG), "CONFIG");
    cr_assert_null(control_kind_name(0));
    cr_assert_null(control_kind_name(999));
}

static int decode_session(const struct control_session *body)
{
    struct memory memory;
    struct control_session decoded;
    const char *why = NULL;
    control_encode(CONTROL_SESSION, body, sizeof *body, 1, memory.bytes);
    int status = control_session_decode(&memory.batch, &decoded, &why);
    cr_assert_eq(why == NULL, status == 0);
    return status;
}

/* Numbers that are never zero, and names, are checked. */
Test(partition_control, refuses_a_session_body_that_breaks_a_rule)
{
    struct control_session good = session_body();
    struct control_session bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].channel = 0;
    bad[1].producer_epoch = 0;
    bad[2].channel_epoch = 0;
    bad[3].source_bytes = 0;
    bad[4].name_bytes = XD_NAME_BYTES_MAX + 1;
    bad[5].source[1] = ' ';
    bad[6].name[20] = 'x';   /* behind its end */
    bad[7].source_bytes = 2; /* the third character is behind its end */
    cr_assert_eq(decode_session(&good), 0);
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(decode_session(&bad[i]), XD_LOG_CORRUPT, "row %zu", i);
}

static int decode_config(const struct control_config *body)
{
    struct memory memory;
    struct control_config decoded;
    const char *why = NULL;
    control_encode(CONTROL_CONFIG, body, sizeof *body, 1, memory.bytes);
    int status = control_config_decode(&memory.batch, &decoded, &why);
    cr_assert_eq(why == NULL, status == 0);
    return status;
}

/* Objects, strategies and widths outside their set are refused; a facility has neither of the two.
 */
Test(partition_control, refuses_a_config_body_that_breaks_a_rule)
{
    struct control_config good = topic_body();
    struct control_config bad[11];
    for (size_t i = 0; i < 11; i++)
        bad[i] = good;
    bad[0].object = 0;
    bad[1].object = 3;
    bad[2].strategy = 6;
    bad[3].width = 0;
    bad[4].width = XD_PARTITION_WIDTH_MAX + 1;
    bad[5].number = 0;
    bad[6].reserved1[3] = 1;
    bad[7].name_bytes = 4;
    bad[8].object = CONTROL_FACILITY; /* with a strategy and a width */
    bad[9].reserved0 = 1;
    bad[10].shard = 1; /* a topic is everywhere */
    cr_assert_eq(decode_config(&good), 0);
    for (size_t i = 0; i < 11; i++)
        cr_assert_eq(decode_config(&bad[i]), XD_LOG_CORRUPT, "row %zu", i);
    bad[8].strategy = 0;
    cr_assert_eq(decode_config(&bad[8]), XD_LOG_CORRUPT);
    bad[8].width = 0;
    cr_assert_eq(decode_config(&bad[8]), 0);
    bad[8].shard = XD_SHARDS_MAX - 1;
    cr_assert_eq(decode_config(&bad[8]), 0);
    bad[8].shard = XD_SHARDS_MAX;
    cr_assert_eq(decode_config(&bad[8]), XD_LOG_CORRUPT);
}

/* A body of another length is refused before it is looked at. */
Test(partition_control, refuses_a_body_of_another_length)
{
    struct memory memory;
    struct control_session body = session_body(), session;
    struct control_config config = topic_body();
    const char *why = NULL;
    control_encode(CONTROL_CONFIG, &config, sizeof config, 1, memory.bytes);
    cr_assert_eq(control_session_decode(&memory.batch, &session, &why), XD_LOG_CORRUPT);
    cr_assert_not_null(why);
    why = NULL;
    control_encode(CONTROL_SESSION, &body, sizeof body, 1, memory.bytes);
    cr_assert_eq(control_config_decode(&memory.batch, &config, &why), XD_LOG_CORRUPT);
    cr_assert_not_null(why);
}
