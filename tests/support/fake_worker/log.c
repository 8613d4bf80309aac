#include "fake.h"

#include "base/memory.h"
#include "key_watch.h"
#include "log_watch.h"

/* Of one connection. */
struct fake_memory {
    key_watch keys;
    log_watch log;
    bool told; /* that the log goes on under the last key */
};

static void refuse(fake_session *s, const error *err) {
    fake_report(s, "forked", NULL, NULL, 0, slice_of_text(err->text));
    websocket_abort(s->socket);
}

static bool take_keys(fake_session *s, slice shown) {
    struct fake_memory *m = s->memory;
    succession next;
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    error err = {0};
    key_verdict verdict = key_watch_look(&m->keys, shown, &next, &json, &err);
    if (verdict == KEYS_NEWER) {
        key_watch_take(&m->keys, &next, &json);
        m->told = false;
    }
    buffer_free(&json);
    if (verdict == KEYS_FORKED || verdict == KEYS_UNKNOWN) {
        refuse(s, &err);
        return false;
    }
    return true;
}

static void ask(fake_session *s) {
    proto_message message = {.type = PROTO_LOG_ASK, .log_ask = {.from = s->memory->log.known.size}};
    fake_send(s, &message);
}

static void go_on(fake_session *s, log_verdict verdict, const error *err) {
    if (verdict == LOG_FORKED || verdict == LOG_UNKNOWN) {
        refuse(s, err);
        return;
    }
    ask(s);
}

void fake_log_welcome(fake_session *s, const proto_welcome *welcome) {
    error err = {0};
    if (s->owner->options.behave != CURIOUS) {
        return;
    }
    s->memory = memory_allocate_zeroed(1, sizeof *s->memory);
    if (s->memory == NULL) {
        websocket_abort(s->socket);
        return;
    }
    key_watch_init(&s->memory->keys, s->owner->home.pool_id);
    log_watch_init(&s->memory->log);
    if (take_keys(s, welcome->keys)) {
        log_verdict verdict =
            log_watch_welcome(&s->memory->log, &s->memory->keys.known, welcome->checkpoint, &err);
        go_on(s, verdict, &err);
    }
}

void fake_log_keys(fake_session *s, slice shown) {
    if (s->memory != NULL) {
        (void)take_keys(s, shown);
    } else {
        fake_report(s, "keys", NULL, NULL, 0, (slice){0});
    }
}

void fake_log_proof(fake_session *s, const proto_log_proof *proof) {
    struct fake_memory *m = s->memory;
    error err = {0};
    if (m == NULL) {
        return;
    }
    log_verdict verdict = log_watch_proof(&m->log, &m->keys.known, proof, &err);
    if (!m->told && (verdict == LOG_BELIEVED || verdict == LOG_UNCHANGED)) {
        m->told = true;
        fake_report(s, "proved", NULL, "keys", m->keys.known.count, (slice){0});
    }
    go_on(s, verdict, &err);
}

void fake_log_closed(fake_session *s) {
    if (s->memory != NULL) {
        key_watch_free(&s->memory->keys);
        log_watch_free(&s->memory->log);
        memory_free(s->memory);
        s->memory = NULL;
    }
}
