#ifndef POOL_RELEASE_H
#define POOL_RELEASE_H

#include "ev/loop.h"
#include "hold/frames.h"
#include "http/server.h"

/* The clock on which an answer leaves (frames.h): every 100 ms one frame, also when there is nothing new; a
 * whole answer leaves on a tick as well. While a client is behind no frame is added to those that wait for
 * it. */
enum { RELEASE_TICK_MS = 100, RELEASE_BEHIND_BYTES = 16384 };

typedef struct release release;
struct release {
    http_request *request;
    bool streams;
    bool over;   /* nothing more will be added */
    bool bursts; /* each tick sends all that the client takes: its times tell nothing */
    frames frames;
    buffer frame; /* kept for its memory */
    ev_timer clock;
    void (*ticked)(void *context); /* after each frame */
    /* Everything has left; of a whole answer: it is time. Or (`whole` false) memory is out. */
    void (*left)(void *context, bool whole);
    void *context;
};

/* Not running: release_stop is harmless. */
void release_init(release *r);
/* From now on; the head of a stream has been sent. `prefix`: of a stream's chunks, living as long. */
void release_start(release *r, ev_loop *loop, http_request *request, bool streams, slice prefix,
                   void (*ticked)(void *context), void (*left)(void *context, bool whole), void *context);
void release_stop(release *r);
bool release_runs(const release *r);
/* Bytes that wait for the clock or for the client. */
size_t release_backlog(const release *r);
/* Nothing more follows: `left` is called on the tick that sends the last of it. */
void release_finish(release *r);

#endif
