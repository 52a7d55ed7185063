/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/support/history_check.h: histories made by hand, in the language of history_script.h. Each
 * bad one is rejected for exactly the properties it breaks; each legal one is accepted, however
 * odd it looks.
 */
#include <criterion/criterion.h>

#include "tests/support/history_check.h"
#include "tests/support/history_script.h"

#include <errno.h>
#include <string.h>

struct story {
    const char *script;
    const char *broken;       /* names of the violated properties, in the sequence of their enum */
    bool retention;           /* the oldest offset may rise */
    uint32_t quarantined_max; /* records that damage may excuse */
    uint32_t kept_seconds;    /* retention keeps what is younger, 0 = it goes by other things */
    bool per_process;         /* the oldest offset may fall at a restart */
};

static const struct story bad_stories[] = {
    /* A crash takes what was acknowledged at fsync; nothing else happens. */
    {"send a1; ok a1 at 0; crash; restart; read end 0", "P1 DURABLE"},
    /* No crash at all, and the record is not there. */
    {"send a1; ok a1 at 0; read end 0", "P1 DURABLE"},
    /* A later reply that tells no end does not hide it. */
    {"send a1; ok a1 at 0; read end 0; read", "P1 DURABLE"},
    /* A resend settles an unknown outcome, and then a crash takes the record. */
    {"send a1; unknown a1; ok a1 at 0 dup; crash; restart; read end 0", "P1 DURABLE"},
    /* The broker says at an open that it has the record, but not where; it has not. */
    {"send a1; ok a1; read end 0", "P1 DURABLE"},
    /* Two records are acknowledged at one offset; one of them can only be lost. */
    {"send a1; ok a1 at 0; send b1; ok b1 at 0; read end 1 at 0 b1", "P1 DURABLE"},
    /* Two records are acknowledged at one offset, and retention removes the evidence. */
    {"send a1; ok a1 at 0; send b1; ok b1 at 0; floor 1; read floor 1 end 1", "P4", true},
    /* The tail of an acknowledged batch is missing. */
    {"send a1-3; ok a1-3 at 0; crash; restart; read end 2 at 0 a1-2", "P1 DURABLE"},
    /* A reader that asks after the acknowledgement is shown an end before the record. */
    {"send a1; ok a1 at 0; read end 0; read end 1 at 0 a1", "DURABLE"},
    /* A record is appended twice, with one acknowledgement. */
    {"send a1; ok a1 at 0; read end 2 at 0 a1 a1", "P1 P4"},
    /* A resend is not recognised: appended again, and acknowledged at the new offset. */
    {"send a1; ok a1 at 0; ok a1 at 1; read end 2 at 0 a1 a1", "P1 P4 CLAIM"},
    /* A record is in two partitions. */
    {"send a1; ok a1 at 0; read end 1 at 0 a1; read in 1 end 1 at 0 a1:0", "P1 P4"},
    /* An unknown record is appended once when it is sent and once when it is sent again. */
    {"send a1; unknown a1; read end 2 at 0 a1 a1", "P2 P4"},
    /* A refused record is there. */
    {"send a1; fail a1; read end 1 at 0 a1", "P2"},
    /* A record is there that nobody sent. */
    {"send a1; ok a1 at 0; read end 2 at 0 a1 b1", "P2"},
    /* Another record has the numbers of the one that was sent. */
    {"send a1; unknown a1; read end 1 at 0 a1x", "P2"},
    /* Of an unknown batch a part is there. */
    {"send a1-3; unknown a1-3; read end 2 at 0 a1-2", "P2"},
    /* Of a batch acknowledged in memory a crash leaves a part: a block is whole or not there. */
    {"send a1-3; ok a1-3 at 0 memory; crash; restart; read end 2 at 0 a1-2", "P1"},
    /* An offset shows one record, and later another. */
    {"send a1; unknown a1; send b1; unknown b1; read end 1 at 0 a1; read end 1 at 0 b1", "P4"},
    /* An offset keeps its record but changes its append time. */
    {"send a1; ok a1 at 0; read end 1 at 0 a1@5; read end 1 at 0 a1@6", "P4"},
    /* A channel's later record stands before the earlier one, whose key is another. */
    {"send a1:1; send a2:2; ok a2:2 at 0; ok a1:1 at 1; read end 2 at 0 a2:2 a1:1", "P5"},
    /* The same with one key. */
    {"send a1; send a2; ok a2 at 0; ok a1 at 1; read end 2 at 0 a2 a1", "P5"},
    /* A channel has used a number twice. */
    {"send a1; ok a1 at 0; send a1x; ok a1x at 1; read end 2 at 0 a1 a1x", "P5"},
    /* Records of one key are spread over two partitions. */
    {"send a1:7; ok a1:7 at 0; send a2:7 in 1; ok a2:7 at 0;"
     "read end 1 at 0 a1:7; read in 1 end 1 at 0 a2:7",
     "P5"},
    /* A batch overtakes the one it was sent behind, and that one never comes. */
    {"send a1 after 0; unknown a1; send a2 after 1; ok a2 at 0; read end 1 at 0 a2", "P5"},
    /* A batch that names no predecessor is appended behind one, in the same channel epoch. */
    {"send a1 after 0; ok a1 at 0; send a2 after 0; ok a2 at 1; read end 2 at 0 a1-2", "P5"},
    /* A channel has numbered anew; a record of its former epoch comes in late. */
    {"send a1/5; unknown a1/5; send a2/1; ok a2/1 at 0; read end 2 at 0 a2/1 a1/5", "P5"},
    /* A holder that was fenced appends behind its successor. */
    {"send a1 epoch 1; ok a1 at 0; send a2 epoch 2; ok a2 at 1; send a3 epoch 1; ok a3 at 2;"
     "read end 3 at 0 a1-3",
     "P5"},
    /* The same while the successor still has a batch under way. */
    {"send a1 epoch 1; ok a1 at 0; send a2 epoch 2; ok a2 at 1; send a3 epoch 2; send a4 epoch 1;"
     "ok a3 at 2; ok a4 at 3; read end 4 at 0 a1-4",
     "P5"},
    /* A channel is open elsewhere, as its new holder was told; the former one goes on, behind what
     * it had sent itself; */
    {"call a1 epoch 1; ok a1; send a1 epoch 1; ok a1 at 0; call a2 epoch 2; ok a2;"
     "send a3 epoch 1; ok a3 at 1; read end 2 at 0 a1 a3",
     "P5"},
    /* or when of two later holders only the last was told so by then; */
    {"call a2 epoch 2; call a3 epoch 3; ok a3; send a4 epoch 1; ok a4 at 0; ok a2;"
     "read end 1 at 0 a4",
     "P5"},
    /* or while a third one has come already. */
    {"call a1 epoch 2; ok a1; call a2 epoch 3; send a3 epoch 1; unknown a3; ok a2;"
     "read end 1 at 0 a3",
     "P5"},
    /* A reader asks for an offset that is there and gets the one behind it. */
    {"send a1-3; ok a1-3 at 0; read end 3 at 0 a1-3; read from 1 end 3 at 2 a3", "P5"},
    /* A reader asks for an offset and gets older ones only. */
    {"send a1-3; ok a1-3 at 0; read end 3 at 0 a1-3; read from 2 end 3 at 0 a1-2", "P5"},
    /* What one reader was shown is behind the end that the next one is shown. */
    {"send a1; unknown a1; read end 1 at 0 a1; crash; restart; read end 0", "P5"},
    /* A reply holds more than the end that it tells: not durable, and served. */
    {"send a1-2; ok a1-2 at 0; read end 1 at 0 a1-2; read end 2 at 1 a2", "P5 DURABLE"},
    /* Faults have healed; an operation never gets its outcome. */
    {"faults; heal; send a1; wait 20; read end 0", "P12"},
    /* Faults have healed; an operation that was under way never gets its outcome. */
    {"faults; send a1; heal; wait 20; read end 0", "P12"},
    /* Faults have healed; an operation takes too long. */
    {"faults; heal; send a1; wait 9; ok a1 at 0; read end 1 at 0 a1", "P12"},
    /* The same for one that was under way. */
    {"faults; send a1; heal; wait 9; ok a1 at 0; read end 1 at 0 a1", "P12"},
    /* Faults have healed; an open still ends without an answer. */
    {"faults; heal; call a1; unknown a1; read end 0", "P12"},
    /* Faults have healed; a record is refused for ever. */
    {"faults; heal; send a1; fail a1; read end 0", "P12"},
    /* Acknowledged in memory, and lost without a crash. */
    {"send a1; ok a1 at 0 memory; read end 0", "P1 WEAK"},
    /* Acknowledged as written, and lost at a clean stop. */
    {"send a1; ok a1 at 0 written; stop; restart; read end 0", "P1 WEAK"},
    /* The crash was before the acknowledgement. */
    {"crash; restart; send a1; ok a1 at 0 memory; read end 0", "P1 WEAK"},
    /* A crash takes a weak record and leaves the one behind it; a third comes into the hole. */
    {"send a1; ok a1 at 0 memory; send b1; ok b1 at 1; crash; restart; send c1; unknown c1;"
     "read end 2 at 0 c1 b1",
     "P1 WEAK LOG_ORDER"},
    /* A crash takes a weak record of which a reader had been shown a later end. */
    {"send a1; ok a1 at 0 memory; read end 1; crash; restart; read end 0", "P1 P5 WEAK UNREAD"},
    /* A reply leaves an offset out. */
    {"send a1; ok a1 at 0; send a2; ok a2 at 2; read end 3 at 0 a1 +1 a2", "DENSE UNREAD"},
    /* A reply comes to an offset twice. */
    {"send a1-3; ok a1-3 at 0; read end 3 at 0 a1-2 -1 a2-3", "DENSE"},
    /* The clock was set back, and append times follow it. */
    {"send a1; ok a1 at 0; send a2; ok a2 at 1; read end 2 at 0 a1@900 a2@899", "APPEND_TIME"},
    /* A later offset rests on an earlier entry of the log. */
    {"send a1; ok a1 at 0 index 9; send b1; ok b1 at 1 index 8; read end 2 at 0 a1 b1",
     "LOG_ORDER"},
    /* A record is appended before one that was acknowledged when it had not been sent. */
    {"send a1; ok a1 at 1; send b1; ok b1 at 0; read end 2 at 0 b1 a1", "LOG_ORDER"},
    /* The acknowledgement names another offset. */
    {"send a1; send b1; ok a1 at 0; ok b1 at 0; read end 2 at 0 b1 a1", "CLAIM"},
    /* A record is in another partition than the one it was sent to. */
    {"send a1:0 in 1; ok a1:0 at 0; read end 1 at 0 a1; read in 1 end 0", "CLAIM"},
    /* The records of a batch do not stand together, though nobody was told where they stand. */
    {"send a1-2; unknown a1-2; send b1; ok b1 at 1; read end 3 at 0 a1 b1 a2", "CLAIM"},
    /* A duplicate is answered with another offset than the original. */
    {"send a1; send b1; ok b1 at 1; ok a1 at 0; ok a1 at 1 dup; read end 2 at 0 a1 b1", "CLAIM"},
    /* What was acknowledged at fsync goes at a crash; sent again it is appended elsewhere. */
    {"send a1; ok a1 at 0; crash; restart; send b1; ok b1 at 0; ok a1 at 1;"
     "read end 2 at 0 b1 a1",
     "CLAIM"},
    /* A resend of what was acknowledged is refused. */
    {"send a1; ok a1 at 0; fail a1; read end 1 at 0 a1", "CLAIM"},
    /* What was refused for ever is acknowledged after all. */
    {"send a1; fail a1; ok a1 at 0; read end 1 at 0 a1", "CLAIM"},
    /* A weak answer is replaced by another one without a crash between them. */
    {"send a1; ok a1 at 0 memory; ok a1 at 1; send b1; unknown b1; read end 2 at 0 b1 a1",
     "LOG_ORDER CLAIM"},
    /* A record comes back with other bytes. */
    {"send a1; ok a1 at 0; read end 1 at 0 a1#1", "CONTENT"},
    /* A record comes back with another key. */
    {"send a1; ok a1 at 0; read end 1 at 0 a1:9", "CONTENT"},
    /* The oldest offset falls. */
    {"send a1-3; ok a1-3 at 0; read floor 2 end 3 at 2 a3; read floor 1 end 3 at 1 a2-3", "FLOOR",
     true},
    /* It may fall at a restart only: not before one, */
    {"send a1-3; ok a1-3 at 0; read floor 2 end 3 at 2 a3; read floor 1 end 3 at 1 a2-3; stop;"
     "restart; read floor 1 end 3 at 1 a2-3",
     "FLOOR", true, 0, 0, true},
    /* and not behind it. */
    {"send a1-3; ok a1-3 at 0; floor 2; crash; restart; read floor 1 end 3 at 1 a2-3; floor 2;"
     "read floor 1 end 3 at 1 a2-3",
     "FLOOR", true, 0, 0, true},
    {"send a1-3; ok a1-3 at 0; read end 3 at 0 a1-3; crash; restart; floor 2;"
     "read floor 1 end 3 at 1 a2-3",
     "FLOOR", true, 0, 0, true},
    /* It may not fall at a restart. */
    {"send a1-3; ok a1-3 at 0; floor 2; crash; restart; read floor 1 end 3 at 1 a2-3", "FLOOR",
     true},
    /* An offset is served that retention had removed. */
    {"send a1-2; ok a1-2 at 0; floor 1; read end 2 at 0 a1-2", "FLOOR", true},
    /* A reply serves what is older than the oldest offset that it names. */
    {"send a1-2; ok a1-2 at 0; read floor 1 end 2 at 0 a1-2", "FLOOR", true},
    /* The oldest offset rises though nothing may be removed. */
    {"send a1-2; ok a1-2 at 0; read floor 1 end 2 at 1 a2", "FLOOR"},
    /* The oldest offset lies behind the end. */
    {"send a1; ok a1 at 0; read floor 5 end 1", "FLOOR", true},
    /* Retention removes what is younger than it keeps, whether its offset was told or not. */
    {"wait 100; send a1; ok a1 at 0; send a2; ok a2 at 1; read floor 1 end 2 at 1 a2", "FLOOR",
     true, 0, 20},
    {"wait 100; send a1; ok a1; send a2; ok a2 at 1; read floor 1 end 2 at 1 a2", "FLOOR", true, 0,
     20},
    /* Nobody was told where a record stands; an earlier one of its chain is kept, a later one too.
     */
    {"send b1; ok b1 at 0; send a1; ok a1 at 1; send a2; ok a2; send a3; ok a3 at 2;"
     "read floor 1 end 3 at 1 a1 a3",
     "P1 DURABLE", true},
    /* What was damaged has been repaired, and is not served. */
    {"send a1-2; ok a1-2 at 0; damage 1 1; repair; read end 1 at 0 a1", "P1 DURABLE", false, 2},
    {"send a1-2; ok a1-2; damage 0 1; repair; read end 0", "P1 DURABLE", false, 2},
    /* It has been repaired, and a reader is led past it. */
    {"send a1-3; ok a1-3 at 0; damage 0 1; repair; read from 0 end 3 at 2 a3;"
     "read from 0 end 3 at 0 a1-3",
     "P5", false, 3},
    /* It is damaged once more. */
    {"send a1-2; ok a1-2 at 0; damage 1 1; repair; damage 1 1; read end 2 at 0 a1-2", "QUARANTINE",
     false, 2},
    /* A range that was reported as damaged is served. */
    {"send a1-2; ok a1-2 at 0; damage 1 1; read end 2 at 0 a1-2", "QUARANTINE", false, 2},
    /* Between two damaged ranges there is one offset that is not, and no reader gets it. */
    {"send a1-4; ok a1-4 at 0; damage 0 0; damage 2 2; read from 0 end 4 at 3 a4", "P5 UNREAD",
     false, 2},
    /* More is lost to damage than the test has done. */
    {"send a1-3; ok a1-3 at 0; damage 1 2; read end 3 at 0 a1", "QUARANTINE", false, 1},
    /* Nobody has read the tail: it cannot be judged. */
    {"send a1-2; ok a1-2 at 0; read end 2 at 0 a1", "UNREAD"},
    /* Nobody has read the partition since. */
    {"read end 0; send a1; ok a1 at 0", "UNREAD"},
    /* It was asked for in the moment of the acknowledgement, which proves nothing. */
    {"send a1; ok a1 at 0; together; ask; read end 0", "UNREAD"},
    {"send a1; ok a1; together; ask; read end 0", "UNREAD"},
    /* Nobody has read since, and nobody was told where it stands. */
    {"read end 0; send a1; ok a1", "UNREAD"},
    {"read end 0; send a1 anywhere; ok a1", "UNREAD"},
};

