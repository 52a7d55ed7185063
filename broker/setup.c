/* SPDX-License-Identifier: Apache-2.0
 *
 * From options to the structs of shard and env; see setup.h.
 */
#include "broker/setup.h"

#include "broker/io/address.h"
#include "broker/version.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_HERE "crossdock-data"
#define DATA_ROOT "/var/lib/crossdock"

/* Files besides segments: meta, checkpoints, quarantine; and segments of an earlier, larger
 * retention. */
#define FILES_EXTRA 64u

/* Places that only unix sockets get: for a few people and programs that look after the broker. */
#define UNIX_RESERVE 8u
/* Connections that there are numbers for; with several shards the others' have some of them. */
#define CONNECTIONS_LIMIT 65535u
#define CONNECTIONS_SHARED_LIMIT 32000u
/* Outputs on their way between shards, one for each connection and shard. */
#define CROSSING_LIMIT 1000000u
/* Nobody is content with fewer without having asked for it. */
#define CONNECTIONS_LEAST 1024u
/* Descriptors of a shard beside files and connections; the process's own are among them. */
#define DESCRIPTORS_EXTRA 64u

static int refuse(const struct config *config, enum config_option option, const char *expected,
                  char *why)
{
    snprintf(why, CONFIG_WHY_BYTES, "%s: %s = '%.300s': %s", config_origin(config, option),
             config_row(option)->name, config_text(config, option), expected);
    return XD_OPTION_INVALID;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool stays_on_host(const struct address *address)
{
    static const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
    switch (address->socket.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address->socket.in.sin_addr.s_addr) >> 24 == 127;
    default:
        return memcmp(&address->socket.in6.sin6_addr, &loopback6, sizeof loopback6) == 0;
    }
}

static int make_addresses(const struct config *config, struct setup *setup, char *why)
{
    char text[CONFIG_TEXT_BYTES_MAX];
    bool insecure = config_number(config, OPTION_server_insecure) != 0;
    uint32_t count = 0;
    for (; config_element(config, OPTION_server_listen, count, text, sizeof text); count++) {
        struct address address;
        XD_ASSERT(count < SETUP_ADDRESSES_MAX);
        if (strlen(text) >= ENV_ADDRESS_BYTES_MAX || address_parse(text, &address) < 0)
            return refuse(config, OPTION_server_listen,
                          "expected 127.0.0.1:7700, [::1]:7700 or unix:/path", why);
        if (!insecure && !stays_on_host(&address))
            return refuse(config, OPTION_server_listen,
                          "plain text beyond this host needs server.insecure = yes (--insecure)",
                          why);
        snprintf(setup->addresses[count], ENV_ADDRESS_BYTES_MAX, "%.*s",
                 (int)ENV_ADDRESS_BYTES_MAX - 1, text);
        setup->address_list[count] = setup->addresses[count];
    }
    setup->shard.addresses = setup->address_list;
    setup->shard.address_count = count;
    return 0;
}

/* ---- metrics --------------------------------------------------------------------------------- */

static int make_metrics(const struct config *config, struct setup *setup, char *why)
{
    const char *text = config_text(config, OPTION_metrics_listen);
    struct address address;
    bool named = strcmp(text, "auto") != 0 && strcmp(text, "none") != 0;
    if (named && (strlen(text) >= sizeof setup->metrics || address_parse(text, &address) < 0))
        return refuse(config, OPTION_metrics_listen,
                      "expected auto, none, 127.0.0.1:7701, [::1]:7701 or unix:/path", why);
    if (named && !stays_on_host(&address) && config_number(config, OPTION_server_insecure) == 0)
        return refuse(config, OPTION_metrics_listen,
                      "plain text beyond this host needs server.insecure = yes (--insecure)", why);
    snprintf(setup->metrics, sizeof setup->metrics, "%.*s", (int)sizeof setup->metrics - 1, text);
    return 0;
}

