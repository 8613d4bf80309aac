#ifndef SITE_H
#define SITE_H

/* A dispatcher with hooks that write down what they are asked: "send w1 j1 8", one event per line. */
#include "dispatch/job.h"
#include "dispatch/worker.h"
#include "unit.h"

#include <stdlib.h>

typedef struct site {
    dispatch *dispatch;
    char events[4096];
    size_t length;
    uint64_t now;
    dispatch_worker *remove_on_send; /* a send to this worker finds its connection broken */
} site;

static inline void site_note(site *s, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void site_note(site *s, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(s->events + s->length, sizeof s->events - s->length, format, arguments);
    va_end(arguments);
    assert_true(written > 0 && s->length + (size_t)written < sizeof s->events);
    s->length += (size_t)written;
}

static inline void site_send_job(void *context, void *worker, void *job, uint64_t credit) {
    site *s = context;
    site_note(s, "send %s %s %u\n", (char *)worker, (char *)job, (unsigned)credit);
    if (s->remove_on_send != NULL && s->dispatch != NULL) {
        dispatch_worker_info info;
        dispatch_worker_describe(s->remove_on_send, &info);
        if (info.context == worker) {
            dispatch_worker *w = s->remove_on_send;
            s->remove_on_send = NULL;
            dispatch_worker_remove(w, s->now);
        }
    }
}

static inline void site_send_credit(void *context, void *worker, const dispatch_id *job, uint64_t tokens) {
    site_note(context, "credit %s j%u %u\n", (char *)worker, job->bytes[0], (unsigned)tokens);
}

static inline void site_send_cancel(void *context, void *worker, const dispatch_id *job) {
    site_note(context, "cancel %s j%u\n", (char *)worker, job->bytes[0]);
}

static inline void site_job_restarted(void *context, void *job, bool resumed) {
    site_note(context, "%s %s\n", resumed ? "resume" : "restart", (char *)job);
}

static inline void site_job_failed(void *context, void *job, dispatch_failure reason) {
    site_note(context, "failed %s %s\n", (char *)job, dispatch_failure_name(reason));
}

static inline void site_worker_drained(void *context, void *worker) {
    site_note(context, "drained %s\n", (char *)worker);
}

static inline void site_worker_closed(void *context, void *worker, dispatch_closing reason) {
    site_note(context, "closed %s %s\n", (char *)worker, dispatch_closing_name(reason));
}

static inline dispatch_config site_config(void) {
    dispatch_config config = dispatch_config_default();
    config.queue_limit = 4;
    config.queue_limit_per_user = 3;
    config.credit_window = 8;
    return config;
}

static inline bool site_make(site *s, const dispatch_config *config) {
    *s = (site){.now = 1000};
    const dispatch_hooks hooks = {s,
                                  site_send_job,
                                  site_send_credit,
                                  site_send_cancel,
                                  site_job_restarted,
                                  site_job_failed,
                                  site_worker_drained,
                                  site_worker_closed};
    error err;
    s->dispatch = dispatch_new(config, &hooks, &err);
    return s->dispatch != NULL;
}

static inline void site_open(site *s) {
    const dispatch_config config = site_config();
    assert_true(site_make(s, &config));
}

static inline void site_check(const site *s) {
    error err = {0};
    if (!dispatch_check(s->dispatch, &err)) {
        fail_msg("%s", err.text);
    }
}

/* What happened since the last time. */
static inline void site_expect(site *s, const char *events) {
    site_check(s);
    s->events[s->length] = '\0';
    assert_string_equal(s->events, events);
    s->length = 0;
    s->events[0] = '\0';
}

static inline void site_free(site *s) {
    site_expect(s, "");
    dispatch_free(s->dispatch);
}

/* Names are one letter and a number: "w1", "j2"; the id is the number. */
static inline dispatch_id site_id(const char *name) {
    dispatch_id id = {{0}};
    id.bytes[0] = (uint8_t)atoi(name + 1);
    return id;
}

static inline dispatch_offer site_offer(const char *model, uint32_t slots, uint8_t digest, bool exact) {
    dispatch_offer o = {.model = slice_of_text(model), .slots = slots, .exact = exact};
    memset(o.digest, digest, sizeof o.digest);
    return o;
}

static inline dispatch_worker *site_join(site *s, const char *name, dispatch_offer o) {
    const dispatch_id id = site_id(name);
    error err = {0};
    dispatch_worker *w = dispatch_worker_add(s->dispatch, &id, (void *)(uintptr_t)name, &o, 1, s->now, &err);
    if (w != NULL) {
        dispatch_worker_ready(w, s->now);
    }
    return w;
}

static inline dispatch_worker *site_worker(site *s, const char *name, uint32_t slots) {
    dispatch_worker *w = site_join(s, name, site_offer("m", slots, 1, true));
    assert_non_null(w);
    return w;
}

static inline dispatch_job *site_try(site *s, const char *name, uint64_t user, error_code *code) {
    const dispatch_spec spec = {
        .id = site_id(name), .user = user, .model = SLICE_LITERAL("m"), .context = (void *)(uintptr_t)name};
    error err = {0};
    dispatch_job *job = dispatch_submit(s->dispatch, &spec, s->now, &err);
    *code = err.code;
    return job;
}

static inline dispatch_job *site_submit(site *s, const char *name) {
    error_code code;
    dispatch_job *job = site_try(s, name, 1, &code);
    assert_non_null(job);
    return job;
}

static inline void site_refused(site *s, const char *name, uint64_t user, error_code expected) {
    error_code code;
    assert_null(site_try(s, name, user, &code));
    assert_int_equal(code, expected);
}

static inline dispatch_verdict site_delta(site *s, dispatch_worker *w, const char *job, uint64_t seq,
                                          uint64_t tokens) {
    const dispatch_id id = site_id(job);
    void *context = NULL;
    dispatch_verdict verdict = dispatch_job_delta(w, &id, seq, tokens, s->now, &context);
    assert_true(verdict == DISPATCH_OK ? strcmp(context, job) == 0 : context == NULL);
    return verdict;
}

static inline dispatch_verdict site_done(site *s, dispatch_worker *w, const char *job, uint64_t tokens) {
    const dispatch_id id = site_id(job);
    void *context = NULL;
    dispatch_verdict verdict = dispatch_job_done(w, &id, tokens, s->now, &context);
    assert_true(verdict == DISPATCH_OK ? strcmp(context, job) == 0 : context == NULL);
    return verdict;
}

static inline dispatch_verdict site_fail(site *s, dispatch_worker *w, const char *job, bool retryable) {
    const dispatch_id id = site_id(job);
    return dispatch_job_fail(w, &id, retryable, s->now);
}

static inline void site_beat(site *s, dispatch_worker *w, uint32_t running, uint32_t slots,
                             dispatch_availability availability) {
    const dispatch_beat beat = {
        .load = 0.5, .running = running, .slots = slots, .availability = availability};
    dispatch_worker_beat(w, &beat, s->now);
}

/* Lets time pass, with every deadline handled when it comes; the workers given beat all along. */
static inline void site_wait(site *s, uint64_t duration, dispatch_worker **workers, size_t count) {
    uint64_t end = s->now + duration;
    while (s->now < end) {
        s->now = s->now + 1000 < end ? s->now + 1000 : end;
        for (size_t i = 0; i < count; i++) {
            dispatch_worker_info info;
            dispatch_worker_describe(workers[i], &info);
            site_beat(s, workers[i], 0, UINT32_MAX, info.availability);
        }
        dispatch_tick(s->dispatch, s->now);
        assert_true(dispatch_next_deadline(s->dispatch) > s->now);
    }
}

#endif
