#include "rekey.h"

#include "base/log.h"
#include "ledger/receipt.h"
#include "proto/rekey.h"
#include "worker_job_internal.h"

enum { REFUSALS_MAX = 3 /* of one key after the other: then neither is wanted */ };

static bool is_used(const agent *a, const sign_key *key) {
    for (const list_node *node = a->jobs.next; node != &a->jobs; node = node->next) {
        if (LIST_ENTRY(node, const worker_job, node)->key == key) {
            return true;
        }
    }
    return false;
}

/* Frees what no job is to be signed with any more. */
static void drop_former(agent *a) {
    size_t kept = 0;
    for (size_t i = 0; i < a->former_count; i++) {
        if (is_used(a, a->former[i])) {
            a->former[kept++] = a->former[i];
        } else {
            sign_key_free(a->former[i]);
        }
    }
    a->former_count = kept;
}

void rekey_free(agent *a) {
    for (size_t i = 0; i < a->former_count; i++) {
        sign_key_free(a->former[i]);
    }
    a->former_count = 0;
}

const sign_key *rekey_key(const agent *a) {
    return a->home.next_key != NULL && !a->says_former ? a->home.next_key : a->home.key;
}

const uint8_t *rekey_worker_id(const agent *a) {
    return a->home.next_key != NULL && !a->says_former ? a->home.next_worker_id : a->home.worker_id;
}

static bool sign_both(agent *a, const proto_rekey *wanted, proto_new_key *out, error *err) {
    proto_rekey_input input = {.epoch = wanted->epoch};
    memcpy(input.pool_id, a->home.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, a->home.worker_id, sizeof input.worker_id);
    memcpy(input.nonce, wanted->nonce, sizeof input.nonce);
    memcpy(input.public_key, sign_key_public(a->home.next_key), sizeof input.public_key);
    memcpy(out->public_key, input.public_key, sizeof out->public_key);
    buffer bytes = buffer_make(1024);
    bool made = websocket_tls_exporter(a->socket, PROTO_EXPORTER_LABEL, input.exporter, err);
    proto_rekey_bytes(&input, &bytes);
    made = made && (!buffer_failed(&bytes) || error_memory(err)) &&
           sign_bytes(a->home.next_key, buffer_slice(&bytes), out->signature, err) &&
           sign_bytes(a->home.key, buffer_slice(&bytes), out->former_signature, err);
    buffer_free(&bytes);
    return made;
}

void rekey_start(agent *a, const proto_rekey *wanted) {
    error err = {0};
    proto_message message = {.type = PROTO_NEW_KEY};
    drop_former(a);
    if (a->former_count == AGENT_FORMER_KEYS) {
        log_warning("another key is wanted while answers for many former ones are under way: not yet");
        return; /* the pool asks again */
    }
    if (!worker_home_stage_key(a->state_folder, &a->home, &err) ||
        !sign_both(a, wanted, &message.new_key, &err)) {
        log_error("the pool wants another key of this machine, and it can't be made", LOG_CAUSE(&err));
        return;
    }
    (void)agent_send(a, &message);
}

/* The next key is the key from now on. */
static bool commit(agent *a) {
    error err = {0};
    sign_key *former = a->home.key;
    drop_former(a);
    if (!worker_home_commit_key(a->state_folder, &a->home, &err)) {
        log_error("the machine's new key counts for the pool, but could not be put in the old one's place",
                  LOG_CAUSE(&err));
    }
    /* It counts whatever the disk says: the key itself is on it, and is looked for when the worker starts. */
    a->home.key = a->home.next_key;
    a->home.next_key = NULL;
    memcpy(a->home.worker_id, a->home.next_worker_id, sizeof a->home.worker_id);
    hex_encode(slice_of(a->home.worker_id, sizeof a->home.worker_id), a->home.worker_id_hex);
    a->says_former = false;
    if (!is_used(a, former)) {
        sign_key_free(former);
        return true;
    }
    if (a->former_count == AGENT_FORMER_KEYS) {
        return false;
    }
    a->former[a->former_count++] = former;
    return true;
}

void rekey_finish(agent *a, const proto_rekeyed *told) {
    if (a->home.next_key == NULL ||
        memcmp(told->worker_id, a->home.next_worker_id, sizeof told->worker_id) != 0 || !commit(a)) {
        link_close(a, PROTO_CLOSE_VIOLATION, "a key that this worker doesn't have");
        return;
    }
    log_info("this machine has another key", LOG_TEXT("worker", a->home.worker_id_hex));
}

void rekey_welcomed(agent *a) {
    a->refusals = 0;
    if (a->home.next_key != NULL && !a->says_former) {
        (void)commit(a); /* no job is under way: nothing is signed with the former key */
        log_info("this machine has another key", LOG_TEXT("worker", a->home.worker_id_hex));
    }
    a->says_former = false;
}

/* The new one first. If the pool doesn't know it, it never heard of it, or hasn't stored it yet; the former
 * one is revoked as soon as it has. */
bool rekey_refused(agent *a, slice code) {
    bool unknown = slice_equal_text(code, PROTO_REFUSE_UNKNOWN);
    bool revoked = slice_equal_text(code, PROTO_REFUSE_REVOKED);
    if (a->home.next_key == NULL || ++a->refusals > REFUSALS_MAX || !(a->says_former ? revoked : unknown)) {
        return false;
    }
    a->says_former = !a->says_former;
    return true;
}
