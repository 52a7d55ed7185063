/* SPDX-License-Identifier: Apache-2.0
 *
 * The crowd as a whole: its members' sockets, the loop, the goals; see crowd.h.
 */
#include "bench/crowd/crowd.h"

#include "bench/check.h"
#include "bench/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 1024u
#define WAIT_MS_MAX 100 /* longest wait of a turn */
#define WAIT_MS_BUSY 2  /* with somebody to dial, to drip or to send again */
#define OUT_BYTES_MIN 512u
#define INPUT_NUMBER UINT32_MAX /* standard input, among the numbers of members */

/* ---- members --------------------------------------------------------------------------------- */

static uint32_t number_of(const struct crowd *crowd, const struct member *member)
{
    return (uint32_t)(member - crowd->members);
}

void member_name(const struct crowd *crowd, const struct member *member, char *ret_name)
{
    snprintf(ret_name, TALK_NAME_BYTES, "C%07u", number_of(crowd, member) % 10000000u);
}

static int watch(const struct crowd *crowd, struct member *member, int how, bool writes)
{
    /* Who does not read is told of the end alone, else of what it does not read all the time. */
    uint32_t events = member->kind == CROWD_MUTE ? EPOLLRDHUP : EPOLLIN;
    struct epoll_event event = {.events = events | (writes ? EPOLLOUT : 0u),
                                .data.u32 = number_of(crowd, member)};
    member->writes = writes;
    return epoll_ctl(crowd->poll_fd, how, member->fd, &event) < 0 ? -errno : 0;
}

int member_dial(struct crowd *crowd, struct member *member)
{
    BENCH_ASSERT(member->fd < 0 && member->state == CROWD_AWAY);
    int status = dial_start(&crowd->dial, member->kind == CROWD_MUTE, &member->fd);
    if (status < 0)
        return status;
    member->state = CROWD_CONNECTING;
    member->in_bytes = 0;
    status = watch(crowd, member, EPOLL_CTL_ADD, true);
    BENCH_ASSERT(status == 0 || status == -ENOMEM || status == -ENOSPC);
    return status;
}

void member_hang_up(struct crowd *crowd, struct member *member, bool reset)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    BENCH_ASSERT(member->fd >= 0);
    (void)crowd;
    if (reset)
        (void)setsockopt(member->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(member->fd);
    member->fd = -1;
    member->state = CROWD_AWAY;
}

