/* SPDX-License-Identifier: Apache-2.0
 *
 * Those of a crowd that behave badly: storm, loris, mute; see crowd.h.
 */
#include "bench/crowd/crowd.h"

#include "bench/check.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define STORM_PINGS 3u
#define LORIS_PAYLOAD_BYTES 1024u /* of the PRODUCE frame that never becomes whole ... */
#define LORIS_CUT_BYTES 100u      /* ... and what there is of it, header included */
#define DROP_BYTES 4096u

/* ---- what they send -------------------------------------------------------------------------- */

/* A part of what a client would send, from nothing at all to the whole. */
static void write_storm(struct crowd *crowd, struct member *member)
{
    uint32_t hello_bytes = talk_hello(member->out);
    uint32_t bytes = hello_bytes;
    for (uint32_t i = 0; i < STORM_PINGS; i++)
        bytes += talk_ping(member->out + bytes);
    member->out_bytes = (uint32_t)prng_below(&crowd->prng, bytes + 1);
    member->waits = member->out_bytes >= hello_bytes && prng_chance(&crowd->prng, 32768);
    member->resets = prng_chance(&crowd->prng, 32768);
}

static void write_loris(struct member *member)
{
    const struct xd_frame frame = {
        .length = LORIS_PAYLOAD_BYTES, .op = XD_OP_PRODUCE, .version = 1};
    uint32_t hello_bytes = talk_hello(member->out);
    member->out_bytes = hello_bytes;
    if (member->way == CROWD_CUT_HELLO)
        member->out_bytes = hello_bytes / 2;
    if (member->way != CROWD_DRIP_PRODUCE && member->way != CROWD_CUT_PRODUCE)
        return;
    xd_frame_encode(&frame, member->out + hello_bytes);
    memset(member->out + hello_bytes + XD_FRAME_HEADER_BYTES, 0, LORIS_CUT_BYTES);
    member->out_bytes += LORIS_CUT_BYTES;
}

static void write_mute(const struct crowd *crowd, struct member *member)
{
    member->out_bytes = talk_hello(member->out);
    member->out_bytes += talk_read(crowd->place.base, member->out + member->out_bytes);
    member->out_bytes += talk_catalog(member->out + member->out_bytes);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int dial(struct crowd *crowd, struct member *member)
{
    int status = member_dial(crowd, member);
    if (status < 0)
        return status;
    member->out_at = 0;
    switch ((enum crowd_kind)member->kind) {
    case CROWD_STORM:
        crowd->totals.storms++;
        crowd->storm_dialled++;
        write_storm(crowd, member);
        break;
    case CROWD_LORIS:
        write_loris(member);
        break;
    case CROWD_MUTE:
        write_mute(crowd, member);
        break;
    case CROWD_IDLE:
    case CROWD_ACTIVE:
        BENCH_ASSERT(false);
    }
    return 0;
}

static bool storm_goes_on(const struct crowd *crowd, uint64_t now_ns)
{
    const struct crowd_options *options = &crowd->options;
    if (options->storms > 0 && crowd->totals.storms >= options->storms)
        return false;
    uint64_t seconds_ns = now_ns - crowd->storm_from_ns;
    return options->storm_rate == 0 ||
           crowd->storm_dialled * 1000000000u <= options->storm_rate * seconds_ns;
}

/* Loris and mute come once; the storm again and again. */
static bool ought_to_come(const struct crowd *crowd, const struct member *member, uint64_t now_ns)
{
    if (member->state != CROWD_AWAY)
        return false;
    return member->kind == CROWD_STORM ? storm_goes_on(crowd, now_ns) : member->out_bytes == 0;
}

/* Whether it sends a byte at a time now. */
static bool drips(const struct member *member)
{
    if (member->kind != CROWD_LORIS)
        return false;
    return member->way == CROWD_DRIP_HELLO ||
           (member->way == CROWD_DRIP_PRODUCE &&
            member->out_at >= member->out_bytes - LORIS_CUT_BYTES);
}

static void drip(struct crowd *crowd, struct member *member)
{
    uint32_t bytes = member->out_bytes;
    if (member->state != CROWD_SERVED || !drips(member) || member->out_at == bytes)
        return;
    member->out_bytes = member->out_at + 1;
    int status = member_send(crowd, member);
    member->out_bytes = bytes;
    if (status < 0)
        bad_ended(crowd, member);
}

int bad_turn(struct crowd *crowd, uint64_t now_ns)
{
    bool drop = now_ns >= crowd->drip_due_ns;
    if (drop)
        crowd->drip_due_ns = now_ns + crowd->options.drip_ns;
    for (uint32_t i = crowd->good; i < crowd->count; i++) {
        struct member *member = &crowd->members[i];
        int status = ought_to_come(crowd, member, now_ns) ? dial(crowd, member) : 0;
        if (status < 0 && status != -EAGAIN)
            return status;
        if (drop)
            drip(crowd, member);
    }
    return 0;
}

/* Everything was sent that it wanted to. */
static void sent_all(struct crowd *crowd, struct member *member)
{
    if (member->kind == CROWD_STORM && !member->waits)
        member_hang_up(crowd, member, member->resets);
    if (member->kind == CROWD_MUTE)
        member->out_at = talk_hello(member->out); /* Everything behind HELLO once more. */
}

static int send_more(struct crowd *crowd, struct member *member)
{
    uint32_t bytes = member->out_bytes;
    if (member->kind == CROWD_LORIS && member->way == CROWD_DRIP_HELLO)
        member->out_bytes = 1;
    if (member->kind == CROWD_LORIS && member->way == CROWD_DRIP_PRODUCE)
        member->out_bytes -= LORIS_CUT_BYTES;
    int status = 0;
    if (member->out_at < member->out_bytes)
        status = member_send(crowd, member);
    if (status == 0 && member->out_at >= member->out_bytes)
        sent_all(crowd, member);
    member->out_bytes = bytes;
    return status;
}

/* Drops what has come. 1: something was there; 0; -errno: it is gone. */
static int drop_input(const struct member *member)
{
    uint8_t bytes[DROP_BYTES];
    ssize_t got = recv(member->fd, bytes, sizeof bytes, 0);
    if (got <= 0)
        return got == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
    return 1;
}

int bad_event(struct crowd *crowd, struct member *member, uint32_t events)
{
    BENCH_ASSERT(member->kind >= CROWD_STORM && member->state != CROWD_AWAY);
    if (member->state == CROWD_CONNECTING) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            return -ECONNREFUSED;
        member->state = CROWD_SERVED;
        return send_more(crowd, member);
    }
    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0 && member->kind == CROWD_MUTE)
        return -ECONNRESET;
    if ((events & EPOLLOUT) != 0) {
        int status = send_more(crowd, member);
        if (status < 0 || member->state == CROWD_AWAY)
            return status;
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0 || member->kind == CROWD_MUTE)
        return 0;
    int status = drop_input(member);
    if (status > 0 && member->waits)
        member_hang_up(crowd, member, member->resets);
    return status < 0 ? status : 0;
}

void bad_ended(struct crowd *crowd, struct member *member)
{
    struct crowd_totals *totals = &crowd->totals;
    totals->storms_cut += member->kind == CROWD_STORM;
    totals->loris_ended += member->kind == CROWD_LORIS;
    totals->mute_ended += member->kind == CROWD_MUTE;
    member_hang_up(crowd, member, false);
}
