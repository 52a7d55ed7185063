/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands share; see command.h.
 */
#include "bench/command.h"

#include "bench/check.h"
#include "bench/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADMIN_TIMEOUT_MS 10000u

bool command_parse(const char *name, int argc, char *const *argv, const struct argument *table,
                   uint32_t count, enum bench_exit *ret_exit)
{
    char why[ARGUMENTS_WHY_BYTES];
    int status = arguments_parse(argc, argv, table, count, why);
    if (status == 0)
        return true;
    if (status > 0) {
        printf("crossdock-bench %s [OPTION...]\n\n", name);
        arguments_help(table, count, stdout);
        *ret_exit = fflush(stdout) == 0 ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
    } else {
        fprintf(stderr, "crossdock-bench %s: %s\n", name, why);
        *ret_exit = BENCH_EXIT_USAGE;
    }
    return false;
}

enum bench_exit command_failed(const char *name, int status, const char *why)
{
    fprintf(stderr, "crossdock-bench %s: %s: %s\n", name, xdock_status_name(status),
            why[0] != '\0' ? why : xdock_status_text(status));
    return status == XDOCK_UNREACHABLE || status == XDOCK_DEADLINE_EXCEEDED ? BENCH_EXIT_UNREACHABLE
                                                                            : BENCH_EXIT_FAILED;
}

struct argument command_row_address(const char **value)
{
    return (struct argument){"address",
                             'a',
                             ARGUMENT_TEXT,
                             NULL,
                             value,
                             0,
                             0,
                             "ip:port or unix:/path",
                             "the broker; default: as the client library has it"};
}

struct argument command_row_connections(uint64_t *value, const char *help)
{
    return (struct argument){"connections", 'c', ARGUMENT_COUNT,          value,
                             NULL,          1,   COMMAND_CONNECTIONS_MAX, "1 to 1024",
                             help};
}

struct argument command_row_duration(uint64_t *value_us, const char *help)
{
    return (struct argument){"duration", 'd',         ARGUMENT_DURATION, value_us, NULL,
                             1000,       86400000000, "1ms to 1440m",    help};
}

struct argument command_row_warmup(uint64_t *value_us)
{
    return (struct argument){"warmup",  0,          ARGUMENT_DURATION,
                             value_us,  NULL,       0,
                             600000000, "0 to 10m", "time before it; default 300ms"};
}

struct argument command_row_cpu(uint64_t *value)
{
    return (struct argument){"cpu",
                             0,
                             ARGUMENT_COUNT,
                             value,
                             NULL,
                             0,
                             COMMAND_CPU_NONE - 1,
                             "a CPU",
                             "bind this program to it"};
}

struct argument command_row_client(const char **value)
{
    return (struct argument){"client",
                             0,
                             ARGUMENT_TEXT,
                             NULL,
                             value,
                             0,
                             0,
                             "NAME=VALUE,...",
                             "options of the client library"};
}

struct argument command_row_broker_pid(uint64_t *value)
{
    return (struct argument){
        "broker-pid", 0,           ARGUMENT_COUNT,
        value,        NULL,        1,
        1u << 30,     "a process", "the broker on this machine: measure its CPU time too"};
}

struct argument command_row_output(uint64_t *value)
{
    return (struct argument){"output", 'o',         ARGUMENT_CHOICE,     value, NULL, 0,
                             0,        "text|json", "form of the result"};
}

struct argument command_row_judge(uint64_t *value, const char *help)
{
    return (struct argument){"judge", 0, ARGUMENT_FLAG, value, NULL, 0, 0, "", help};
}

int command_pin(uint64_t cpu)
{
    return cpu == COMMAND_CPU_NONE ? 0 : machine_pin((uint32_t)cpu);
}

/* Sets the first of "NAME=VALUE,NAME=VALUE"; returns what is behind it. */
static const char *set_first(xdock_options_t *options, const char *settings, int *ret_status)
{
    char name[64];
    char value[256];
    size_t bytes = strcspn(settings, ",");
    const char *equals = memchr(settings, '=', bytes);
    const char *rest = settings + bytes + (settings[bytes] == ',');
    if (equals == NULL) {
        *ret_status = XDOCK_OPTION_INVALID;
        return rest;
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - settings), settings);
    snprintf(value, sizeof value, "%.*s", (int)(bytes - (size_t)(equals + 1 - settings)),
             equals + 1);
    *ret_status = xdock_options_set(options, name, value);
    return rest;
}

int command_options(const char *address, const char *settings, xdock_options_t **ret_options,
                    char *ret_why, uint32_t bytes)
{
    xdock_options_t *options = NULL;
    int status = xdock_options_init(&options);
    snprintf(ret_why, bytes, "no memory");
    if (status == 0)
        status = xdock_options_load(options, NULL, NULL);
    if (status == 0)
        status = xdock_options_set(options, "client.name", "crossdock-bench");
    if (status == 0 && address != NULL)
        status = xdock_options_set(options, "address", address);
    while (status == 0 && settings != NULL && settings[0] != '\0')
        settings = set_first(options, settings, &status);
    if (status == 0) {
        *ret_options = options;
        return 0;
    }
    if (options != NULL)
        snprintf(ret_why, bytes, "%s", xdock_options_error(options));
    xdock_options_free(&options);
    return status;
}

int command_admin(const xdock_options_t *options, const char *verb, const char *json,
                  char **ret_reply, char *ret_why, uint32_t bytes)
{
    xdock_client_t *client = NULL;
    const char *reply = NULL;
    char *copy = NULL;
    int status = xdock_client_open(options, ADMIN_TIMEOUT_MS, &client, ret_why, bytes);
    if (status < 0)
        return status;
    status = xdock_admin_call(client, verb, json, ADMIN_TIMEOUT_MS, &reply);
    if (status < 0) {
        snprintf(ret_why, bytes, "%s", xdock_client_error(client));
    } else {
        copy = strdup(reply);
        status = copy != NULL ? 0 : -ENOMEM;
    }
    xdock_client_close(&client, ADMIN_TIMEOUT_MS);
    if (status == 0)
        *ret_reply = copy;
    return status;
}
