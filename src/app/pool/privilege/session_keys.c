#include "privilege/session_keys.h"

#include "auth/key_ring.h"
#include "base/log.h"

enum { QUESTION_MAX = 1 + VAULT_MESSAGE_MAX, HEAD_SIZE = 1 + SIGN_PUBLIC_SIZE };

static bool ask(session_keys *all, vault_question what, slice question, buffer *answer, error *err) {
    return all->signer != NULL ? helper_ask(all->signer, (uint8_t)what, question, answer, err)
                               : vault_answer(all->own, (uint8_t)what, question, answer, err);
}

bool session_keys_open(session_keys *all, helper *signer, const uint8_t seal_key[SEAL_KEY_SIZE], error *err) {
    buffer nothing = buffer_make(0);
    *all = (session_keys){.signer = signer};
    all->own = signer == NULL ? vault_new(err) : NULL;
    return (signer != NULL || all->own != NULL) &&
           ask(all, VAULT_OPEN, slice_of(seal_key, SEAL_KEY_SIZE), &nothing, err);
}

void session_keys_close(session_keys *all) {
    vault_free(all->own);
    *all = (session_keys){.signer = NULL};
}

static bool sign(void *context, slice message, uint8_t signature[SIGN_SIGNATURE_SIZE], error *err) {
    const session_key *key = context;
    buffer question = buffer_make(QUESTION_MAX);
    buffer answer = buffer_make(SIGN_SIGNATURE_SIZE);
    buffer_append_byte(&question, key->number);
    buffer_append(&question, message);
    bool done = (message.length <= VAULT_MESSAGE_MAX ||
                 error_set(err, ERROR_LIMIT, "too long for a session token")) &&
                (!buffer_failed(&question) || error_memory(err)) &&
                ask(key->all, VAULT_SIGN, buffer_slice(&question), &answer, err) &&
                (buffer_length(&answer) == SIGN_SIGNATURE_SIZE ||
                 error_set(err, ERROR_INTERNAL, "the signer's answer is no signature"));
    slice made = buffer_slice(&answer);
    done = done && made.data != NULL;
    if (done) {
        memcpy(signature, made.data, SIGN_SIGNATURE_SIZE);
    }
    buffer_free(&question);
    buffer_free(&answer);
    return done;
}

static void drop(void *context) {
    session_key *key = context;
    error err = {0};
    buffer nothing = buffer_make(0);
    if (!ask(key->all, VAULT_DROP, slice_of(&key->number, 1), &nothing, &err)) {
        log_warning("the signer keeps a session key", LOG_CAUSE(&err));
    }
    key->all = NULL;
}

/* The key that an answer is about. */
static sign_key *key_of(session_keys *all, slice answer, error *err) {
    session_key *key = NULL;
    if (answer.length >= HEAD_SIZE && answer.data[0] < VAULT_KEYS_MAX) {
        key = &all->keys[answer.data[0]];
    }
    if (key == NULL || key->all != NULL) {
        error_set(err, ERROR_INTERNAL, "the signer's answer is no key");
        return NULL;
    }
    *key = (session_key){.all = all, .number = answer.data[0]};
    sign_key *made = sign_key_elsewhere(answer.data + 1, sign, drop, key, err);
    if (made == NULL) {
        drop(key);
    }
    return made;
}

sign_key *session_keys_draw(session_keys *all, uint8_t id[VAULT_ID_SIZE], buffer *sealed, error *err) {
    char ring_id[AUTH_RING_ID_LENGTH + 1];
    buffer answer = buffer_make(HELPER_MESSAGE_MAX);
    sign_key *key =
        ask(all, VAULT_DRAW, (slice){NULL, 0}, &answer, err) ? key_of(all, buffer_slice(&answer), err) : NULL;
    bool drawn = key != NULL && auth_key_ring_id(key, ring_id, err) && vault_row_of(ring_id, id, err) &&
                 (buffer_append(sealed, slice_after(buffer_slice(&answer), HEAD_SIZE)) || error_memory(err));
    buffer_free(&answer);
    if (!drawn) {
        sign_key_free(key);
        return NULL;
    }
    return key;
}

sign_key *session_keys_take(session_keys *all, const uint8_t id[VAULT_ID_SIZE], slice sealed, error *err) {
    buffer question = buffer_make(HELPER_MESSAGE_MAX);
    buffer answer = buffer_make(HEAD_SIZE);
    buffer_append(&question, slice_of(id, VAULT_ID_SIZE));
    buffer_append(&question, sealed);
    bool taken = (!buffer_failed(&question) || error_memory(err)) &&
                 ask(all, VAULT_TAKE, buffer_slice(&question), &answer, err);
    sign_key *key = taken ? key_of(all, buffer_slice(&answer), err) : NULL;
    buffer_free(&question);
    buffer_free(&answer);
    return key;
}
