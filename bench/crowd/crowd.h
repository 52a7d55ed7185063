/* SPDX-License-Identifier: Apache-2.0
 *
 * Thousands of connections of one thread: most idle, some at work, some badly behaved.
 *
 *   idle    says HELLO and nothing else
 *   active  sends one record, waits until it is durable, sends the next
 *   storm   connects, sends a part of what a client would, ends; and again
 *   loris   one byte at a time, or stops inside HELLO or inside a PRODUCE frame
 *   mute    asks for much and never reads
 *
 * Normal path: the good ones come, a few at a time (crowd_gather); then all of them do what they
 * are there for (crowd_run) until the goals are reached or the time is over; then the active ones
 * get their last answers (crowd_rest). What a seed draws is the same each time, when it happens is
 * the machine's affair.
 *
 * Failure paths: a connection that the broker ends is counted and stays away; only the machine's
 * own failures (descriptors, memory) end the run.
 */
#ifndef CROSSDOCK_BENCH_CROWD_CROWD_H
#define CROSSDOCK_BENCH_CROWD_CROWD_H

#include "bench/crowd/dial.h"
#include "bench/crowd/talk.h"
#include "bench/histogram.h"
#include "broker/base/prng.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CROWD_MEMBERS_MAX 40000u
#define CROWD_IN_BYTES 512u /* the longest answer that a member reads: an open with its chain */

enum crowd_kind { CROWD_IDLE, CROWD_ACTIVE, CROWD_STORM, CROWD_LORIS, CROWD_MUTE };

enum crowd_state {
    CROWD_AWAY,       /* not connected: not yet, or no more */
    CROWD_CONNECTING, /* */
    CROWD_GREETING,   /* HELLO is sent */
    CROWD_OPENING,    /* active: PRODUCER_OPEN is sent */
    CROWD_SERVED,     /* active: between an outcome and the next record; others: HELLO answered */
    CROWD_ASKING,     /* active: a record is without its outcome */
    CROWD_PUT_OFF,    /* active: the broker has asked to try again later */
};

/* A loris by what it does; the n-th one is way n % CROWD_WAYS. */
enum crowd_way { CROWD_DRIP_HELLO, CROWD_CUT_HELLO, CROWD_DRIP_PRODUCE, CROWD_CUT_PRODUCE };
#define CROWD_WAYS 4u

struct crowd_options {
    const char *topic;     /* */
    const char *facility;  /* */
    const char *source;    /* */
    uint32_t idle;         /* connections of each kind */
    uint32_t active;       /* */
    uint32_t storm;        /* at a time */
    uint32_t loris;        /* */
    uint32_t mute;         /* */
    uint32_t gathering;    /* good ones on their way in at a time */
    uint32_t record_bytes; /* of an active one's record */
    uint64_t requests;     /* goal: as many outcomes of each active one; 0 = none */
    uint64_t storms;       /* goal: as many connections of the storm; 0 = none */
    uint64_t storm_rate;   /* of these per second, 0 = as they end */
    uint64_t drip_ns;      /* between two bytes of a loris */
    uint64_t seed;         /* */
    bool hold;             /* goal: the end of standard input */
};

/* What has happened so far. */
struct crowd_totals {
    struct latency latency; /* of records sent and answered while measured */
    uint64_t acked;         /* outcomes that say durable */
    uint64_t put_off;       /* outcomes that ask to try again later */
    uint64_t failed;        /* other outcomes */
    uint64_t refused;       /* good connections that ended before HELLO was answered */
    uint64_t lost;          /* good connections that the broker ended later */
    uint64_t storms;        /* connections of the storm that were begun */
    uint64_t storms_cut;    /* of these ended by the broker */
    uint64_t loris_ended;   /* by the broker */
    uint64_t mute_ended;    /* by the broker */
    int first_failure;      /* status of the first failed outcome */
    int first_end;          /* ... that ended the first good connection */
};

