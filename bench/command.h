/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of crossdock-bench, and what those that talk to a broker share.
 */
#ifndef CROSSDOCK_BENCH_COMMAND_H
#define CROSSDOCK_BENCH_COMMAND_H

#include "bench/arguments.h"

#include <stdbool.h>
#include <stdint.h>

#include <crossdock/crossdock.h>

enum bench_exit {
    BENCH_EXIT_OK = 0,
    BENCH_EXIT_FAILED = 1,      /* the broker or the machine */
    BENCH_EXIT_USAGE = 2,       /* the command line */
    BENCH_EXIT_UNREACHABLE = 5, /* no broker, or it did not answer in time */
};

#define COMMAND_CONNECTIONS_MAX 1024u
#define COMMAND_CPU_NONE 1024u

/* Arguments behind the command's name. They print data on standard output and talk on standard
 * error. */
enum bench_exit command_produce(int argc, char *const *argv);
enum bench_exit command_read(int argc, char *const *argv);
enum bench_exit command_disk(int argc, char *const *argv);
enum bench_exit command_crowd(int argc, char *const *argv);

/* Parses, and prints help or the mistake. True: go on; false: *ret_exit is the end. */
bool command_parse(const char *name, int argc, char *const *argv, const struct argument *table,
                   uint32_t count, enum bench_exit *ret_exit);
/* Says what failed and chooses the exit code. */
enum bench_exit command_failed(const char *name, int status, const char *why);

/* Rows that several commands have in their tables; they point at the caller's value. */
struct argument command_row_address(const char **value);
struct argument command_row_connections(uint64_t *value, const char *help);
struct argument command_row_duration(uint64_t *value_us, const char *help);
struct argument command_row_warmup(uint64_t *value_us);
struct argument command_row_cpu(uint64_t *value);
struct argument command_row_client(const char **value);
struct argument command_row_broker_pid(uint64_t *value);
struct argument command_row_output(uint64_t *value);
struct argument command_row_judge(uint64_t *value, const char *help);

/* Pins to `cpu` unless it is COMMAND_CPU_NONE. 0 or -errno. */
int command_pin(uint64_t cpu);

/* Client options: the user's file and environment, address, then "NAME=VALUE,..." of `settings`,
 * which may be NULL. On failure `ret_why` (of `bytes`) has the detail and nothing is left. */
int command_options(const char *address, const char *settings, xdock_options_t **ret_options,
                    char *ret_why, uint32_t bytes);

/* Calls a verb over a connection of its own. On success the caller frees *ret_reply. */
int command_admin(const xdock_options_t *options, const char *verb, const char *json,
                  char **ret_reply, char *ret_why, uint32_t bytes);

#endif
