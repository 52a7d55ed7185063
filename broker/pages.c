/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages about the running broker; see pages.h. The form of a check is the one that container
 * platforms print: [+] well, [-] not well.
 */
#include "broker/pages.h"

#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct page {
    char *text;    /* PAGES_TEXT_BYTES */
    uint32_t used; /* */
    bool verbose;  /* checks that are well are written too */
    bool well;     /* no check was not */
};

static void check(struct page *page, uint32_t shard, const char *name, bool well, const char *why)
{
    page->well = page->well && well;
    if (well && !page->verbose)
        return;
    int written =
        snprintf(page->text + page->used, PAGES_TEXT_BYTES - page->used, "[%c] shard %u %s%s%s\n",
                 well ? '+' : '-', shard, name, well ? "" : ": ", well ? "" : why);
    XD_ASSERT(written > 0 && (uint32_t)written < PAGES_TEXT_BYTES - page->used);
    page->used += (uint32_t)written;
}

static uint32_t finish(struct page *page, const char *name, bool *ret_well)
{
    int written = snprintf(page->text + page->used, PAGES_TEXT_BYTES - page->used, "%s %s\n", name,
                           page->well ? "ok" : "failed");
    XD_ASSERT(written > 0 && (uint32_t)written < PAGES_TEXT_BYTES - page->used);
    page->used += (uint32_t)written;
    *ret_well = page->well;
    return page->used;
}

static void check_turns(struct page *page, const struct pages_shard *shard)
{
    char why[96];
    snprintf(why, sizeof why, "no turn for %" PRIu64 " s", shard->silent_ns / 1000000000u);
    check(page, shard->shard, "turns", shard->alive && shard->silent_ns < PAGES_SILENT_NS,
          shard->alive ? why : shard->stage);
}

uint32_t pages_livez(const struct pages_shard *shards, uint32_t count, bool verbose, bool *ret_well,
                     char *ret_text)
{
    struct page page = {.text = ret_text, .verbose = verbose, .well = true};
    for (uint32_t i = 0; i < count; i++)
        check_turns(&page, &shards[i]);
    return finish(&page, "livez", ret_well);
}

uint32_t pages_readyz(const struct pages_shard *shards, uint32_t count, bool verbose,
                      bool *ret_well, char *ret_text)
{
    struct page page = {.text = ret_text, .verbose = verbose, .well = true};
    for (uint32_t i = 0; i < count; i++) {
        const struct pages_shard *shard = &shards[i];
        char why[96];
        snprintf(why, sizeof why, "%.32s, %u %%", shard->stage, shard->percent);
        bool recovered = shard->serving || shard->percent == 100;
        check(&page, shard->shard, "recovered", recovered, why);
        check(&page, shard->shard, "listens", shard->serving, shard->stage);
        check(&page, shard->shard, "writable",
              shard->serving &&
                  (shard->state == ADMIN_STATE_RUNNING || shard->state == ADMIN_STATE_THROTTLING),
              shard->serving ? admin_state_name(shard->state) : shard->stage);
        check_turns(&page, shard);
    }
    return finish(&page, "readyz", ret_well);
}