static const struct story legal_stories[] = {
    /* Nothing happens. */
    {"read end 0", ""},
    /* An unknown record was appended; another one was not. */
    {"send a1; send b1; crash; unknown a1; unknown b1; restart; read end 1 at 0 a1", ""},
    /* After a restart the resend of an unknown record is answered with the original offset. */
    {"send a1; crash; unknown a1; restart; send b1; ok b1 at 1; ok a1 at 0 dup;"
     "read end 2 at 0 a1 b1",
     ""},
    /* A duplicate rests on an older entry than what stands behind it, or on a newer one. */
    {"send a1; send b1; ok b1 at 1 index 3; ok a1 at 0 index 9 dup; read end 2 at 0 a1 b1", ""},
    /* An answer does not tell what it rests on. */
    {"send a1; ok a1 at 0 index 5; send b1; ok b1 at 1; read end 2 at 0 a1 b1", ""},
    /* Retention has removed what was acknowledged, in the middle of a batch's offsets. */
    {"send a1-4; ok a1-4 at 0; send b1; ok b1 at 4; floor 2; read floor 2 end 5 at 2 a3-4 b1", "",
     true},
    /* Retention has removed what was known to be there, but not where. */
    {"send a1; ok a1; send a2; ok a2 at 1; floor 1; read floor 1 end 2 at 1 a2", "", true},
    /* A chain goes on behind what retention removed. */
    {"send a1 after 0; ok a1 at 0; send a2 after 1; ok a2 at 1; floor 1; read floor 1 end 2 at 1 "
     "a2",
     "", true},
    /* Weak records go at a crash, the last ones together; another record takes their place. */
    {"send a1; ok a1 at 0; send a2; ok a2 at 1 memory; send b1; ok b1 at 2 written; crash; restart;"
     "send c1; ok c1 at 1; read end 2 at 0 a1 c1",
     ""},
    /* A weak record goes at a crash; sent again it is appended elsewhere. */
    {"send a1; ok a1 at 0 memory; crash; restart; send b1; ok b1 at 0; ok a1 at 1;"
     "read end 2 at 0 b1 a1",
     ""},
    /* A weak record stays, because it had been flushed when the crash came. */
    {"send a1; ok a1 at 0 memory; crash; restart; read end 1 at 0 a1", ""},
    /* The same for records of which nobody was told where they stood. */
    {"send a1; ok a1 memory; send a2 anywhere; ok a2 written; crash; restart; read end 0", ""},
    /* A weak answer was on its way when the broker died, and nothing is left of the record. */
    {"send a1; crash; restart; ok a1 at 0 memory; read end 0", ""},
    /* The level of an answer rises. */
    {"send a1; ok a1 at 0 memory; ok a1 at 0 written; ok a1 at 0; crash; restart; read end 1 at 0 "
     "a1",
     ""},
    /* A read was asked before the acknowledgement and before the crash, and answered behind both.
     */
    {"send a1; ask; ok a1 at 0; crash; restart; read end 0; read end 1 at 0 a1", ""},
    /* Two reads cross: the one that was asked first is answered last, with the older end. */
    {"send a1; unknown a1; ask; read end 1 at 0 a1; read end 1 at 0 a1", ""},
    /* What happens in the same moment may have happened in either sequence: two reads; */
    {"send a1; unknown a1; read end 1 at 0 a1; together; ask; read end 0; read end 1 at 0 a1", ""},
    /* an acknowledgement, and a read; */
    {"send a1; ok a1 at 0; together; ask; read end 0; read end 1 at 0 a1", ""},
    /* an acknowledgement, and the beginning of what is appended before it; */
    {"send a1; ok a1 at 1; together; send b1; ok b1 at 0; read end 2 at 0 b1 a1", ""},
    /* an acknowledgement, and a crash; */
    {"send a1; send b1; send c1; ok a1 at 0 memory; ok b1 at 1; together; crash; restart;"
     "ok c1 at 0; read end 2 at 0 c1 b1",
     ""},
    /* the first acknowledgement of a new holder, and the last batch of the former one; */
    {"send a1 epoch 1; ok a1 at 0; send a2 epoch 2; ok a2 at 1; together; send a3 epoch 1;"
     "ok a3 at 2; read end 3 at 0 a1-3",
     ""},
    /* retention, and a read; */
    {"send a1-2; ok a1-2 at 0; floor 1; together; ask; read floor 0 end 2 at 0 a1-2", "", true},
    /* damage, and a read. */
    {"send a1-2; ok a1-2 at 0; damage 1 1; together; ask; read end 2 at 0 a1-2", ""},
    /* What is older than retention keeps goes, with its offset told or not. */
    {"send a1; ok a1 at 0; send a2; ok a2; send a3; ok a3 at 2; wait 60; send b1; ok b1 at 3;"
     "read floor 2 end 4 at 2 a3 b1",
     "", true, 0, 20},
    /* The oldest offset falls at a restart, twice, and rises again. */
    {"send a1-3; ok a1-3 at 0; read floor 2 end 3 at 2 a3; crash; restart;"
     "read floor 0 end 3 at 0 a1-3; floor 1; stop; restart; read floor 0 end 3 at 0 a1-3; floor 2;"
     "read floor 2 end 3 at 2 a3",
     "", true, 0, 0, true},
    /* A record was read, and retention has removed it with the next one of its chain since. */
    {"send a1; ok a1 at 0; read floor 0 end 1 at 0 a1; send a2; ok a2; send b1; ok b1 at 2;"
     "read floor 2 end 3 at 2 b1",
     "", true},
    /* A channel is opened anew while a batch of its former holder is under way, which is appended.
     */
    {"call a1 epoch 1; ok a1; send a1 epoch 1; call a2 epoch 2; ok a2; send a2 epoch 2; ok a1 at 0;"
     "ok a2 at 1; read end 2 at 0 a1-2",
     ""},
    /* Of an open that nobody answered it is not known whether it fenced anybody. */
    {"call a2 epoch 2; unknown a2; send a1 epoch 1; ok a1 at 0; read end 1 at 0 a1", ""},
    /* Another channel is opened anew. */
    {"call b2 epoch 2; ok b2; send a1 epoch 1; ok a1 at 0; read end 1 at 0 a1", ""},
    /* A damaged range is repaired, and served. */
    {"send a1-2; ok a1-2 at 0; damage 1 1; read end 2 at 0 a1; repair; read end 2 at 0 a1-2", "",
     false, 0},
    /* A reader goes on behind it, and later it is repaired. */
    {"send a1-3 after 0; ok a1-3 at 0; damage 0 1; read from 0 end 3 at 2 a3; repair;"
     "read from 0 end 3 at 0 a1-3",
     "", false, 0},
    /* Operations of two clients that run at the same time end in the other sequence. */
    {"send a1; send b1; ok b1 at 1 index 7; ok a1 at 0 index 7; read end 2 at 0 a1 b1", ""},
    /* A channel numbers anew: what was unknown may be missing or not, its numbers come again. */
    {"send a1/1 after 0; ok a1/1 at 0; send a1/2 after 1; unknown a1/2; send a2/1 after 0;"
     "ok a2/1 at 1; read end 2 at 0 a1/1 a2/1",
     ""},
    /* A batch was under way when its channel was opened anew, and was appended first. */
    {"send a1 epoch 1; send b1; ok b1 at 0; send a2 epoch 2; ok a2 at 2; unknown a1;"
     "read end 3 at 0 b1 a1 a2",
     ""},
    /* Damage is reported; the reader goes on behind it, and so does the chain. */
    {"send a1-3 after 0; ok a1-3 at 0; send a4 after 3; ok a4 at 3; damage 0 2;"
     "read from 0 end 4 at 3 a4",
     "", false, 3},
    /* Two ranges adjoin, and are reported from behind. */
    {"send a1-4; ok a1-4 at 0; damage 1 2; damage 0 0; read from 0 end 4 at 3 a4", "", false, 3},
    /* Damage is found after the range was served. */
    {"send a1-2; ok a1-2 at 0; ask; read end 2 at 0 a1-2; damage 1 1; read end 2 at 0 a1", "",
     false, 0},
    /* Its outcome names no offset: the record is found where it is. */
    {"send a1-2:7 anywhere; ok a1-2:7; read in 3 end 2 at 0 a1-2:7", ""},
    /* A record is refused; the next one of its channel takes its place in the chain. */
    {"send a1 after 0; fail a1; send a2 after 0; ok a2 at 0; read end 1 at 0 a2", ""},
    /* Faults have healed: what succeeds in time is fine, and so is what was made to be refused. */
    {"faults; send a1; heal; send a2; ok a1 at 0; ok a2 at 1; send b1 hostile; fail b1;"
     "read end 2 at 0 a1-2",
     ""},
    /* What takes 10 s is in time, whether it began then or was under way. */
    {"faults; heal; send a1; wait 8; ok a1 at 0; read end 1 at 0 a1", ""},
    {"faults; send a1; heal; wait 8; ok a1 at 0; read end 1 at 0 a1", ""},
    /* Faults come again before the time is over. */
    {"faults; heal; send a1; wait 8; faults; wait 60; unknown a1; read end 0", ""},
    {"faults; send a1; heal; wait 8; faults; wait 60; unknown a1; read end 0", ""},
};

