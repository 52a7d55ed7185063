/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/origins.h: connections are counted by address, each limit holds exactly, and nothing
 * is left of an address whose connections have ended.
 */
#include "broker/net/origins.h"

#include "tests/support/prng.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define ROWS 64u

struct table {
    struct origins origins;
    struct arena arena;
    void *memory;
};

static void table_open(struct table *table, uint32_t conns_max, uint32_t strangers_max)
{
    size_t bytes = origins_bytes_needed(ROWS);
    struct net_options options;

    net_options_init(&options);
    table->memory = malloc(bytes);
    cr_assert_not_null(table->memory);
    arena_init(&table->arena, table->memory, bytes);
    options.connections_max = ROWS;
    options.address_max = conns_max;
    options.strangers_max = strangers_max;
    cr_assert_eq(origins_init(&table->origins, &table->arena, &options, 7), 0);
}

/* Everything has been released. */
static void table_close(struct table *table)
{
    cr_assert_eq(hashmap_count(&table->origins.map), 0);
    cr_assert_eq(pool_free_count(&table->origins.table), ROWS);
    hashmap_check(&table->origins.map);
    pool_deinit(&table->origins.table);
    free(table->memory);
}

static struct env_origin ipv4(uint32_t last)
{
    return (struct env_origin){.family = ENV_FAMILY_IPV4,
                               .address = {10, 0, (uint8_t)(last >> 8), (uint8_t)last}};
}

/* A host of a network; only the last byte of the network and of the host differ. */
static struct env_origin ipv6(uint8_t network, uint8_t host)
{
    return (struct env_origin){.family = ENV_FAMILY_IPV6,
                               .address = {0x20, 1, [7] = network, [15] = host}};
}

/* The limit holds for each address by itself, and a place is free again when a connection ends. */
Test(net_origins, limits_connections_of_one_address)
{
    struct table table;
    struct env_origin from = ipv4(1), other = ipv4(2);
    struct origin *first[3], *second, *none = NULL;

    table_open(&table, 3, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(origins_take(&table.origins, &from, &first[i]), NET_TAKEN);
    cr_assert_eq(origins_take(&table.origins, &from, &none), NET_REFUSED_ADDRESS);
    cr_assert_null(none, "nothing was given");
    cr_assert_eq(first[0], first[2], "one row for all of an address");
    cr_assert_eq(first[0]->conns, 3);
    cr_assert_eq(origins_take(&table.origins, &other, &second), NET_TAKEN);
    origins_release(&table.origins, first[0], true);
    cr_assert_eq(origins_take(&table.origins, &from, &first[0]), NET_TAKEN);
    for (int i = 0; i < 3; i++)
        origins_release(&table.origins, first[i], true);
    origins_release(&table.origins, second, true);
    table_close(&table);
}

/* Connections that have said HELLO make room for others that have not. */
Test(net_origins, limits_those_that_have_not_said_hello)
{
    struct table table;
    struct env_origin from = ipv4(1);
    struct origin *origin;

    table_open(&table, 4, 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_TAKEN);
    cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_REFUSED_HELLO);
    origins_greeted(origin);
    cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_TAKEN);
    cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_REFUSED_HELLO);
    origins_greeted(origin);
    cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_TAKEN);
    cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_REFUSED_ADDRESS,
                 "the limit of all comes first");
    origins_release(&table.origins, origin, false);
    origins_release(&table.origins, origin, true);
    cr_assert_eq(origin->strangers, 1);
    origins_release(&table.origins, origin, true);
    origins_release(&table.origins, origin, false);
    table_close(&table);
}

/* Hosts of one IPv6 network of 64 bits count as one, networks do not; IPv4 is apart from both. */
Test(net_origins, counts_an_ipv6_network_as_one)
{
    struct env_origin a = ipv6(1, 1), b = ipv6(1, 2), c = ipv6(2, 1), d = ipv4(1);
    struct env_origin zero = {.family = ENV_FAMILY_IPV6};
    struct env_origin low = {.family = ENV_FAMILY_IPV4};

    cr_assert_eq(origins_key(&a), origins_key(&b));
    cr_assert_neq(origins_key(&a), origins_key(&c));
    cr_assert_neq(origins_key(&d), origins_key(&a));
    cr_assert_neq(origins_key(&zero), origins_key(&low), "no address of one is one of the other");
    cr_assert_eq(origins_key(&d) >> 32, 0xffff);
}

/* Unix sockets and peers without an address are not counted. */
Test(net_origins, leaves_unix_sockets_out)
{
    struct table table;
    struct env_origin from = {.family = ENV_FAMILY_UNIX}, gone = {.family = ENV_FAMILY_NONE};
    struct origin *origin = (struct origin *)&table;

    table_open(&table, 1, 1);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(origins_take(&table.origins, &from, &origin), NET_TAKEN);
        cr_assert_null(origin);
        cr_assert_eq(origins_take(&table.origins, &gone, &origin), NET_TAKEN);
        cr_assert_null(origin);
    }
    origins_greeted(NULL);
    origins_release(&table.origins, NULL, true);
    table_close(&table);
}

/* Any sequence of beginnings, greetings and ends, with as many addresses as there are rows and
 * counts checked against a plain array: the table wraps, collides and empties. */
Test(net_origins, agrees_with_a_plain_array)
{
    enum { ADDRESSES = 40, STEPS = 20000 };
    struct table table;
    struct prng prng;
    uint32_t strangers[ADDRESSES] = {0}, greeted[ADDRESSES] = {0};
    struct origin *rows[ADDRESSES] = {NULL};
    uint32_t refused = 0, total = 0;

    prng_seed(&prng, 4711);
    table_open(&table, 5, 3);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = (uint32_t)prng_below(&prng, ADDRESSES);
        struct env_origin from = i % 2 == 0 ? ipv4(i) : ipv6((uint8_t)i, (uint8_t)step);
        uint32_t what = (uint32_t)prng_below(&prng, 4);
        if (what < 2 && total < ROWS) {
            enum net_refusal want = strangers[i] + greeted[i] >= 5 ? NET_REFUSED_ADDRESS
                                    : strangers[i] >= 3            ? NET_REFUSED_HELLO
                                                                   : NET_TAKEN;
            cr_assert_eq(origins_take(&table.origins, &from, &rows[i]), want, "step %u", step);
            strangers[i] += want == NET_TAKEN;
            total += want == NET_TAKEN;
            refused += want != NET_TAKEN;
        } else if (what == 2 && strangers[i] > 0) {
            origins_greeted(rows[i]);
            strangers[i]--;
            greeted[i]++;
        } else if (what == 3 && strangers[i] + greeted[i] > 0) {
            bool stranger = strangers[i] > 0;
            origins_release(&table.origins, rows[i], stranger);
            strangers[i] -= stranger;
            greeted[i] -= !stranger;
            total--;
        }
    }
    cr_assert_gt(refused, 100, "limits were met: %u", refused);
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        while (strangers[i] > 0)
            origins_release(&table.origins, rows[i], strangers[i]-- > 0);
        while (greeted[i] > 0) {
            origins_release(&table.origins, rows[i], false);
            greeted[i]--;
        }
    }
    table_close(&table);
}
