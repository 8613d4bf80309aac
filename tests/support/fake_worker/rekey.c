#include "fake.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "os/random.h"
#include "proto/rekey.h"

/* Another key, as the pool asks. It is kept in this process alone. */

static bool draw_identity(fake_identity *who, error *err) {
    *who = (fake_identity){.key = NULL};
    sign_key *key =
        random_bytes(who->seed, sizeof who->seed, err) ? sign_key_from_seed(who->seed, err) : NULL;
    if (key == NULL) {
        return false;
    }
    memcpy(who->public_key, sign_key_public(key), sizeof who->public_key);
    sign_key_free(key);
    return receipt_worker_id(who->public_key, who->worker_id, err);
}

static bool make_new_key(fake_session *s, const proto_rekey *wanted, proto_new_key *out, error *err) {
    proto_rekey_input input = {.epoch = wanted->epoch};
    buffer bytes = buffer_make(1024);
    bool made = draw_identity(&s->next, err) &&
                websocket_tls_exporter(s->socket, PROTO_EXPORTER_LABEL, input.exporter, err);
    memcpy(input.pool_id, s->owner->home.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, s->identity->worker_id, sizeof input.worker_id);
    memcpy(input.nonce, wanted->nonce, sizeof input.nonce);
    memcpy(input.public_key, s->next.public_key, sizeof input.public_key);
    memcpy(out->public_key, s->next.public_key, sizeof out->public_key);
    proto_rekey_bytes(&input, &bytes);
    made = made && fake_sign(&s->next, buffer_slice(&bytes), out->signature, err) &&
           fake_sign(s->identity, buffer_slice(&bytes), out->former_signature, err);
    buffer_free(&bytes);
    if (s->owner->options.behave == FORGED_NEW_KEY) {
        out->former_signature[3] ^= 1;
    }
    return made;
}

void fake_rekey(fake_session *s, const proto_rekey *wanted) {
    proto_message message = {.type = PROTO_NEW_KEY};
    error err = {0};
    fake_report(s, "rekey", NULL, "epoch", wanted->epoch, (slice){0});
    if (s->owner->options.behave == NO_NEW_KEY) {
        return;
    }
    if (!make_new_key(s, wanted, &message.new_key, &err)) {
        fake_report(s, "not_sent", NULL, NULL, 0, slice_of_text(err.text));
        websocket_abort(s->socket);
        return;
    }
    fake_send(s, &message);
}

/* Jobs that are under way have a copy of who they were given to; its key stays until the process ends. */
void fake_rekeyed(fake_session *s, const proto_rekeyed *told) {
    fake *f = s->owner;
    if (memcmp(told->worker_id, s->next.worker_id, sizeof told->worker_id) != 0) {
        fake_report(s, "bad_message", NULL, NULL, 0, SLICE_LITERAL("rekeyed"));
        return;
    }
    fake_identity *who = &f->identities[s->number];
    if (who->key != NULL) {
        f->former_keys[f->former_count++] = who->key; /* once for each that was kept */
    }
    *who = s->next;
    secret_wipe(&s->next, sizeof s->next);
    fake_report(s, "rekeyed", NULL, NULL, 0, (slice){0});
}
