/* SPDX-License-Identifier: Apache-2.0
 *
 * Version of the programming interface. It is separate from the release: the major number changes
 * when a program must be compiled again, the minor one when functions were added.
 */
#ifndef CROSSDOCK_VERSION_H
#define CROSSDOCK_VERSION_H

#define XDOCK_API_VERSION_MAJOR 0
#define XDOCK_API_VERSION_MINOR 1

#endif
