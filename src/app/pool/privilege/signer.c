#include "privilege/signer.h"

#include "ledger/succession.h"
#include "os/sandbox.h"
#include "privilege/vault.h"
#include "secrets/pool_key.h"
#include "site.h"

enum { SIGN = 0, TAKE = 128 }; /* about the pool's key; the other questions are the vault's */

typedef struct signer {
    const char *folder;
    const uint8_t *transfer;
    sign_key *key;
    vault *vault;
} signer;

static bool prepare(void *context, buffer *first, error *err) {
    static const sandbox_profile nothing = {.rights = 0};
    sandbox_walls walls;
    signer *s = context;
    s->key = pool_key_load(s->folder, err);
    s->vault = s->key == NULL ? NULL : vault_new(err);
    if (s->vault == NULL || !sandbox_confine(&nothing, &walls, err)) {
        return false;
    }
    buffer_append_byte(first, walls.calls);
    buffer_append(first, slice_of(sign_key_public(s->key), SIGN_PUBLIC_SIZE));
    return true;
}

/* The public half of the key that is awaited, and the key as the keeper sealed it. */
static bool take(signer *s, slice question, error *err) {
    if (question.length < SIGN_PUBLIC_SIZE) {
        return error_set(err, ERROR_INVALID, "which key?");
    }
    sign_key *key = pool_key_unseal(slice_after(question, SIGN_PUBLIC_SIZE), s->transfer, err);
    if (key == NULL || memcmp(sign_key_public(key), question.data, SIGN_PUBLIC_SIZE) != 0) {
        sign_key_free(key);
        return key != NULL ? error_set(err, ERROR_CORRUPT, "the key is another than is awaited") : false;
    }
    sign_key_free(s->key);
    s->key = key;
    return true;
}

static bool answer(void *context, uint8_t what, slice question, buffer *signature, error *err) {
    signer *s = context;
    uint8_t bytes[SIGN_SIGNATURE_SIZE];
    if (what == TAKE) {
        return take(s, question, err); /* no bytes: it can't fail once it is done */
    }
    if (what != SIGN) {
        return vault_answer(s->vault, what, question, signature, err);
    }
    /* Who took over the pool would name a key of his own, and have it for ever: the keeper does that alone.
     */
    if (question.length > SIGNER_MESSAGE_MAX || succession_is_statement(question)) {
        return error_set(err, ERROR_INVALID, "the signer doesn't sign this");
    }
    if (!sign_bytes(s->key, question, bytes, err)) {
        return false;
    }
    buffer_append(signature, slice_of(bytes, sizeof bytes));
    return true;
}

static bool ask(void *context, slice message, uint8_t signature[SIGN_SIGNATURE_SIZE], error *err) {
    buffer bytes = buffer_make(SIGN_SIGNATURE_SIZE);
    bool done = helper_ask(context, SIGN, message, &bytes, err) &&
                (buffer_length(&bytes) == SIGN_SIGNATURE_SIZE ||
                 error_set(err, ERROR_INTERNAL, "the signer's answer is no signature"));
    slice made = buffer_slice(&bytes);
    done = done && made.data != NULL;
    if (done) {
        memcpy(signature, made.data, SIGN_SIGNATURE_SIZE);
    }
    buffer_free(&bytes);
    return done;
}

sign_key *signer_take(helper *h, const uint8_t public_key[SIGN_PUBLIC_SIZE], slice sealed, error *err) {
    buffer question = buffer_make(SIGN_PUBLIC_SIZE + SIGN_SEED_SIZE + SEAL_OVERHEAD);
    buffer nothing = buffer_make(0);
    sign_key *key = sign_key_elsewhere(public_key, ask, NULL, h, err);
    bool taken = key != NULL &&
                 ((buffer_append(&question, slice_of(public_key, SIGN_PUBLIC_SIZE)) &&
                   buffer_append(&question, sealed)) ||
                  error_memory(err)) &&
                 helper_ask(h, TAKE, buffer_slice(&question), &nothing, err);
    buffer_free(&question);
    if (!taken) {
        sign_key_free(key);
        return NULL;
    }
    return key;
}

helper *signer_start(const char *site_folder, const uint8_t transfer[SEAL_KEY_SIZE], bool *confined,
                     sign_key **key, error *err) {
    static const helper_task task = {.name = "cellule-signer", .prepare = prepare, .answer = answer};
    signer s = {.folder = site_folder, .transfer = transfer};
    buffer first = buffer_make(1 + SIGN_PUBLIC_SIZE);
    helper *h = helper_start(&task, &s, &first, err);
    slice told = buffer_slice(&first);
    *key = NULL;
    if (h != NULL && told.length == 1 + SIGN_PUBLIC_SIZE) {
        *confined = told.data[0] != 0;
        *key = sign_key_elsewhere(told.data + 1, ask, NULL, h, err);
    } else if (h != NULL) {
        error_set(err, ERROR_INTERNAL, "the signer's first words are wrong");
    }
    buffer_free(&first);
    if (*key == NULL) {
        helper_stop(h);
        return NULL;
    }
    return h;
}
