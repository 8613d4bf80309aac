#ifndef MEMORY_FACT_H
#define MEMORY_FACT_H

#include "base/arena.h"
#include "memory/record.h"

/* What a user has the pool remember, sealed under his data key:
 *
 *   version (1 byte) ‖ created_ms (8, big-endian like all numbers here) ‖ lengths of text, source and
 * embedder and count of the vector's numbers (2 each) ‖ text ‖ source ‖ embedder ‖ vector (2 each: IEEE 754
 * binary16)
 *
 * No JSON, so that opening leaves no copies behind: all facts are opened to be searched. Any thread. */
enum {
    FACT_TEXT_MAX = 8192,
    FACT_EMBEDDER_MAX = 256,
    FACT_DIMENSIONS_MAX = 4096,
    FACT_SEALED_MAX = 20 * 1024
};

typedef struct fact {
    uint64_t created_ms; /* Unix */
    slice text;
    slice source;   /* id of the conversation that it was learnt in (RECORD_ID_SIZE bytes), or empty */
    slice embedder; /* what made the vector; empty without one */
    const float *vector;
    size_t dimensions; /* 0: without a vector */
} fact;

/* UTF-8 without a zero byte, 1 to FACT_TEXT_MAX bytes. */
bool fact_text_is_valid(slice text);

/* Appends the record. Of the vector its direction is kept, at half precision. ERROR_INVALID: a field that
 * isn't as said here, or a vector that vectors_put would refuse. */
MUST_CHECK bool fact_seal(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                          const uint8_t id[RECORD_ID_SIZE], const fact *f, buffer *sealed, error *err);
/* What is read lies in `memory`, which the caller wipes. ERROR_CORRUPT as record_open, or where the content
 * isn't what it should be. */
MUST_CHECK bool fact_open(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                          const uint8_t id[RECORD_ID_SIZE], slice sealed, arena *memory, fact *f, error *err);

#endif
