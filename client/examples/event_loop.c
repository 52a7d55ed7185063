/* SPDX-License-Identifier: Apache-2.0
 *
 * The library inside a program's own event loop: poll(2) waits for the client's descriptor and for
 * whatever else the program has; nothing in the library blocks.
 *
 *   event_loop [ADDRESS]
 *
 * Posts a move of goods every 50 ms, twenty times, and takes the outcomes as they come. Needs the
 * topic "stock" and the facility "DC07".
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include <crossdock/crossdock.h>

#define MOVES 20
#define MOVE_MS 50
#define GIVE_UP_MS 10000

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int failed(const char *what, int status, const char *detail)
{
    fprintf(stderr, "%s: %s: %s\n", what, xdock_status_name(status), detail);
    return 1;
}

static int post_move(xdock_producer_t *producer, unsigned number)
{
    char location[16];
    snprintf(location, sizeof(location), "B-%02u", number);
    xdock_record_t move = XDOCK_RECORD_INIT;
    move.topic = "stock";
    move.type = XDOCK_STOCK_MOVED;
    move.sku = "SKU-0815";
    move.location = "A-01";
    move.location_to = location;
    move.document = "TASK-4711";
    move.quantity = xdock_quantity(1, 0, XDOCK_UOM_PIECE);
    return xdock_post(producer, &move, number, 0); /* 0: never wait here */
}

/* Milliseconds for poll(2): until the next move or the client's own deadline. */
static int wait_ms(const xdock_client_t *client, long long next_ms)
{
    long long wait = next_ms - now_ms();
    uint32_t client_ms = xdock_client_deadline(client);
    if (client_ms != XDOCK_FOREVER && client_ms < wait)
        wait = client_ms;
    return wait > 0 ? (int)wait : 0;
}

static int run(xdock_client_t *client, xdock_producer_t *producer)
{
    unsigned posted = 0;
    unsigned done = 0;
    long long next_ms = now_ms();
    long long give_up_ms = next_ms + GIVE_UP_MS;
    while (done < MOVES && now_ms() < give_up_ms) {
        if (posted < MOVES && now_ms() >= next_ms) {
            int status = post_move(producer, posted++);
            if (status < 0)
                return status;
            next_ms += MOVE_MS;
        }
        int status = xdock_client_step(client, 0);
        if (status < 0)
            return status;
        xdock_ack_t ack;
        while ((status = xdock_acks(producer, &ack, 1, 0)) == 1) {
            printf("move %llu: %s, offset %llu\n", (unsigned long long)ack.user,
                   xdock_status_name(ack.status), (unsigned long long)ack.offset);
            done++;
        }
        if (status < 0)
            return status;
        struct pollfd poller = {.fd = xdock_client_fd(client),
                                .events = xdock_client_events(client)};
        (void)poll(&poller, 1, wait_ms(client, posted < MOVES ? next_ms : give_up_ms));
    }
    return done == MOVES ? 0 : XDOCK_DEADLINE_EXCEEDED;
}

int main(int argc, char **argv)
{
    char error[512] = "";
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    xdock_producer_t *producer = NULL;
    int status = xdock_options_init(&options);
    if (status == 0 && argc > 1)
        status = xdock_options_set(options, "address", argv[1]);
    if (status == 0)
        status = xdock_client_open(options, 5000, &client, error, sizeof(error));
    xdock_options_free(&options);
    if (status < 0)
        return failed("connect", status, error);
    status = xdock_producer_open(client, "example-loop", NULL, "DC07", 5000, &producer);
    if (status == 0)
        status = run(client, producer);
    if (status < 0)
        failed("run", status, xdock_client_error(client));
    int unknown = xdock_client_close(&client, 2000); /* closes the producer too */
    return status < 0 || unknown != 0 ? 1 : 0;
}
