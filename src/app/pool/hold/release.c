#include "hold/release.h"

void release_init(release *r) {
    *r = (release){0};
    ev_timer_init(&r->clock, NULL, NULL);
}

static bool send_frame(release *r) {
    error err;
    buffer_clear(&r->frame);
    return frames_next(&r->frames, &r->frame, &err) && http_stream_write(r->request, buffer_slice(&r->frame));
}

static void tick_stream(release *r) {
    bool more = http_stream_pending(r->request) <= RELEASE_BEHIND_BYTES;
    while (more) {
        if (!send_frame(r)) {
            if (!http_request_is_cut(r->request)) { /* else its end follows */
                r->left(r->context, false);
            }
            return;
        }
        if (r->over && frames_are_empty(&r->frames)) {
            r->left(r->context, true);
            return;
        }
        more = r->bursts && http_stream_pending(r->request) <= RELEASE_BEHIND_BYTES;
    }
    r->ticked(r->context);
}

static void tick(void *context) {
    release *r = context;
    if (r->streams) {
        tick_stream(r);
    } else if (r->over) {
        r->left(r->context, true);
    }
}

void release_start(release *r, ev_loop *loop, http_request *request, bool streams, slice prefix,
                   void (*ticked)(void *context), void (*left)(void *context, bool whole), void *context) {
    *r = (release){.request = request,
                   .streams = streams,
                   .frame = buffer_make(SIZE_MAX),
                   .ticked = ticked,
                   .left = left,
                   .context = context};
    frames_init(&r->frames, prefix);
    ev_timer_init(&r->clock, tick, r);
    ev_timer_start_repeating(loop, &r->clock, RELEASE_TICK_MS);
}

void release_stop(release *r) {
    ev_timer_stop(&r->clock);
    frames_free(&r->frames);
    buffer_wipe(&r->frame);
}

bool release_runs(const release *r) {
    return ev_timer_is_running(&r->clock);
}

size_t release_backlog(const release *r) {
    return r->streams && release_runs(r) ? frames_backlog(&r->frames) + http_stream_pending(r->request) : 0;
}

void release_finish(release *r) {
    r->over = true;
}
