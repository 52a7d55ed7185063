/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of crossdockd. Pure: turns words into sources of configuration and an action.
 */
#ifndef CROSSDOCK_BROKER_COMMAND_H
#define CROSSDOCK_BROKER_COMMAND_H

#include "broker/config.h"

#define COMMAND_SETS_MAX 64u

enum command_action {
    COMMAND_RUN,
    COMMAND_CHECK_CONFIG,
    COMMAND_PRINT_CONFIG,
    COMMAND_PRINT_CONFIG_DOC,
    COMMAND_PRINT_METRICS_DOC,
    COMMAND_VERSION,
    COMMAND_HELP
};

struct command {
    enum command_action action;
    const char *file;                   /* --config, NULL = not given */
    const char *sets[COMMAND_SETS_MAX]; /* "section.key=value": --data, --listen and --insecure
                                           first, then --set; borrowed from argv or below */
    uint32_t set_count;
    char data[CONFIG_TEXT_BYTES_MAX + 32];   /* set of --data */
    char listen[CONFIG_TEXT_BYTES_MAX + 32]; /* set of all --listen */
};

/* 0, or XD_OPTION_INVALID with `why` (CONFIG_WHY_BYTES). `argv` is borrowed for good. */
int command_parse(int argc, char **argv, struct command *ret_command, char *why);
/* Text of --help. Static memory. */
const char *command_help(void);

#endif
