/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/setup.c: every option arrives where it belongs, and contradictions are refused.
 */
#include "broker/setup.h"

#include "broker/version.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

/* Large; one test of this program runs at a time. */
static struct config config;
static struct setup setup;
static char why[CONFIG_WHY_BYTES];

static void set(const char *name, const char *value)
{
    struct xd_text text = {name, (uint32_t)strlen(name)};
    cr_assert_eq(config_set(&config, text, value, "here", why), 0, "%s", why);
}

static int make(void)
{
    return setup_make(&config, "crossdock-data", &setup, why);
}

/* The defaults give a setup that env and shard accept. */
Test(setup, makes_a_setup_of_the_defaults)
{
    config_defaults(&config);
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.shard.address_count, 1);
    cr_assert_str_eq(setup.shard.addresses[0], "127.0.0.1:7700");
    cr_assert_str_eq(setup.data, "crossdock-data");
    cr_assert_null(setup.engine.env.folder, "each shard has its own");
    cr_assert_eq(setup.shard_count, 1);
    cr_assert_eq(setup.shard.topic_count, 6);
    cr_assert_str_eq(setup.shard.topics[0].name, "stock");
    cr_assert_eq(setup.shard.topics[0].width, 8);
    cr_assert_eq(setup.shard.topics[1].strategy, XD_STRATEGY_ORDER);
    cr_assert_str_eq(setup.shard.topics[4].name, "mhe");
    cr_assert_eq(setup.shard.topics[4].strategy, XD_STRATEGY_LOCATION);
    cr_assert_str_eq(setup.shard.version, version_release());
    cr_assert_eq(setup.cpu, -1);
    cr_assert_not(setup.memory_lock);
    cr_assert_eq(setup.engine.choice, ENGINE_AUTO);
    cr_assert_eq(setup.engine.file_threads, 2);
    cr_assert_geq(setup.engine.env.files_max, 64 * 4 + 8);
    cr_assert_gt(shard_bytes_needed(&setup.shard), 128u << 20);
}

/* Each option changes the field that it is for, and that one only. */
Test(setup, hands_every_option_on)
{
    config_defaults(&config);
    set("log.segment_bytes", "8MiB");
    set("log.tail_bytes", "32MiB");
    set("log.retention_bytes", "1GiB");
    set("log.retention_time", "7d");
    set("log.sync", "fdatasync");
    set("log.index_bytes", "2MiB");
    set("log.checkpoint_every_bytes", "3MiB");
    set("log.disk_low_bytes", "4MiB");
    set("log.writes_inflight_max", "5");
    set("log.write_group_bytes", "8KiB");
    set("log.mark_idle_ms", "17");
    set("log.read_cache_extents", "9");
    cr_assert_eq(make(), 0, "%s", why);
    const struct log_options *log = &setup.shard.log;
    cr_assert_eq(log->segment_bytes, 8u << 20);
    cr_assert_eq(log->tail_bytes, 32u << 20);
    cr_assert_eq(log->retention_bytes, 1u << 30);
    cr_assert_eq(log->retention_us, 7 * 86400000000ll);
    cr_assert_eq(log->sync, LOG_SYNC_FDATASYNC);
    cr_assert_eq(log->index_bytes, 2u << 20);
    cr_assert_eq(log->checkpoint_every_bytes, 3u << 20);
    cr_assert_eq(log->disk_low_bytes, 4u << 20);
    cr_assert_eq(log->writes_inflight_max, 5);
    cr_assert_eq(log->write_group_bytes, 8192);
    cr_assert_eq(log->mark_idle_ms, 17);
    cr_assert_eq(log->read_cache_extents, 9);
}