/* The properties that a report finds violated, by name. */
static void list(const struct history_report *report, char *ret_names, size_t bytes)
{
    size_t used = 0;
    ret_names[0] = '\0';
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT; i++)
        if (report->properties[i].count > 0)
            used += (size_t)snprintf(ret_names + used, bytes - used, "%s%s", used > 0 ? " " : "",
                                     history_property_name((enum history_property)i));
}

static void judge(const struct story *story, struct history_report *ret_report)
{
    struct history history;
    struct history_options options;
    history_init(&history);
    history_options_init(&options);
    options.retention = story->retention;
    options.floor_per_process = story->per_process;
    options.quarantine_record_max = story->quarantined_max;
    options.retention_ns = story->kept_seconds * 1000000000ull;
    const char *rest = history_script(&history, story->script);
    cr_assert_null(rest, "not understood: %s", rest);
    cr_assert_geq(history_check(&history, &options, ret_report), 0);
    history_deinit(&history);
}

static void expect_all(const struct story *stories, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct history_report report;
        char names[256];
        judge(&stories[i], &report);
        list(&report, names, sizeof names);
        if (strcmp(names, stories[i].broken) != 0)
            history_report_print(&report, stderr);
        cr_expect_str_eq(names, stories[i].broken, "%s\n  broken: %s\n  expected: %s",
                         stories[i].script, names, stories[i].broken);
    }
}

