/* SPDX-License-Identifier: Apache-2.0
 *
 * A terminal's whole screen for a view that is drawn again and again.
 *
 * Normal path: screen_open, screen_draw for every picture, screen_close, which gives the terminal
 * back as it was. Every picture is cut to the size that the terminal has then. Must not know what
 * is shown.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SCREEN_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SCREEN_H

#include <stdbool.h>

struct screen {
    bool open; /* the terminal shows our screen */
};

/* Standard output is a terminal. */
void screen_open(struct screen *screen);
/* Lines of ASCII with a newline at the end of each; what does not fit is left out. */
void screen_draw(const struct screen *screen, const char *text);
/* Accepts a screen that is not open. */
void screen_close(struct screen *screen);

/* Size as it is now. */
void screen_size(unsigned *ret_columns, unsigned *ret_lines);

#endif
