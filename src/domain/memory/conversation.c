#include "conversation_internal.h"

enum { TITLE_CUT = 80 };

size_t conversation_first_new(const conversation_message *messages, size_t count) {
    size_t first = count;
    while (first > 0 && !slice_equal_text(messages[first - 1].role, "assistant")) {
        first--;
    }
    return first;
}

/* C0 and C1, DEL, and the separators of lines and paragraphs, which break a line as well. */
size_t conversation_control_length(slice text) {
    if (text.length == 0) {
        return 0;
    }
    uint8_t first = text.data[0];
    if (first < 0x20 || first == 0x7f) {
        return 1;
    }
    if (text.length >= 2 && first == 0xC2 && text.data[1] >= 0x80 && text.data[1] <= 0x9F) {
        return 2;
    }
    bool separates = text.length >= 3 && first == 0xE2 && text.data[1] == 0x80 &&
                     (text.data[2] == 0xA8 || text.data[2] == 0xA9);
    return separates ? 3 : 0;
}

bool conversation_title_is_valid(slice title) {
    if (title.length == 0 || title.length > CONVERSATION_TITLE_MAX) {
        return false;
    }
    while (title.length > 0) {
        size_t length = slice_utf8_length(title);
        if (length == 0 || conversation_control_length(title) > 0) {
            return false;
        }
        title = slice_after(title, length);
    }
    return true;
}

/* Without what a title doesn't begin with. */
static slice skip_blank(slice text) {
    while (text.length > 0) {
        size_t control = conversation_control_length(text);
        size_t blank = text.data[0] == ' ' ? 1 : control;
        if (blank == 0) {
            break;
        }
        text = slice_after(text, blank);
    }
    return text;
}

/* Up to the end of the line, as far as that is UTF-8; whole characters of at most TITLE_CUT bytes. */
static slice cut(slice text) {
    size_t end = 0;
    size_t word_end = 0;
    while (end < text.length) {
        slice rest = slice_after(text, end);
        size_t length = slice_utf8_length(rest);
        if (length == 0 || conversation_control_length(rest) > 0) {
            break;
        }
        word_end = text.data[end] == ' ' ? end : word_end;
        if (end + length > TITLE_CUT) {
            return slice_part(text, 0, word_end == 0 ? end : word_end);
        }
        end += length;
    }
    return slice_part(text, 0, end);
}

slice conversation_first_title(const conversation_turn *turn) {
    for (size_t i = 0; i < turn->message_count; i++) {
        if (slice_equal_text(turn->messages[i].role, "user")) {
            slice title = slice_trim(cut(skip_blank(turn->messages[i].content)));
            return title.length > 0 ? title : SLICE_LITERAL("Untitled");
        }
    }
    return SLICE_LITERAL("Untitled");
}

static record_place place_of(record_kind kind, uint64_t user_id, const uint8_t id[RECORD_ID_SIZE]) {
    record_place place = {.kind = kind, .user_id = user_id};
    memcpy(place.id, id, RECORD_ID_SIZE);
    return place;
}

bool conversation_seal_head(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                            const uint8_t id[RECORD_ID_SIZE], uint64_t unix_ms, const conversation_head *head,
                            buffer *sealed, error *err) {
    record_place place = place_of(RECORD_CONVERSATION, user_id, id);
    buffer content = buffer_make(SIZE_MAX);
    bool good = conversation_write_head(head, &content, err) &&
                record_seal(key, &place, unix_ms, buffer_slice(&content), sealed, err);
    buffer_wipe(&content);
    return good;
}

bool conversation_seal_turn(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                            const uint8_t id[RECORD_ID_SIZE], const conversation_turn *turn, buffer *sealed,
                            error *err) {
    record_place place = place_of(RECORD_TURN, user_id, id);
    buffer content = buffer_make(SIZE_MAX);
    bool good = conversation_write_turn(turn, &content, err) &&
                record_seal(key, &place, turn->created_ms, buffer_slice(&content), sealed, err);
    buffer_wipe(&content);
    return good;
}

bool conversation_open_head(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                            const uint8_t id[RECORD_ID_SIZE], slice sealed, arena *memory,
                            conversation_head *head, error *err) {
    record_place place = place_of(RECORD_CONVERSATION, user_id, id);
    buffer content = buffer_make(RECORD_CONTENT_MAX);
    *head = (conversation_head){0};
    bool good = record_open(key, &place, sealed, &content, err) &&
                conversation_read_head(buffer_slice(&content), memory, head, err);
    buffer_wipe(&content);
    return good || record_name(err, "conversation", id);
}

bool conversation_open_turn(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id,
                            const uint8_t id[RECORD_ID_SIZE], slice sealed, arena *memory,
                            conversation_turn *turn, error *err) {
    record_place place = place_of(RECORD_TURN, user_id, id);
    buffer content = buffer_make(RECORD_CONTENT_MAX);
    *turn = (conversation_turn){0};
    bool good = record_open(key, &place, sealed, &content, err) &&
                conversation_read_turn(buffer_slice(&content), memory, turn, err);
    buffer_wipe(&content);
    return good || record_name(err, "turn", id);
}
