/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts from the verb table.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_HELP_H
#define CROSSDOCK_TOOLS_CROSSDOCK_HELP_H

#include <stdio.h>

#include "tools/crossdock/tool.h"
#include "tools/crossdock/verbs.h"

/* A command line with a family and no verb: help when that was asked for, else wrong usage. Gives
 * the exit status. */
int help_answer_family(struct tool *tool);
/* All verbs, the options of every verb, exit statuses. */
void help_overview(FILE *out);
/* One verb: text, notes, examples, options. */
void help_verb(FILE *out, const struct verb *verb);
/* The verbs of one family ("topic"), a line each. */
void help_family(FILE *out, const char *family);

#endif
