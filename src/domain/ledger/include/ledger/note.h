#ifndef LEDGER_NOTE_H
#define LEDGER_NOTE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/sign.h"

/* Signed notes (C2SP signed-note): a text that ends in a newline, an empty line, and signature lines
 * "— NAME BASE64" of its signers. Two kinds of signature are known, those of others are passed over. */
enum {
    NOTE_SIZE_MAX = 65536, /* bytes of a note */
    NOTE_SIGNATURES_MAX = 32,
    NOTE_NAME_MAX = 127,     /* bytes; neither spaces nor '+' */
    NOTE_KEY_TEXT_MAX = 192, /* characters of a written key */
    NOTE_KEY_ID_SIZE = 4
};

typedef enum note_kind {
    NOTE_ED25519 = 1,    /* over the text */
    NOTE_COSIGNATURE = 4 /* over a time and the text (C2SP tlog-cosignature): by a witness of the log */
} note_kind;

/* Whom a reader trusts. */
typedef struct note_key {
    char name[NOTE_NAME_MAX + 1];
    note_kind kind;
    uint8_t public_key[SIGN_PUBLIC_SIZE];
} note_key;

/* "NAME+ID+KEY", the ID hexadecimal: how keys are given to people. ERROR_INVALID for anything else. */
MUST_CHECK bool note_key_parse(slice text, note_key *key, error *err);
MUST_CHECK bool note_key_write(const note_key *key, char text[NOTE_KEY_TEXT_MAX + 1], error *err);

typedef struct note_line {
    slice name;
    uint8_t key_id[NOTE_KEY_ID_SIZE];
    slice signature; /* base64 of key id and signature */
} note_line;

/* Points into the bytes that it was read from. */
typedef struct note {
    slice text; /* with its last newline */
    size_t count;
    note_line lines[NOTE_SIGNATURES_MAX];
} note;

/* ERROR_INVALID, ERROR_LIMIT. Nothing of the text may be believed before note_verify. */
MUST_CHECK bool note_parse(slice bytes, note *n, error *err);

/* Whether `key` signed it: ERROR_NOT_FOUND if no line is by it, ERROR_CORRUPT if one is and is wrong. `time`
 * gets the Unix time in seconds of a cosignature, 0 of the other kind. */
MUST_CHECK bool note_verify(const note *n, const note_key *key, uint64_t *time, error *err);

/* Appends a signature line over `text` to `out`. A whole note is the text, "\n" and such lines. `time`: of a
 * cosignature, in seconds; not looked at for the other kind. ERROR_INVALID if the text or the key's name
 * can't be in a note; the key given must be `key`'s private half. */
MUST_CHECK bool note_sign(slice text, const note_key *key, const sign_key *private_half, uint64_t time,
                          buffer *out, error *err);

#endif