/* The same for connections, where env and net share some. */
Test(setup, hands_every_option_of_connections_on)
{
    config_defaults(&config);
    set("net.connections_max", "11");
    set("net.address_connections_max", "7");
    set("net.address_strangers_max", "0");
    set("net.frame_bytes_max", "2MiB");
    set("net.out_chunk_count", "33");
    set("net.frame_timeout_ms", "44");
    set("net.hello_timeout_ms", "55");
    set("net.send_timeout_ms", "66");
    set("net.receive_buffers", "64");
    set("net.receive_buffer_bytes", "8KiB");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.shard.net.connections_max, 11);
    cr_assert_eq(setup.shard.net.unix_reserve, 0);
    cr_assert_eq(setup.shard.net.address_max, 7);
    cr_assert_eq(setup.shard.net.strangers_max, 0);
    cr_assert_eq(setup.engine.env.connections_max, 11 + SHARD_EVENTS_MAX);
    cr_assert_eq(setup.shard.net.frame_bytes_max, 2u << 20);
    cr_assert_eq(setup.shard.net.out_chunk_count, 33);
    cr_assert_eq(setup.shard.net.frame_timeout_ms, 44);
    cr_assert_eq(setup.shard.net.hello_timeout_ms, 55);
    cr_assert_eq(setup.shard.net.send_timeout_ms, 66);
    cr_assert_eq(setup.engine.env.buffer_count, 64);
    cr_assert_eq(setup.shard.net.recv_buffers_max, 64);
    cr_assert_eq(setup.engine.env.buffer_bytes, 8192);
}

/* Unix sockets get eight places beside those of the option, as far as there are numbers. */
Test(setup, reserves_places_where_a_unix_socket_is)
{
    config_defaults(&config);
    set("server.listen", "127.0.0.1:0,unix:/tmp/x");
    set("net.connections_max", "11");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.shard.net.unix_reserve, 8);
    cr_assert_eq(setup.shard.net.connections_max, 19);
    set("net.connections_max", "65535");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.shard.net.unix_reserve, 8);
    cr_assert_eq(setup.shard.net.connections_max, 65535);
    cr_assert_leq(setup.engine.env.connections_max, ENV_URING_CONNECTIONS_MAX);
}

/* Where few descriptors are allowed there are as many connections as these are good for, unless
 * somebody has said how many he wants, or they are too few. */
Test(setup, fits_the_default_of_connections_to_descriptors)
{
    config_defaults(&config);
    set("process.shards", "2");
    cr_assert_eq(make(), 0, "%s", why);
    uint32_t wanted = setup.shard.net.connections_max;
    uint64_t needed = setup_descriptors(&setup);
    cr_assert_geq(needed, 2 * wanted);
    cr_assert_not(setup_fit(&config, &setup, needed));
    cr_assert_not(setup_fit(&config, &setup, UINT64_MAX));
    cr_assert_eq(setup.shard.net.connections_max, wanted);
    cr_assert(setup_fit(&config, &setup, needed - 1));
    cr_assert_eq(setup.shard.net.connections_max, wanted - 1);
    cr_assert(setup_fit(&config, &setup, needed / 2 + 1));
    cr_assert_lt(setup.shard.net.connections_max, wanted / 2 + 1);
    cr_assert_leq(setup_descriptors(&setup), needed / 2 + 1);
    cr_assert_gt(setup_descriptors(&setup), needed / 2 - 2, "all of them are used");
    cr_assert_not(setup_fit(&config, &setup, 1024));
    set("net.connections_max", "10240");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_not(setup_fit(&config, &setup, needed / 2));
    cr_assert_eq(setup.shard.net.connections_max, wanted);
}

/* The same for the tables of the shard and for the process. */
Test(setup, hands_every_option_of_tables_on)
{
    config_defaults(&config);
    set("server.data", "/srv/x");
    set("produce.default_durability", "written");
    set("produce.channels_max", "21");
    set("produce.chains_max", "22");
    set("produce.acks_max", "2300");
    set("produce.connection_bytes", "2MiB");
    set("produce.stall_ms", "25");
    set("catalog.facilities_max", "26");
    set("catalog.partitions_max", "27");
    set("catalog.topics", "a:hu:3, b:sku+location:4");
    set("read.waiters_max", "28");
    set("process.cpu", "1");
    set("process.mlock", "yes");
    set("process.engine", "epoll");
    set("process.file_threads", "5");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_str_eq(setup.data, "/srv/x");
    cr_assert_eq(setup.engine.choice, ENGINE_EPOLL);
    cr_assert_eq(setup.engine.file_threads, 5);
    cr_assert_eq(setup.shard.default_durability, XD_DURABILITY_WRITTEN);
    cr_assert_eq(setup.shard.sessions.channels_max, 21);
    cr_assert_eq(setup.shard.sessions.chains_max, 22);
    cr_assert_eq(setup.shard.acks_max, 2300);
    cr_assert_eq(setup.shard.connection_bytes, 2u << 20);
    cr_assert_eq(setup.shard.stall_ms, 25);
    cr_assert_eq(setup.shard.facilities_max, 26);
    cr_assert_eq(setup.shard.partitions_max, 27);
    cr_assert_eq(setup.shard.topic_count, 2);
    cr_assert_str_eq(setup.shard.topics[1].name, "b");
    cr_assert_eq(setup.shard.topics[1].strategy, XD_STRATEGY_SKU_LOCATION);
    cr_assert_eq(setup.shard.topics[1].width, 4);
    cr_assert_eq(setup.shard.waiters_max, 28);
    cr_assert_eq(setup.cpu, 1);
    cr_assert(setup.memory_lock);
    cr_assert_not_null(strstr(setup.shard.config_json, "\"read.waiters_max\":{\"value\":28"));
}

