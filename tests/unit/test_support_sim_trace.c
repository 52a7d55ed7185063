/* SPDX-License-Identifier: Apache-2.0
 *
 * The same seed gives the same run: a process without sense uses the whole seam on a bad day,
 * twice, and both traces and disks are equal.
 */
#include "tests/support/env_sim.h"

#include "broker/base/prng.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#define PAGE 4096u
#define CHURN_STEPS 400u
#define CHURN_FILES 3u
#define CHURN_CLIENTS 4u

/* Everything goes wrong now and then. */
static void options_of_a_bad_day(struct sim_options *options, uint64_t seed)
{
    sim_options_init(options, seed);
    options->disk_bytes = 400 * PAGE;
    options->window_bytes = 5000;
    options->rates = (struct sim_rates){
        .write_error = 1000,
        .read_error = 1000,
        .sync_error = 2000,
        .sync_lie = 1000,
        .write_short = 2000,
        .read_short = 2000,
        .spike = 500,
        .write_flip = 500,
        .write_misdirect = 500,
        .write_drop = 500,
        .write_zero = 500,
        .read_flip = 500,
        .read_misdirect = 500,
        .net_fragment = 20000,
        .net_reset = 2000,
        .net_stall = 1000,
        .crash_point = 3000,
        .buggify_enabled = 32768,
        .buggify_fires = 8000,
    };
}

/* A process without sense that uses every call of the seam. Its choices come from a stream of its
 * own and from what the env answers. */
struct churn {
    struct sim *sim;
    struct env *env;
    struct prng prng;
    uint8_t *pages; /* 16 pages written, 16 read */
    env_file files[CHURN_FILES];
    env_listener listener;
    char address[ENV_ADDRESS_BYTES_MAX];
    env_conn conns[CHURN_CLIENTS]; /* accepted; -1 = none */
    bool sending[CHURN_CLIENTS];   /* of conns */
    int clients[CHURN_CLIENTS];    /* -1 = none */
    uint64_t crashes;
    uint64_t events;
};

enum { CHURN_FILE = 1, CHURN_ACCEPT, CHURN_RECV, CHURN_SEND, CHURN_CLOSE };

static uint64_t churn_token(uint8_t kind, uint64_t value)
{
    return env_token(ENV_OWNER_TEST, kind, value);
}

static void churn_start(struct churn *churn)
{
    static const char *const names[CHURN_FILES] = {"alpha", "beta", "sub/gamma"};

    churn->env = env_sim_process(churn->sim, NULL);
    churn->pages = env_mem_alloc(churn->env, 32 * PAGE);
    env_mem_seal(churn->env);
    (void)env_dir_make(churn->env, "sub"); /* may be there */
    for (uint32_t i = 0; i < CHURN_FILES; i++) {
        churn->files[i] = -1;
        (void)env_file_open(churn->env, names[i], ENV_OPEN_CREATE, &churn->files[i]);
        (void)env_file_reserve(churn->env, churn->files[i], 100 * PAGE); /* or not: all the same */
    }
    cr_assert_eq(env_net_listen(churn->env, "127.0.0.1:7700", &churn->listener, churn->address), 0);
    env_net_accept(churn->env, churn->listener, churn_token(CHURN_ACCEPT, 0));
    for (uint32_t i = 0; i < CHURN_CLIENTS; i++) {
        churn->conns[i] = -1;
        churn->sending[i] = false;
    }
}

static void churn_file(struct churn *churn, uint64_t choice)
{
    env_file file = churn->files[prng_below(&churn->prng, CHURN_FILES)];
    uint32_t pages = 1 + (uint32_t)prng_below(&churn->prng, 8);
    uint64_t at = prng_below(&churn->prng, 90) * PAGE;
    uint64_t token = churn_token(CHURN_FILE, 0);

    if (choice < 6)
        env_file_write(churn->env, file, churn->pages, pages * PAGE, at,
                       choice < 2 ? ENV_WRITE_DSYNC : 0, token);
    else if (choice < 8)
        env_file_read(churn->env, file, churn->pages + 16 * PAGE, pages * PAGE, at, token);
    else
        env_file_sync(churn->env, file, token);
}