/* The port above the first TCP address of clients; a free one where that is free too. */
void setup_metrics_address(const struct setup *setup, char *ret_address)
{
    ret_address[0] = '\0';
    if (strcmp(setup->metrics, "none") == 0)
        return;
    if (strcmp(setup->metrics, "auto") != 0) {
        snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "%s", setup->metrics);
        return;
    }
    for (uint32_t i = 0; i < setup->shard.address_count; i++) {
        const char *port = strrchr(setup->addresses[i], ':');
        if (strncmp(setup->addresses[i], "unix:", 5) == 0)
            continue;
        unsigned long number = strtoul(port + 1, NULL, 10);
        snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "127.0.0.1:%lu",
                 number == 0 || number == 65535 ? 0 : number + 1);
        return;
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

/* "stock:sku:8" into slot `index`. */
static bool parse_topic(const char *text, struct setup *setup, uint32_t index)
{
    unsigned width;
    char end;
    size_t name_bytes = strcspn(text, ":");
    const char *strategy = text + name_bytes + (text[name_bytes] == ':');
    size_t strategy_bytes = strcspn(strategy, ":");
    if (name_bytes > XD_NAME_BYTES_MAX || strategy[strategy_bytes] != ':')
        return false;
    int number = xd_strategy_find(strategy, (uint32_t)strategy_bytes);
    if (number < 0 || sscanf(strategy + strategy_bytes + 1, "%3u%c", &width, &end) != 1 ||
        width < 1 || width > XD_PARTITION_WIDTH_MAX ||
        xd_name_check((struct xd_text){text, (uint32_t)name_bytes}) < 0)
        return false;
    snprintf(setup->topic_names[index], sizeof setup->topic_names[index], "%.*s", (int)name_bytes,
             text);
    setup->topics[index] = (struct shard_topic){
        .name = setup->topic_names[index], .strategy = (uint32_t)number, .width = width};
    return true;
}

static int make_topics(const struct config *config, struct setup *setup, char *why)
{
    char text[CONFIG_TEXT_BYTES_MAX];
    uint32_t count = 0;
    uint64_t width = 0;
    for (; config_element(config, OPTION_catalog_topics, count, text, sizeof text); count++) {
        XD_ASSERT(count < SETUP_TOPICS_MAX);
        if (!parse_topic(text, setup, count))
            return refuse(config, OPTION_catalog_topics,
                          "expected name:strategy:width by commas; strategies are sku, "
                          "sku+location, location, order, hu, key; widths 1 to 64",
                          why);
        for (uint32_t i = 0; i < count; i++)
            if (strcmp(setup->topic_names[i], setup->topic_names[count]) == 0)
                return refuse(config, OPTION_catalog_topics, "a topic stands there twice", why);
        width += setup->topics[count].width;
    }
    if (width > (uint64_t)config_number(config, OPTION_catalog_partitions_max))
        return refuse(config, OPTION_catalog_topics, "more partitions than catalog.partitions_max",
                      why);
    setup->shard.topics = setup->topics;
    setup->shard.topic_count = count;
    return 0;
}

/* ---- options --------------------------------------------------------------------------------- */

static uint32_t number32(const struct config *config, enum config_option option)
{
    int64_t number = config_number(config, option);
    XD_ASSERT(number >= 0 && number <= UINT32_MAX);
    return (uint32_t)number;
}

static uint64_t number64(const struct config *config, enum config_option option)
{
    XD_ASSERT(config_number(config, option) >= 0);
    return (uint64_t)config_number(config, option);
}

static void make_log(const struct config *config, struct log_options *log)
{
    log->segment_bytes = number64(config, OPTION_log_segment_bytes);
    log->tail_bytes = number64(config, OPTION_log_tail_bytes);
    log->retention_bytes = number64(config, OPTION_log_retention_bytes);
    log->retention_us = config_number(config, OPTION_log_retention_time);
    log->sync = (enum log_sync)config_number(config, OPTION_log_sync);
    log->index_bytes = number64(config, OPTION_log_index_bytes);
    log->checkpoint_every_bytes = number64(config, OPTION_log_checkpoint_every_bytes);
    log->disk_low_bytes = number64(config, OPTION_log_disk_low_bytes);
    log->writes_inflight_max = number32(config, OPTION_log_writes_inflight_max);
    log->write_group_bytes = number32(config, OPTION_log_write_group_bytes);
    log->mark_idle_ms = number32(config, OPTION_log_mark_idle_ms);
    log->read_cache_extents = number32(config, OPTION_log_read_cache_extents);
}