/* One connection. */
struct member {
    uint8_t *in;  /* CROWD_IN_BYTES: answers not taken; NULL = what comes is dropped */
    uint8_t *out; /* the request that is being sent */
    struct talk_channel channel; /* of an active one */
    uint64_t sent_ns;            /* when the record that is asked for was sent first */
    uint64_t due_ns;             /* put off until then */
    uint64_t acked;              /* outcomes */
    int fd;                      /* -1 = away */
    uint32_t in_bytes;           /* */
    uint32_t out_bytes;          /* of the request */
    uint32_t out_at;             /* of these sent */
    uint8_t kind;                /* enum crowd_kind */
    uint8_t state;               /* enum crowd_state */
    uint8_t way;                 /* of a loris: enum crowd_way */
    bool writes;                 /* epoll tells when it can send */
    bool waits;                  /* storm: for an answer before its end */
    bool resets;                 /* storm: its end is a reset */
};

struct crowd {
    struct crowd_options options;
    struct dial dial;
    struct talk_place place;
    struct crowd_totals totals;
    struct prng prng;
    struct member *members; /* good ones, then storm, loris, mute */
    uint8_t *memory;        /* of in and out */
    uint32_t count;         /* members */
    uint32_t good;          /* of these idle or active */
    uint32_t begun;         /* good ones that have been dialled */
    uint32_t gathering;     /* good ones on their way in */
    uint32_t open;          /* good ones served */
    uint32_t put_off;       /* active ones that wait for due_ns */
    uint32_t asking;        /* records without outcome */
    uint64_t storm_from_ns; /* rate of the storm: since then ... */
    uint64_t storm_dialled; /* ... as many */
    uint64_t drip_due_ns;   /* the next byte of each loris */
    uint64_t begin_ns;      /* outcomes of records sent from here ... */
    uint64_t end_ns;        /* ... to here are measured */
    int poll_fd;            /* epoll */
    bool working;           /* active ones send their next record */
    bool bad;               /* the bad ones are at it */
    bool held;              /* standard input has not ended */
};

/* `place` and `dial` are copied. 0 or -errno; afterwards, also on failure, crowd_free. */
int crowd_make(struct crowd *crowd, const struct crowd_options *options, const struct dial *dial,
               const struct talk_place *place);
void crowd_free(struct crowd *crowd);

/* Until every good one is served or away. 0; -ETIMEDOUT; -errno. */
int crowd_gather(struct crowd *crowd, uint64_t until_ns);
/* Until that time, or until the goals are reached. 1 when they are; 0; -errno. */
int crowd_run(struct crowd *crowd, uint64_t until_ns);
/* Until no record is without outcome. 0; -ETIMEDOUT; -errno. */
int crowd_rest(struct crowd *crowd, uint64_t until_ns);

/* Whether there is anything beside the time that ends a run. */
bool crowd_has_goals(const struct crowd *crowd);
/* Says which goal has not been reached. */
void crowd_say_missing(const struct crowd *crowd, char *ret_text, uint32_t bytes);
/* A line for each active one: its channel and how many of its records are durable. */
void crowd_write_ledger(const struct crowd *crowd, FILE *out);

/* ---- between the files of the crowd ---------------------------------------------------------- */

/* Dials, and is told of by epoll. 0; -EAGAIN: the broker is behind; -errno. */
int member_dial(struct crowd *crowd, struct member *member);
/* Hangs up from our side, uncounted. */
void member_hang_up(struct crowd *crowd, struct member *member, bool reset);
/* Sends as much of its request as goes. 0, or -errno: the connection is gone. */
int member_send(struct crowd *crowd, struct member *member);
/* Name of an active one's channel (TALK_NAME_BYTES). */
void member_name(const struct crowd *crowd, const struct member *member, char *ret_name);

/* A good one: something has arrived or can be sent. 0 or -errno: the connection is gone. */
int good_event(struct crowd *crowd, struct member *member, uint32_t events);
/* Records that were put off and are due go out again. */
void good_retry(struct crowd *crowd, uint64_t now_ns);
/* Active ones that are served send. */
void good_start(struct crowd *crowd);

/* Dials those of the bad that are away and ought not to be; drips. 0 or -errno. */
int bad_turn(struct crowd *crowd, uint64_t now_ns);
int bad_event(struct crowd *crowd, struct member *member, uint32_t events);
/* The broker has ended it. */
void bad_ended(struct crowd *crowd, struct member *member);

#endif
