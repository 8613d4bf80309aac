/* What is kept of a user: bytes of the store that nobody sealed never open; contents that were sealed are
 * read or refused, and what is read is written and sealed again alike. */
#include "codec/json.h"
#include "crypto/fernet.h"
#include "crypto/start.h"
#include "memory/conversation.h"

#include <stdlib.h>

enum { MEMORY = 64 << 20, LIMIT = 4 << 20, USER = 7 };

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[RECORD_KEY_SIZE] = {1, 2, 3, [16] = 4, 5, 6};
static const uint8_t id[RECORD_ID_SIZE] = {9};

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    error err;
    json_start(1);
    if (!crypto_start(&err)) {
        abort();
    }
    return 0;
}

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

/* As the store has it: nothing that the fuzzer makes up is signed. */
static void try_foreign(slice bytes) {
    static const record_place place = {.kind = RECORD_TURN, .user_id = USER, .id = {9}};
    error err;
    buffer content = buffer_make(LIMIT);
    require(!record_open(key, &place, bytes, &content, &err) && buffer_length(&content) == 0);
    require(err.code == ERROR_CORRUPT);
    buffer_wipe(&content);
}

/* The text of a token that was made with the key, and not by record_seal: it opens only if it is laid out as
 * that would have done it. */
static void try_layout(slice text) {
    error err;
    record_place place = {.kind = RECORD_TURN, .user_id = USER, .id = {9}};
    buffer token = buffer_make(LIMIT);
    buffer content = buffer_make(LIMIT);
    buffer again = buffer_make(LIMIT);
    buffer laid_out = buffer_make(LIMIT);
    require(fernet_seal(key, 0, text, &token, &err));
    if (record_open(key, &place, buffer_slice(&token), &content, &err)) {
        require(record_seal(key, &place, 0, buffer_slice(&content), &again, &err));
        require(fernet_open(key, buffer_slice(&again), NULL, &laid_out, &err));
        require(slice_equal(buffer_slice(&laid_out), text));
    } else {
        require(err.code == ERROR_CORRUPT && buffer_length(&content) == 0);
    }
    buffer_free(&token);
    buffer_wipe(&content);
    buffer_free(&again);
    buffer_wipe(&laid_out);
}

static void seal(record_kind kind, slice content, buffer *sealed) {
    error err;
    record_place place = {.kind = kind, .user_id = USER};
    memcpy(place.id, id, sizeof id);
    require(record_seal(key, &place, 0, content, sealed, &err));
}

static void try_head(slice content, arena *memory) {
    error err;
    conversation_head head;
    conversation_head back;
    buffer sealed = buffer_make(LIMIT);
    seal(RECORD_CONVERSATION, content, &sealed);
    if (conversation_open_head(key, USER, id, buffer_slice(&sealed), memory, &head, &err)) {
        require(conversation_title_is_valid(head.title));
        buffer_clear(&sealed);
        require(conversation_seal_head(key, USER, id, 0, &head, &sealed, &err));
        require(conversation_open_head(key, USER, id, buffer_slice(&sealed), memory, &back, &err));
        require(slice_equal(back.title, head.title) && memcmp(back.key, head.key, sizeof back.key) == 0);
    } else {
        require(err.code == ERROR_CORRUPT || err.code == ERROR_MEMORY);
    }
    buffer_free(&sealed);
}

/* No line of a quote is outside of it; nothing at all is appended to a buffer that is full. */
static void try_export(const conversation_turn *turn) {
    buffer markdown = buffer_make(LIMIT);
    conversation_turn answer = *turn;
    answer.message_count = 0;
    answer.end = CONVERSATION_COMPLETE;
    conversation_write_markdown(turn, &markdown);
    buffer_clear(&markdown);
    conversation_write_markdown(&answer, &markdown);
    slice rest = buffer_slice(&markdown);
    for (size_t line = 0; rest.length > 0; line++) {
        size_t end = slice_find(rest, '\n');
        require(end != SIZE_MAX);
        slice this_line = slice_part(rest, 0, end);
        require(line == 0 || end == 0 || this_line.data[0] == '>');
        require(slice_find(this_line, '\r') == SIZE_MAX);
        rest = slice_after(rest, end + 1);
    }
    buffer_free(&markdown);
    slice title = conversation_first_title(turn);
    require(conversation_title_is_valid(title));
    if (turn->answer.length > 0 && conversation_query_is_valid(turn->answer)) {
        require(conversation_matches(turn->answer, turn->answer));
    }
}

static void try_turn(slice content, arena *memory) {
    error err;
    conversation_turn turn;
    conversation_turn back;
    buffer sealed = buffer_make(LIMIT);
    buffer json = buffer_make(LIMIT);
    buffer json_again = buffer_make(LIMIT);
    seal(RECORD_TURN, content, &sealed);
    if (conversation_open_turn(key, USER, id, buffer_slice(&sealed), memory, &turn, &err)) {
        conversation_write_json(id, &turn, &json);
        buffer_clear(&sealed);
        if (conversation_seal_turn(key, USER, id, &turn, &sealed, &err)) {
            require(conversation_open_turn(key, USER, id, buffer_slice(&sealed), memory, &back, &err));
            conversation_write_json(id, &back, &json_again);
            require(slice_equal(buffer_slice(&json), buffer_slice(&json_again)));
        } else {
            require(err.code ==
                    ERROR_LIMIT); /* names are longer than they may be when U+FFFD stands in them */
        }
        try_export(&turn);
    } else {
        require(err.code == ERROR_CORRUPT || err.code == ERROR_MEMORY);
    }
    buffer_free(&sealed);
    buffer_free(&json);
    buffer_free(&json_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice bytes = slice_of(data, size);
    arena *memory = arena_new(MEMORY);
    if (memory == NULL || size > LIMIT / 8) {
        arena_free(memory);
        return 0;
    }
    try_foreign(bytes);
    try_layout(bytes);
    try_head(bytes, memory);
    try_turn(bytes, memory);
    arena_free(memory);
    return 0;
}
