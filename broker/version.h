/* SPDX-License-Identifier: Apache-2.0
 *
 * What was built: release from the project file, commit from the working folder's git. Must not be
 * used for decisions; formats and protocol have versions of their own.
 */
#ifndef CROSSDOCK_BROKER_VERSION_H
#define CROSSDOCK_BROKER_VERSION_H

/* "0.1.0". Static memory. */
const char *version_release(void);
/* "88baf2f1c3d5", with "-dirty" when the folder had changes; "unknown" when it is no git folder. */
const char *version_commit(void);

#endif
