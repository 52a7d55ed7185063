/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include <errno.h>
#include <poll.h>

/* Opens over a broker that may misbehave: the status, and the detail in `error`. */
static int try_open(uint32_t timeout_ms, char error[256])
{
    error[0] = '\0';
    return xd_client_open_over(NULL, &broker->transport, timeout_ms, &client, error, 256);
}

/* Nobody listens: the open says so at once instead of trying until the deadline. */
Test(client, open_reports_an_unreachable_broker_at_once)
{
    broker = fake_broker_new();
    broker->connect_status = -ECONNREFUSED;
    char error[256];
    cr_assert_eq(try_open(5000, error), XD_UNREACHABLE);
    cr_assert_null(client, "outputs are untouched on failure");
    cr_assert_not_null(strstr(error, "127.0.0.1:7700"));
    cr_assert_eq(broker->waited_ns, 0);
    cr_assert(broker->freed);
    fake_broker_free(broker);
}

/* A broker that goes while it is greeted is not there either: nothing was asked, nothing is
 * unknown. */
Test(client, open_reports_a_broker_that_hangs_up)
{
    broker = fake_broker_new();
    broker->cut_in_bytes = 20;
    char error[256];
    cr_assert_eq(try_open(5000, error), XD_UNREACHABLE);
    cr_assert_eq(broker->waited_ns, 0);
    fake_broker_free(broker);
}

/* A connection that never comes up, or a broker that never answers, ends at the deadline. */
Test(client, open_returns_by_its_deadline)
{
    for (int mute = 0; mute <= 1; mute++) {
        broker = fake_broker_new();
        broker->connect_status = mute;
        broker->mute = true;
        char error[256];
        uint64_t before_ns = broker->now_ns;
        cr_assert_eq(try_open(400, error), XD_DEADLINE_EXCEEDED);
        cr_assert_geq(broker->now_ns - before_ns, 400 * MS);
        cr_assert_leq(broker->now_ns - before_ns, 405 * MS);
        cr_assert(broker->freed);
        fake_broker_free(broker);
    }
}

/* With a timeout of 0 the open does not wait; the connection comes up in later steps. */
Test(client, open_without_waiting_connects_in_later_steps, .fini = finish)
{
    broker = fake_broker_new();
    broker->connect_status = 0;
    char error[256];
    cr_assert_eq(try_open(0, error), 0);
    cr_assert_eq(xdock_client_fd(client), -1);
    cr_assert_eq(xdock_client_events(client), POLLOUT);
    broker->connect_status = 1;
    cr_assert_eq(xdock_client_step(client, 1000), 1);
    cr_assert_eq(xdock_client_fd(client), 3);
    cr_assert_eq(broker->greetings, 1);
}

/* A broker without a common version finishes the client, and no further attempt is made. */
Test(client, a_foreign_version_is_fatal)
{
    broker = fake_broker_new();
    broker->hello_status = XD_VERSION_UNSUPPORTED;
    char error[256];
    cr_assert_eq(try_open(1000, error), XD_VERSION_UNSUPPORTED);
    fake_broker_free(broker);
}

/* Another data folder behind the same address must not be taken for the first one. */
Test(client, another_cluster_behind_the_address_is_fatal)
{
    broker = fake_broker_new();
    client = open_client(broker, NULL);
    producer = open_producer(client);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    broker->hello.cluster_id[0]++;
    fake_broker_cut(broker);
    cr_assert_eq(xdock_flush(producer, 5000), XD_LOG_FOREIGN);
    cr_assert_eq(xdock_client_step(client, 0), XD_LOG_FOREIGN);
    cr_assert_eq(xdock_client_close(&client, 1000), 1, "one record has no known outcome");
    fake_broker_free(broker);
}

