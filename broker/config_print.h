/* SPDX-License-Identifier: Apache-2.0
 *
 * The option table written out: as a configuration file, as a page of the manual, as JSON. Must not
 * know more about an option than its row.
 */
#ifndef CROSSDOCK_BROKER_CONFIG_PRINT_H
#define CROSSDOCK_BROKER_CONFIG_PRINT_H

#include <stdio.h>

#include "broker/config.h"

/* Room for the JSON of any configuration. */
#define CONFIG_JSON_BYTES_MAX (192u * 1024u)

/* A configuration file: what differs from the defaults is set, the rest stands there as comments.
 */
void config_print(const struct config *config, FILE *out);
/* docs/CONFIGURATION.md. */
void config_print_doc(FILE *out);
/* {"log.tail_bytes":{"value":134217728,"text":"128MiB","origin":"default"},...}. Returns bytes
 * without the terminator, which is written. */
uint32_t config_json(const struct config *config, char *out, uint32_t out_bytes);

#endif
