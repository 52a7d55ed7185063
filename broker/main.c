/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdockd: from the command line to an exit code. Data goes to standard output, talk to standard
 * error.
 */
#include "broker/broker.h"
#include "broker/command.h"
#include "broker/config_print.h"
#include "broker/metrics_doc.h"
#include "broker/setup.h"
#include "broker/version.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum broker_exit wrong(const char *why)
{
    fprintf(stderr, "crossdockd: %s\n", why);
    return BROKER_EXIT_USAGE;
}

static enum broker_exit no_memory(void)
{
    fputs(BROKER_NO_MEMORY, stderr);
    return BROKER_EXIT_FAILED;
}

/* Standard output may be a pipe that has gone or a full disk. */
static enum broker_exit printed(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? BROKER_EXIT_STOPPED : BROKER_EXIT_FAILED;
}

static enum broker_exit print_version(void)
{
    printf("crossdockd %s (%s)\n", version_release(), version_commit());
    return printed();
}

static enum broker_exit check(const struct config *config)
{
    char why[CONFIG_WHY_BYTES];
    enum broker_exit result;
    struct setup *setup = malloc(sizeof *setup);
    if (setup == NULL)
        return no_memory();
    if (setup_make(config, setup_data_default(getenv("STATE_DIRECTORY"), geteuid() == 0), setup,
                   why) < 0) {
        result = wrong(why);
    } else {
        printf("configuration is well: data folder %s, memory %llu bytes\n", setup->data,
               (unsigned long long)(setup->shard_count * shard_bytes_needed(&setup->shard)));
        result = printed();
    }
    free(setup);
    return result;
}

static enum broker_exit with_config(const struct command *command)
{
    char why[CONFIG_WHY_BYTES];
    const struct config_sources sources = {.file = command->file,
                                           .environment = environ,
                                           .sets = command->sets,
                                           .set_count = command->set_count};
    enum broker_exit result;
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return no_memory();
    if (config_load(config, &sources, why) < 0) {
        result = wrong(why);
    } else if (command->action == COMMAND_PRINT_CONFIG) {
        config_print(config, stdout);
        result = printed();
    } else if (command->action == COMMAND_CHECK_CONFIG) {
        result = check(config);
    } else {
        result = broker_run(config, &sources, stderr);
    }
    free(config);
    return result;
}

int main(int argc, char **argv)
{
    char why[CONFIG_WHY_BYTES];
    struct command command;
    /* A reader of our output that goes away is seen where we write. */
    signal(SIGPIPE, SIG_IGN);
    if (command_parse(argc, argv, &command, why) < 0)
        return (int)wrong(why);
    switch (command.action) {
    case COMMAND_HELP:
        fputs(command_help(), stdout);
        return (int)printed();
    case COMMAND_VERSION:
        return (int)print_version();
    case COMMAND_PRINT_CONFIG_DOC:
        config_print_doc(stdout);
        return (int)printed();
    case COMMAND_PRINT_METRICS_DOC:
        metrics_doc_print(stdout);
        return (int)printed();
    case COMMAND_RUN:
    case COMMAND_CHECK_CONFIG:
    case COMMAND_PRINT_CONFIG:
        break;
    }
    return (int)with_config(&command);
}
