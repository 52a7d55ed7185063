/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake broker's transport, clock and life. Its frames are in fake_broker_frames.c, what it
 * knows in fake_broker_model.c.
 */
#include "tests/support/fake_broker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

static struct fake_broker *self_of(struct xd_transport *transport)
{
    return (struct fake_broker *)(void *)transport;
}

/* ---- transport ------------------------------------------------------------------------------- */

void fake_broker_cut(struct fake_broker *broker)
{
    broker->up = false;
    broker->connecting = false;
    broker->in_at = 0;
    broker->out_at = broker->out_end = 0;
    broker->ack_count = 0;
    broker->unanswered = 0;
    broker->acked_bytes = 0;
    for (uint32_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        broker->channels[i].held = false;
    memset(broker->waiters, 0, sizeof(broker->waiters));
    broker->waits = 0;
}

static int fake_connect_check(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    XD_ASSERT(broker->connecting);
    if (broker->connect_status == 1) {
        broker->connecting = false;
        broker->up = true;
        broker->connects++;
    }
    return broker->connect_status;
}

static int fake_connect(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    fake_broker_cut(broker);
    broker->attempts++;
    broker->connecting = true;
    return fake_connect_check(transport);
}

static int64_t fake_send(struct xd_transport *transport, const struct iovec *pieces,
                         int piece_count)
{
    struct fake_broker *broker = self_of(transport);
    if (!broker->up)
        return -EPIPE;
    if (broker->block_send)
        return -EAGAIN;
    uint64_t room = broker->send_bytes_max > 0 ? broker->send_bytes_max : UINT64_MAX;
    uint64_t taken = 0;
    for (int i = 0; i < piece_count && taken < room; i++) {
        uint64_t bytes = pieces[i].iov_len;
        bytes = bytes < room - taken ? bytes : room - taken;
        bytes = bytes < broker->cut_in_bytes ? bytes : broker->cut_in_bytes;
        XD_ASSERT(broker->in_at + bytes <= FAKE_IN_BYTES);
        memcpy(broker->in + broker->in_at, pieces[i].iov_base, bytes);
        broker->in_at += (uint32_t)bytes;
        taken += bytes;
        broker->in_bytes_total += bytes;
        if (broker->cut_in_bytes != FAKE_NEVER)
            broker->cut_in_bytes -= bytes;
        if (broker->cut_in_bytes == 0) {
            fake_frames_take(broker);
            broker->cut_in_bytes = FAKE_NEVER;
            fake_broker_cut(broker);
            return taken > 0 ? (int64_t)taken : -EPIPE;
        }
    }
    fake_frames_take(broker);
    return (int64_t)taken;
}

static int64_t fake_recv(struct xd_transport *transport, void *buffer, size_t bytes)
{
    struct fake_broker *broker = self_of(transport);
    if (!broker->up)
        return 0;
    fake_frames_serve(broker);
    uint64_t there = broker->out_end - broker->out_at;
    there = there < bytes ? there : bytes;
    if (broker->recv_bytes_max > 0 && there > broker->recv_bytes_max)
        there = broker->recv_bytes_max;
    there = there < broker->cut_out_bytes ? there : broker->cut_out_bytes;
    if (there == 0)
        return -EAGAIN;
    memcpy(buffer, broker->out + broker->out_at, there);
    broker->out_at += (uint32_t)there;
    broker->out_bytes_total += there;
    if (broker->cut_out_bytes != FAKE_NEVER)
        broker->cut_out_bytes -= there;
    if (broker->cut_out_bytes == 0) {
        broker->cut_out_bytes = FAKE_NEVER;
        fake_broker_cut(broker);
    }
    return (int64_t)there;
}

static short fake_wait(struct xd_transport *transport, short events, uint64_t deadline_ns)
{
    struct fake_broker *broker = self_of(transport);
    if (broker->up)
        fake_frames_serve(broker);
    if (events != 0 && !broker->up && !broker->connecting)
        return POLLHUP;
    if ((events & POLLIN) && broker->out_end > broker->out_at)
        return POLLIN;
    if ((events & POLLOUT) && broker->up && !broker->block_send)
        return POLLOUT;
    for (uint32_t i = 0; i < FAKE_WAITERS_MAX; i++) {
        if (broker->waiters[i].used && broker->waiters[i].deadline_ns < deadline_ns)
            deadline_ns = broker->waiters[i].deadline_ns;
    }
    XD_ASSERT(deadline_ns != XD_WAIT_FOREVER); /* nothing could ever end this wait */
    if (deadline_ns > broker->now_ns) {
        broker->waited_ns += deadline_ns - broker->now_ns;
        broker->wall_us += (int64_t)((deadline_ns - broker->now_ns) / 1000u);
        broker->now_ns = deadline_ns;
    }
    return 0;
}

static void fake_close(struct xd_transport *transport)
{
    fake_broker_cut(self_of(transport));
}

static int fake_fd(const struct xd_transport *transport)
{
    return ((const struct fake_broker *)(const void *)transport)->up ? 3 : -1;
}

/* A little time passes with every look at the clock, so that no loop is endless. */
static uint64_t fake_now_ns(struct xd_transport *transport)
{
    return self_of(transport)->now_ns += 10;
}

static int64_t fake_wall_us(struct xd_transport *transport)
{
    return self_of(transport)->wall_us;
}

static uint64_t fake_random64(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    broker->random = broker->random * 6364136223846793005ull + 1442695040888963407ull;
    return broker->random;
}

static int fake_check(const struct xd_transport *transport)
{
    return ((const struct fake_broker *)(const void *)transport)->check_status;
}

static void fake_free(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    fake_broker_cut(broker);
    broker->freed = true;
}

static const struct xd_transport_ops fake_ops = {
    .connect = fake_connect,
    .connect_check = fake_connect_check,
    .send = fake_send,
    .recv = fake_recv,
    .wait = fake_wait,
    .close = fake_close,
    .fd = fake_fd,
    .now_ns = fake_now_ns,
    .wall_us = fake_wall_us,
    .random64 = fake_random64,
    .check = fake_check,
    .free = fake_free,
};

struct fake_broker *fake_broker_new(void)
{
    struct fake_broker *broker = calloc(1, sizeof(*broker));
    XD_ASSERT(broker != NULL);
    broker->transport.ops = &fake_ops;
    broker->connect_status = 1;
    broker->cut_in_bytes = FAKE_NEVER;
    broker->cut_out_bytes = FAKE_NEVER;
    broker->refuse_resume = FAKE_NEVER;
    broker->open_chains_max = FAKE_CHAINS_MAX;
    broker->catalog_epoch = 1;
    broker->topic_count = 2;
    broker->catalog_rows_max = UINT32_MAX;
    broker->width = FAKE_WIDTH;
    broker->read_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX;
    broker->now_ns = 1000000000ull;
    broker->wall_us = 1790000000000000;
    broker->random = 42;
    broker->hello = (struct xd_hello_reply){.version = 1,
                                            .version_min = 1,
                                            .version_max = 1,
                                            .frame_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX,
                                            .batch_bytes_max = XD_BATCH_BYTES_MAX,
                                            .inflight_batches = XD_INFLIGHT_BATCHES_MAX,
                                            .connection_bytes = 8u << 20,
                                            .cluster_id = {1, 2}};
    broker->payload = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->body = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->reply = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->raw = malloc(XD_BATCH_RAW_BYTES_MAX);
    broker->in = malloc(FAKE_IN_BYTES);
    broker->out = malloc(FAKE_OUT_BYTES);
    broker->log = calloc(FAKE_BATCHES_MAX, sizeof(*broker->log));
    broker->acks = calloc(FAKE_ACKS_MAX, sizeof(*broker->acks));
    XD_ASSERT(broker->payload != NULL && broker->body != NULL);
    XD_ASSERT(broker->reply != NULL && broker->raw != NULL);
    XD_ASSERT(broker->in != NULL && broker->out != NULL);
    XD_ASSERT(broker->log != NULL && broker->acks != NULL);
    return broker;
}

void fake_broker_free(struct fake_broker *broker)
{
    XD_ASSERT(broker->freed);
    for (uint32_t i = 0; i < broker->batch_count; i++)
        free(broker->log[i].header);
    free(broker->payload);
    free(broker->body);
    free(broker->reply);
    free(broker->raw);
    free(broker->in);
    free(broker->out);
    free(broker->log);
    free(broker->acks);
    free(broker);
}
