/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/producer.h"

static void put_raw(const struct xd_frame *frame, const void *body)
{
    xd_frame_encode(frame, broker->out + broker->out_end);
    memcpy(broker->out + broker->out_end + XD_FRAME_HEADER_BYTES, body, frame->length);
    broker->out_end += XD_FRAME_HEADER_BYTES + frame->length;
}

/* What a broker must not send breaks the connection; the client comes back and loses nothing. */
static void expect_break(const struct xd_frame *frame, const void *body)
{
    broker = fake_broker_new();
    client = open_client(broker, NULL);
    producer = open_producer(client);
    put_raw(frame, body);
    cr_assert_geq(xdock_client_step(client, 0), 0);
    cr_assert_not(broker->up, "op %x was taken", frame->op);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_flush(producer, 5000), 0);
    cr_assert_eq(broker->connects, 2);
    close_all(broker, client);
}

/* A reply to a request that is not out. */
Test(connection_receive, breaks_on_a_reply_that_nobody_asked_for)
{
    const uint8_t body[32] = {0};
    expect_break(&(struct xd_frame){.length = 32,
                                    .op = XD_OP_READ,
                                    .version = 1,
                                    .flags = XD_FRAME_REPLY,
                                    .correlation = 5},
                 body);
}

/* A push that no client knows. */
Test(connection_receive, breaks_on_an_unknown_push)
{
    expect_break(
        &(struct xd_frame){.length = 8, .op = 0x0777, .version = 1, .flags = XD_FRAME_PUSH},
        "\0\0\0\0\0\0\0");
}

/* An ACK that is cut short, one for a batch that is not out, one that settles more bytes than were
 * sent. */
Test(connection_receive, breaks_on_acks_that_cannot_be)
{
    struct {
        struct xd_ack_head head;
        struct xd_ack ack;
    } body = {.head = {.ack_count = 1},
              .ack = {.producer_id = 1,
                      .partition = fake_partition_base(1, 1),
                      .first_sequence = 9,
                      .last_sequence = 9,
                      .record_count = 1}};
    struct xd_frame frame = {
        .length = sizeof(body), .op = XD_OP_ACK, .version = 1, .flags = XD_FRAME_PUSH};
    expect_break(&frame, &body);
    body.head.acked_bytes = 4096;
    body.ack.producer_id = 77;
    expect_break(&frame, &body);
    frame.length = 50;
    expect_break(&frame, &body);
}

/* Frames whose lengths are no multiple of 8 leave the next ones unaligned; all of them arrive. */
Test(connection_receive, aligns_frames_behind_odd_ones, .init = start_producer, .fini = finish)
{
    broker->hold_acks = true;
    broker->refuse_status = XD_FIELD_INVALID; /* its ack carries a text of 7 bytes */
    broker->refuse_count = 3;
    for (uint64_t i = 0; i < 9; i++)
        post_alone(client, producer, i < 3 ? "SKU-1" : "SKU-2", i);
    broker->hold_acks = false;
    fake_broker_release_acks(broker);
    xdock_ack_t acks[9];
    take_acks(producer, acks, 9);
    int refused = 0;
    for (int i = 0; i < 9; i++)
        refused += acks[i].status == XD_FIELD_INVALID ? 1 : 0;
    cr_assert_eq(refused, 3);
    cr_assert_eq(broker->connects, 1);
}

/* A READ reply that arrives in pieces goes straight to the reader, and an owner that has gone in
 * the middle of it is not written to any more. */
Test(connection_receive, drops_the_rest_for_an_owner_that_is_gone, .init = start_client,
     .fini = finish)
{
    for (uint64_t i = 1; i <= 40; i++)
        fake_broker_append(broker, fake_partition_base(1, 1), "SKU-1", i);
    const xdock_selection_t selection = {.struct_bytes = sizeof(selection),
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .facility = "DC07",
                                         .partition = (int32_t)fake_partition_base(1, 1)};
    xdock_reader_t *reader = NULL;
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), 0);
    broker->recv_bytes_max = 300;
    for (int i = 0; i < 3; i++)
        cr_assert_geq(xdock_client_step(client, 0), 0);
    cr_assert_not_null(client->connection.sink_pending);
    xdock_reader_close(&reader);
    broker->recv_bytes_max = 0;
    const char *reply = NULL;
    cr_assert_eq(xdock_admin_call(client, "echo", "{\"a\":1}", 1000, &reply), 0);
    cr_assert_str_eq(reply, "{\"a\":1}");
    cr_assert_eq(broker->connects, 1);
}
