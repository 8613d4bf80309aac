#include "verify_cosign.h"

#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>

bool verify_cosign_memory(const char *key_file, const char *origin, char path[COSIGN_PATH_SIZE], error *err) {
    int length = snprintf(path, COSIGN_PATH_SIZE, "%s.%s.checkpoint", key_file, origin);
    if (length >= COSIGN_PATH_SIZE) {
        return error_set(err, ERROR_INVALID, "the path of the witness's key is too long");
    }
    for (char *c = path + strlen(key_file); *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c;
    }
    return true;
}

static sign_key *ensure_key(const char *path, error *err) {
    if (file_exists(path)) {
        return sign_key_load(path, err);
    }
    sign_key *key = sign_key_generate(err);
    if (key != NULL && !sign_key_save(key, path, err)) {
        sign_key_free(key);
        key = NULL;
    }
    return key;
}

static bool name_key(const char *name, const sign_key *private_half, note_key *key, error *err) {
    *key = (note_key){.kind = NOTE_COSIGNATURE};
    memcpy(key->public_key, sign_key_public(private_half), SIGN_PUBLIC_SIZE);
    return snprintf(key->name, sizeof key->name, "%s", name) < (int)sizeof key->name ||
           error_set(err, ERROR_INVALID, "a witness's name has at most %d bytes", (int)NOTE_NAME_MAX);
}

static bool add_signature(slice bytes, const note_key *key, const sign_key *private_half, const char *memory,
                          const char *path, error *err) {
    note n;
    uint64_t time = 0;
    if (!note_parse(bytes, &n, err) || !file_write_atomic(memory, bytes, 0600, err)) {
        return false;
    }
    if (note_verify(&n, key, &time, err)) {
        return true;
    }
    if (err->code != ERROR_NOT_FOUND) {
        return false;
    }
    buffer cosigned = buffer_make(NOTE_SIZE_MAX);
    buffer_append(&cosigned, bytes);
    bool written = note_sign(n.text, key, private_half, clock_unix_ms() / 1000, &cosigned, err) &&
                   note_parse(buffer_slice(&cosigned), &n, err) &&
                   file_write_atomic(path, buffer_slice(&cosigned), 0644, err);
    buffer_free(&cosigned);
    return written;
}

bool verify_cosign(const char *key_file, const char *name, slice bytes, const char *memory, const char *path,
                   char key_text[NOTE_KEY_TEXT_MAX + 1], error *err) {
    note_key key;
    sign_key *private_half = ensure_key(key_file, err);
    bool cosigned = private_half != NULL && name_key(name, private_half, &key, err) &&
                    note_key_write(&key, key_text, err) &&
                    add_signature(bytes, &key, private_half, memory, path, err);
    sign_key_free(private_half);
    return cosigned || error_context(err, "the checkpoint holds, but isn't signed");
}
