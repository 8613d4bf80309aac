#include "privilege/signer.h"

#include "os/sandbox.h"
#include "privilege/vault.h"
#include "secrets/pool_key.h"
#include "site.h"

enum { SIGN = 0 }; /* with the pool's key; the other questions are the vault's */

typedef struct signer {
    const char *folder;
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

static bool answer(void *context, uint8_t what, slice question, buffer *signature, error *err) {
    const signer *s = context;
    uint8_t bytes[SIGN_SIGNATURE_SIZE];
    if (what != SIGN) {
        return vault_answer(s->vault, what, question, signature, err);
    }
    if (question.length > SIGNER_MESSAGE_MAX) {
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

helper *signer_start(const char *site_folder, bool *confined, sign_key **key, error *err) {
    static const helper_task task = {.name = "cellule-signer", .prepare = prepare, .answer = answer};
    signer s = {.folder = site_folder};
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