/* Addresses of other hosts need leave; loopback in all its forms and unix sockets do not. */
Test(setup, keeps_plain_text_on_the_host)
{
    static const char *const inside[] = {"127.0.0.1:0", "127.9.9.9:1", "[::1]:7700", "unix:/tmp/x"};
    static const char *const outside[] = {
        "0.0.0.0:7700",   "10.0.0.1:7700",          "[::]:7700",
        "[fe80::1]:7700", "[::ffff:10.0.0.1]:7700", "127.0.0.1:1,0.0.0.0:2"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        config_defaults(&config);
        set("server.listen", inside[i]);
        cr_assert_eq(make(), 0, "%s", why);
    }
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        config_defaults(&config);
        set("server.listen", outside[i]);
        cr_assert_eq(make(), XD_OPTION_INVALID, "%s", outside[i]);
        cr_assert_not_null(strstr(why, "--insecure"), "%s", why);
        set("server.insecure", "yes");
        cr_assert_eq(make(), 0, "%s", why);
    }
}

static void expect_refused(const char *name, const char *value, const char *words)
{
    config_defaults(&config);
    set(name, value);
    cr_assert_eq(make(), XD_OPTION_INVALID, "%s = %s", name, value);
    cr_assert_eq(strncmp(why, "here: ", 6), 0, "%s", why);
    cr_assert_not_null(strstr(why, name), "%s", why);
    cr_assert_not_null(strstr(why, words), "%s", why);
}

/* Addresses and topics that do not parse are refused with their form. */
Test(setup, refuses_what_does_not_parse)
{
    static const char *const addresses[] = {"localhost:7700", "127.0.0.1",    "127.0.0.1:99999",
                                            "unix:",          "127.0.0.1:1,", ",127.0.0.1:1"};
    static const char *const topics[] = {
        "a",        "a:sku",  "a:sku:",    "a:sku:0",   "a:sku:65",         "a:sku:8x", "a:sku:-1",
        "a:none:8", ":sku:8", "a b:sku:8", "a:sku:8:9", "a:sku:8,,b:sku:8", "-a:sku:8"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        expect_refused("server.listen", addresses[i], "expected 127.0.0.1:7700");
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        expect_refused("catalog.topics", topics[i], "expected name:strategy:width");
    expect_refused("catalog.topics", "a:sku:8,a:hu:8", "twice");
}

/* No topics at all are allowed: a broker may begin empty. */
Test(setup, allows_a_broker_without_topics)
{
    config_defaults(&config);
    set("catalog.topics", "");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.shard.topic_count, 0);
}

/* Options that contradict each other are refused before anything is opened. */
Test(setup, refuses_options_that_contradict_each_other)
{
    expect_refused("log.retention_bytes", "1023MiB", "four times log.segment_bytes");
    expect_refused("log.retention_bytes", "16TiB", "raise log.segment_bytes");
    config_defaults(&config);
    set("process.shards", "64");
    cr_assert_eq(make(), 0, "%s", why);
    set("net.connections_max", "15874");
    cr_assert_eq(make(), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(why, "with several shards at most"), "%s", why);
    set("process.shards", "2");
    cr_assert_eq(make(), 0, "%s", why);
    set("net.connections_max", "32001");
    cr_assert_eq(make(), XD_OPTION_INVALID);
    config_defaults(&config);
    set("catalog.partitions_max", "18");
    cr_assert_eq(make(), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(why, "more partitions than catalog.partitions_max"), "%s", why);
    config_defaults(&config);
    set("log.retention_bytes", "1GiB");
    cr_assert_eq(make(), 0, "%s", why);
    set("log.retention_bytes", "0");
    cr_assert_eq(make(), 0, "%s", why);
    cr_assert_eq(setup.engine.env.files_max, ENV_URING_FILES_MAX);
}

