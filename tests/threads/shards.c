/* SPDX-License-Identifier: Apache-2.0
 *
 * Two modules of broker/net in two threads that lend frames to each other and relay each other's
 * output, as two shards will. Each is home to some clients and owner for those of the other.
 *
 *   test_threads_shards FRAMES      answered per thread before it closes
 *
 * Normal path: clients are part of each thread's env. They say frames of which some are for the
 * other shard, cut anywhere, hear the answers and check them byte by byte: of what one shard
 * answers none may be missing, doubled or out of sequence. Some clients reset on the way. At the
 * end both modules close in order, and all memory must be back. Failure path: what went wrong first
 * is printed and the program aborts. Exit: 0 all as expected, 2 wrong usage. A data race, or a read
 * of a buffer that was given back, is the sanitizer's to find.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/prng.h"
#include "broker/net/net.h"
#include "tests/support/net_answer.h"
#include "tests/support/net_cross.h"
#include "wire/frame.h"

#define SIDES 2u
#define CLIENTS 8u
#define BUFFERS 32u
#define EVENTS_MAX (4u * CLIENTS + 2u)
#define PAYLOAD_MAX 3000u
#define FRAME_MAX (XD_FRAME_HEADER_BYTES + PAYLOAD_MAX)
#define CHUNK_BYTES 2048u

/* Ops of frames: who answers. */
#define OP_HOME 1u
#define OP_OWNER 2u

/* One client and the connection it has, under a handle that is its index. */
struct client {
    bool connected;
    bool armed;    /* a receive is outstanding */
    bool stopping; /* ... and asked to end */
    bool closing;  /* the close is outstanding */
    uint64_t recv_token;
    uint64_t send_token;
    uint64_t close_token;
    const struct iovec *pieces; /* of the send in flight, NULL = none */
    uint32_t piece_count;
    uint32_t life;            /* which connection of this client */
    uint32_t said;            /* frames begun */
    uint32_t limit;           /* frames of this connection, then it resets or closes */
    uint32_t next[3];         /* by op: number of the frame whose answer comes next */
    uint32_t answered;        /* answers heard */
    uint8_t frame[FRAME_MAX]; /* being said */
    uint32_t frame_bytes;
    uint32_t frame_at;
    uint8_t heard[FRAME_MAX]; /* being heard */
    uint32_t heard_bytes;
};

/* One thread: an env with its clients, and the module over it. */
struct side {
    struct env env; /* must be first */
    struct env_ops ops;
    struct client clients[CLIENTS];
    uint8_t *lent[BUFFERS]; /* by id, NULL = not lent */
    uint32_t lent_count;
    uint64_t accept_token;
    bool accepting;
    bool accept_stopping;
    struct prng prng;
    struct net *net;
    struct net_options options;
    struct counters counters;
    struct arena arena;
    void *memory;
    struct cross cross;
    uint32_t goal;        /* answers heard before it closes */
    uint32_t answered;    /* answers heard */
    uint32_t lives;       /* connections so far */
    _Atomic bool *closed; /* of both sides */
    uint32_t index;       /* own one in it */
    pthread_t thread;
};

static struct side *side_of(struct env *env)
{
    return (struct side *)(void *)env;
}

static uint32_t below(struct side *side, uint32_t bound)
{
    return (uint32_t)prng_below(&side->prng, bound);
}

/* ---- what is said ---------------------------------------------------------------------------- */

static uint32_t mix(uint32_t life, uint32_t number)
{
    uint32_t hash = life * 2654435761u ^ number * 2246822519u;

    return (hash ^ hash >> 15) * 3266489917u >> 3;
}

static uint16_t op_of(const struct client *client, uint32_t number)
{
    return mix(client->life, number) % 3 == 0 ? OP_HOME : OP_OWNER;
}

/* Writes frame `number` of the client's connection; returns its bytes. */
static uint32_t frame_write(const struct client *client, uint32_t number, uint8_t flags,
                            uint8_t *ret_data)
{
    uint32_t hash = mix(client->life, number);
    uint32_t length = hash % 16 == 0 ? hash / 16 % PAYLOAD_MAX : hash / 16 % 200;
    const struct xd_frame head = {.length = length,
                                  .op = op_of(client, number),
                                  .version = 1,
                                  .flags = flags,
                                  .correlation = number};

    xd_frame_encode(&head, ret_data);
    for (uint32_t i = 0; i < length; i++)
        ret_data[XD_FRAME_HEADER_BYTES + i] = (uint8_t)(hash + i * 7u);
    return XD_FRAME_HEADER_BYTES + length;
}