/* Those that are refused have a place in the env until their close is told, in the turn that
 * follows; a turn brings no more than so many. */
static void make_places(struct setup *setup)
{
    uint32_t count = setup->shard.net.connections_max + SHARD_EVENTS_MAX;
    setup->engine.env.connections_max =
        count < ENV_URING_CONNECTIONS_MAX ? count : ENV_URING_CONNECTIONS_MAX;
}

/* A unix socket gets places of its own; not above what a broker can have at all. */
static void make_connections(const struct config *config, struct setup *setup)
{
    struct net_options *net = &setup->shard.net;
    bool local = false;
    for (uint32_t i = 0; i < setup->shard.address_count; i++)
        local = local || strncmp(setup->addresses[i], "unix:", 5) == 0;
    uint32_t count = number32(config, OPTION_net_connections_max);
    net->unix_reserve = local ? UNIX_RESERVE : 0;
    net->connections_max = count <= CONNECTIONS_LIMIT - net->unix_reserve
                               ? count + net->unix_reserve
                               : CONNECTIONS_LIMIT;
    net->address_max = number32(config, OPTION_net_address_connections_max);
    net->strangers_max = number32(config, OPTION_net_address_strangers_max);
    make_places(setup);
}

static void make_net(const struct config *config, struct setup *setup)
{
    struct net_options *net = &setup->shard.net;
    make_connections(config, setup);
    net->frame_bytes_max = number32(config, OPTION_net_frame_bytes_max);
    net->out_chunk_count = number32(config, OPTION_net_out_chunk_count);
    net->frame_timeout_ms = number32(config, OPTION_net_frame_timeout_ms);
    net->hello_timeout_ms = number32(config, OPTION_net_hello_timeout_ms);
    net->send_timeout_ms = number32(config, OPTION_net_send_timeout_ms);
    net->recv_buffers_max = number32(config, OPTION_net_receive_buffers);
    setup->engine.env.buffer_count = net->recv_buffers_max;
    setup->engine.env.buffer_bytes = number32(config, OPTION_net_receive_buffer_bytes);
}

static void make_shard(const struct config *config, struct shard_options *shard)
{
    shard->sessions.channels_max = number32(config, OPTION_produce_channels_max);
    shard->sessions.chains_max = number32(config, OPTION_produce_chains_max);
    shard->facilities_max = number32(config, OPTION_catalog_facilities_max);
    shard->partitions_max = number32(config, OPTION_catalog_partitions_max);
    shard->acks_max = number32(config, OPTION_produce_acks_max);
    shard->waiters_max = number32(config, OPTION_read_waiters_max);
    shard->connection_bytes = number32(config, OPTION_produce_connection_bytes);
    shard->stall_ms = number32(config, OPTION_produce_stall_ms);
    shard->default_durability =
        (enum xd_durability)config_number(config, OPTION_produce_default_durability);
    shard->version = version_release();
    shard->commit = version_commit();
}

/* Options that only make sense together. */
static int check_together(const struct config *config, char *why)
{
    uint64_t segment = number64(config, OPTION_log_segment_bytes);
    uint64_t retention = number64(config, OPTION_log_retention_bytes);
    if (retention != 0 && retention < 4 * segment)
        return refuse(config, OPTION_log_retention_bytes,
                      "expected 0 or at least four times log.segment_bytes", why);
    if (retention / segment > ENV_URING_FILES_MAX - FILES_EXTRA)
        return refuse(config, OPTION_log_retention_bytes,
                      "more than 4000 segments; raise log.segment_bytes", why);
    uint64_t others = number64(config, OPTION_process_shards) - 1;
    uint64_t connections = number64(config, OPTION_net_connections_max);
    if (others > 0 &&
        (connections > CONNECTIONS_SHARED_LIMIT || connections * others > CROSSING_LIMIT))
        return refuse(config, OPTION_net_connections_max,
                      "with several shards at most 32000, and 1000000 over the number of others",
                      why);
    return 0;
}

