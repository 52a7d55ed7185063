/* SPDX-License-Identifier: Apache-2.0
 *
 * The bar; see progress.h. Everything is one line that is drawn over itself.
 */
#include "tools/common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A run that is over by then shows nothing, unless the environment says another time. */
#define FIRST_MS 300
#define FIRST_MS_MAX 3600000
#define EVERY_MS 100
#define BAR_COLUMNS 30u
/* Columns behind the bar: " 100 %  1234 min left". */
#define TAIL_COLUMNS 24u
#define COLUMNS_DEFAULT 80u
#define COLUMNS_MAX 200u
#define GREEN "\033[32m"
#define PLAIN "\033[0m"
#define ERASE "\r\033[K"

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static unsigned columns_now(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

/* 0: shown at the first chance, for whoever watches short runs. */
static int64_t first_ms(void)
{
    const char *text = getenv("CROSSDOCK_PROGRESS_AFTER_MS");
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return FIRST_MS;
    unsigned long value = strtoul(text, &end, 10);
    return *end == '\0' && value <= FIRST_MS_MAX ? (int64_t)value : FIRST_MS;
}

void progress_begin(struct progress *progress, bool wanted, const char *label, uint64_t total)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    *progress = (struct progress){.label = label, .total = total, .begun_ms = now_ms()};
    progress->on = wanted && total > 0 && !dumb && isatty(STDERR_FILENO) != 0;
    progress->color = no_color == NULL || no_color[0] == '\0';
    progress->drawn_ms = progress->begun_ms + first_ms() - EVERY_MS;
}

static void put_time_left(uint64_t done, uint64_t total, int64_t elapsed_ms, char *ret_text,
                          size_t text_bytes)
{
    ret_text[0] = '\0';
    if (done == 0 || elapsed_ms <= 0)
        return;
    double left_ms = (double)elapsed_ms * ((double)(total - done) / (double)done);
    int64_t seconds = (int64_t)(left_ms / 1000.0) + 1;
    if (seconds < 120)
        snprintf(ret_text, text_bytes, "  %" PRId64 " s left", seconds);
    else if (seconds < 1000 * 60)
        snprintf(ret_text, text_bytes, "  %" PRId64 " min left", seconds / 60);
}

void progress_line(const struct progress *progress, uint64_t done, int64_t elapsed_ms,
                   unsigned columns, char ret_line[PROGRESS_LINE_BYTES])
{
    char bar[BAR_COLUMNS + 1], left[32];
    unsigned room = columns > TAIL_COLUMNS + 8 ? columns - TAIL_COLUMNS : 8;
    unsigned width = room / 2 < BAR_COLUMNS ? room / 2 : BAR_COLUMNS;
    unsigned label = room - width - 3;
    done = done < progress->total ? done : progress->total;
    double part = progress->total > 0 ? (double)done / (double)progress->total : 0.0;
    unsigned full = (unsigned)(part * width);
    memset(bar, '-', width);
    memset(bar, '#', full);
    bar[width] = '\0';
    put_time_left(done, progress->total, elapsed_ms, left, sizeof left);
    snprintf(ret_line, PROGRESS_LINE_BYTES, "%.*s %s[%s]%s %3u %%%s", (int)label, progress->label,
             progress->color ? GREEN : "", bar, progress->color ? PLAIN : "",
             (unsigned)(part * 100.0), left);
}

void progress_show(struct progress *progress, uint64_t done)
{
    char line[PROGRESS_LINE_BYTES];
    if (!progress->on)
        return;
    int64_t now = now_ms();
    if (now - progress->drawn_ms < EVERY_MS)
        return;
    progress->drawn_ms = now;
    progress->drawn = true;
    progress_line(progress, done, now - progress->begun_ms, columns_now(), line);
    fprintf(stderr, ERASE "%s", line);
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (!progress->drawn)
        return;
    progress->drawn = false;
    fputs(ERASE, stderr);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    progress_clear(progress);
    progress->on = false;
}
