/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts from the verb table.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_HELP_H
#define CROSSDOCK_TOOLS_CROSSDOCK_HELP_H

#include <stdio.h>

#include "tools/crossdock/verbs.h"

/* All verbs, the options of every verb, exit statuses. */
void help_overview(FILE *out);
/* One verb: text, notes, examples, options. */
void help_verb(FILE *out, const struct verb *verb);

#endif
