/* SPDX-License-Identifier: Apache-2.0
 *
 * The course of one case. What it must have come to is in bit_rule.c, reading in bit_read.c.
 */
#include "tests/crash/bit_judge.h"

#include "tests/crash/bit_read.h"
#include "tests/crash/bit_rule.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 1024u
#define AGAIN_EVERY 16u

bool bit_broken(struct bit_judge *judge, const char *rule, const char *what, const char *detail)
{
    if (judge->rule == NULL) {
        judge->rule = rule;
        (void)snprintf(judge->failure, sizeof judge->failure, "%.150s: %.340s", what, detail);
    }
    return false;
}

static void tell(const struct bit_judge *judge)
{
    const struct sim_broker *broker = &judge->broker;
    if (judge->trace == NULL)
        return;
    fprintf(judge->trace, "  start: %s%s%s\n", xd_status_name(judge->started),
            judge->started < 0 ? ": " : "", judge->started < 0 ? broker->why : "");
    for (uint64_t i = judge->first_line; i < broker->line_count; i++) {
        const struct shard_line *line = &broker->lines[i % SIM_BROKER_LINES];
        fprintf(judge->trace, "  line %s %s\n", line->event, line->text);
    }
    for (uint32_t i = 0; i < judge->verify.count; i++)
        fprintf(judge->trace, "  verify %s\n", judge->verify.found[i].text);
    for (uint32_t i = 0; i < judge->damage->base->map.area_count; i++) {
        const struct bit_area *area = &judge->damage->base->map.areas[i];
        if (judge->damage->hit[i])
            fprintf(judge->trace, "  hit %s of %s at %" PRIu64 " + %" PRIu64 "\n",
                    bit_class_name(area->class),
                    judge->damage->base->map.files[area->file].disk->name, area->at, area->bytes);
    }
    if (judge->gap_from != UINT64_MAX)
        fprintf(judge->trace, "  index %" PRIu64 " and later may be cut\n", judge->gap_from);
}

/* Serving, reading, stopping. */
static bool serve(struct bit_judge *judge)
{
    bool good = bit_read_all(judge);
    wire_client_leave(&judge->client, false);
    int status = good ? sim_broker_stop(&judge->broker) : 0;
    if (status < 0)
        return bit_broken(judge, "failure", "the stop fails", xd_status_name(status));
    return good;
}

/* A start that was refused has changed nothing: the folder can be repaired and started again. What
 * it may add are copies in quarantine/. */
static bool nothing_changed(struct bit_judge *judge)
{
    const struct sim_snapshot *before = &judge->damage->folder;
    sim_snapshot_take(&judge->after, judge->broker.sim);
    for (uint32_t i = 0; i < before->count; i++) {
        const struct sim_snapshot_file *file = &before->files[i];
        const struct sim_snapshot_file *now = NULL;
        if (file->folder || strncmp(file->name, "quarantine/", 11) == 0)
            continue;
        for (uint32_t j = 0; j < judge->after.count; j++)
            if (strcmp(judge->after.files[j].name, file->name) == 0)
                now = &judge->after.files[j];
        if (now == NULL || now->bytes != file->bytes ||
            bit_images_differ(&now->image, &file->image, 0, file->bytes))
            return bit_broken(judge, "failure", "a refused start has changed", file->name);
    }
    return true;
}

/* Whether the folder that a run has left behind is verified too: some of them. */
static bool looked_at_again(const struct bit_judge *judge)
{
    const char *text = judge->damage->text;
    return judge->started == 0 && xd_xxh3(text, strlen(text)) % AGAIN_EVERY == 0;
}

/* Behind the stop: damage to the log stands and is named, everything else was mended. */
static bool stands(struct bit_judge *judge)
{
    sim_snapshot_take(&judge->after, judge->broker.sim);
    bit_verify(&judge->verify, &judge->after);
    return bit_rule_after(judge);
}

bool bit_judge(struct bit_judge *judge, const struct bit_damage *damage)
{
    struct sim_broker *broker = &judge->broker;
    judge->damage = damage;
    judge->rule = NULL;
    judge->quarantined = 0;
    judge->first_line = broker->line_count;
    bit_rule_begin(judge);
    sim_snapshot_put(&damage->folder, broker->sim);
    bit_verify(&judge->verify, &damage->folder);
    broker->options.log = damage->base->options;
    judge->started = sim_broker_start(broker);
    judge->serving_line = broker->line_count;
    bool good = judge->started < 0 || serve(judge);
    if (broker->env != NULL)
        (void)sim_broker_crash(broker, SIM_CRASH_KEEP_NONE);
    wire_client_leave(&judge->client, true);
    good = good && (judge->started == 0 || nothing_changed(judge)) && bit_rule_end(judge);
    tell(judge);
    return good && (!looked_at_again(judge) || stands(judge));
}

void bit_judge_init(struct bit_judge *judge)
{
    struct sim_options world;
    memset(judge, 0, sizeof *judge);
    sim_options_init(&world, 1);
    sim_broker_open(&judge->broker, &world);
    wire_client_init(&judge->client, judge->broker.sim);
    bit_verify_init(&judge->verify, judge->broker.sim);
    sim_snapshot_init(&judge->after, judge->broker.sim);
    judge->block_hit = calloc(BLOCKS_MAX, sizeof *judge->block_hit);
    XD_ASSERT(judge->block_hit != NULL);
}

void bit_judge_deinit(struct bit_judge *judge)
{
    bit_verify_deinit(&judge->verify);
    sim_snapshot_deinit(&judge->after);
    wire_client_deinit(&judge->client);
    sim_broker_close(&judge->broker);
    free(judge->block_hit);
}
