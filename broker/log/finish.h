/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a recovery, either way: a log that goes on in a new epoch (recover_end of recover.h),
 * or damage that is copied and reported and stops the start.
 *
 * The only part of recovery that writes: copies in quarantine/, then both meta slots. Must not
 * touch a wal file's bytes: what lies behind the point dies with its epoch.
 */
#ifndef CROSSDOCK_LOG_FINISH_H
#define CROSSDOCK_LOG_FINISH_H

#include <stdint.h>

#include "broker/log/recover.h"

/* Copies the verdict's range, tells it in `why` and in the news. Returns XD_LOG_CORRUPT also when
 * the copy fails, which `why` then says. `wrong` at byte `at` of the block is what is wrong with
 * it. */
int finish_corrupt(struct recover *recover, const char *wrong, uint32_t at, char *why);

/* One more row for the caller's news. */
void recover_news(struct recover *recover, enum log_news_kind kind, uint64_t a, uint64_t b,
                  uint64_t c);

#endif