static void churn_names(struct churn *churn)
{
    static const char *const names[] = {"one", "two", "sub/three"};
    const char *from = names[prng_below(&churn->prng, 3)];
    env_file file;

    /* Outcomes are part of the trace; any is good. */
    if (env_file_open(churn->env, from, ENV_OPEN_CREATE, &file) == 0)
        env_file_close(churn->env, file);
    (void)env_file_rename(churn->env, from, names[prng_below(&churn->prng, 3)]);
    if (prng_below(&churn->prng, 2) == 0)
        (void)env_file_unlink(churn->env, names[prng_below(&churn->prng, 3)]);
    if (prng_below(&churn->prng, 2) == 0)
        (void)env_dir_sync(churn->env, prng_below(&churn->prng, 2) == 0 ? "" : "sub");
}

static void churn_client(struct churn *churn)
{
    static const uint8_t bytes[3000] = {1, 2, 3};
    uint8_t in[2000];
    int *client = &churn->clients[prng_below(&churn->prng, CHURN_CLIENTS)];

    if (*client < 0) {
        *client = sim_client_connect(churn->sim, churn->address);
        return;
    }
    switch (prng_below(&churn->prng, 12)) {
    case 0:
        sim_client_reset(churn->sim, *client);
        break;
    case 1:
        sim_client_free(churn->sim, *client);
        *client = -1;
        break;
    case 2:
        sim_client_partition(churn->sim, *client, prng_below(&churn->prng, 4) == 0,
                             prng_below(&churn->prng, 4) == 0);
        break;
    case 3:
        sim_client_close(churn->sim, *client);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        (void)sim_client_recv(churn->sim, *client, in, sizeof(in)); /* or nothing */
        break;
    default:
        (void)sim_client_send(churn->sim, *client, bytes, sizeof(bytes)); /* or less */
    }
}

static void churn_conn_event(struct churn *churn, const struct env_event *event)
{
    static const uint8_t answer[4000] = {4, 5, 6};
    static const struct iovec piece = {.iov_base = (void *)(uintptr_t)answer, .iov_len = 4000};
    uint64_t slot = env_token_value(event->token);
    env_conn conn = churn->conns[slot];

    if (event->op == ENV_OP_SEND)
        churn->sending[slot] = false;
    if (event->buffer != ENV_BUFFER_NONE)
        env_buffer_release(churn->env, event->buffer);
    if (event->op == ENV_OP_CLOSE || conn < 0)
        return;
    if (event->result <= 0) {
        /* An end, an error, or buffers gone: give the connection up. */
        churn->conns[slot] = -1;
        env_net_close(churn->env, conn, churn_token(CHURN_CLOSE, slot));
        return;
    }
    if (event->op != ENV_OP_RECV)
        return;
    if (!event->more)
        env_net_recv(churn->env, conn, churn_token(CHURN_RECV, slot));
    if (!churn->sending[slot]) {
        churn->sending[slot] = true;
        env_net_send(churn->env, conn, &piece, 1, churn_token(CHURN_SEND, slot));
    }
}

static void churn_event(struct churn *churn, const struct env_event *event)
{
    uint32_t slot = 0;

    churn->events++;
    if (event->op < ENV_OP_ACCEPT)
        return;
    if (event->op != ENV_OP_ACCEPT) {
        churn_conn_event(churn, event);
        return;
    }
    if (!event->more)
        env_net_accept(churn->env, churn->listener, churn_token(CHURN_ACCEPT, 0));
    if (event->result < 0)
        return;
    while (slot < CHURN_CLIENTS && (churn->conns[slot] >= 0 || churn->sending[slot]))
        slot++;
    if (slot == CHURN_CLIENTS) {
        env_net_close(churn->env, event->result, churn_token(CHURN_CLOSE, 0));
        return;
    }
    churn->conns[slot] = event->result;
    env_net_recv(churn->env, event->result, churn_token(CHURN_RECV, slot));
}

static void churn_step(struct churn *churn)
{
    struct env_event events[8];
    uint64_t choice = prng_below(&churn->prng, 16);
    int count;

    if (choice < 10)
        churn_file(churn, choice);
    else if (choice < 11)
        churn_names(churn);
    else
        churn_client(churn);
    env_crash_point(churn->env, ENV_CRASH_BLOCK_WRITTEN);
    if (env_buggify(churn->env, ENV_BUGGIFY_ACK_SPLIT))
        (void)env_rand64(churn->env); /* only to be in the trace */
    count = env_wait(churn->env, events, 8, env_now_mono_ns(churn->env) + 200000);
    if (count == -ESHUTDOWN) {
        cr_assert(sim_dead(churn->sim));
        sim_crash(churn->sim, SIM_CRASH_ANY);
        churn->crashes++;
        churn_start(churn);
        return;
    }
    cr_assert_geq(count, 0);
    for (int i = 0; i < count; i++)
        churn_event(churn, &events[i]);
}

