/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/pages.c: what is well, what is not and why, for each thing that can be known of a shard.
 */
#include "broker/pages.h"

#include "broker/link/link.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char text[PAGES_TEXT_BYTES];
static bool well;

/* A shard of which nothing bad is known. */
static struct pages_shard good(uint32_t shard)
{
    return (struct pages_shard){.shard = shard,
                                .stage = "serving",
                                .serving = true,
                                .alive = true,
                                .percent = 100,
                                .state = ADMIN_STATE_RUNNING};
}

static void ready(const struct pages_shard *shards, uint32_t count, bool verbose)
{
    uint32_t bytes = pages_readyz(shards, count, verbose, &well, text);
    cr_assert_eq(bytes, strlen(text));
}

static void live(const struct pages_shard *shards, uint32_t count, bool verbose)
{
    uint32_t bytes = pages_livez(shards, count, verbose, &well, text);
    cr_assert_eq(bytes, strlen(text));
}

/* All is well: one word, or one line for each check when that is asked for. */
Test(pages, says_ok_and_with_verbose_every_check)
{
    const struct pages_shard shards[] = {good(0), good(1)};
    ready(shards, 2, false);
    cr_assert(well);
    cr_assert_str_eq(text, "readyz ok\n");
    ready(shards, 2, true);
    cr_assert(well);
    cr_assert_str_eq(text, "[+] shard 0 recovered\n[+] shard 0 listens\n[+] shard 0 writable\n"
                           "[+] shard 0 turns\n[+] shard 1 recovered\n[+] shard 1 listens\n"
                           "[+] shard 1 writable\n[+] shard 1 turns\nreadyz ok\n");
    live(shards, 2, true);
    cr_assert(well);
    cr_assert_str_eq(text, "[+] shard 0 turns\n[+] shard 1 turns\nlivez ok\n");
    live(shards, 2, false);
    cr_assert_str_eq(text, "livez ok\n");
}

/* A shard that recovers is alive and not ready, and the page says how far it is. */
Test(pages, recovering_is_alive_and_not_ready)
{
    struct pages_shard shards[] = {good(0), good(1)};
    shards[1].stage = "recovering";
    shards[1].serving = false;
    shards[1].percent = 41;
    ready(shards, 2, false);
    cr_assert_not(well);
    cr_assert_str_eq(text, "[-] shard 1 recovered: recovering, 41 %\n"
                           "[-] shard 1 listens: recovering\n"
                           "[-] shard 1 writable: recovering\nreadyz failed\n");
    live(shards, 2, false);
    cr_assert(well);
}

/* A shard that drains takes nothing any more. */
Test(pages, draining_is_alive_and_not_ready)
{
    struct pages_shard shard = good(0);
    shard.stage = "draining";
    shard.serving = false;
    ready(&shard, 1, false);
    cr_assert_not(well);
    cr_assert_str_eq(text, "[-] shard 0 listens: draining\n[-] shard 0 writable: draining\n"
                           "readyz failed\n");
    live(&shard, 1, false);
    cr_assert(well);
}

/* Of the states of a shard that serves, two take writes. */
Test(pages, only_a_shard_that_can_write_is_ready)
{
    for (int state = ADMIN_STATE_RUNNING; state <= ADMIN_STATE_DRAINING; state++) {
        struct pages_shard shard = good(0);
        char line[64];
        shard.state = (enum admin_state)state;
        ready(&shard, 1, false);
        cr_assert_eq(well, state == ADMIN_STATE_RUNNING || state == ADMIN_STATE_THROTTLING, "%s",
                     admin_state_name(shard.state));
        snprintf(line, sizeof line, "[-] shard 0 writable: %s\nreadyz failed\n",
                 admin_state_name(shard.state));
        cr_assert_str_eq(text, well ? "readyz ok\n" : line);
    }
}

/* The last ns of patience, and the first one beyond it. */
Test(pages, a_shard_without_turns_is_not_alive)
{
    struct pages_shard shard = good(3);
    shard.silent_ns = PAGES_SILENT_NS - 1;
    live(&shard, 1, false);
    cr_assert(well);
    shard.silent_ns = PAGES_SILENT_NS;
    live(&shard, 1, false);
    cr_assert_not(well);
    cr_assert_str_eq(text, "[-] shard 3 turns: no turn for 10 s\nlivez failed\n");
    ready(&shard, 1, false);
    cr_assert_not(well);
}

/* A thread that is over is told by its stage, whatever its clock said. */
Test(pages, a_shard_that_is_over_is_not_alive)
{
    struct pages_shard shard = good(0);
    shard.stage = "failed";
    shard.alive = false;
    live(&shard, 1, false);
    cr_assert_not(well);
    cr_assert_str_eq(text, "[-] shard 0 turns: failed\nlivez failed\n");
}

/* The longest text of the largest broker fits. */
Test(pages, has_room_for_the_worst_day_of_all_shards)
{
    struct pages_shard shards[LINK_SHARDS_MAX];
    for (uint32_t i = 0; i < LINK_SHARDS_MAX; i++) {
        shards[i] = good(i);
        shards[i].stage = "recovering";
        shards[i].serving = false;
        shards[i].percent = 99;
        shards[i].silent_ns = UINT64_MAX;
    }
    ready(shards, LINK_SHARDS_MAX, true);
    cr_assert_not(well);
    cr_assert_not_null(strstr(text, "[-] shard 63 turns: no turn for 18446744073 s\n"
                                    "readyz failed\n"));
}
