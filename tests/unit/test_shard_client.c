/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library against a whole shard over loopback: the shard turns in the test's process,
 * the program that uses the library is a child. For what both sides must agree about at sizes that
 * a scripted broker does not have.
 */
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <crossdock/crossdock.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOPICS 10u
#define WIDTH XD_PARTITION_WIDTH_MAX
#define CHAINS (TOPICS * WIDTH)
#define WAIT_MS 20000u

/* In the child: says what is wrong and ends it. */
#define CHILD_EXPECT(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "child, line %d: %s\n", __LINE__, #condition);                   \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char topic_names[TOPICS][16];

/* Turns the shard until the child has ended. */
static void serve(struct world *world, pid_t child)
{
    int ended = 0;
    uint64_t start_ns = env_now_mono_ns(world->env);
    while (waitpid(child, &ended, WNOHANG) == 0) {
        world_turn(world, WORLD_TURN_NS);
        cr_assert_lt(env_now_mono_ns(world->env) - start_ns, WORLD_PATIENCE_NS);
    }
    cr_assert(WIFEXITED(ended) && WEXITSTATUS(ended) == 0, "the child failed");
}

/* ---- the child ------------------------------------------------------------------------------- */

/* A SKU for each bucket of a topic. */
static void find_skus(char (*skus)[16])
{
    memset(skus, 0, WIDTH * sizeof skus[0]);
    for (uint32_t n = 0, found = 0; found < WIDTH; n++) {
        char sku[16];
        (void)snprintf(sku, sizeof sku, "SKU-%u", n);
        char *place = skus[xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), WIDTH)];
        found += place[0] == '\0';
        memcpy(place, sku, sizeof sku);
    }
}

/* One record into every partition; the newest sequence of each in *ret_last. */
static void post_everywhere(xdock_producer_t *producer, char (*skus)[16], uint64_t *ret_last)
{
    xdock_ack_t acks[64];
    for (uint32_t i = 0; i < CHAINS; i++) {
        xdock_record_t record = XDOCK_RECORD_INIT;
        record.topic = topic_names[i / WIDTH];
        record.type = XDOCK_STOCK_MOVED;
        record.sku = skus[i % WIDTH];
        record.location = "A-01";
        record.document = "TASK-1";
        record.quantity = xdock_quantity(1, 0, XDOCK_UOM_PIECE);
        CHILD_EXPECT(xdock_post(producer, &record, i, WAIT_MS) == 0);
    }
    for (uint32_t done = 0; done < CHAINS;) {
        int count = xdock_acks(producer, acks, sizeof acks / sizeof acks[0], WAIT_MS);
        CHILD_EXPECT(count > 0);
        for (int i = 0; i < count; i++, done++) {
            CHILD_EXPECT(acks[i].status == 0 && acks[i].partition < CHAINS);
            CHILD_EXPECT(ret_last[acks[i].partition] < acks[i].sequence);
            ret_last[acks[i].partition] = acks[i].sequence;
        }
    }
}

static xdock_client_t *open_client(const char *address)
{
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    char error[256] = "";
    CHILD_EXPECT(xdock_options_init(&options) == 0);
    CHILD_EXPECT(xdock_options_set(options, "address", address) == 0);
    CHILD_EXPECT(xdock_options_set(options, "producer.batch_bytes", "4KiB") == 0);
    CHILD_EXPECT(xdock_client_open(options, WAIT_MS, &client, error, sizeof error) == 0);
    xdock_options_free(&options);
    return client;
}

/* The second life of a source knows where each of its chains ended: nothing it sends is refused. */
static void resume_everywhere(const char *address)
{
    static uint64_t last[CHAINS];
    static char skus[WIDTH][16];
    xdock_client_stats_t stats;
    find_skus(skus);
    for (uint32_t life = 0; life < 2; life++) {
        xdock_client_t *client = open_client(address);
        xdock_producer_t *producer = NULL;
        CHILD_EXPECT(xdock_producer_open(client, "wms", "all", NULL, WAIT_MS, &producer) == 0);
        CHILD_EXPECT(xdock_producer_resume(producer) == life * CHAINS);
        for (uint32_t i = 0; i < CHAINS; i++)
            CHILD_EXPECT(xdock_producer_resume_partition(producer, i) == last[i]);
        post_everywhere(producer, skus, last);
        xdock_client_stats(client, &stats);
        CHILD_EXPECT(stats.batches_resent == 0 && stats.refused == 0 && stats.duplicates == 0);
        CHILD_EXPECT(xdock_producer_close(&producer, WAIT_MS) == 0);
        CHILD_EXPECT(xdock_client_close(&client, WAIT_MS) == 0);
    }
    _exit(0);
}

/* A channel with more chains than an output chunk can tell resumes exactly in all of them. */
Test(shard_client, resumes_a_channel_of_many_chains, .timeout = 60)
{
    static struct shard_topic topics[TOPICS];
    struct world *world = world_begin_uring("127.0.0.1:0");
    for (uint32_t i = 0; i < TOPICS; i++) {
        (void)snprintf(topic_names[i], sizeof topic_names[i], "topic-%u", i);
        topics[i] = (struct shard_topic){topic_names[i], XD_STRATEGY_SKU, WIDTH};
    }
    world->options.topics = topics;
    world->options.topic_count = TOPICS;
    world->options.partitions_max = CHAINS;
    world->options.sessions.chains_max = CHAINS;
    world->options.log.index_bytes = 8u << 20;
    world_start(world);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        resume_everywhere(world->address);
    }
    serve(world, child);
    world_end(world);
}
