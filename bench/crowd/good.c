/* SPDX-License-Identifier: Apache-2.0
 *
 * Those of a crowd that behave: idle and active ones; see crowd.h.
 */
#include "bench/crowd/crowd.h"

#include "bench/check.h"
#include "bench/machine.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define NS_PER_MS 1000000ull

static int say_hello(struct crowd *crowd, struct member *member)
{
    member->state = CROWD_GREETING;
    member->out_bytes = talk_hello(member->out);
    member->out_at = 0;
    return member_send(crowd, member);
}

static int open_channel(struct crowd *crowd, struct member *member)
{
    char name[TALK_NAME_BYTES];
    member_name(crowd, member, name);
    member->state = CROWD_OPENING;
    member->out_bytes =
        talk_open(crowd->options.source, name, crowd->options.facility, member->out);
    member->out_at = 0;
    return member_send(crowd, member);
}

/* The next record, or the same one again. */
static int ask(struct crowd *crowd, struct member *member)
{
    BENCH_ASSERT(member->kind == CROWD_ACTIVE && member->out_at == member->out_bytes);
    member->state = CROWD_ASKING;
    member->out_at = 0;
    return member_send(crowd, member);
}

static int ask_next(struct crowd *crowd, struct member *member)
{
    uint64_t last = member->channel.last_sequence;
    talk_produce_number(member->out, last + 1, last);
    member->sent_ns = machine_now_ns();
    crowd->asking++;
    return ask(crowd, member);
}

void good_start(struct crowd *crowd)
{
    crowd->working = true;
    for (uint32_t i = 0; i < crowd->good; i++) {
        struct member *member = &crowd->members[i];
        if (member->kind == CROWD_ACTIVE && member->state == CROWD_SERVED)
            (void)ask_next(crowd, member); /* A connection that is gone is told by epoll too. */
    }
}

void good_retry(struct crowd *crowd, uint64_t now_ns)
{
    for (uint32_t i = 0; i < crowd->good && crowd->put_off > 0; i++) {
        struct member *member = &crowd->members[i];
        if (member->state != CROWD_PUT_OFF || now_ns < member->due_ns)
            continue;
        crowd->put_off--;
        (void)ask(crowd, member);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void arrive(struct crowd *crowd, struct member *member)
{
    member->state = CROWD_SERVED;
    crowd->gathering--;
    crowd->open++;
}

static int take_hello(struct crowd *crowd, struct member *member, const uint8_t *payload,
                      uint32_t bytes)
{
    int status = talk_status_of(payload, bytes);
    if (status < 0)
        return status;
    if (member->kind == CROWD_ACTIVE)
        return open_channel(crowd, member);
    arrive(crowd, member);
    return 0;
}

static int take_channel(struct crowd *crowd, struct member *member, const uint8_t *payload,
                        uint32_t bytes)
{
    char name[TALK_NAME_BYTES];
    uint32_t record_bytes = crowd->options.record_bytes;
    int status = talk_channel_of(payload, bytes, &member->channel);
    if (status < 0)
        return status;
    member_name(crowd, member, name);
    status = talk_produce_make(&member->channel, &crowd->place, name, record_bytes, member->out);
    if (status < 0)
        return status;
    member->out_bytes = member->out_at = talk_produce_bytes(record_bytes);
    arrive(crowd, member);
    return crowd->working ? ask_next(crowd, member) : 0;
}

/* 0, or -errno: the connection is gone. */
static int take_outcome(struct crowd *crowd, struct member *member, const struct xd_ack *ack)
{
    struct crowd_totals *totals = &crowd->totals;
    uint64_t now_ns = machine_now_ns();
    if (ack->status < 0 && xd_status_class(ack->status) == XD_CLASS_BACKOFF) {
        member->state = CROWD_PUT_OFF;
        member->due_ns = now_ns + ack->retry_after_ms * NS_PER_MS;
        crowd->put_off++;
        totals->put_off++;
        return 0;
    }
    crowd->asking--;
    member->state = CROWD_SERVED;
    if (ack->status < 0) {
        totals->first_failure = totals->failed == 0 ? ack->status : totals->first_failure;
        totals->failed++;
        return 0; /* It stays, but does not know any more what its next record is. */
    }
    member->channel.last_sequence++;
    member->acked++;
    totals->acked++;
    if (now_ns >= crowd->begin_ns && now_ns < crowd->end_ns)
        latency_add(&totals->latency, now_ns - member->sent_ns, 1);
    return crowd->working ? ask_next(crowd, member) : 0;
}

static int take_acks(struct crowd *crowd, struct member *member, const uint8_t *payload,
                     uint32_t bytes)
{
    struct xd_ack_view view;
    const char *field = "";
    int status = xd_ack_decode(payload, bytes, &view, &field);
    if (status < 0)
        return status;
    const struct xd_ack *ack = &view.acks[0];
    if (member->state != CROWD_ASKING || view.fixed.ack_count != 1 ||
        ack->last_sequence != member->channel.last_sequence + 1)
        return -EPROTO;
    return take_outcome(crowd, member, ack);
}

static int take_frame(struct crowd *crowd, struct member *member, const struct xd_frame *frame)
{
    const uint8_t *payload = member->in + XD_FRAME_HEADER_BYTES;
    if (frame->op == XD_OP_ACK)
        return take_acks(crowd, member, payload, frame->length);
    if (frame->op == XD_OP_GOAWAY)
        return -ECONNRESET;
    if (member->state == CROWD_GREETING && frame->correlation == TALK_HELLO)
        return take_hello(crowd, member, payload, frame->length);
    if (member->state == CROWD_OPENING && frame->correlation == TALK_OPEN)
        return take_channel(crowd, member, payload, frame->length);
    return -EPROTO;
}

static int receive(struct crowd *crowd, struct member *member)
{
    struct xd_frame frame;
    ssize_t got =
        recv(member->fd, member->in + member->in_bytes, CROWD_IN_BYTES - member->in_bytes, 0);
    if (got <= 0)
        return got == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
    member->in_bytes += (uint32_t)got;
    for (;;) {
        int status = xd_frame_decode(member->in, member->in_bytes,
                                     CROWD_IN_BYTES - XD_FRAME_HEADER_BYTES, &frame);
        if (status <= 0)
            return status;
        uint32_t used = XD_FRAME_HEADER_BYTES + frame.length;
        if (member->in_bytes < used)
            return 0;
        status = take_frame(crowd, member, &frame);
        if (status < 0)
            return status;
        member->in_bytes -= used;
        memmove(member->in, member->in + used, member->in_bytes);
    }
}

int good_event(struct crowd *crowd, struct member *member, uint32_t events)
{
    int status = 0;
    BENCH_ASSERT(member->in != NULL && member->state != CROWD_AWAY);
    if (member->state == CROWD_CONNECTING) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            return -ECONNREFUSED;
        return say_hello(crowd, member);
    }
    if ((events & EPOLLOUT) != 0)
        status = member_send(crowd, member);
    if (status == 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        status = receive(crowd, member);
    return status;
}
