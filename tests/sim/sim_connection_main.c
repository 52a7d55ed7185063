/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws connection scripts from seeds and plays them.
 *
 *   connection_scripts [--seed N] [--scripts N] [--some]
 *
 * Script number i is drawn from seed + i alone. Every 16th is played twice and must leave the same
 * trace. A failing assertion aborts behind a line that names the seed and how to play it alone;
 * without one the totals are printed, and exit is 1 when something never came up, unless --some
 * says that the scripts are too few for that.
 */
#include "tests/sim/sim_connection.h"

#include "tests/support/prng.h"
#include "wire/xassert.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_BYTES 4u
#define TWICE_EVERY 16u
#define WHO_LATER 0x0cu /* the longest time behind the step */

static struct script script;

/* What is said when an assertion fails; made before the script is played, because a signal handler
 * may not. */
static char last_words[160];

static void say_seed(int number)
{
    (void)!write(STDERR_FILENO, last_words, strlen(last_words)); /* nobody else to tell */
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* How often a step is drawn: what carries data more often than what ends a connection. */
static enum script_step draw_step(struct prng *prng)
{
    static const uint8_t weights[STEP_COUNT] = {
        [STEP_HELLO] = 3,    [STEP_PING] = 2,  [STEP_CATALOG] = 3, [STEP_OPEN] = 5,
        [STEP_PRODUCE] = 40, [STEP_CLOSE] = 3, [STEP_READ] = 16,   [STEP_ADMIN] = 6,
        [STEP_STRANGE] = 1,  [STEP_RAW] = 1,   [STEP_CONNECT] = 1, [STEP_LEAVE] = 2,
        [STEP_DEAF] = 2,     [STEP_TIME] = 6,  [STEP_SPACE] = 2};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < STEP_COUNT; i++)
        sum += weights[i];
    uint32_t drawn = prng_below32(prng, sum);
    for (uint32_t i = 0; i < STEP_COUNT; i++) {
        if (drawn < weights[i])
            return (enum script_step)i;
        drawn -= weights[i];
    }
    XD_ASSERT(false);
    return STEP_COUNT;
}

static size_t put_step(uint8_t *data, enum script_step step, uint32_t who, uint32_t a, uint32_t b)
{
    const uint8_t bytes[STEP_BYTES] = {(uint8_t)step, (uint8_t)who, (uint8_t)a, (uint8_t)b};
    memcpy(data, bytes, sizeof bytes);
    return sizeof bytes;
}

/* Most scripts begin with clients that have said HELLO and opened a channel, since little happens
 * to others; then anything. */
static size_t draw(uint64_t seed, uint8_t *data)
{
    struct prng prng = prng_seeded(seed);
    uint32_t steps = 4 + prng_below32(&prng, SCRIPT_STEPS_MAX - 16);
    uint32_t clients = 1 + prng_below32(&prng, SCRIPT_CONNECTIONS);
    size_t bytes = 0;
    data[bytes++] = (uint8_t)(prng_below32(&prng, 4) == 0);
    for (uint32_t i = 0; i < clients; i++) {
        if (prng_below32(&prng, 8) == 0)
            continue;
        bytes += put_step(data + bytes, STEP_HELLO, i, 0, 0);
        bytes += put_step(data + bytes, STEP_OPEN, i | WHO_LATER, i, 0);
    }
    if (prng_below32(&prng, 32) == 0) { /* the first client takes nothing of much, for 33 s */
        bytes += put_step(data + bytes, STEP_DEAF, 0, 0, 0);
        bytes += put_step(data + bytes, STEP_READ, 0, WORLD_WIDTH, 0);
        bytes += put_step(data + bytes, STEP_TIME, 0, 25, 0);
    }
    bool full = prng_below32(&prng, 8) == 0;
    if (full)
        bytes += put_step(data + bytes, STEP_SPACE, WHO_LATER, 1, 0);
    for (uint32_t i = 0; i < steps && bytes + STEP_BYTES + UINT8_MAX < SCRIPT_BYTES_MAX; i++) {
        enum script_step step = draw_step(&prng);
        uint32_t who = prng_below32(&prng, clients) | prng_below32(&prng, 4) << 2;
        uint32_t b = full && i % 2 == 0 ? FAULT_LARGE : prng_below32(&prng, 256);
        if (prng_below32(&prng, 32) == 0)
            who |= prng_below32(&prng, 16) << 4;
        /* A channel is mostly used by the client that has opened it. */
        uint32_t a = prng_below32(&prng, 256);
        if (step == STEP_RAW)
            a %= 64;
        else if (prng_below32(&prng, 4) != 0 && step != STEP_STRANGE)
            a = (a & ~3u) | (who & 3u);
        bytes += put_step(data + bytes, step, who, a, b);
        for (uint32_t n = step == STEP_RAW ? a : 2; n > 0 && (step == STEP_RAW || who & 0x70); n--)
            data[bytes++] = (uint8_t)prng_next(&prng);
    }
    return bytes;
}

static void play(uint64_t seed, bool twice)
{
    uint8_t data[SCRIPT_BYTES_MAX];
    size_t bytes = draw(seed, data);
    snprintf(last_words, sizeof last_words,
             "seed %llu failed; again: connection_scripts --seed %llu --scripts 1 --some\n",
             (unsigned long long)seed, (unsigned long long)seed);
    script_run(&script, data, bytes);
    if (!twice)
        return;
    uint64_t hash = script.trace_hash;
    script_run(&script, data, bytes);
    XD_ASSERT(script.trace_hash == hash);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, scripts = 1000;
    bool some = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--some") == 0)
            some = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--scripts") == 0)
            scripts = strtoull(argv[++i], NULL, 0);
        else {
            fprintf(stderr, "usage: connection_scripts [--seed N] [--scripts N] [--some]\n");
            return 2;
        }
    }
    (void)signal(SIGABRT, say_seed);
    script_open(&script);
    for (uint64_t i = 0; i < scripts; i++)
        play(seed + i, i % TWICE_EVERY == 0);
    bool good = totals_report(&script.world);
    printf("%llu scripts from seed %llu\n", (unsigned long long)scripts, (unsigned long long)seed);
    return good || some ? 0 : 1;
}
