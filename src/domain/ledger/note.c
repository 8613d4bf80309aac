#include "note_internal.h"

#include "base/buffer.h"
#include "codec/base64.h"
#include "crypto/hash.h"

#include <stdio.h>

enum {
    TIME_SIZE = 8,
    SIGNED_MAX = NOTE_KEY_ID_SIZE + TIME_SIZE + SIGN_SIGNATURE_SIZE, /* of the kinds that are known */
    FOREIGN_SIGNATURE_MAX = 8192,                                    /* bytes; post-quantum ones are long */
    HEADER_MAX = 64
};
#define DASH "\xE2\x80\x94 "

bool note_name_is_good(slice name) {
    bool good = name.length > 0 && name.length <= NOTE_NAME_MAX;
    for (size_t i = 0; good && i < name.length; i++) {
        good = name.data[i] > ' ' && name.data[i] < 0x7F && name.data[i] != '+';
    }
    return good;
}

bool note_take_line(slice *rest, slice *line) {
    size_t end = slice_find(*rest, '\n');
    if (end == SIZE_MAX) {
        return false;
    }
    *line = slice_part(*rest, 0, end);
    *rest = slice_after(*rest, end + 1);
    return true;
}

static slice name_of(const note_key *key) {
    return slice_of(key->name, strlen(key->name));
}

static bool key_id(const note_key *key, uint8_t id[NOTE_KEY_ID_SIZE], error *err) {
    uint8_t bytes[NOTE_NAME_MAX + 2 + SIGN_PUBLIC_SIZE];
    uint8_t digest[HASH_SIZE];
    size_t length = strlen(key->name);
    memcpy(bytes, key->name, length);
    bytes[length++] = '\n';
    bytes[length++] = (uint8_t)key->kind;
    memcpy(bytes + length, key->public_key, SIGN_PUBLIC_SIZE);
    if (!hash_sha256(slice_of(bytes, length + SIGN_PUBLIC_SIZE), digest, err)) {
        return false;
    }
    memcpy(id, digest, NOTE_KEY_ID_SIZE);
    return true;
}

static bool bad_key(error *err) {
    return error_set(
        err, ERROR_INVALID,
        "not a public key of a log, a witness or a maintainer: expected NAME+ID+KEY as it was given out");
}

bool note_key_parse(slice text, note_key *key, error *err) {
    uint8_t id[NOTE_KEY_ID_SIZE];
    uint8_t expected[NOTE_KEY_ID_SIZE];
    uint8_t bytes[1 + SIGN_PUBLIC_SIZE];
    size_t length = 0;
    size_t name_end = slice_find(text, '+');
    slice name = slice_part(text, 0, name_end);
    slice rest = name_end == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, name_end + 1);
    size_t id_end = slice_find(rest, '+');
    memset(key, 0, sizeof *key);
    if (id_end == SIZE_MAX || name.data == NULL || !note_name_is_good(name) ||
        !hex_decode(slice_part(rest, 0, id_end), id, sizeof id) ||
        !base64_decode(slice_after(rest, id_end + 1), bytes, sizeof bytes, &length) ||
        length != sizeof bytes || (bytes[0] != NOTE_ED25519 && bytes[0] != NOTE_COSIGNATURE)) {
        return bad_key(err);
    }
    memcpy(key->name, name.data, name.length);
    key->kind = (note_kind)bytes[0];
    memcpy(key->public_key, bytes + 1, SIGN_PUBLIC_SIZE);
    return key_id(key, expected, err) && (memcmp(id, expected, sizeof id) == 0 || bad_key(err));
}

bool note_key_write(const note_key *key, char text[NOTE_KEY_TEXT_MAX + 1], error *err) {
    uint8_t id[NOTE_KEY_ID_SIZE];
    uint8_t bytes[1 + SIGN_PUBLIC_SIZE];
    char id_text[2 * NOTE_KEY_ID_SIZE + 1];
    char key_text[BASE64_LENGTH(sizeof bytes) + 1];
    if (!note_name_is_good(name_of(key))) {
        return error_set(err, ERROR_INVALID, "a name in a note has neither spaces nor a plus sign");
    }
    if (!key_id(key, id, err)) {
        return false;
    }
    bytes[0] = (uint8_t)key->kind;
    memcpy(bytes + 1, key->public_key, SIGN_PUBLIC_SIZE);
    hex_encode(slice_of(id, sizeof id), id_text);
    base64_encode(slice_of(bytes, sizeof bytes), key_text);
    snprintf(text, NOTE_KEY_TEXT_MAX + 1, "%s+%s+%s", key->name, id_text, key_text);
    return true;
}

/* UTF-8 without control characters but newlines. */
static bool is_plain(slice bytes) {
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.data[i] < ' ' && bytes.data[i] != '\n') {
            return false;
        }
    }
    return slice_is_utf8(bytes);
}

static bool parse_line(slice text, note_line *line) {
    slice dash = SLICE_LITERAL(DASH);
    uint8_t bytes[FOREIGN_SIGNATURE_MAX];
    size_t length = 0;
    if (!slice_starts_with(text, dash)) {
        return false;
    }
    slice rest = slice_after(text, dash.length);
    size_t space = slice_find(rest, ' ');
    if (space == SIZE_MAX || space == 0) {
        return false;
    }
    line->name = slice_part(rest, 0, space);
    line->signature = slice_after(rest, space + 1);
    if (slice_find(line->name, '+') != SIZE_MAX ||
        !base64_decode(line->signature, bytes, sizeof bytes, &length) || length <= NOTE_KEY_ID_SIZE) {
        return false;
    }
    memcpy(line->key_id, bytes, NOTE_KEY_ID_SIZE);
    return true;
}

