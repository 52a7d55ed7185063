/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: messages between the shards of a broker, each of which is a thread of its own. From every
 * shard to every other one there is a ring with one writer and one reader.
 *
 * Normal path: one thread makes the links; each shard opens its end. In a turn it takes what has
 * come (link_take), posts what it has to say (link_post), and at the end of the turn lets the
 * others see it (link_publish), which names the shards that sleep: their bells are to be rung.
 * Before it waits it says so (link_sleep), and afterwards that it is awake (link_wake).
 *
 * What a message points to is lent: the sender does not touch it until a message back says so, and
 * everything the sender wrote before link_publish is there for the reader.
 *
 * Failure path: none. The rings are sized by what may be outstanding, so a full one is a bug and
 * aborts. Memory is given by the maker and outlives all ends. Must not know what messages mean, nor
 * ring bells: that goes through the env.
 */
#ifndef CROSSDOCK_BROKER_LINK_LINK_H
#define CROSSDOCK_BROKER_LINK_LINK_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* Shards of a broker at most: one bit each in a word. */
#define LINK_SHARDS_MAX 64u
/* Messages that a ring takes at most. */
#define LINK_MESSAGES_MAX 0x01000000u

/* Two to a cache line. The fields are the sender's, the words say what they are meant for. */
struct link_message {
    uint8_t kind;     /*  0 what it is about */
    uint8_t flags;    /*  1 */
    uint16_t count;   /*  2 elements that `data` points to */
    uint32_t conn;    /*  4 a connection as its home names it */
    uint32_t remote;  /*  8 the same connection as the owner names it */
    uint32_t number;  /* 12 */
    uint64_t value;   /* 16 */
    const void *data; /* 24 lent memory, or NULL */
};
static_assert(sizeof(struct link_message) == 32, "message size");

struct links; /* rings and sleepers; lives in the memory that links_init was given */

/* One shard's end, used by its thread alone. */
struct link_end {
    struct links *links;  /* borrowed */
    uint32_t shard;       /* this one */
    uint32_t shard_count; /* */
    uint32_t next;        /* shard that link_take looks at first */
    uint64_t posted;      /* bit n: there is a message to shard n that was not published */
};

/* Bytes for the links of `shard_count` shards, 1..LINK_SHARDS_MAX, of which each may have
 * `messages_max` messages to one other one outstanding, 1..LINK_MESSAGES_MAX. */
uint64_t links_bytes_needed(uint32_t shard_count, uint32_t messages_max);
/* `memory` is aligned to 64 and of at least links_bytes_needed(); before any thread uses it. */
struct links *links_init(void *memory, uint64_t bytes, uint32_t shard_count, uint32_t messages_max);

void link_open(struct links *links, uint32_t shard, struct link_end *ret_end);

/* Puts a message behind those to the same shard; seen there after link_publish. */
void link_post(struct link_end *end, uint32_t to, const struct link_message *message);
/* Lets the others see what was posted. Bit n of the answer: shard n sleeps and nobody has rung its
 * bell since it fell asleep; ring it. */
uint64_t link_publish(struct link_end *end);
/* The next message, one shard after the other; false when there is none. */
bool link_take(struct link_end *end, uint32_t *ret_from, struct link_message *ret_message);

/* This shard is about to wait. False: something has come meanwhile, so it must not. */
bool link_sleep(struct link_end *end);
/* It waits no longer. */
void link_wake(struct link_end *end);

#endif
