#include "agent.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/file.h"
#include "worker_job.h"

#include <stdio.h>

enum { ASK_EACH_MS = 60000 };

bool link_log_load(agent *a, error *err) {
    char path[HOME_PATH_SIZE];
    buffer kept = buffer_make(PROTO_CHECKPOINT_MAX);
    log_watch_init(&a->log);
    bool loaded = worker_home_checkpoint_path(a->state_folder, &a->home, false, path, err) &&
                  (!file_exists(path) || file_read_all(path, &kept, err)) &&
                  (log_watch_restore(&a->log, buffer_slice(&kept), err) || error_context(err, "%s", path));
    buffer_free(&kept);
    return loaded;
}

/* One write of the file, on a thread of the loop's pool. */
typedef struct keeping {
    agent *agent;
    char path[HOME_PATH_SIZE];
    char note[PROTO_CHECKPOINT_MAX];
    size_t length;
    bool written;
    error failure;
} keeping;

static void keep_note(agent *a);

static void write_note(void *context) {
    keeping *k = context;
    k->written = file_write_atomic(k->path, slice_of(k->note, k->length), 0600, &k->failure);
}

static void note_written(void *context) {
    keeping *k = context;
    agent *a = k->agent;
    a->log_keeping = false;
    if (!k->written) {
        log_error("the pool's checkpoint is not kept", LOG_CAUSE(&k->failure));
    }
    memory_free(k);
    if (a->log_newer && !a->stopping) {
        keep_note(a);
    }
}

static void keep_note(agent *a) {
    error err = {0};
    slice last = buffer_slice(&a->log.note);
    a->log_newer = a->log_keeping;
    if (a->log_keeping) {
        return;
    }
    keeping *k = memory_allocate_zeroed(1, sizeof *k);
    if (k == NULL || last.length == 0 || last.length > sizeof k->note) {
        memory_free(k);
        log_error("the pool's checkpoint is not kept: out of memory");
        return;
    }
    k->agent = a;
    k->length = last.length;
    memcpy(k->note, last.data, last.length);
    a->log_keeping = worker_home_checkpoint_path(a->state_folder, &a->home, false, k->path, &err) &&
                     ev_work(a->loop, write_note, note_written, k, &err);
    if (!a->log_keeping) {
        memory_free(k);
        log_error("the pool's checkpoint is not kept", LOG_CAUSE(&err));
    }
}

void link_end_forked(agent *a) {
    a->exit_status = WORKER_EXIT_FORKED;
    a->stopping = true;
    worker_job_drop_all(a);
    agent_check_stopped(a);
}

/* The note that was remembered and this one, both signed, prove what the pool did. */
static void keep_evidence(agent *a) {
    char path[HOME_PATH_SIZE];
    error err = {0};
    slice shown = buffer_slice(&a->log.forked);
    if (shown.length > 0 && (!worker_home_checkpoint_path(a->state_folder, &a->home, true, path, &err) ||
                             !file_write_atomic(path, shown, 0600, &err))) {
        log_error("what the pool showed of its log is not kept", LOG_CAUSE(&err));
    }
}

static void raise_alarm(agent *a, const error *why) {
    log_error(
        "ALARM: the pool's audit log was rewritten, or others are shown another; not serving it. Tell the "
        "security officer: the notes audit-*.checkpoint and audit-*.forked in the worker's folder prove it",
        LOG_CAUSE(why), LOG_U64("remembered", a->log.known.size));
    keep_evidence(a);
    link_end_forked(a);
}

static void ask(agent *a) {
    proto_message message = {.type = PROTO_LOG_ASK, .log_ask = {.from = a->log.known.size}};
    a->log_asked = true;
    a->log_asked_ms = ev_now_ms(a->loop);
    (void)!agent_send(a, &message);
}

/* The log is what it was, and more. */
static void trust(agent *a) {
    bool doubted = a->log_doubted;
    a->log_doubted = false;
    if (doubted) {
        agent_beat(a);
    }
}

static bool act(agent *a, log_verdict verdict, const error *err) {
    switch (verdict) {
    case LOG_UNCHANGED:
        trust(a);
        return true;
    case LOG_BELIEVED:
        keep_note(a);
        trust(a);
        return true;
    case LOG_GREW:
        ask(a);
        return true;
    case LOG_FORKED:
        raise_alarm(a, err);
        return false;
    case LOG_UNKNOWN:
        link_close(a, PROTO_CLOSE_INTERNAL, err->text);
        return false;
    }
    return false;
}

bool link_log_welcome(agent *a, const proto_welcome *welcome) {
    error err = {0};
    a->log_asked = false;
    a->log_asked_ms = ev_now_ms(a->loop);
    log_verdict verdict = log_watch_welcome(&a->log, &a->keys.known, welcome->checkpoint, &err);
    return act(a, verdict, &err);
}

void link_log_proof(agent *a, const proto_log_proof *proof) {
    error err = {0};
    a->log_asked = false;
    log_verdict verdict = log_watch_proof(&a->log, &a->keys.known, proof, &err);
    (void)act(a, verdict, &err);
}

void link_log_beat(agent *a) {
    if (a->log.known.size == 0 || !a->log.shown || ev_now_ms(a->loop) - a->log_asked_ms < ASK_EACH_MS) {
        return;
    }
    if (a->log_asked) {
        link_close(a, PROTO_CLOSE_GOING_AWAY, "no proof of the audit log came");
        return;
    }
    ask(a);
}

/* A pool that has something to hide could keep silent for ever, and have its questions answered meanwhile. */
void link_log_closed(agent *a) {
    if (a->log_asked && !a->stopping) {
        log_warning(
            "the pool didn't prove that its audit log goes on from what it was: no jobs until it does",
            LOG_U64("remembered", a->log.known.size));
        a->log_doubted = true;
    }
    a->log_asked = false;
}
