#ifndef MEMORY_RECORD_H
#define MEMORY_RECORD_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* What is kept of a user, sealed: a Fernet token (crypto/fernet.h) of
 *
 *   version (1 byte) ‖ kind (1) ‖ user's id (8, big-endian) ‖ record's id (16)
 *   ‖ content's length (4, big-endian) ‖ content ‖ zeros
 *
 * so that it opens in its own place alone: Fernet has nothing to bind it with. The zeros lengthen all that is
 * before the encryption to the next length that PADMÉ allows (Nikitin et al., PETS 2019, "Reducing Metadata
 * Leakage from Encrypted Files and Communication with PURBs", §4), and the token's date is that of the day.
 * Any thread. */
typedef enum record_kind {
    RECORD_WRAP = 1,         /* a user's data key, sealed under one of his tokens (wrap.h) */
    RECORD_CONVERSATION = 2, /* a conversation's head (conversation.h) */
    RECORD_TURN = 3,         /* one question and its answer */
    RECORD_FACT = 4          /* fact.h */
} record_kind;

enum {
    RECORD_KEY_SIZE = 32,
    RECORD_ID_SIZE = 16,
    RECORD_HEADER_SIZE = 30,
    RECORD_CONTENT_MAX = 8 * 1024 * 1024 - 4096
};

typedef struct record_place {
    record_kind kind;
    uint64_t user_id;
    uint8_t id[RECORD_ID_SIZE];
} record_place;

/* The least length that PADMÉ allows for so many bytes: at most 12 % more. */
size_t record_padded_length(size_t length);
/* Bytes of the token for so many bytes of content. */
size_t record_sealed_size(size_t content);

/* Appends the token. ERROR_LIMIT: more than RECORD_CONTENT_MAX, or than `sealed` may hold. */
MUST_CHECK bool record_seal(const uint8_t key[RECORD_KEY_SIZE], const record_place *place, uint64_t unix_ms,
                            slice content, buffer *sealed, error *err);
/* Appends the content: free it with buffer_wipe, and give a buffer that is empty or has the room.
 * ERROR_CORRUPT, with nothing appended: another key, another place, or changed in any bit. */
MUST_CHECK bool record_open(const uint8_t key[RECORD_KEY_SIZE], const record_place *place, slice sealed,
                            buffer *content, error *err);

/* Puts before an error which record it is about ("fact", "conversation"), so that it can be deleted without
 * being opened. Returns false. */
bool record_name(error *err, const char *what, const uint8_t id[RECORD_ID_SIZE]);

#endif
