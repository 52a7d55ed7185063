/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/link/link.h between threads: each shard sends numbered messages with lent memory to every
 * other one, sleeps when there is nothing to do, and is woken by a bell. Nothing may be lost,
 * doubled or overtaken, nobody may sleep for ever, and lent memory must hold what its sender wrote.
 *
 *   links SHARDS MESSAGES        messages from each shard to each other one
 */
#include "broker/link/link.h"
#include "wire/xassert.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OUTSTANDING 16u
/* Longer than any turn: then a message was slept through. */
#define ASLEEP_MS_MAX 60000

enum kind { KIND_LENT = 1, KIND_BACK = 2 };

struct shard {
    struct link_end end;
    uint64_t messages;
    const int *bells;
    uint64_t lent[LINK_SHARDS_MAX][OUTSTANDING]; /* what KIND_LENT points to */
    uint64_t sent[LINK_SHARDS_MAX];
    uint64_t back[LINK_SHARDS_MAX]; /* came back: the memory may be written again */
    uint64_t seen[LINK_SHARDS_MAX];
    uint64_t slept;
};

static void send_some(struct shard *shard, uint32_t to)
{
    while (shard->sent[to] < shard->messages && shard->sent[to] - shard->back[to] < OUTSTANDING) {
        uint64_t *memory = &shard->lent[to][shard->sent[to] % OUTSTANDING];
        *memory = shard->sent[to] * 31 + shard->end.shard;
        struct link_message message = {.kind = KIND_LENT, .value = shard->sent[to], .data = memory};
        link_post(&shard->end, to, &message);
        shard->sent[to]++;
    }
}

static void take(struct shard *shard, uint32_t from, const struct link_message *message)
{
    if (message->kind == KIND_BACK) {
        XD_ASSERT(message->value == shard->back[from]);
        shard->back[from]++;
        return;
    }
    XD_ASSERT(message->kind == KIND_LENT && message->value == shard->seen[from]);
    XD_ASSERT(*(const uint64_t *)message->data == message->value * 31 + from);
    shard->seen[from]++;
    struct link_message back = {.kind = KIND_BACK, .value = message->value};
    link_post(&shard->end, from, &back);
}

static bool done(const struct shard *shard)
{
    for (uint32_t i = 0; i < shard->end.shard_count; i++)
        if (i != shard->end.shard &&
            (shard->back[i] < shard->messages || shard->seen[i] < shard->messages))
            return false;
    return true;
}

static void publish(struct shard *shard)
{
    const uint64_t one = 1;
    uint64_t sleepers = link_publish(&shard->end);
    for (uint32_t i = 0; i < shard->end.shard_count; i++)
        if (sleepers >> i & 1u)
            XD_ASSERT(write(shard->bells[i], &one, sizeof one) == (ssize_t)sizeof one);
}

static void wait_for_bell(struct shard *shard)
{
    struct pollfd bell = {.fd = shard->bells[shard->end.shard], .events = POLLIN};
    uint64_t rung;
    if (!link_sleep(&shard->end))
        return;
    shard->slept++;
    XD_ASSERT(poll(&bell, 1, ASLEEP_MS_MAX) == 1);
    XD_ASSERT(read(bell.fd, &rung, sizeof rung) == (ssize_t)sizeof rung);
    link_wake(&shard->end);
}

static void *run(void *argument)
{
    struct shard *shard = argument;
    struct link_message message;
    uint32_t from;
    while (!done(shard)) {
        bool any = false;
        for (uint32_t i = 0; i < shard->end.shard_count; i++)
            if (i != shard->end.shard)
                send_some(shard, i);
        for (uint32_t i = 0; i < 64 && link_take(&shard->end, &from, &message); i++) {
            take(shard, from, &message);
            any = true;
        }
        publish(shard);
        if (!any && !done(shard))
            wait_for_bell(shard);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint32_t count = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint64_t messages = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (count < 2 || count > LINK_SHARDS_MAX || messages == 0) {
        (void)fprintf(stderr, "usage: %s SHARDS MESSAGES\n", argv[0]);
        return 2;
    }
    int bells[LINK_SHARDS_MAX];
    pthread_t threads[LINK_SHARDS_MAX];
    struct shard *shards = calloc(count, sizeof *shards);
    uint64_t bytes = links_bytes_needed(count, 2 * OUTSTANDING);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    XD_ASSERT(shards != NULL && memory != NULL);
    struct links *links = links_init(memory, bytes, count, 2 * OUTSTANDING);
    for (uint32_t i = 0; i < count; i++) {
        bells[i] = eventfd(0, EFD_CLOEXEC);
        XD_ASSERT(bells[i] >= 0);
        shards[i].bells = bells;
        shards[i].messages = messages;
        link_open(links, i, &shards[i].end);
    }
    for (uint32_t i = 0; i < count; i++)
        XD_ASSERT(pthread_create(&threads[i], NULL, run, &shards[i]) == 0);
    uint64_t slept = 0;
    for (uint32_t i = 0; i < count; i++) {
        XD_ASSERT(pthread_join(threads[i], NULL) == 0);
        slept += shards[i].slept;
        (void)close(bells[i]);
    }
    (void)printf("%u shards, %llu messages each way, %llu times asleep\n", count,
                 (unsigned long long)messages, (unsigned long long)slept);
    free(memory);
    free(shards);
    return slept > 0 ? 0 : 1; /* a run in which nobody slept shows nothing about bells */
}
