/* SPDX-License-Identifier: Apache-2.0
 *
 * The alternate screen of xterm and its kind; see screen.h.
 */
#include "tools/crossdock/screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The other screen without a cursor, and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define LINE_END "\033[K"
#define BELOW "\033[J"

#define COLUMNS_DEFAULT 80u
#define LINES_DEFAULT 24u

void screen_size(unsigned *ret_columns, unsigned *ret_lines)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *ret_columns = known ? size.ws_col : COLUMNS_DEFAULT;
    *ret_lines = known ? size.ws_row : LINES_DEFAULT;
}

void screen_open(struct screen *screen)
{
    fputs(ENTER, stdout);
    fflush(stdout);
    screen->open = true;
}

void screen_draw(const struct screen *screen, const char *text)
{
    unsigned columns, lines;
    if (!screen->open)
        return;
    screen_size(&columns, &lines);
    fputs(HOME, stdout);
    for (unsigned line = 0; line < lines && *text != '\0'; line++) {
        size_t bytes = strcspn(text, "\n");
        printf("%s%.*s" LINE_END, line > 0 ? "\n" : "", (int)(bytes < columns ? bytes : columns),
               text);
        text += bytes;
        text += *text == '\n';
    }
    fputs(BELOW, stdout);
    fflush(stdout);
}

void screen_close(struct screen *screen)
{
    if (!screen->open)
        return;
    screen->open = false;
    fputs(LEAVE, stdout);
    fflush(stdout);
}
