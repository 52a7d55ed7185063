/* SPDX-License-Identifier: Apache-2.0
 *
 * The course of the demonstration.
 *
 * Picks are sent at an even pace. At a quarter and at half of the list a burst of them is put on
 * the wire; when the broker has had the time to make it durable, and before any answer has been
 * looked at, the broker is killed, and the answers that had arrived are thrown away with the
 * connection. The client then connects again and sends everything that has no answer. At three
 * quarters this program forgets its client as if it had died itself, and resumes. At the end all is
 * read back.
 *
 * Failure path: the first failure is told on stderr and ends the run; the caller stops the broker.
 */
#include "tools/demo/demo.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define TICK_MS 10u
#define OPEN_MS 10000u
#define START_MS 30000u
#define SETTLE_MS 60000u
#define BURST_ATTEMPTS 3u

/* Shares of the list, in its nth parts. */
#define BURST_PART 16u
#define QUEUED_PART 64u

static int tell(int status, const char *why)
{
    if (status < 0)
        fprintf(stderr, "crossdock-demo: %s\n", why);
    return status;
}

/* True when an interrupt is pending: signals are blocked, so that the broker is always stopped. */
static bool interrupted(void)
{
    const struct timespec none = {0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return sigtimedwait(&set, NULL, &none) > 0;
}

/* Part of the list, at least one pick. */
static uint32_t part(const struct demo *demo, uint32_t nth)
{
    return demo->picks.count / nth + 1;
}

/* Picks per second, so that what is not sent in bursts takes the time asked for. */
static double pace(const struct demo *demo)
{
    uint32_t bursts = 3 * part(demo, BURST_PART) + 2 * part(demo, QUEUED_PART);
    uint32_t count = demo->picks.count > bursts ? demo->picks.count - bursts : 1;
    return (double)count / demo->options.seconds;
}

/* Sends at the pace until `target` picks have been posted. */
static int send_paced(struct demo *demo, uint32_t target)
{
    struct sender *sender = &demo->sender;
    uint32_t first = sender->posted;
    uint64_t started_ns = process_now_ns();
    double rate = pace(demo);
    while (sender->posted < target) {
        double elapsed = (double)(process_now_ns() - started_ns) / 1e9;
        uint32_t due = first + (uint32_t)(elapsed * rate);
        due = due < target ? due : target;
        int status = due > sender->posted ? sender_post(sender, due - sender->posted) : 0;
        if (status >= 0)
            status = sender_drain(sender, TICK_MS);
        if (status < 0)
            return tell(status, sender->why);
        if (interrupted())
            return tell(-EINTR, "interrupted");
        process_sleep_us(1000);
    }
    return 0;
}

/* Puts a burst on the wire of which no answer is looked at; returns how many picks that are. */
static int burst(struct demo *demo)
{
    int open = 0;
    /* Answers that came within the first step are no failure, but of no use here. */
    for (unsigned i = 0; open == 0 && i < BURST_ATTEMPTS; i++)
        open = sender_burst(&demo->sender, part(demo, BURST_PART));
    return tell(open, demo->sender.why);
}

static int kill_and_restart(struct demo *demo)
{
    char text[200];
    struct sender *sender = &demo->sender;
    uint32_t duplicates = sender->fates[FATE_DUPLICATE], appended = sender->fates[FATE_APPENDED];
    int open = burst(demo);
    if (open < 0)
        return open;
    uint32_t posted = sender->posted;
    int status = sender_post(sender, part(demo, QUEUED_PART));
    if (status < 0)
        return tell(status, sender->why);
    int pid = (int)demo->broker.pid;
    status = process_kill(&demo->broker);
    if (status < 0)
        return tell(status, demo->broker.why);
    sender_lose_answers(sender);
    demo->kill_count++;
    demo->lost_count += (uint32_t)open;
    snprintf(text, sizeof text,
             "kill -9 %d, the broker: %d picks sent without an answer, %u more waiting", pid, open,
             sender->posted - posted);
    show_event(demo, text);
    status = process_start(&demo->broker, START_MS);
    if (status < 0)
        return tell(status, demo->broker.why);
    snprintf(text, sizeof text, "the broker is back as pid %d, after %.0f ms",
             (int)demo->broker.pid, (double)demo->broker.ready_ns / 1e6);
    show_event(demo, text);
    status = sender_flush(sender, SETTLE_MS);
    if (status < 0)
        return tell(status, sender->why);
    snprintf(text, sizeof text, "every outcome is known: %u duplicates recognised, %u appended",
             sender->fates[FATE_DUPLICATE] - duplicates, sender->fates[FATE_APPENDED] - appended);
    show_event(demo, text);
    return 0;
}

static int restart_program(struct demo *demo)
{
    char text[200];
    struct sender *sender = &demo->sender;
    int open = burst(demo);
    if (open < 0)
        return open;
    sender_abandon(sender);
    snprintf(text, sizeof text, "the sending program is dropped: %d picks without an answer", open);
    show_event(demo, text);
    int status = sender_open(sender, OPEN_MS);
    if (status < 0)
        return tell(status, sender->why);
    snprintf(text, sizeof text,
             "a new one resumes from its outbox: %u found in the log, %u sent again",
             sender->fates[FATE_RESUMED], sender->posted_again);
    show_event(demo, text);
    return 0;
}

static int send_all(struct demo *demo)
{
    uint32_t count = demo->picks.count;
    int status = send_paced(demo, count / 4);
    if (status >= 0)
        status = kill_and_restart(demo);
    if (status >= 0)
        status = send_paced(demo, count / 2);
    if (status >= 0)
        status = kill_and_restart(demo);
    if (status >= 0)
        status = send_paced(demo, count / 4 * 3);
    if (status >= 0)
        status = restart_program(demo);
    if (status >= 0)
        status = send_paced(demo, count);
    if (status >= 0)
        status = tell(sender_flush(&demo->sender, SETTLE_MS), demo->sender.why);
    return status;
}

int scenario_run(struct demo *demo)
{
    char text[100];
    struct sender *sender = &demo->sender;
    int status = sender_add_facility(sender, OPEN_MS);
    if (status >= 0)
        status = sender_open(sender, OPEN_MS);
    if (status < 0)
        return tell(status, sender->why);
    demo->started_ns = process_now_ns();
    snprintf(text, sizeof text, "sending to facility %s, %.0f picks/s", demo->options.facility,
             pace(demo));
    show_event(demo, text);
    status = send_all(demo);
    if (status < 0)
        return status;
    demo->sending_ns = process_now_ns() - demo->started_ns;
    sender_abandon(sender); /* It has every outcome; its counters are added up by this. */
    show_event(demo, "all sent; reading back");
    status = readback_run(sender, SETTLE_MS, &demo->readback);
    return tell(status, demo->readback.why);
}