/* Every bad history is rejected, for what is wrong with it and for nothing else. */
Test(history_check, names_what_is_wrong)
{
    expect_all(bad_stories, sizeof bad_stories / sizeof bad_stories[0]);
}

/* What may happen is accepted. */
Test(history_check, accepts_what_may_happen)
{
    expect_all(legal_stories, sizeof legal_stories / sizeof legal_stories[0]);
}

/* The first case of a property says what, where and when. */
Test(history_check, tells_the_first_case)
{
    struct history_report report;
    const struct story story = {"send c7; ok c7 at 0; send c8; ok c8 at 1; crash; read end 0", ""};
    judge(&story, &report);
    cr_assert_eq(report.properties[HISTORY_P1].count, 2);
    cr_assert_str_eq(report.properties[HISTORY_P1].first,
                     "channel 2/1 sequence 7 of client 2 is missing: acknowledged at fsync at "
                     "2000000000 ns, offset 0 of partition 0, a crash since it began");
}

/* What was excused is counted, so that a test can set limits. */
Test(history_check, counts_what_it_excuses)
{
    struct history_report report;
    const struct story story = {"send a1-4; ok a1-4 at 0; send b1; ok b1 at 4 memory; damage 2 3;"
                                "floor 2; crash; restart; read floor 2 end 4",
                                "", true, 2};
    judge(&story, &report);
    cr_assert_eq(report.below_floor, 2);
    cr_assert_eq(report.quarantined, 2);
    cr_assert_eq(report.weak_lost, 1);
    const struct story nowhere = {"send a1; ok a1; floor 1; send b1 in 1; ok b1; damage 0 0 in 1;"
                                  "read floor 1 end 1; read in 1 end 1",
                                  "", true, 1};
    judge(&nowhere, &report);
    cr_assert_eq(report.below_floor, 1);
    cr_assert_eq(report.quarantined, 1);
}

