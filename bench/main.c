/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-bench: measures a broker through the client library, or the log alone.
 */
#include "bench/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum bench_exit (*run)(int argc, char *const *argv);
    const char *text;
} commands[] = {
    {"produce", command_produce, "load through the client library: rates and times to the ack"},
    {"read", command_read, "reads partitions as fast as they come"},
    {"crowd", command_crowd, "thousands of connections: idle, at work, and badly behaved"},
    {"disk", command_disk, "appends to a log of its own, without broker and network"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
    fputs("crossdock-bench COMMAND [OPTION...]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].text);
    fputs("\nCOMMAND --help shows the options of a command.\n", out);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return fflush(stdout) == 0 ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
    }
    for (size_t i = 0; argc >= 2 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return (int)commands[i].run(argc - 2, argv + 2);
    print_usage(stderr);
    return BENCH_EXIT_USAGE;
}