/* The next bytes that the client says, at most `bytes`; returns how many there are. */
static uint32_t client_say(struct client *client, uint8_t *ret_data, uint32_t bytes)
{
    uint32_t done = 0;

    while (done < bytes) {
        if (client->frame_at == client->frame_bytes) {
            if (client->said == client->limit)
                break;
            client->frame_bytes = frame_write(client, client->said++, 0, client->frame);
            client->frame_at = 0;
        }
        uint32_t left = client->frame_bytes - client->frame_at;
        uint32_t take = left < bytes - done ? left : bytes - done;
        memcpy(ret_data + done, client->frame + client->frame_at, take);
        client->frame_at += take;
        done += take;
    }
    return done;
}

/* A whole frame was heard: it must be the next answer of its shard. */
static void client_judge(struct side *side, struct client *client)
{
    static _Thread_local uint8_t expected[FRAME_MAX];
    struct xd_frame head;

    XD_ASSERT(xd_frame_decode(client->heard, XD_FRAME_HEADER_BYTES, PAYLOAD_MAX, &head) > 0);
    XD_ASSERT(head.op == OP_HOME || head.op == OP_OWNER);
    uint32_t *next = &client->next[head.op];
    while (op_of(client, *next) != head.op)
        (*next)++;
    XD_ASSERT(*next < client->said && head.correlation == *next);
    uint32_t bytes = frame_write(client, *next, XD_FRAME_REPLY, expected);
    XD_ASSERT(bytes == client->heard_bytes && memcmp(expected, client->heard, bytes) == 0);
    (*next)++;
    client->answered++;
    side->answered++;
}

static void client_hear(struct side *side, struct client *client, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        uint32_t want = XD_FRAME_HEADER_BYTES;
        uint32_t length = 0;
        if (client->heard_bytes >= want)
            memcpy(&length, client->heard, sizeof(length));
        want += length;
        XD_ASSERT(want <= FRAME_MAX);
        size_t take = want - client->heard_bytes;
        take = take < bytes ? take : bytes;
        memcpy(client->heard + client->heard_bytes, data, take);
        client->heard_bytes += (uint32_t)take;
        data += take;
        bytes -= take;
        if (client->heard_bytes < XD_FRAME_HEADER_BYTES)
            continue;
        memcpy(&length, client->heard, sizeof(length));
        if (client->heard_bytes == XD_FRAME_HEADER_BYTES + length) {
            client_judge(side, client);
            client->heard_bytes = 0;
        }
    }
}

/* ---- the env --------------------------------------------------------------------------------- */

static uint64_t fake_now(struct env *env)
{
    (void)env;
    return 1000000000; /* Nothing is ever late here. */
}

static void fake_release(struct env *env, uint16_t buffer)
{
    struct side *side = side_of(env);

    XD_ASSERT(buffer < BUFFERS && side->lent[buffer] != NULL);
    free(side->lent[buffer]);
    side->lent[buffer] = NULL;
    side->lent_count--;
}

static uint32_t fake_free_count(struct env *env)
{
    return BUFFERS - side_of(env)->lent_count;
}

static int fake_listen(struct env *env, const char *address, env_listener *ret_listener,
                       char *ret_address)
{
    (void)env;
    (void)address;
    *ret_listener = 0;
    ret_address[0] = 0;
    return 0;
}

static void fake_accept(struct env *env, env_listener listener, uint64_t token)
{
    (void)listener;
    side_of(env)->accepting = true;
    side_of(env)->accept_token = token;
}

static void fake_accept_stop(struct env *env, env_listener listener)
{
    (void)listener;
    side_of(env)->accept_stopping = true;
}

static void fake_recv(struct env *env, env_conn conn, uint64_t token)
{
    struct client *client = &side_of(env)->clients[conn];

    XD_ASSERT(client->connected && !client->armed && !client->closing);
    client->armed = true;
    client->stopping = false;
    client->recv_token = token;
}

static void fake_recv_stop(struct env *env, env_conn conn)
{
    XD_ASSERT(side_of(env)->clients[conn].armed);
    side_of(env)->clients[conn].stopping = true;
}

static void fake_send(struct env *env, env_conn conn, const struct iovec *pieces,
                      uint32_t piece_count, uint64_t token)
{
    struct client *client = &side_of(env)->clients[conn];

    XD_ASSERT(client->pieces == NULL && !client->closing);
    client->pieces = pieces;
    client->piece_count = piece_count;
    client->send_token = token;
}

static void fake_close(struct env *env, env_conn conn, uint64_t token)
{
    struct client *client = &side_of(env)->clients[conn];

    XD_ASSERT(client->connected && !client->closing);
    client->closing = true;
    client->close_token = token;
}

