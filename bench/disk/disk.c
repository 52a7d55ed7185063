/* SPDX-License-Identifier: Apache-2.0
 *
 * The log on a real disk; see disk.h.
 */
#include "bench/disk/disk.h"

#include "bench/disk/append.h"
#include "broker/io/env_uring.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static_assert(DISK_BATCHES_MAX == APPEND_LOAD_BATCHES_MAX, "one window");
static_assert(DISK_BATCH_BYTES_MAX <= XD_BATCH_BYTES_MAX, "batches fit");
static_assert(DISK_BATCH_BYTES_MIN > XD_BATCH_HEADER_BYTES, "batches have a body");
static_assert(ENV_URING_WHY_BYTES <= DISK_WHY_BYTES, "texts fit");
static_assert(XD_DETAIL_BYTES_MAX <= DISK_WHY_BYTES, "texts fit");

struct disk {
    struct env *env;
    struct append_load load;
};

int disk_open(const struct disk_options *options, struct disk **ret_disk, char *ret_why)
{
    struct env_uring_options env;
    struct append_load_options load;
    struct disk *disk = calloc(1, sizeof *disk);
    snprintf(ret_why, DISK_WHY_BYTES, "no memory");
    if (disk == NULL)
        return -ENOMEM;
    env_uring_options_init(&env);
    env.folder = options->folder;
    append_load_options_init(&load);
    load.batch_bytes = options->batch_bytes;
    load.inflight = options->inflight;
    load.log.segment_bytes = options->segment_bytes;
    load.log.retention_bytes = 4 * options->segment_bytes;
    load.log.writes_inflight_max = options->writes;
    load.log.write_group_bytes = options->group_bytes;
    load.log.sync = (enum log_sync)options->sync;
    int status = env_uring_open(&env, &disk->env, ret_why);
    if (status == 0)
        status = append_load_open(&disk->load, disk->env, &load, ret_why);
    if (status == 0) {
        env_mem_seal(disk->env);
        *ret_disk = disk;
        return 0;
    }
    if (disk->load.log != NULL)
        log_deinit(disk->load.log);
    env_uring_close(disk->env);
    free(disk);
    return status;
}

int disk_turn(struct disk *disk, bool append_more, uint64_t until_ns, uint64_t *ret_times_ns)
{
    return append_load_turn(&disk->load, append_more, until_ns, ret_times_ns);
}

uint32_t disk_pending(const struct disk *disk)
{
    return (uint32_t)(disk->load.appended - disk->load.durable);
}

const char *disk_sync(const struct disk *disk)
{
    return log_sync_mode(disk->load.log) == LOG_SYNC_DSYNC ? "dsync" : "fdatasync";
}

int disk_close(struct disk *disk)
{
    if (disk == NULL)
        return 0;
    int status = append_load_close(&disk->load);
    env_uring_close(disk->env);
    free(disk);
    return status;
}
