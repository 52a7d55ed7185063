/* SPDX-License-Identifier: Apache-2.0
 *
 * Plays a script: its steps, how their frames are mangled, and the turns between them.
 */
#include "tests/sim/sim_connection.h"

#include "wire/route.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define TURN_NS 1000000ull
#define WHO_CONNECTION 0x03u
#define WHO_AFTER_SHIFT 2u          /* two bits: time behind the step */
#define WHO_MANGLE_SHIFT 4u         /* three bits: enum script_mangle */
#define WHO_AGAIN 0x80u             /* the frame is sent twice */
#define SPACE_SEEN_NS 3000000000ull /* the log looks at the disk once a second */
#define OPTION_STOP 0x01u

uint8_t script_byte(struct script *script)
{
    if (script->bytes == 0)
        return 0;
    script->bytes--;
    return *script->data++;
}

/* ---- moving bytes ---------------------------------------------------------------------------- */

/* Moves what the window takes; what comes in stays with the network. */
static void push(struct wire_client *wire)
{
    int64_t sent;
    while (wire->out_bytes > 0 &&
           (sent = sim_client_send(wire->sim, wire->id, wire->out, wire->out_bytes)) > 0) {
        wire->out_bytes -= (uint32_t)sent;
        memmove(wire->out, wire->out + sent, wire->out_bytes);
    }
}

void script_turn(struct script *script, uint64_t ns)
{
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        if (script->connections[i].wire.id >= 0)
            push(&script->connections[i].wire);
    connection_world_turn(&script->world, ns);
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++) {
        struct script_connection *connection = &script->connections[i];
        if (connection->wire.id < 0 || connection->deaf)
            continue;
        wire_client_pump(&connection->wire);
        script_take(script, connection);
    }
}

static void pass(struct script *script, uint64_t ns)
{
    uint64_t end_ns = sim_now_ns(script->world.sim) + ns;
    while (sim_now_ns(script->world.sim) < end_ns)
        script_turn(script, end_ns - sim_now_ns(script->world.sim));
}

/* ---- connections ----------------------------------------------------------------------------- */

static void forget(struct script_connection *connection)
{
    struct wire_client wire = connection->wire;
    memset(connection, 0, sizeof *connection);
    connection->wire = wire;
}

static void connect_anew(struct script *script, struct script_connection *connection)
{
    forget(connection);
    int status = wire_client_connect(&connection->wire, script->world.address);
    XD_ASSERT(status == 0);
    connection->orderly = true;
}

