/* SPDX-License-Identifier: Apache-2.0
 *
 * `produce --follow`: every file that comes into a folder, each once, with an acknowledgement file
 * beside it.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_FOLLOW_H
#define CROSSDOCK_TOOLS_CROSSDOCK_FOLLOW_H

#include "tools/crossdock/transfer.h"

/* Runs until a signal; with --dry-run over what is there now. Prints a line for each file. Gives
 * the exit status. */
int follow_folder(const struct transfer_options *options, const char *folder);

#endif