static uint32_t files_needed(const struct log_options *log)
{
    uint64_t files = log->retention_bytes / log->segment_bytes + FILES_EXTRA;
    bool unlimited = log->retention_bytes == 0 || files > ENV_URING_FILES_MAX;
    return unlimited ? ENV_URING_FILES_MAX : (uint32_t)files;
}

const char *setup_data_default(const char *state_directory, bool root)
{
    if (state_directory != NULL && state_directory[0] == '/')
        return state_directory;
    return root ? DATA_ROOT : DATA_HERE;
}

int setup_make(const struct config *config, const char *data_default, struct setup *ret_setup,
               char *why)
{
    struct setup *setup = ret_setup;
    const char *data = config_text(config, OPTION_server_data);
    memset(setup, 0, sizeof *setup);
    shard_options_init(&setup->shard);
    engine_options_init(&setup->engine);
    int status = check_together(config, why);
    if (status == 0)
        status = make_addresses(config, setup, why);
    if (status == 0)
        status = make_topics(config, setup, why);
    if (status == 0)
        status = make_metrics(config, setup, why);
    if (status < 0)
        return status;
    make_log(config, &setup->shard.log);
    make_net(config, setup);
    make_shard(config, &setup->shard);
    snprintf(setup->data, sizeof setup->data, "%s", data[0] != '\0' ? data : data_default);
    setup->engine.env.files_max = files_needed(&setup->shard.log);
    config_json(config, setup->config_json, sizeof setup->config_json);
    setup->shard.config_json = setup->config_json;
    setup->engine.choice = (enum engine_choice)config_number(config, OPTION_process_engine);
    setup->engine.file_threads = number32(config, OPTION_process_file_threads);
    setup->cpu = (int32_t)config_number(config, OPTION_process_cpu);
    setup->shard_count = number32(config, OPTION_process_shards);
    setup->shard.log.shard_count = setup->shard_count;
    setup->memory_lock = config_number(config, OPTION_process_mlock) != 0;
    return 0;
}

uint64_t setup_descriptors(const struct setup *setup)
{
    const struct env_uring_options *env = &setup->engine.env;
    uint64_t each = (uint64_t)env->connections_max + env->files_max + DESCRIPTORS_EXTRA;
    XD_ASSERT(setup->shard_count > 0);
    return setup->shard_count * each;
}

bool setup_fit(const struct config *config, struct setup *setup, uint64_t descriptors)
{
    const char *origin = config_origin(config, OPTION_net_connections_max);
    uint64_t each = descriptors / setup->shard_count;
    uint64_t other = SHARD_EVENTS_MAX + setup->engine.env.files_max + DESCRIPTORS_EXTRA;
    if (strcmp(origin, "default") != 0 || setup_descriptors(setup) <= descriptors ||
        each < other + CONNECTIONS_LEAST)
        return false;
    XD_ASSERT(each - other < setup->shard.net.connections_max);
    setup->shard.net.connections_max = (uint32_t)(each - other);
    make_places(setup);
    return true;
}

void setup_shard(const struct setup *setup, uint32_t shard, struct links *links,
                 struct shard_options *ret_options)
{
    XD_ASSERT(shard < setup->shard_count && (links != NULL || setup->shard_count == 1));
    *ret_options = setup->shard;
    ret_options->log.shard = shard;
    ret_options->links = links;
}

void setup_folder(const struct setup *setup, uint32_t shard, char *ret_folder)
{
    XD_ASSERT(shard < setup->shard_count);
    if (setup->shard_count == 1)
        snprintf(ret_folder, SETUP_FOLDER_BYTES_MAX, "%s", setup->data);
    else
        snprintf(ret_folder, SETUP_FOLDER_BYTES_MAX, "%s/shard-%02u", setup->data, shard);
}