static void fake_origin(struct env *env, env_conn handle, struct env_origin *ret_origin)
{
    (void)env;
    (void)handle;
    *ret_origin = (struct env_origin){.family = ENV_FAMILY_NONE};
}

static struct env_event event_of(uint64_t token, int32_t result, uint8_t op, bool more)
{
    return (struct env_event){
        .token = token, .result = result, .buffer = ENV_BUFFER_NONE, .op = op, .more = more};
}

/* Some bytes of the client, or the end of its receive. False when there is nothing to say. */
static bool receive(struct side *side, struct client *client, struct env_event *ret_event)
{
    uint8_t data[4096];
    uint16_t id = 0;

    if (client->stopping || side->lent_count == BUFFERS) {
        client->armed = false;
        *ret_event = event_of(client->recv_token, client->stopping ? -ECANCELED : -ENOBUFS,
                              ENV_OP_RECV, false);
        return true;
    }
    uint32_t bytes = client_say(client, data, 1 + below(side, below(side, 2) ? 200 : 4096));
    if (bytes == 0) {
        /* All said: every third client resets, the others first hear all answers. */
        bool resets = client->life / SIDES % 3 == 0;
        if (!resets && client->answered < client->limit)
            return false;
        client->armed = false;
        *ret_event = event_of(client->recv_token, resets ? -ECONNRESET : 0, ENV_OP_RECV, false);
        return true;
    }
    while (side->lent[id] != NULL)
        id++;
    side->lent[id] = malloc(bytes);
    XD_ASSERT(side->lent[id] != NULL);
    memcpy(side->lent[id], data, bytes);
    side->lent_count++;
    *ret_event = event_of(client->recv_token, (int32_t)bytes, ENV_OP_RECV, true);
    ret_event->data = side->lent[id];
    ret_event->buffer = id;
    return true;
}

static struct env_event sent(struct side *side, struct client *client)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < client->piece_count; i++) {
        client_hear(side, client, client->pieces[i].iov_base, client->pieces[i].iov_len);
        bytes += client->pieces[i].iov_len;
    }
    client->pieces = NULL;
    return event_of(client->send_token, (int32_t)bytes, ENV_OP_SEND, false);
}

/* The events of one client; returns their count, at most 3. */
static uint32_t client_events(struct side *side, struct client *client, struct env_event *events)
{
    uint32_t count = 0;

    if (client->closing) {
        if (client->pieces != NULL)
            events[count++] = event_of(client->send_token, -ECANCELED, ENV_OP_SEND, false);
        if (client->armed)
            events[count++] = event_of(client->recv_token, -ECANCELED, ENV_OP_RECV, false);
        events[count++] = event_of(client->close_token, 0, ENV_OP_CLOSE, false);
        *client = (struct client){0};
        return count;
    }
    if (client->pieces != NULL && below(side, 3))
        events[count++] = sent(side, client);
    if (client->armed && below(side, 2))
        count += receive(side, client, &events[count]);
    return count;
}

static uint32_t side_events(struct side *side, struct env_event *events)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct client *client = &side->clients[i];
        if (client->connected) {
            count += client_events(side, client, &events[count]);
        } else if (side->accepting && !side->accept_stopping && below(side, 8) == 0) {
            *client = (struct client){.connected = true,
                                      .life = ++side->lives * SIDES + side->index,
                                      .limit = 20 + below(side, 2000)};
            events[count++] = event_of(side->accept_token, (int32_t)i, ENV_OP_ACCEPT, true);
        }
    }
    if (side->accepting && side->accept_stopping) {
        side->accepting = false;
        events[count++] = event_of(side->accept_token, -ECANCELED, ENV_OP_ACCEPT, false);
    }
    XD_ASSERT(count <= EVENTS_MAX);
    return count;
}

/* ---- the shard ------------------------------------------------------------------------------- */

static void serve(struct side *side)
{
    struct net_frame frame;

    net_unstall(side->net);
    while (net_frame_next(side->net, &frame)) {
        bool here = net_slot(frame.conn) > CLIENTS || frame.head.op == OP_HOME;
        net_admit(side->net, frame.conn);
        if (!here)
            cross_lend(&side->cross, frame.conn);
        else if (below(side, 50) == 0 || !net_answer(side->net, CHUNK_BYTES, &frame))
            net_frame_stall(side->net);
        else
            net_frame_done(side->net);
    }
}

