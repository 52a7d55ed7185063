/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes admin calls over a broker with a few topics, facilities, channels and records.
 *
 * The input is the JSON of the arguments behind one byte that chooses a verb of the table; behind
 * 0xff stand the name of a verb, a zero byte and the JSON. So a verb survives mutation: to look for
 * what was meant by an unknown one is most of a run.
 *
 * Promises: a refusal has words; a reply is well-formed JSON within its bound; a verb that changes
 * something answers with an entry that can be written into the log, read back and taken into the
 * catalog, and its reply is well formed too. The world is made once; what a call has changed in it
 * is undone.
 */
#include "tests/fuzz/target.h"

#include "tests/support/admin_world.h"
#include "tests/wire/vectors.h"
#include "wire/xassert.h"

#include <string.h>

#define VERB_BY_NAME 0xffu
#define INPUT_BYTES_MAX 1024u /* larger arguments are the same, only longer */

/* The catalog as it is at the start of every run. */
static void fill_catalog(struct admin_world *world)
{
    world_topic(world, "stock", XD_STRATEGY_SKU, 4);
    world_topic(world, "order", XD_STRATEGY_ORDER, 2);
    world_facility(world, "DC07");
    world_facility(world, "DC08");
    world_records(world, 3, 10, 1790000000000000);
}

static void restore_catalog(struct admin_world *world)
{
    arena_init(&world->arena, world->memory,
               catalog_bytes_needed(WORLD_FACILITIES_MAX, WORLD_PARTITIONS_MAX));
    arena_budget(&world->arena, "catalog");
    int status =
        catalog_init(&world->catalog, &world->arena, WORLD_FACILITIES_MAX, WORLD_PARTITIONS_MAX);
    XD_ASSERT(status == 0);
    fill_catalog(world);
}

static struct admin_world *make_world(void)
{
    struct admin_world *world = world_begin();
    fill_catalog(world);
    uint32_t channel = kit_open_durable(&world->kit, "main");
    (void)kit_open_durable(&world->kit, "import-7");
    struct xd_batch_header batch = batch_of(&world->kit, channel, 3, 0, 1, 10);
    kit_append_durable(&world->kit, &batch, 0, 1);
    return world;
}

/* The entry survives the way into the log and out of it. */
static void check_entry(const struct control_config *entry)
{
    _Alignas(8) uint8_t memory[XD_BATCH_HEADER_BYTES + sizeof(*entry)];
    struct control_config again;
    const char *why = "";
    control_encode(CONTROL_CONFIG, entry, sizeof(*entry), 1, memory);
    int status =
        control_config_decode((const struct xd_batch_header *)(const void *)memory, &again, &why);
    XD_ASSERT(status == 0);
    XD_ASSERT(memcmp(entry, &again, sizeof(again)) == 0);
}

static void check_answer(struct admin_world *world)
{
    if (world->result.append) {
        check_entry(&world->result.entry);
        world_take(world);
        restore_catalog(world);
    }
    XD_ASSERT(world->result.json_bytes > 0);
    XD_ASSERT(world->result.json_bytes <= XD_ADMIN_REPLY_BYTES_MAX);
    XD_ASSERT(json_well_formed(world->out, world->result.json_bytes));
}

/* The verb, and where the JSON begins. */
static struct xd_text take_verb(const uint8_t *data, size_t bytes, size_t *ret_json_at)
{
    if (data[0] != VERB_BY_NAME) {
        unsigned count = 0;
        while (admin_verb_at(count) != NULL)
            count++;
        *ret_json_at = 1;
        return text_of(admin_verb_at(data[0] % count)->name);
    }
    const uint8_t *zero = memchr(data, 0, bytes);
    size_t end = zero != NULL ? (size_t)(zero - data) : bytes;
    *ret_json_at = zero != NULL ? end + 1 : bytes;
    return (struct xd_text){(const char *)data + 1, (uint32_t)(end - 1)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct admin_world *world;
    if (bytes == 0 || bytes > INPUT_BYTES_MAX)
        return 0;
    if (world == NULL)
        world = make_world();
    size_t json_at = 0;
    const struct xd_text name = take_verb(data, bytes, &json_at);
    /* Copies of exact size, watched by the sanitizer at both ends. */
    struct vector verb = vector_copy(name.data, name.bytes);
    struct vector json = vector_copy(data + json_at, bytes - json_at);
    const struct xd_admin_request request = {
        .verb = {(const char *)verb.data, (uint32_t)verb.bytes},
        .json = {(const char *)json.data, (uint32_t)json.bytes},
    };
    int status = admin_run(&world->view, &request, world->out, sizeof(world->out), &world->result,
                           world->detail);
    size_t detail_bytes = strnlen(world->detail, sizeof(world->detail));
    XD_ASSERT(detail_bytes < sizeof(world->detail));
    if (status == 0)
        check_answer(world);
    else
        XD_ASSERT(status < 0 && detail_bytes > 0);
    vector_free(&verb);
    vector_free(&json);
    return 0;
}