int member_send(struct crowd *crowd, struct member *member)
{
    BENCH_ASSERT(member->out_at <= member->out_bytes);
    while (member->out_at < member->out_bytes) {
        ssize_t sent = send(member->fd, member->out + member->out_at,
                            member->out_bytes - member->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return -errno;
        if (sent < 0)
            return member->writes ? 0 : watch(crowd, member, EPOLL_CTL_MOD, true);
        member->out_at += (uint32_t)sent;
    }
    /* A mute one always has more to send. */
    bool stops = member->writes && member->kind != CROWD_MUTE;
    return stops ? watch(crowd, member, EPOLL_CTL_MOD, false) : 0;
}

/* The broker has ended a good one, or has said what it does not understand. */
static void good_ended(struct crowd *crowd, struct member *member, int status)
{
    struct crowd_totals *totals = &crowd->totals;
    bool served = member->state >= CROWD_SERVED;
    crowd->put_off -= member->state == CROWD_PUT_OFF;
    crowd->asking -= member->state == CROWD_ASKING || member->state == CROWD_PUT_OFF;
    crowd->open -= served;
    crowd->gathering -= !served;
    totals->first_end = totals->lost + totals->refused == 0 ? status : totals->first_end;
    totals->lost += member->state > CROWD_GREETING;
    totals->refused += member->state <= CROWD_GREETING;
    member_hang_up(crowd, member, false);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void fill(struct crowd *crowd, uint32_t *at, enum crowd_kind kind, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &crowd->members[*at + i];
        member->kind = (uint8_t)kind;
        member->way = (uint8_t)(i % CROWD_WAYS);
    }
    *at += count;
}

/* Active ones are spread evenly among the idle ones. */
static void fill_good(struct crowd *crowd)
{
    uint32_t active = crowd->options.active;
    for (uint32_t i = 0; i < crowd->good; i++) {
        uint64_t before = (uint64_t)i * active / crowd->good;
        uint64_t with = (uint64_t)(i + 1) * active / crowd->good;
        crowd->members[i].kind = with > before ? CROWD_ACTIVE : CROWD_IDLE;
    }
}

int crowd_make(struct crowd *crowd, const struct crowd_options *options, const struct dial *dial,
               const struct talk_place *place)
{
    uint32_t good = options->idle + options->active;
    uint32_t count = good + options->storm + options->loris + options->mute;
    uint32_t produce_bytes = (talk_produce_bytes(options->record_bytes) + 7u) / 8u * 8u;
    uint32_t out_bytes = produce_bytes > OUT_BYTES_MIN ? produce_bytes : OUT_BYTES_MIN;
    uint32_t at = good;
    BENCH_ASSERT(count > 0 && count <= CROWD_MEMBERS_MAX);
    *crowd = (struct crowd){.options = *options,
                            .dial = *dial,
                            .place = *place,
                            .count = count,
                            .good = good,
                            .poll_fd = epoll_create1(EPOLL_CLOEXEC),
                            .held = options->hold};
    if (crowd->poll_fd < 0)
        return -errno;
    crowd->members = calloc(count, sizeof *crowd->members);
    crowd->memory = calloc(count, CROWD_IN_BYTES + out_bytes);
    if (crowd->members == NULL || crowd->memory == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        crowd->members[i].fd = -1;
        crowd->members[i].in = crowd->memory + (size_t)i * (CROWD_IN_BYTES + out_bytes);
        crowd->members[i].out = crowd->members[i].in + CROWD_IN_BYTES;
    }
    fill_good(crowd);
    fill(crowd, &at, CROWD_STORM, options->storm);
    fill(crowd, &at, CROWD_LORIS, options->loris);
    fill(crowd, &at, CROWD_MUTE, options->mute);
    prng_seed(&crowd->prng, options->seed);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = INPUT_NUMBER};
    if (options->hold && epoll_ctl(crowd->poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        return -errno;
    return 0;
}

void crowd_free(struct crowd *crowd)
{
    for (uint32_t i = 0; crowd->members != NULL && crowd->memory != NULL && i < crowd->count; i++)
        if (crowd->members[i].fd >= 0)
            member_hang_up(crowd, &crowd->members[i], false);
    if (crowd->poll_fd >= 0)
        close(crowd->poll_fd);
    free(crowd->members);
    free(crowd->memory);
    crowd->members = NULL;
    crowd->memory = NULL;
    crowd->poll_fd = -1;
}

/* ---- goals ----------------------------------------------------------------------------------- */

static uint32_t behind(const struct crowd *crowd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crowd->good && crowd->options.requests > 0; i++) {
        const struct member *member = &crowd->members[i];
        count += member->kind == CROWD_ACTIVE && member->acked < crowd->options.requests;
    }
    return count;
}

bool crowd_has_goals(const struct crowd *crowd)
{
    const struct crowd_options *options = &crowd->options;
    return options->hold || options->storms > 0 || options->loris > 0 || options->mute > 0 ||
           (options->requests > 0 && options->active > 0);
}

/* The cheap ones first. */
static bool goals_reached(const struct crowd *crowd)
{
    const struct crowd_options *options = &crowd->options;
    const struct crowd_totals *totals = &crowd->totals;
    return crowd_has_goals(crowd) && !crowd->held && totals->storms >= options->storms &&
           totals->loris_ended >= options->loris && totals->mute_ended >= options->mute &&
           totals->acked >= options->requests * options->active && behind(crowd) == 0;
}

void crowd_say_missing(const struct crowd *crowd, char *ret_text, uint32_t bytes)
{
    const struct crowd_totals *totals = &crowd->totals;
    snprintf(ret_text, bytes,
             "the time was over before: %u active ones have fewer outcomes than wanted, storm "
             "%" PRIu64 " of %" PRIu64 ", loris ended %" PRIu64 " of %u, mute ended %" PRIu64
             " of %u, standard input %s",
             behind(crowd), totals->storms, crowd->options.storms, totals->loris_ended,
             crowd->options.loris, totals->mute_ended, crowd->options.mute,
             crowd->held ? "open" : "ended");
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void read_input(struct crowd *crowd)
{
    char bytes[256];
    if (read(STDIN_FILENO, bytes, sizeof bytes) > 0)
        return;
    (void)epoll_ctl(crowd->poll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    crowd->held = false;
}

static void take_event(struct crowd *crowd, const struct epoll_event *event)
{
    if (event->data.u32 == INPUT_NUMBER) {
        read_input(crowd);
        return;
    }
    BENCH_ASSERT(event->data.u32 < crowd->count);
    struct member *member = &crowd->members[event->data.u32];
    bool good = event->data.u32 < crowd->good;
    if (member->state == CROWD_AWAY)
        return;
    int status =
        good ? good_event(crowd, member, event->events) : bad_event(crowd, member, event->events);
    if (status < 0 && good)
        good_ended(crowd, member, status);
    else if (status < 0)
        bad_ended(crowd, member);
}

/* More of the good ones may come. */
static int dial_good(struct crowd *crowd)
{
    while (crowd->begun < crowd->good && crowd->gathering < crowd->options.gathering) {
        int status = member_dial(crowd, &crowd->members[crowd->begun]);
        if (status == -EAGAIN)
            return 0;
        if (status < 0)
            return status;
        crowd->begun++;
        crowd->gathering++;
    }
    return 0;
}

static int turn(struct crowd *crowd, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now_ns = machine_now_ns();
    int status = dial_good(crowd);
    if (status == 0 && crowd->bad)
        status = bad_turn(crowd, now_ns);
    if (status < 0)
        return status;
    if (crowd->put_off > 0)
        good_retry(crowd, now_ns);
    uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns + 999999) / 1000000 : 0;
    bool busy = (crowd->bad && crowd->count > crowd->good) || crowd->put_off > 0 ||
                crowd->begun < crowd->good;
    int wait_ms = busy ? WAIT_MS_BUSY : WAIT_MS_MAX;
    int count = epoll_wait(crowd->poll_fd, events, EVENTS,
                           left_ms < (uint64_t)wait_ms ? (int)left_ms : wait_ms);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++)
        take_event(crowd, &events[i]);
    return 0;
}

int crowd_gather(struct crowd *crowd, uint64_t until_ns)
{
    while (crowd->begun < crowd->good || crowd->gathering > 0) {
        if (machine_now_ns() >= until_ns)
            return -ETIMEDOUT;
        int status = turn(crowd, until_ns);
        if (status < 0)
            return status;
    }
    return 0;
}

int crowd_run(struct crowd *crowd, uint64_t until_ns)
{
    if (!crowd->bad)
        crowd->storm_from_ns = machine_now_ns();
    crowd->bad = true;
    if (!crowd->working)
        good_start(crowd);
    while (machine_now_ns() < until_ns) {
        if (goals_reached(crowd))
            return 1;
        int status = turn(crowd, until_ns);
        if (status < 0)
            return status;
    }
    return goals_reached(crowd);
}

int crowd_rest(struct crowd *crowd, uint64_t until_ns)
{
    crowd->working = false;
    crowd->bad = false;
    while (crowd->asking > 0) {
        if (machine_now_ns() >= until_ns)
            return -ETIMEDOUT;
        int status = turn(crowd, until_ns);
        if (status < 0)
            return status;
    }
    return 0;
}

void crowd_write_ledger(const struct crowd *crowd, FILE *out)
{
    char name[TALK_NAME_BYTES];
    for (uint32_t i = 0; i < crowd->good; i++) {
        const struct member *member = &crowd->members[i];
        if (member->kind != CROWD_ACTIVE)
            continue;
        member_name(crowd, member, name);
        fprintf(out, "%s %" PRIu64 "\n", name, member->channel.last_sequence);
    }
}
