/* SPDX-License-Identifier: Apache-2.0
 *
 * What a configuration means: the options of shard and env, addresses, start-up topics, folder.
 *
 * Normal path: setup_make, then `shard` and `env` are ready to be used as long as the setup lives.
 * Failure path: XD_OPTION_INVALID with `why`: an address or topic that does not parse, options that
 * contradict each other, plain text beyond this host without leave.
 * Must not open anything.
 */
#ifndef CROSSDOCK_BROKER_SETUP_H
#define CROSSDOCK_BROKER_SETUP_H

#include "broker/config.h"
#include "broker/config_print.h"
#include "broker/io/engine.h"
#include "broker/shard/shard.h"

#define SETUP_ADDRESSES_MAX 8u
#define SETUP_TOPICS_MAX 64u

struct setup {
    struct shard_options shard;   /* borrows from the fields below */
    struct engine_options engine; /* folder and bell are not in it: each shard has its own */
    uint32_t shard_count;         /* process.shards */
    char data[CONFIG_TEXT_BYTES_MAX];
    char addresses[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX];
    const char *address_list[SETUP_ADDRESSES_MAX];
    char topic_names[SETUP_TOPICS_MAX][XD_NAME_BYTES_MAX + 1];
    struct shard_topic topics[SETUP_TOPICS_MAX];
    char config_json[CONFIG_JSON_BYTES_MAX];
    int32_t cpu;                         /* to bind to, -1 = none */
    bool memory_lock;                    /* process.mlock */
    char metrics[ENV_ADDRESS_BYTES_MAX]; /* metrics.listen */
};

/* Data folder when server.data is empty: `state_directory`, which the service manager gives, else
 * by `root`, whether the process runs as root. */
const char *setup_data_default(const char *state_directory, bool root);
/* 0 or XD_OPTION_INVALID with `why` (CONFIG_WHY_BYTES). `data_default` is copied. */
int setup_make(const struct config *config, const char *data_default, struct setup *ret_setup,
               char *why);
/* Descriptors that the process needs at most. */
uint64_t setup_descriptors(const struct setup *setup);
/* Where a process may have no more than `descriptors` and nobody has set net.connections_max: as
 * many connections as that leaves, when these are not too few. Whether it has changed them. */
bool setup_fit(const struct config *config, struct setup *setup, uint64_t descriptors);
/* Options of one shard. `links` as in shard_options. */
void setup_shard(const struct setup *setup, uint32_t shard, struct links *links,
                 struct shard_options *ret_options);
/* Where a shard's files lie: in the data folder, or with several shards in a folder of it. Text of
 * SETUP_FOLDER_BYTES_MAX. */
#define SETUP_FOLDER_BYTES_MAX (CONFIG_TEXT_BYTES_MAX + 32u)
void setup_folder(const struct setup *setup, uint32_t shard, char *ret_folder);
/* Where to listen for whoever watches, "" = nowhere. Text of ENV_ADDRESS_BYTES_MAX. */
void setup_metrics_address(const struct setup *setup, char *ret_address);

#endif