static void leave(struct script *script, struct script_connection *connection, uint8_t a)
{
    if (connection->wire.id < 0)
        return;
    push(&connection->wire);
    if (a % 3 == 0) {
        sim_client_close(script->world.sim, connection->wire.id);
        connection->half = true;
        connection->wire.out_bytes = 0;
        return;
    }
    wire_client_leave(&connection->wire, a % 3 == 1);
    forget(connection);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void raw(struct script *script, struct script_connection *connection, uint8_t bytes)
{
    uint8_t data[UINT8_MAX];
    for (uint32_t i = 0; i < bytes; i++)
        data[i] = script_byte(script);
    wire_client_send_raw(&connection->wire, data, bytes);
    connection->orderly = connection->orderly && bytes == 0;
}

/* Changes what was queued from `from` on. */
static void mangle(struct script *script, struct script_connection *connection, uint32_t from,
                   enum script_mangle mangle)
{
    struct wire_client *wire = &connection->wire;
    static uint8_t rest[WIRE_CLIENT_OUT_BYTES];
    if (mangle < MANGLE_SPLIT || wire->out_bytes == from)
        return;
    uint32_t position = script_byte(script);
    position = (position << 8 | script_byte(script)) % (wire->out_bytes - from);
    uint32_t rest_bytes = wire->out_bytes - from - position;
    if (mangle == MANGLE_FLIP) {
        wire->out[from + position] ^= (uint8_t)(1u << position % 8);
        connection->orderly = false;
        return;
    }
    wire->out_bytes = from + position;
    if (mangle == MANGLE_CUT) {
        connection->orderly = false;
        return;
    }
    memcpy(rest, wire->out + wire->out_bytes, rest_bytes);
    script_turn(script, TURN_NS);
    wire_client_send_raw(wire, rest, rest_bytes);
}

/* A step that sends one frame. */
static void send_frame(struct script *script, struct script_connection *connection,
                       enum script_step step, uint8_t who, uint8_t a, uint8_t b)
{
    uint32_t times = who & WHO_AGAIN ? 2 : 1;
    if (connection->wire.id < 0)
        connect_anew(script, connection);
    if (connection->half || connection->wire.out_bytes > WIRE_CLIENT_OUT_BYTES / 2 ||
        connection->pending_count + 1 >= SCRIPT_PENDING_MAX)
        return;
    for (uint32_t i = 0; i < times; i++) {
        uint32_t from = connection->wire.out_bytes;
        if (step == STEP_RAW)
            raw(script, connection, a);
        else if (step == STEP_PRODUCE)
            script_produce(script, connection, a, b);
        else
            script_request(script, connection, step, a, b);
        mangle(script, connection, from, (who >> WHO_MANGLE_SHIFT & 7u));
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Nearly full: producers are refused, readers are served. */
static void space(struct script *script, uint8_t a)
{
    struct sim *sim = script->world.sim;
    script->low_space = script->low_space || a % 2 == 1;
    sim_disk_capacity(sim, a % 2 == 1 ? sim_disk_used(sim) : WORLD_DISK_BYTES);
}

static void step(struct script *script)
{
    enum script_step kind = script_byte(script) % STEP_COUNT;
    uint8_t who = script_byte(script), a = script_byte(script), b = script_byte(script);
    struct script_connection *connection = &script->connections[who & WHO_CONNECTION];
    totals_step(kind);
    switch ((unsigned)kind) {
    case STEP_CONNECT:
        connect_anew(script, connection);
        break;
    case STEP_LEAVE:
        leave(script, connection, a);
        break;
    case STEP_DEAF:
        connection->deaf = a % 2 == 0;
        script->rough = script->rough || connection->deaf;
        break;
    case STEP_TIME:
        pass(script, (1ull << a % 26) * 1000);
        break;
    case STEP_SPACE:
        space(script, a);
        break;
    default:
        send_frame(script, connection, kind, who, a, b);
        script->rough = script->rough || !connection->orderly;
        break;
    }
    static const uint64_t after_ns[4] = {0, 1, TURN_NS, 5 * TURN_NS};
    pass(script, after_ns[who >> WHO_AFTER_SHIFT & 3u]);
    connection_world_check(&script->world);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void begin(struct script *script)
{
    script->sent_count = script->acked_count = 0;
    script->low_space = script->rough = false;
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++) {
        forget(&script->connections[i]);
        script->connections[i].wire.correlation = 0;
    }
    script->judge.correlation = 0;
    for (uint32_t i = 0; i < SCRIPT_CHANNELS; i++) {
        bool global = i + 1 < SCRIPT_CHANNELS;
        script->channels[i] =
            (struct script_channel){.target = {.producer_id = i + 2, /* the filler is 1 */
                                               .producer_epoch = 1,
                                               .channel_epoch = 1,
                                               .facility = global ? 0 : 1,
                                               .partition = global ? 0 : WORLD_WIDTH + 1,
                                               .strategy = XD_STRATEGY_SKU}};
    }
    connection_world_begin(&script->world);
}

void script_open(struct script *script)
{
    connection_world_open(&script->world);
    for (uint32_t i = 0; i < SCRIPT_CONNECTIONS; i++)
        wire_client_init(&script->connections[i].wire, script->world.sim);
    wire_client_init(&script->judge, script->world.sim);
    for (uint32_t bucket = 0, n = 0; bucket < WORLD_WIDTH; n++) {
        snprintf(script->sku[bucket], sizeof script->sku[bucket], "S%u", n % 100);
        uint32_t key = batch_route_key(XD_STRATEGY_SKU, script->sku[bucket]);
        bucket += xd_route_bucket(key, WORLD_WIDTH) == bucket;
        XD_ASSERT(n < 100);
    }
}

void script_run(struct script *script, const uint8_t *data, size_t bytes)
{
    script->data = data;
    script->bytes = bytes < SCRIPT_BYTES_MAX ? bytes : SCRIPT_BYTES_MAX;
    begin(script);
    uint8_t options = script_byte(script);
    for (uint32_t i = 0; i < SCRIPT_STEPS_MAX && script->bytes > 0; i++)
        step(script);
    if (script->low_space) {
        space(script, 0);
        pass(script, SPACE_SEEN_NS);
    }
    script_settle(script);
    script_judge(script, (options & OPTION_STOP) != 0);
    script->trace_hash = sim_trace_hash(script->world.sim);
    connection_world_end(&script->world);
}