/* Plays the seed in a fresh or reset world; returns its trace hash. */
static uint64_t churn_run(struct sim *sim, uint64_t seed, struct churn *ret_churn)
{
    struct churn churn = {.sim = sim};

    prng_seed(&churn.prng, seed);
    for (uint32_t i = 0; i < CHURN_CLIENTS; i++)
        churn.clients[i] = -1;
    churn_start(&churn);
    for (uint32_t i = 0; i < CHURN_STEPS; i++)
        churn_step(&churn);
    *ret_churn = churn;
    return sim_trace_hash(sim);
}

/* Every seed gives the same trace twice, in a fresh world and in one that played another seed, and
 * no two seeds the same; the disks are equal too. */
Test(support_env_sim, same_seed_gives_the_same_trace)
{
    enum { SEED_COUNT = 40 };
    struct sim_options options;
    struct sim *used;
    uint64_t hashes[SEED_COUNT];
    struct churn churn;
    uint64_t crashes = 0;
    uint64_t silent = 0;

    options_of_a_bad_day(&options, 4711);
    used = sim_open(&options);
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct sim *fresh;

        options_of_a_bad_day(&options, seed);
        fresh = sim_open(&options);
        sim_reset(used, &options);
        hashes[seed] = churn_run(fresh, seed, &churn);
        crashes += churn.crashes;
        silent += sim_silent_count(fresh);
        cr_assert_gt(churn.events, CHURN_STEPS / 4);
        cr_assert_eq(churn_run(used, seed, &churn), hashes[seed], "seed %u", (unsigned)seed);
        cr_assert_eq(sim_disk_hash(used), sim_disk_hash(fresh));
        for (uint64_t other = 0; other < seed; other++)
            cr_assert_neq(hashes[other], hashes[seed]);
        sim_close(fresh);
    }
    cr_assert_gt(crashes, SEED_COUNT, "too tame: %u crashes", (unsigned)crashes);
    cr_assert_gt(silent, SEED_COUNT, "too tame: %u silent faults", (unsigned)silent);
    sim_close(used);
}

/* The trace follows the data too: one bit of difference in what is written changes it. */
Test(support_env_sim, trace_depends_on_the_bytes_written)
{
    uint64_t hashes[2];

    for (uint8_t i = 0; i < 2; i++) {
        struct sim_options options;
        struct sim *sim;
        struct env *env;
        struct env_event event;
        env_file file;
        uint8_t *page;

        sim_options_init(&options, 1);
        sim = sim_open(&options);
        env = env_sim_process(sim, NULL);
        page = env_mem_alloc(env, PAGE);
        page[1000] = i;
        cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
        env_file_write(env, file, page, PAGE, 0, 0, 1);
        cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
        hashes[i] = sim_trace_hash(sim);
        sim_close(sim);
    }
    cr_assert_neq(hashes[0], hashes[1]);
}

/* The text of a trace has a line for each row, with time and names; a dump has the newest ones. */
Test(support_sim_trace, text_has_a_line_for_each_row)
{
    static char text[65536];
    static char dump[65536];
    struct sim_options options;
    struct sim *sim;
    struct env *env;
    struct env_event event;
    env_file file;
    FILE *out = fmemopen(text, sizeof(text), "w");
    FILE *newest = fmemopen(dump, sizeof(dump), "w");
    size_t lines = 0;

    cr_assert(out != NULL && newest != NULL);
    sim_options_init(&options, 1);
    sim = sim_open(&options);
    sim_trace_to(sim, out);
    env = env_sim_process(sim, NULL);
    cr_assert_eq(env_file_open(env, "data", ENV_OPEN_CREATE, &file), 0);
    env_file_sync(env, file, 5);
    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
    sim_trace_to(sim, NULL);
    sim_trace_dump(sim, newest);
    sim_close(sim);
    fclose(out);
    fclose(newest);
    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n';
    cr_assert_eq(lines, 5, "process, open, start, event, wait:\n%s", text);
    cr_assert_not_null(strstr(text, "EVENT       sync token=5 result=0\n"), "%s", text);
    cr_assert_str_eq(dump, text);
}