/* Where the signatures begin: behind the last empty line. */
static size_t find_lines(slice bytes) {
    for (size_t i = bytes.length; i >= 2; i--) {
        if (bytes.data[i - 1] == '\n' && bytes.data[i - 2] == '\n') {
            return i;
        }
    }
    return 0;
}

bool note_parse(slice bytes, note *n, error *err) {
    memset(n, 0, sizeof *n);
    if (bytes.length > NOTE_SIZE_MAX) {
        return error_set(err, ERROR_LIMIT, "a signed note of more than %d bytes", NOTE_SIZE_MAX);
    }
    size_t begin = find_lines(bytes);
    if (begin < 2 || begin == bytes.length || bytes.data[bytes.length - 1] != '\n' || !is_plain(bytes)) {
        return error_set(err, ERROR_INVALID, "not a signed note");
    }
    slice rest = slice_after(bytes, begin);
    slice line;
    while (note_take_line(&rest, &line)) {
        if (n->count == NOTE_SIGNATURES_MAX) {
            return error_set(err, ERROR_LIMIT, "a note with more than %d signatures", NOTE_SIGNATURES_MAX);
        }
        if (!parse_line(line, &n->lines[n->count])) {
            return error_set(err, ERROR_INVALID, "signature line %zu of the note is none", n->count + 1);
        }
        n->count++;
    }
    n->text = slice_part(bytes, 0, begin - 1);
    return true;
}

/* What a signature of this kind is over. */
static bool signed_bytes(slice text, note_kind kind, uint64_t time, buffer *bytes, error *err) {
    if (kind == NOTE_COSIGNATURE) {
        buffer_append_format(bytes, "cosignature/v1\ntime %llu\n", (unsigned long long)time);
    }
    buffer_append(bytes, text);
    return !buffer_failed(bytes) || error_memory(err);
}

static bool verify_line(slice text, const note_line *line, const note_key *key, uint64_t *time, error *err) {
    uint8_t bytes[SIGNED_MAX];
    size_t length = 0;
    size_t time_size = key->kind == NOTE_COSIGNATURE ? TIME_SIZE : 0;
    if (!base64_decode(line->signature, bytes, sizeof bytes, &length) ||
        length != NOTE_KEY_ID_SIZE + time_size + SIGN_SIGNATURE_SIZE) {
        return error_set(err, ERROR_CORRUPT, "the signature of %s is damaged", key->name);
    }
    *time = 0;
    for (size_t i = 0; i < time_size; i++) {
        *time = *time << 8 | bytes[NOTE_KEY_ID_SIZE + i];
    }
    buffer message = buffer_make(NOTE_SIZE_MAX + HEADER_MAX);
    bool good = signed_bytes(text, key->kind, *time, &message, err) &&
                (sign_verify(key->public_key, buffer_slice(&message), bytes + NOTE_KEY_ID_SIZE + time_size) ||
                 error_set(err, ERROR_CORRUPT, "the signature of %s isn't over this text", key->name));
    buffer_free(&message);
    return good;
}

bool note_verify(const note *n, const note_key *key, uint64_t *time, error *err) {
    uint8_t id[NOTE_KEY_ID_SIZE];
    bool found = false;
    *time = 0;
    if (!key_id(key, id, err)) {
        return false;
    }
    for (size_t i = 0; i < n->count; i++) {
        const note_line *line = &n->lines[i];
        if (!slice_equal_text(line->name, key->name) || memcmp(line->key_id, id, sizeof id) != 0) {
            continue;
        }
        if (!verify_line(n->text, line, key, time, err)) {
            *time = 0;
            return false;
        }
        found = true;
    }
    return found || error_set(err, ERROR_NOT_FOUND, "%s hasn't signed it", key->name);
}

bool note_sign(slice text, const note_key *key, const sign_key *private_half, uint64_t time, buffer *out,
               error *err) {
    uint8_t bytes[SIGNED_MAX];
    char base64[BASE64_LENGTH(SIGNED_MAX) + 1];
    size_t length = NOTE_KEY_ID_SIZE;
    if (text.length < 2 || text.length > NOTE_SIZE_MAX / 2 || text.data[text.length - 1] != '\n' ||
        !is_plain(text) || !note_name_is_good(name_of(key))) {
        return error_set(err, ERROR_INVALID, "this can't be signed as a note");
    }
    if (!key_id(key, bytes, err)) {
        return false;
    }
    if (key->kind == NOTE_COSIGNATURE) {
        for (unsigned i = 0; i < TIME_SIZE; i++) {
            bytes[length++] = (uint8_t)(time >> (8 * (TIME_SIZE - 1 - i)));
        }
    }
    buffer message = buffer_make(NOTE_SIZE_MAX + HEADER_MAX);
    bool good = signed_bytes(text, key->kind, time, &message, err) &&
                sign_bytes(private_half, buffer_slice(&message), bytes + length, err);
    buffer_free(&message);
    if (!good) {
        return false;
    }
    base64_encode(slice_of(bytes, length + SIGN_SIGNATURE_SIZE), base64);
    return buffer_append_format(out, DASH "%s %s\n", key->name, base64) || error_memory(err);
}
