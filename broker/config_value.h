/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of options as text: parsed by kind, checked against the range of their row, and written
 * back the way a person would. Pure. Must not know where a text came from.
 */
#ifndef CROSSDOCK_BROKER_CONFIG_VALUE_H
#define CROSSDOCK_BROKER_CONFIG_VALUE_H

#include "broker/config.h"

/* Room for a range or an expectation, terminator included. */
#define CONFIG_EXPECT_BYTES 256u

/* 0 and *ret_number, or XD_OPTION_INVALID. */
int config_value_parse(const struct config_row *row, const char *text, int64_t *ret_number);
/* What a value must look like: "a size, 16MiB to 8GiB, a power of two". CONFIG_EXPECT_BYTES. */
void config_value_expected(const struct config_row *row, char *ret_text);
/* 268435456 of kind BYTES as "256MiB". CONFIG_EXPECT_BYTES. TEXT and LIST have no such form. */
void config_value_text(const struct config_row *row, int64_t number, char *ret_text);

#endif
