#include "session_internal.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/base64.h"
#include "secrets/secrets.h"

/* One question of a worker about the audit log; outlives its session. */
struct session_log_ask {
    session *session; /* NULL: it is closed */
    uint64_t from;
    size_t keys; /* that the pool had had when the note was taken */
    char note[PROTO_CHECKPOINT_MAX];
    size_t length;
};

bool session_show_keys(session *s) {
    _Static_assert((int)PROTO_KEYS_MAX == (int)SUCCESSION_JSON_LIMIT, "a chain of any length fits a message");
    size_t count = s->pool->site.keys.count;
    proto_message message = {.type = PROTO_KEYS, .keys = {.keys = secrets_keys(s->pool)}};
    if (s->keys_told != count && !session_send(s, &message)) {
        return false;
    }
    s->keys_told = count;
    return true;
}

void session_show_log(const session *s, proto_welcome *welcome) {
    welcome->checkpoint = audit_checkpoint(s->pool->audit);
}

void session_forget_log_ask(session *s) {
    if (s->log_ask != NULL) {
        s->log_ask->session = NULL;
        s->log_ask = NULL;
    }
}

static void answer(session *s, const session_log_ask *ask, const merkle_proof *proof) {
    char hashes[BASE64URL_LENGTH(MERKLE_PROOF_MAX * HASH_SIZE) + 1];
    base64url_encode(slice_of(proof->hashes[0], proof->count * HASH_SIZE), hashes);
    proto_message message = {.type = PROTO_LOG_PROOF,
                             .log_proof = {.from = ask->from,
                                           .checkpoint = slice_of(ask->note, ask->length),
                                           .hashes = slice_of_text(hashes)}};
    if (!session_show_keys(s) || !session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
    }
}

static void proved(void *context, const merkle_proof *proof, const error *failure) {
    session_log_ask *ask = context;
    session *s = ask->session;
    if (s != NULL) {
        s->log_ask = NULL;
    }
    if (s != NULL && s->state != PROTO_CLOSED && proof != NULL) {
        if (ask->keys == s->pool->site.keys.count) {
            answer(s, ask, proof);
        } else { /* another key signs now: the worker takes no note of the one before any more */
            session_handle_log_ask(s, &(proto_log_ask){.from = ask->from});
        }
    } else if (failure != NULL) {
        log_error("a worker's question about the audit log can't be answered", LOG_CAUSE(failure));
    }
    memory_free(ask);
}

void session_handle_log_ask(session *s, const proto_log_ask *asked) {
    static const merkle_proof nothing;
    const audit *log = s->pool->audit;
    slice text = audit_checkpoint(log);
    uint64_t size = audit_size(log);
    error err = {0};
    if (s->log_ask != NULL) {
        session_violation(s, PROTO_CLOSE_VIOLATION, "a question about the log before the last was answered");
        return;
    }
    session_log_ask *ask = memory_allocate_zeroed(1, sizeof *ask);
    if (ask == NULL || text.length == 0 || text.length > sizeof ask->note) {
        memory_free(ask);
        session_close(s, PROTO_CLOSE_INTERNAL, "the audit log can't be shown");
        return;
    }
    *ask = (session_log_ask){
        .session = s, .from = asked->from, .keys = s->pool->site.keys.count, .length = text.length};
    memcpy(ask->note, text.data, text.length);
    if (asked->from > size) { /* nothing to prove: the checkpoint says it */
        answer(s, ask, &nothing);
        memory_free(ask);
        return;
    }
    s->log_ask = ask;
    if (!audit_prove_consistency(s->pool, asked->from, size, proved, ask, &err)) {
        proved(ask, NULL, &err);
    }
}
