/* SPDX-License-Identifier: Apache-2.0
 *
 * The inspector's two commands, and their options.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_COMMANDS_H
#define CROSSDOCK_TOOLS_INSPECT_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/inspect/set.h"

#define COMMAND_ANY UINT64_MAX

struct command {
    const char *path;   /* data folder, or that of one shard */
    bool json;          /* -o json, jsonl */
    bool lines;         /* -o jsonl: findings one a line */
    bool force;         /* --force-read */
    bool records;       /* dump: --records */
    uint64_t partition; /* dump: only this one, COMMAND_ANY = all */
    uint64_t segment;   /* dump: only this one, COMMAND_ANY = all */
};

/* Both give the exit status: 0 clean, 1 findings. */
int command_dump(const struct command *command, const struct folder_set *set);
int command_verify(const struct command *command, const struct folder_set *set);

#endif