static bool side_turn(struct side *side)
{
    struct env_event events[EVENTS_MAX];
    uint32_t count = side_events(side, events);
    struct net_news news;

    for (uint32_t i = 0; i < count; i++)
        net_done(side->net, &events[i]);
    uint32_t taken = cross_take(&side->cross, 1 + below(side, 200));
    net_tick(side->net);
    while (net_news_next(side->net, &news)) {
        if (news.kind == NET_NEWS_CLOSED)
            cross_closed(&side->cross, (net_id)news.a, CLIENTS);
    }
    serve(side);
    net_flush(side->net);
    cross_give(&side->cross);
    return count > 0 || taken > 0;
}

static void *side_run(void *context)
{
    struct side *side = context;
    bool closed = false;

    while (!closed || !atomic_load(&side->closed[1 - side->index])) {
        if (!side_turn(side))
            sched_yield();
        if (side->answered >= side->goal)
            net_close_begin(side->net);
        if (!closed && net_closed(side->net)) {
            closed = true;
            atomic_store(&side->closed[side->index], true);
        }
    }
    side_turn(side); /* what the other side said last */
    return NULL;
}

static void side_open(struct side *side, uint32_t index, uint32_t goal, _Atomic bool *closed)
{
    char address[ENV_ADDRESS_BYTES_MAX];

    *side = (struct side){.index = index, .goal = goal, .closed = closed};
    side->ops = (struct env_ops){.now_mono_ns = fake_now,
                                 .buffer_release = fake_release,
                                 .buffers_free = fake_free_count,
                                 .net_listen = fake_listen,
                                 .net_accept = fake_accept,
                                 .net_accept_stop = fake_accept_stop,
                                 .net_recv = fake_recv,
                                 .net_recv_stop = fake_recv_stop,
                                 .net_send = fake_send,
                                 .net_close = fake_close,
                                 .net_origin = fake_origin};
    side->env = (struct env){.ops = &side->ops, .engine = "fake", .engine_reason = "test"};
    prng_seed(&side->prng, index + 1);
    net_options_init(&side->options);
    side->options.connections_max = CLIENTS;
    side->options.frame_bytes_max = 4096;
    side->options.out_chunk_bytes = CHUNK_BYTES;
    side->options.out_chunk_count = 128;
    side->options.out_chunks_per_conn = 4;
    side->options.recv_buffers_max = BUFFERS;
    side->options.spill_count = 2 * CLIENTS; /* enough for all, so that nobody is shed */
    side->options.remote_max = 2 * CLIENTS;  /* some have ended at their home and not here */
    side->options.lents_max = 512;
    side->options.relays_max = 2 * CLIENTS;
    size_t bytes = net_bytes_needed(&side->options);
    side->memory = malloc(bytes);
    XD_ASSERT(side->memory != NULL);
    arena_init(&side->arena, side->memory, bytes);
    XD_ASSERT(net_init(&side->env, &side->arena, &side->counters, &side->options, &side->net) == 0);
    XD_ASSERT(net_listen(side->net, "here", address) == 0);
    side->cross.net = side->net;
}

int main(int argc, char **argv)
{
    static struct side sides[SIDES];
    static struct cross_ring rings[SIDES]; /* by who reads */
    static _Atomic bool closed[SIDES];
    long frames = argc == 2 ? strtol(argv[1], NULL, 10) : 0;

    if (frames <= 0 || frames > 100000000) {
        fprintf(stderr, "usage: %s FRAMES\n", argv[0]);
        return 2;
    }
    for (uint32_t i = 0; i < SIDES; i++) {
        side_open(&sides[i], i, (uint32_t)frames, closed);
        sides[i].cross.in = &rings[i];
        sides[i].cross.out = &rings[1 - i];
    }
    for (uint32_t i = 0; i < SIDES; i++)
        XD_ASSERT(pthread_create(&sides[i].thread, NULL, side_run, &sides[i]) == 0);
    for (uint32_t i = 0; i < SIDES; i++)
        XD_ASSERT(pthread_join(sides[i].thread, NULL) == 0);
    for (uint32_t i = 0; i < SIDES; i++) {
        const uint64_t *v = sides[i].counters.v;
        printf("shard %u: %u answers, %u connections, %llu frames lent, %llu outputs relayed\n", i,
               sides[i].answered, sides[i].lives, (unsigned long long)v[COUNTER_frames_lent],
               (unsigned long long)v[COUNTER_outputs_relayed]);
        XD_ASSERT(sides[i].lent_count == 0);
        XD_ASSERT(v[COUNTER_connections_open] == 0 && v[COUNTER_connections_remote] == 0);
        XD_ASSERT(v[COUNTER_frames_lent] > (uint64_t)frames / 2);
        free(sides[i].memory);
    }
    return 0;
}
