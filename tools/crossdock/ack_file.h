/* SPDX-License-Identifier: Apache-2.0
 *
 * Files beside a file that was taken: NAME.ack says what became of it, NAME.rejects has the lines
 * that were not sent.
 *
 * Both appear whole or not at all, and stay over a power cut: written under a hidden name, flushed,
 * renamed, and the folder flushed. An acknowledgement belongs to one state of a file (inode, size,
 * both times), so that another file of the same name is another file.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_ACK_FILE_H
#define CROSSDOCK_TOOLS_CROSSDOCK_ACK_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

/* False for names that begin with a dot or end in .tmp, .part, .ack, .rejects. */
bool ack_file_takes(const char *name);

/* Whether the file as `about` shows it has its acknowledgement. */
bool ack_file_matches(int folder_fd, const char *name, const struct stat *about);
/* Writes NAME.ack: `data` and the state of the file that it belongs to. Takes `data` over. 0 or
 * -errno. */
int ack_file_write(int folder_fd, const char *name, const struct stat *about, json_t *data);

/* Opens the hidden file that becomes NAME.rejects. 0 or -errno. */
int ack_file_rejects_open(int folder_fd, const char *name, FILE **ret_file);
/* Closes it, and makes it NAME.rejects when it has lines; otherwise there is no NAME.rejects. 0 or
 * -errno. */
int ack_file_rejects_keep(int folder_fd, const char *name, FILE *file);
/* Closes it and removes it. */
void ack_file_rejects_drop(int folder_fd, const char *name, FILE *file);

#endif
