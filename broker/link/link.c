/* SPDX-License-Identifier: Apache-2.0
 *
 * Links; see link.h.
 *
 * A ring has two counters, of messages written and read since the start, each in a cache line of
 * its writer, who keeps a copy of the other one: a line changes hands only when the copy says full,
 * or empty.
 *
 * Nobody sleeps through a message: the sleeper sets its flag and then looks at the rings, the
 * writer publishes and then looks at the flag. All four are sequentially consistent, so one of the
 * two sees the other.
 */
#include "broker/link/link.h"

#include "wire/xassert.h"

#include <stdatomic.h>
#include <string.h>

#define LINE 64u

/* Both halves belong to one thread each. */
struct ring_writer {
    _Alignas(LINE) _Atomic uint64_t published; /* messages that the reader may take */
    uint64_t written;                          /* messages in the slots */
    uint64_t taken_known;                      /* copy of the reader's counter, may be old */
};
struct ring_reader {
    _Alignas(LINE) _Atomic uint64_t taken; /* messages whose slots are free again */
    uint64_t published_known;              /* copy of the writer's counter, may be old */
};
struct ring_pair {
    struct ring_writer writer;
    struct ring_reader reader;
};

struct sleeper {
    _Alignas(LINE) _Atomic uint32_t asleep; /* 1 from link_sleep until somebody has to ring */
};

struct links {
    uint32_t shard_count;
    uint32_t mask;              /* slots of a ring - 1 */
    struct sleeper *sleepers;   /* by shard */
    struct ring_pair *rings;    /* from shard * shard_count + to shard */
    struct link_message *slots; /* of all rings, in the same sequence */
};

static uint32_t slots_of(uint32_t messages_max)
{
    uint32_t slots = 1;
    XD_ASSERT(messages_max > 0 && messages_max <= LINK_MESSAGES_MAX);
    while (slots < messages_max)
        slots *= 2;
    return slots;
}

static uint64_t lines(uint64_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

uint64_t links_bytes_needed(uint32_t shard_count, uint32_t messages_max)
{
    XD_ASSERT(shard_count > 0 && shard_count <= LINK_SHARDS_MAX);
    uint64_t rings = (uint64_t)shard_count * shard_count;
    return lines(sizeof(struct links)) + shard_count * sizeof(struct sleeper) +
           rings * sizeof(struct ring_pair) +
           lines(rings * slots_of(messages_max) * sizeof(struct link_message));
}

struct links *links_init(void *memory, uint64_t bytes, uint32_t shard_count, uint32_t messages_max)
{
    XD_ASSERT((uintptr_t)memory % LINE == 0);
    XD_ASSERT(bytes >= links_bytes_needed(shard_count, messages_max));
    uint64_t rings = (uint64_t)shard_count * shard_count;
    uint8_t *at = memory;
    struct links *links = memory;
    memset(memory, 0, links_bytes_needed(shard_count, messages_max));
    at += lines(sizeof *links);
    links->shard_count = shard_count;
    links->mask = slots_of(messages_max) - 1;
    links->sleepers = (struct sleeper *)(void *)at;
    at += shard_count * sizeof(struct sleeper);
    links->rings = (struct ring_pair *)(void *)at;
    at += rings * sizeof(struct ring_pair);
    links->slots = (struct link_message *)(void *)at;
    return links;
}

void link_open(struct links *links, uint32_t shard, struct link_end *ret_end)
{
    XD_ASSERT(shard < links->shard_count);
    *ret_end = (struct link_end){.links = links, .shard = shard, .shard_count = links->shard_count};
}

/* ---- one ring -------------------------------------------------------------------------------- */

static uint32_t ring_number(const struct links *links, uint32_t from, uint32_t to)
{
    XD_ASSERT(from < links->shard_count && to < links->shard_count && from != to);
    return from * links->shard_count + to;
}

static struct link_message *slot(const struct links *links, uint32_t ring, uint64_t counter)
{
    return &links->slots[(uint64_t)ring * (links->mask + 1u) + (counter & links->mask)];
}

void link_post(struct link_end *end, uint32_t to, const struct link_message *message)
{
    struct links *links = end->links;
    uint32_t number = ring_number(links, end->shard, to);
    struct ring_pair *ring = &links->rings[number];
    if (ring->writer.written - ring->writer.taken_known > links->mask)
        ring->writer.taken_known = atomic_load_explicit(&ring->reader.taken, memory_order_acquire);
    XD_ASSERT(ring->writer.written - ring->writer.taken_known <= links->mask);
    *slot(links, number, ring->writer.written) = *message;
    ring->writer.written++;
    end->posted |= UINT64_C(1) << to;
}

uint64_t link_publish(struct link_end *end)
{
    struct links *links = end->links;
    uint64_t ring_bells = 0;
    if (end->posted == 0)
        return 0;
    for (uint32_t to = 0; to < end->shard_count; to++) {
        if ((end->posted >> to & 1u) == 0)
            continue;
        struct ring_writer *writer = &links->rings[ring_number(links, end->shard, to)].writer;
        XD_ASSERT(writer->written > atomic_load_explicit(&writer->published, memory_order_relaxed));
        atomic_store(&writer->published, writer->written);
    }
    for (uint32_t to = 0; to < end->shard_count; to++) {
        _Atomic uint32_t *asleep = &links->sleepers[to].asleep;
        if ((end->posted >> to & 1u) != 0 && atomic_load(asleep) != 0 &&
            atomic_exchange(asleep, 0) != 0)
            ring_bells |= UINT64_C(1) << to;
    }
    end->posted = 0;
    return ring_bells;
}

/* Whether there is a message to take. */
static bool ring_holds(struct ring_pair *ring)
{
    uint64_t taken = atomic_load_explicit(&ring->reader.taken, memory_order_relaxed);
    if (taken == ring->reader.published_known)
        ring->reader.published_known = atomic_load(&ring->writer.published);
    XD_ASSERT(taken <= ring->reader.published_known);
    return taken < ring->reader.published_known;
}

bool link_take(struct link_end *end, uint32_t *ret_from, struct link_message *ret_message)
{
    struct links *links = end->links;
    for (uint32_t i = 0; i < end->shard_count; i++) {
        uint32_t from = (end->next + i) % end->shard_count;
        if (from == end->shard)
            continue;
        uint32_t number = ring_number(links, from, end->shard);
        struct ring_pair *ring = &links->rings[number];
        if (!ring_holds(ring))
            continue;
        uint64_t taken = atomic_load_explicit(&ring->reader.taken, memory_order_relaxed);
        *ret_message = *slot(links, number, taken);
        *ret_from = from;
        atomic_store_explicit(&ring->reader.taken, taken + 1, memory_order_release);
        end->next = (from + 1) % end->shard_count;
        return true;
    }
    return false;
}

/* ---- sleep ----------------------------------------------------------------------------------- */

bool link_sleep(struct link_end *end)
{
    struct links *links = end->links;
    XD_ASSERT(end->posted == 0); /* nobody would be told */
    atomic_store(&links->sleepers[end->shard].asleep, 1);
    for (uint32_t from = 0; from < end->shard_count; from++) {
        if (from != end->shard && ring_holds(&links->rings[ring_number(links, from, end->shard)])) {
            link_wake(end);
            return false;
        }
    }
    return true;
}

void link_wake(struct link_end *end)
{
    XD_ASSERT(end->shard < end->links->shard_count);
    atomic_store_explicit(&end->links->sleepers[end->shard].asleep, 0, memory_order_relaxed);
}
