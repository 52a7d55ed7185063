/* SPDX-License-Identifier: Apache-2.0
 *
 * A warehouse confirms picks: one record that is waited for, then a hundred in batches.
 *
 *   produce [ADDRESS]         the default is 127.0.0.1:7700
 *
 * Needs the topic "stock" and the facility "DC07".
 */
#include <stdio.h>
#include <string.h>

#include <crossdock/crossdock.h>

#define PICKS 100

static int failed(const char *what, int status, const char *detail)
{
    fprintf(stderr, "%s: %s: %s\n", what, xdock_status_name(status), detail);
    return 1;
}

static void fill_pick(xdock_record_t *pick, const char *task, const char *payload)
{
    xdock_record_init(pick);
    pick->topic = "stock";
    pick->type = XDOCK_PICK_CONFIRMED;
    pick->sku = "SKU-4711";
    pick->location = "A-12-03";
    pick->document = "ORDER-88123";
    pick->document_type = XDOCK_DOC_SALES_ORDER;
    pick->handling_unit_to = "TOTE-17";
    pick->business_key = task;
    pick->quantity = xdock_quantity(3, 0, XDOCK_UOM_PIECE);
    pick->payload = xdock_bytes(payload, strlen(payload));
}

/* Posts without waiting for each; outcomes are taken as they come. */
static int produce_many(xdock_producer_t *producer, unsigned *ret_appended)
{
    char task[32];
    xdock_record_t pick;
    xdock_ack_t acks[32];
    unsigned done = 0;
    for (unsigned i = 0; i < PICKS; i++) {
        snprintf(task, sizeof(task), "task 88123/%u", i + 2);
        fill_pick(&pick, task, "{\"picker\":\"p07\"}");
        int status = xdock_post(producer, &pick, i, 5000);
        if (status < 0)
            return status;
    }
    while (done < PICKS) {
        int count = xdock_acks(producer, acks, sizeof(acks) / sizeof(acks[0]), 5000);
        if (count <= 0)
            return count < 0 ? count : XDOCK_DEADLINE_EXCEEDED;
        for (int i = 0; i < count; i++, done++) {
            if (acks[i].status < 0)
                return acks[i].status;
            *ret_appended += acks[i].status == 0 ? 1 : 0;
        }
    }
    return 0;
}

static int produce(xdock_client_t *client)
{
    xdock_producer_t *producer = NULL;
    int status = xdock_producer_open(client, "example-wms", NULL, "DC07", 5000, &producer);
    if (status < 0)
        return failed("open a producer", status, xdock_client_error(client));

    xdock_record_t pick;
    xdock_ack_t ack;
    fill_pick(&pick, "task 88123/1", "{\"picker\":\"p07\"}");
    status = xdock_send(producer, &pick, &ack, 5000); /* durable when it returns */
    if (status >= 0)
        printf("sequence %llu is durable at offset %llu of partition %u\n",
               (unsigned long long)ack.sequence, (unsigned long long)ack.offset, ack.partition);
    unsigned appended = 0;
    if (status >= 0)
        status = produce_many(producer, &appended);
    if (status < 0)
        failed("produce", status, xdock_client_error(client));
    else
        printf("%u of %u picks were appended in batches\n", appended, PICKS);
    int unknown = xdock_producer_close(&producer, 5000);
    if (unknown > 0)
        fprintf(stderr, "%d records have no known outcome\n", unknown);
    return status < 0 || unknown != 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    char error[512] = "";
    xdock_options_t *options = NULL;
    xdock_client_t *client = NULL;
    int status = xdock_options_init(&options);
    if (status == 0 && argc > 1)
        status = xdock_options_set(options, "address", argv[1]);
    if (status == 0)
        status = xdock_client_open(options, 5000, &client, error, sizeof(error));
    xdock_options_free(&options);
    if (status < 0)
        return failed("connect", status, error);
    int exit_code = produce(client);
    xdock_client_close(&client, 1000);
    return exit_code;
}
