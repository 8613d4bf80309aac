#ifndef MEMORY_CONVERSATION_H
#define MEMORY_CONVERSATION_H

#include "base/arena.h"
#include "memory/record.h"

/* Conversations that a user keeps. A conversation's head is sealed under the user's data key and has the key
 * of its turns in it: with the head all of them are gone. The contents of both are JSON, so that whoever has
 * the key can read them with any program. */
enum {
    CONVERSATION_TITLE_MAX = 256, /* bytes */
    CONVERSATION_MESSAGES_MAX = 4096,
    CONVERSATION_MODEL_MAX = 256,
    CONVERSATION_QUERY_MAX = 256, /* bytes */
    CONVERSATION_QUERY_WORDS_MAX = 16
};

typedef struct conversation_head {
    slice title;
    uint8_t key[RECORD_KEY_SIZE];
} conversation_head;

/* How an answer ended, as far as its reader saw it. */
typedef enum conversation_end {
    CONVERSATION_COMPLETE,
    CONVERSATION_LENGTH, /* max_tokens reached */
    CONVERSATION_CUT,    /* the client left, or the pool stopped */
    CONVERSATION_FAILED  /* the reader was told of an error */
} conversation_end;

typedef struct conversation_message {
    slice role;
    slice content;
} conversation_message;

typedef struct conversation_turn {
    uint64_t created_ms; /* Unix */
    slice model;
    const conversation_message *messages; /* that were new: behind the last answer */
    size_t message_count;
    slice answer; /* what the reader saw of it */
    conversation_end end;
    slice facts; /* ids of the facts that were given to the model, with commas between; mostly empty */
} conversation_turn;

/* Of the messages of a request, those behind the last answer in it. */
size_t conversation_first_new(const conversation_message *messages, size_t count);
/* A title made of the first thing that the user said: its first line, cut at a word's end to at most 80
 * bytes. */
slice conversation_first_title(const conversation_turn *turn);
/* UTF-8 without control characters, 1 to CONVERSATION_TITLE_MAX bytes. */
bool conversation_title_is_valid(slice title);

/* Each appends the record. What isn't UTF-8 in a message or an answer is kept as U+FFFD, so is U+0000.
 * ERROR_INVALID: a title that isn't valid; ERROR_LIMIT: more than can be kept. `key`: the user's data key for
 * a head, the conversation's for a turn. */
MUST_CHECK bool conversation_seal_head(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                                       const uint8_t id[RECORD_ID_SIZE], uint64_t unix_ms,
                                       const conversation_head *head, buffer *sealed, error *err);
MUST_CHECK bool conversation_seal_turn(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                                       const uint8_t id[RECORD_ID_SIZE], const conversation_turn *turn,
                                       buffer *sealed, error *err);
/* What is read lies in `memory`, which the caller wipes; what the reader of JSON has held of it is wiped by a
 * process that wipes what it frees (base/memory.h). ERROR_CORRUPT as record_open, or where the content
 * isn't what it should be. */
MUST_CHECK bool conversation_open_head(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                                       const uint8_t id[RECORD_ID_SIZE], slice sealed, arena *memory,
                                       conversation_head *head, error *err);
MUST_CHECK bool conversation_open_turn(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                                       const uint8_t id[RECORD_ID_SIZE], slice sealed, arena *memory,
                                       conversation_turn *turn, error *err);

/* 1 to CONVERSATION_QUERY_WORDS_MAX words, with blanks between, in CONVERSATION_QUERY_MAX bytes. */
bool conversation_query_is_valid(slice query);
/* Whether each word of `query` stands in `text`, also as a part of a longer one, in any case, with accents or
 * without. A query that isn't valid is in nothing. */
bool conversation_matches(slice text, slice query);

/* Appends the title as a heading, in which nothing is HTML or fetched from elsewhere. */
void conversation_write_markdown_title(slice title, buffer *out);
/* Appends one turn as Markdown: what was said verbatim in a fenced block, the answer as a quote with its own
 * formatting, but without HTML and link definitions, so that neither changes what is around it. */
void conversation_write_markdown(const conversation_turn *turn, buffer *out);
/* Appends it as a JSON object, as it is sealed, and with the id. */
void conversation_write_json(const uint8_t id[RECORD_ID_SIZE], const conversation_turn *turn, buffer *out);

#endif
