/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-memorytest: every allocation of libcrossdock fails once. The linker sends the calls of
 * the library's one source of memory (client/memory.h) here (--wrap).
 *
 * Normal path: for every n the same life of a client over the fake broker, options, client,
 * producer, a record, a reader, with the n-th allocation refused. The step that wanted it must
 * answer -ENOMEM and leave its output alone, the same step must then succeed, and in the end
 * nothing may be held. The same for an open over a socket, which nobody answers. --fault N runs one
 * case alone. Failure path: the first case that goes wrong ends the run with its number. Exit: 0
 * nothing found, 1 found something, 2 wrong usage.
 */
#include <crossdock/crossdock.h>

#include "client/client.h"
#include "client/memory.h"
#include "tests/support/fake_broker.h"
#include "wire/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 1000u
#define N_MAX 1000u
#define SITES_MIN 20u /* of a whole life */

/* What the wrapped functions count: one thread, one client at a time. */
static struct {
    uint64_t calls; /* since the case began */
    uint64_t fail;  /* the one that is refused, 0 = none */
    uint64_t live;  /* given and not given back */
} memory;

void *__wrap_xd_memory_acquire(size_t bytes);
void *__real_xd_memory_acquire(size_t bytes);
void *__wrap_xd_memory_acquire_array(size_t count, size_t element_bytes);
void *__real_xd_memory_acquire_array(size_t count, size_t element_bytes);
void __wrap_xd_memory_release(void *pointer);
void __real_xd_memory_release(void *pointer);

static void *given(void *pointer)
{
    memory.live += pointer != NULL;
    return pointer;
}

void *__wrap_xd_memory_acquire(size_t bytes)
{
    return ++memory.calls == memory.fail ? NULL : given(__real_xd_memory_acquire(bytes));
}

void *__wrap_xd_memory_acquire_array(size_t count, size_t element_bytes)
{
    return ++memory.calls == memory.fail
               ? NULL
               : given(__real_xd_memory_acquire_array(count, element_bytes));
}

void __wrap_xd_memory_release(void *pointer)
{
    memory.live -= pointer != NULL;
    __real_xd_memory_release(pointer);
}

/* ---- one life -------------------------------------------------------------------------------- */

struct life {
    struct fake_broker *broker;
    xdock_options_t *options;
    xdock_client_t *client;
    xdock_producer_t *producer;
    xdock_reader_t *reader;
};

static int make_options(struct life *life)
{
    return xdock_options_init(&life->options);
}

/* A client takes the transport over, also when it cannot be opened: each attempt has its own. */
static int open_client(struct life *life)
{
    char error[256] = "";
    if (life->broker != NULL)
        fake_broker_free(life->broker);
    life->broker = fake_broker_new();
    return xd_client_open_over(life->options, &life->broker->transport, CALL_MS, &life->client,
                               error, sizeof error);
}

static int open_producer(struct life *life)
{
    return xdock_producer_open(life->client, "wms", NULL, "DC07", CALL_MS, &life->producer);
}

static int post(struct life *life)
{
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.topic = "stock";
    record.type = XDOCK_STOCK_MOVED;
    record.sku = "SKU-4711";
    record.location = "A-01";
    record.document = "TASK-1";
    record.quantity = xdock_quantity(1, 0, XDOCK_UOM_PIECE);
    int status = xdock_post(life->producer, &record, 0, CALL_MS);
    return status < 0 ? status : xdock_flush(life->producer, CALL_MS);
}

static int open_reader(struct life *life)
{
    const xdock_selection_t selection = {.struct_bytes = sizeof selection,
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .partition = -1};
    return xdock_reader_open(life->client, &selection, CALL_MS, &life->reader);
}

static int read_one(struct life *life)
{
    int status = xdock_reader_poll(life->reader, CALL_MS);
    if (status < 0)
        return status;
    return status > 0 && xdock_reader_next(life->reader) != NULL ? 0 : XD_DEADLINE_EXCEEDED;
}

struct step {
    const char *name;
    int (*run)(struct life *life);
    size_t output; /* place of the handle in struct life; of a step without one that of broker */
};

