/* SPDX-License-Identifier: Apache-2.0
 *
 * The page of the manual about metrics, from the tables that the broker counts by.
 */
#ifndef CROSSDOCK_BROKER_METRICS_DOC_H
#define CROSSDOCK_BROKER_METRICS_DOC_H

#include <stdio.h>

/* Prints docs/METRICS.md. Errors stay with the stream. */
void metrics_doc_print(FILE *out);

#endif
