/* SPDX-License-Identifier: Apache-2.0
 *
 * Words for the small numbers of a record: stock statuses, document types, flags, events. Reading
 * and printing use the same tables. A number that has no word stands as a number.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_WORDS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* Room for any of the texts. */
#define WORDS_BYTES 96u

/* 0 or XDOCK_FIELD_INVALID. */
int word_status(const char *text, uint8_t *ret_status);
int word_document_type(const char *text, uint8_t *ret_type);
int word_flags(const char *text, uint16_t *ret_flags); /* "reversal,last_in_doc" */
int word_event(const char *text, uint16_t *ret_type);  /* "PICK_CONFIRMED", "0xf001" */

/* Appends the nearest word to a sentence about one that is none, if there is one. */
void word_event_suggest(const char *text, char *why, size_t why_bytes);
void word_status_suggest(const char *text, char *why, size_t why_bytes);
void word_document_type_suggest(const char *text, char *why, size_t why_bytes);

void word_status_text(uint8_t status, char *ret_text);
void word_document_type_text(uint8_t type, char *ret_text);
void word_flags_text(uint16_t flags, char *ret_text);
void word_event_text(uint16_t type, char *ret_text);

#endif