static const struct step steps[] = {
    {"options", make_options, offsetof(struct life, options)},
    {"client", open_client, offsetof(struct life, client)},
    {"producer", open_producer, offsetof(struct life, producer)},
    {"post", post, offsetof(struct life, broker)},
    {"reader", open_reader, offsetof(struct life, reader)},
    {"read", read_one, offsetof(struct life, broker)},
};

static bool has_handle(const struct life *life, const struct step *step)
{
    const void *handle;
    memcpy(&handle, (const char *)life + step->output, sizeof handle);
    return step->output != offsetof(struct life, broker) && handle != NULL;
}

static int complain(uint64_t n, const char *step, const char *what, int status)
{
    fprintf(stderr, "crossdock-memorytest --fault %" PRIu64 ": %s: %s (%s)\n", n, step, what,
            xd_status_name(status));
    return -EBADMSG;
}

/* The step, and once more when it was refused memory. */
static int run_step(struct life *life, const struct step *step, uint64_t n)
{
    bool before = memory.calls < memory.fail;
    int status = step->run(life);
    bool refused = before && memory.calls >= memory.fail;
    if (!refused)
        return status < 0 ? complain(n, step->name, "failed", status) : 0;
    if (status != -ENOMEM)
        return complain(n, step->name, "did not say that memory is short", status);
    if (has_handle(life, step))
        return complain(n, step->name, "left a handle behind", status);
    status = step->run(life);
    return status < 0 ? complain(n, step->name, "failed at the second attempt", status) : 0;
}

static int run_life(uint64_t n)
{
    struct life life = {0};
    int status = 0;
    memory.calls = 0;
    memory.live = 0;
    memory.fail = n;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == 0; i++)
        status = run_step(&life, &steps[i], n);
    xdock_reader_close(&life.reader);
    (void)xdock_client_close(&life.client, 0); /* Everything has its outcome. */
    xdock_options_free(&life.options);
    if (life.broker != NULL)
        fake_broker_free(life.broker);
    if (status == 0 && memory.live != 0)
        return complain(n, "end", "memory was not given back", 0);
    return status;
}

/* An open over a socket, without waiting for anybody. */
static int run_socket(uint64_t n)
{
    char error[256] = "";
    xdock_client_t *client = NULL;
    memory.calls = 0;
    memory.live = 0;
    memory.fail = n;
    int status = xdock_client_open(NULL, 0, &client, error, sizeof error);
    if (memory.calls >= n && status != -ENOMEM)
        return complain(n, "socket", "did not say that memory is short", status);
    if (memory.calls >= n && client != NULL)
        return complain(n, "socket", "left a client behind", status);
    (void)xdock_client_close(&client, 0); /* Nothing was sent. */
    return memory.live != 0 ? complain(n, "socket", "memory was not given back", 0) : 0;
}

/* Every n until a case ends before the n-th allocation. */
static int run_each(int (*run)(uint64_t n), const char *name, uint64_t *ret_sites)
{
    for (uint64_t n = 1; n < N_MAX; n++) {
        int status = run(n);
        if (status < 0)
            return status;
        if (memory.calls < n) {
            printf("%s: %" PRIu64 " allocations\n", name, n - 1);
            *ret_sites = n - 1;
            return 0;
        }
    }
    return complain(N_MAX, name, "does not end", 0);
}

int main(int argc, char **argv)
{
    uint64_t life_sites = 0, socket_sites = 0;
    int status;
    if (argc == 3 && strcmp(argv[1], "--fault") == 0) {
        uint64_t n = strtoull(argv[2], NULL, 10);
        status = run_life(n);
        if (status == 0)
            status = run_socket(n);
    } else if (argc == 1) {
        status = run_each(run_life, "life", &life_sites);
        if (status == 0)
            status = run_each(run_socket, "socket", &socket_sites);
        if (status == 0 && (life_sites < SITES_MIN || socket_sites == 0))
            status = complain(0, "end", "too tame", 0);
    } else {
        fputs("crossdock-memorytest [--fault N]\n", stderr);
        return 2;
    }
    printf("%s\n", status < 0 ? "FAILED" : "every refusal was clean");
    return status < 0 ? 1 : 0;
}