/* The service's state folder wins over the rule for root. */
Test(setup, finds_the_default_folder)
{
    cr_assert_str_eq(setup_data_default("/var/lib/x", true), "/var/lib/x");
    cr_assert_str_eq(setup_data_default("/var/lib/x", false), "/var/lib/x");
    cr_assert_str_eq(setup_data_default("relative", true), "/var/lib/crossdock");
    cr_assert_str_eq(setup_data_default(NULL, true), "/var/lib/crossdock");
    cr_assert_str_eq(setup_data_default(NULL, false), "crossdock-data");
}

/* One shard has the data folder, several have folders of their own in it; each knows its number and
 * how many there are. */
Test(setup, gives_each_shard_its_folder_and_number)
{
    char folder[SETUP_FOLDER_BYTES_MAX];
    struct shard_options options;
    config_defaults(&config);
    cr_assert_eq(make(), 0, "%s", why);
    setup_folder(&setup, 0, folder);
    cr_assert_str_eq(folder, "crossdock-data");
    setup_shard(&setup, 0, NULL, &options);
    cr_assert_eq(options.log.shard, 0);
    cr_assert_eq(options.log.shard_count, 1);
    cr_assert_null(options.links);

    static uint8_t memory;
    struct links *links = (struct links *)&memory; /* only its place counts */
    set("process.shards", "12");
    cr_assert_eq(make(), 0, "%s", why);
    setup_folder(&setup, 0, folder);
    cr_assert_str_eq(folder, "crossdock-data/shard-00");
    setup_folder(&setup, 11, folder);
    cr_assert_str_eq(folder, "crossdock-data/shard-11");
    setup_shard(&setup, 11, links, &options);
    cr_assert_eq(options.log.shard, 11);
    cr_assert_eq(options.log.shard_count, 12);
    cr_assert_eq(options.links, links);
    cr_assert_eq(options.addresses, setup.shard.addresses);
}

/* Where whoever watches finds the pages. */
Test(setup, finds_the_address_for_metrics)
{
    static const struct {
        const char *listen, *metrics, *address;
    } rows[] = {
        {"127.0.0.1:7700", "auto", "127.0.0.1:7701"},
        {"127.0.0.1:0", "auto", "127.0.0.1:0"},
        {"127.0.0.1:65535", "auto", "127.0.0.1:0"},
        {"[::1]:80", "auto", "127.0.0.1:81"},
        {"unix:/tmp/x,127.0.0.1:99", "auto", "127.0.0.1:100"},
        {"unix:/tmp/x", "auto", ""},
        {"127.0.0.1:7700", "none", ""},
        {"127.0.0.1:7700", "[::1]:9", "[::1]:9"},
        {"127.0.0.1:7700", "unix:/tmp/m", "unix:/tmp/m"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char address[ENV_ADDRESS_BYTES_MAX];
        config_defaults(&config);
        set("server.listen", rows[i].listen);
        set("metrics.listen", rows[i].metrics);
        cr_assert_eq(make(), 0, "%s", why);
        setup_metrics_address(&setup, address);
        cr_assert_str_eq(address, rows[i].address, "row %zu: %s", i, address);
    }
}

/* Numbers beyond this host need the same leave as the broker itself. */
Test(setup, refuses_addresses_for_metrics_that_it_must_not_have)
{
    static const struct {
        const char *metrics, *says;
    } rows[] = {
        {"0.0.0.0:7701", "--insecure"},
        {"7701", "expected auto, none, "},
        {"nome", "expected auto, none, "},
        {"", "expected auto, none, "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        config_defaults(&config);
        set("metrics.listen", rows[i].metrics);
        cr_assert_eq(make(), XD_OPTION_INVALID, "%s", rows[i].metrics);
        cr_assert_not_null(strstr(why, rows[i].says), "%s", why);
        cr_assert_not_null(strstr(why, "metrics.listen"), "%s", why);
    }
    set("metrics.listen", "0.0.0.0:7701");
    set("server.insecure", "yes");
    cr_assert_eq(make(), 0, "%s", why);
}