/* A history that gives one id to two records cannot be judged, nor can one that is incomplete. */
Test(history_check, refuses_a_history_that_is_wrong_itself)
{
    struct history history;
    struct history_options options;
    struct history_report report;
    history_init(&history);
    history_options_init(&options);
    cr_assert_null(history_script(&history, "send a1; send b1; ok b1 at 0; read end 1 at 0 b1"));
    history.records[1].id = history.records[0].id;
    cr_assert_eq(history_check(&history, &options, &report), -EINVAL);
    cr_assert_not_null(strstr(report.malformed, "channel 1/1 sequence 1"), "%s", report.malformed);
    history.status = -ENOMEM;
    cr_assert_eq(history_check(&history, &options, &report), -ENOMEM);
    history_deinit(&history);
}

/* Totals add up over histories, and the first one that is too small is named. */
Test(history_check, finds_a_run_too_tame)
{
    struct history history;
    struct history_totals totals = {0}, minimum = {0};
    history_init(&history);
    for (int i = 0; i < 2; i++) {
        history_reset(&history);
        cr_assert_null(history_script(
            &history,
            "send a1-2; crash; unknown a1-2; ok a1-2 at 0 dup; send b1; ok b1 at 2 memory;"
            "send c1; fail c1; send d1; heal; call d2; ok d2; stop; floor 1; damage 1 1;"
            "ok b1 at 3; read end 3 at 1 a2 +1 b1"));
        history_totals(&history, &totals);
    }
    const uint64_t expected[] = {
        [HISTORY_TOTAL_OPS] = 10,        [HISTORY_TOTAL_RECORDS] = 10,
        [HISTORY_TOTAL_OK] = 6,          [HISTORY_TOTAL_FAIL] = 2,
        [HISTORY_TOTAL_UNKNOWN] = 0,     [HISTORY_TOTAL_PENDING] = 2,
        [HISTORY_TOTAL_RESOLVED] = 2,    [HISTORY_TOTAL_DUPLICATES] = 2,
        [HISTORY_TOTAL_WRITTEN] = 0,     [HISTORY_TOTAL_MEMORY] = 0,
        [HISTORY_TOTAL_REPLACED] = 2,    [HISTORY_TOTAL_CRASHES] = 2,
        [HISTORY_TOTAL_STOPS] = 2,       [HISTORY_TOTAL_HEALED] = 2,
        [HISTORY_TOTAL_OVER_CRASH] = 2,  [HISTORY_TOTAL_REPLIES] = 2,
        [HISTORY_TOTAL_READ] = 4,        [HISTORY_TOTAL_FLOORS] = 2,
        [HISTORY_TOTAL_QUARANTINES] = 2,
    };
    for (unsigned i = 0; i < HISTORY_TOTAL_COUNT; i++)
        cr_assert_eq(totals.counts[i], expected[i], "%s: %lu",
                     history_total_name((enum history_total)i), totals.counts[i]);
    cr_assert_eq(history_require(&totals, &totals), HISTORY_TOTAL_COUNT);
    minimum.counts[HISTORY_TOTAL_CRASHES] = 3;
    minimum.counts[HISTORY_TOTAL_FLOORS] = 3;
    cr_assert_eq(history_require(&totals, &minimum), HISTORY_TOTAL_CRASHES);
    history_deinit(&history);
}