/* In a child process every call says so, and closing frees memory without a word to the broker. */
Test(client, refuses_every_call_after_a_fork)
{
    broker = fake_broker_new();
    client = open_client(broker, NULL);
    producer = open_producer(client);
    const xdock_selection_t selection = {.struct_bytes = sizeof(selection),
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = "stock",
                                         .partition = -1};
    xdock_reader_t *reader = NULL;
    cr_assert_eq(xdock_reader_open(client, &selection, 1000, &reader), 0);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    uint64_t before = broker->in_bytes_total;

    broker->check_status = XD_FORKED;
    xdock_ack_t ack;
    const char *reply = NULL;
    xdock_producer_t *other = NULL;
    cr_assert_eq(post_one(producer, "SKU-1", 2), XD_FORKED);
    cr_assert_eq(xdock_flush(producer, 1000), XD_FORKED);
    cr_assert_eq(xdock_acks(producer, &ack, 1, 1000), XD_FORKED);
    cr_assert_eq(xdock_reader_poll(reader, 1000), XD_FORKED);
    cr_assert_null(xdock_reader_next(reader));
    cr_assert_eq(xdock_client_step(client, 1000), XD_FORKED);
    cr_assert_eq(xdock_admin_call(client, "status", NULL, 1000, &reply), XD_FORKED);
    cr_assert_eq(xdock_producer_open(client, "a", NULL, NULL, 1000, &other), XD_FORKED);
    cr_assert_eq(xd_status_class(XD_FORKED), XD_CLASS_FATAL);
    cr_assert_eq(xdock_client_close(&client, 1000), 1);
    cr_assert_null(client);
    cr_assert_eq(broker->in_bytes_total, before, "the parent's connection is left alone");
    cr_assert_eq(broker->waited_ns, 0);
    fake_broker_free(broker);
}

/* Another thread is told so and changes nothing, not even by closing. */
Test(client, refuses_another_thread, .init = start_producer, .fini = finish)
{
    broker->check_status = XD_WRONG_THREAD;
    cr_assert_eq(post_one(producer, "SKU-1", 1), XD_WRONG_THREAD);
    cr_assert_eq(xdock_producer_close(&producer, 1000), XD_WRONG_THREAD);
    cr_assert_eq(xdock_client_close(&client, 1000), XD_WRONG_THREAD);
    cr_assert_not_null(client);
    cr_assert_not_null(producer);
    broker->check_status = 0;
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
}

/* Closing with a dead broker is bounded over all producers and counts what is unknown. */
Test(client, close_is_bounded_over_all_producers)
{
    broker = fake_broker_new();
    client = open_client(broker, NULL);
    xdock_producer_t *first = open_producer(client);
    xdock_producer_t *second = NULL;
    cr_assert_eq(xdock_producer_open(client, "erp", NULL, "DC08", 1000, &second), 0);
    cr_assert_eq(post_one(first, "SKU-1", 1), 0);
    cr_assert_eq(post_one(second, "SKU-1", 1), 0);
    cr_assert_eq(post_one(second, "SKU-2", 2), 0);
    broker->mute = true;
    uint64_t before_ns = broker->now_ns;
    cr_assert_eq(xdock_client_close(&client, 600), 3);
    cr_assert_leq(broker->now_ns - before_ns, 605 * MS);
    cr_assert_null(client);
    cr_assert_eq(xdock_client_close(&client, 600), 0, "a pointer to NULL is accepted");
    fake_broker_free(broker);
}

/* An event loop that only follows fd, events and deadline gets everything done. */
Test(client, is_driven_by_an_event_loop, .fini = finish)
{
    broker = fake_broker_new();
    client = open_client(broker, (const char *const[]){"producer.linger_us", "20000", NULL});
    producer = open_producer(client);
    cr_assert_eq(post_one(producer, "SKU-1", 1), 0);
    cr_assert_eq(xdock_client_events(client), POLLIN, "nothing has to be sent yet");
    uint32_t wait_ms = xdock_client_deadline(client);
    cr_assert(wait_ms >= 19 && wait_ms <= 20, "the linger ends in %u ms", wait_ms);
    cr_assert_eq(xdock_client_step(client, 0), 0);
    cr_assert_eq(broker->batches, 0);
    broker->now_ns += 20 * MS;
    cr_assert_eq(xdock_client_deadline(client), 0);
    broker->block_send = true;
    cr_assert_eq(xdock_client_step(client, 0), 0);
    cr_assert_eq(xdock_client_events(client), POLLIN | POLLOUT, "the transport was full");
    broker->block_send = false;
    cr_assert_eq(xdock_client_step(client, 0), 1);
    cr_assert_eq(broker->batches, 1);
    xdock_ack_t ack;
    take_acks(producer, &ack, 1);
}

/* Options that contradict each other are refused by name. */
Test(client, refuses_contradicting_options)
{
    broker = fake_broker_new();
    xdock_options_t *options = NULL;
    char error[256] = "";
    cr_assert_eq(xdock_options_init(&options), 0);
    cr_assert_eq(xdock_options_set(options, "reconnect.min", "3s"), 0);
    cr_assert_eq(xd_client_open_over(options, &broker->transport, 0, &client, error, sizeof(error)),
                 XD_OPTION_INVALID);
    cr_assert_not_null(strstr(error, "reconnect.max"));
    xdock_options_free(&options);
    fake_broker_free(broker);
}
