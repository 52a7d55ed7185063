/* SPDX-License-Identifier: Apache-2.0
 *
 * libcrossdock: produce to and read from a Crossdock broker. This header includes all others; each
 * of them can be included alone.
 */
#ifndef CROSSDOCK_CROSSDOCK_H
#define CROSSDOCK_CROSSDOCK_H

#include <crossdock/admin.h>
#include <crossdock/base.h>
#include <crossdock/client.h>
#include <crossdock/events.h>
#include <crossdock/options.h>
#include <crossdock/producer.h>
#include <crossdock/reader.h>
#include <crossdock/record.h>
#include <crossdock/status.h>
#include <crossdock/version.h>

#endif
