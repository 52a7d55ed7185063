/* SPDX-License-Identifier: Apache-2.0
 *
 * What each row of the verb table runs. All of them take the tool with its parsed arguments, print
 * their data and talk themselves, and return the exit status.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_RUN_H
#define CROSSDOCK_TOOLS_CROSSDOCK_RUN_H

struct tool;

#define VERB(id, name, arguments, flags, text, example1, example2) int run_##id(struct tool *tool);
#define OPTION(verb, name, letter, value, text)
#define NOTE(verb, text)
#include "tools/crossdock/verbs.def"
#undef VERB
#undef OPTION
#undef NOTE

#endif
