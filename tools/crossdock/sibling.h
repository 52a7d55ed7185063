/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that belong to this one: crossdockd, crossdock-inspect, crossdock-bench. They are looked
 * for in $CROSSDOCK_LIBEXEC, beside this program, and where an installation or a build directory
 * has them; never in PATH, so that versions are not mixed.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SIBLING_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SIBLING_H

#include "tools/crossdock/tool.h"

#define SIBLING_ARGUMENTS_MAX 80u

/* Becomes the program; argv[0] is its name, NULL ends the list. Returns only on failure, with a
 * status and tool->detail. */
int sibling_exec(struct tool *tool, const char *const *argv);
/* Runs the program and collects what it prints, on standard output and, when `talk` is wanted, on
 * standard error: zero-terminated, for the caller to free. Returns its exit status (a signal is
 * 128), or a status with tool->detail. */
int sibling_read(struct tool *tool, const char *const *argv, bool talk, char **ret_text);

#endif
