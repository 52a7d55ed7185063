/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a topic from its beginning to its present end and prints one line per record.
 *
 * A poll that finds nothing waits for what comes next, and the last partition's end may be heard of
 * during such a wait; so the polls are short, and between them the program asks whether it is done.
 *
 *   read [ADDRESS [TOPIC [FACILITY]]]      127.0.0.1:7700, stock, all facilities
 */
#include <stdio.h>

#include <crossdock/crossdock.h>

#define POLL_MS 20

static int failed(const char *what, int status, const char *detail)
{
    fprintf(stderr, "%s: %s: %s\n", what, xdock_status_name(status), detail);
    return 1;
}

static void print_record(xdock_reader_t *reader, const xdock_view_t *view)
{
    char sku_text[20];
    char location_text[20];
    char quantity[32] = "-";
    const char *name = xdock_event_name(view->type);
    xdock_bytes_t sku = xdock_view_sku(view, sku_text);
    xdock_bytes_t location = xdock_view_location(view, location_text);
    if (view->quantity.present)
        xdock_quantity_format(view->quantity, quantity, sizeof(quantity));
    printf("%u/%llu %s %s sku=%.*s location=%.*s quantity=%s payload=%zu B\n", view->partition,
           (unsigned long long)view->offset, xdock_reader_facility_name(reader, view->facility),
           name != NULL ? name : "private", (int)sku.bytes, (const char *)sku.data,
           (int)location.bytes, (const char *)location.data, quantity, view->payload.bytes);
}

static int read_all(xdock_client_t *client, const xdock_selection_t *selection)
{
    xdock_reader_t *reader = NULL;
    int status = xdock_reader_open(client, selection, 5000, &reader);
    if (status < 0)
        return failed("open a reader", status, xdock_client_error(client));

    unsigned long long records = 0;
    const xdock_view_t *view;
    while (status >= 0 && !xdock_reader_at_end(reader)) {
        status = xdock_reader_poll(reader, POLL_MS);
        if (status == XDOCK_OFFSET_GONE) { /* retention was faster: go on with what is kept */
            fprintf(stderr, "%s\n", xdock_client_error(client));
            status = 0;
        }
        while ((view = xdock_reader_next(reader)) != NULL) {
            print_record(reader, view);
            records++;
        }
    }
    if (status < 0)
        failed("read", status, xdock_client_error(client));
    else
        printf("%llu records\n", records);
    xdock_reader_close(&reader);
    return status < 0 ? 1 : 0;
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
    const xdock_selection_t selection = {.struct_bytes = sizeof(selection),
                                         .from = XDOCK_FROM_BEGIN,
                                         .topic = argc > 2 ? argv[2] : "stock",
                                         .facility = argc > 3 ? argv[3] : NULL,
                                         .partition = -1};
    int exit_code = read_all(client, &selection);
    xdock_client_close(&client, 1000);
    return exit_code;
}
