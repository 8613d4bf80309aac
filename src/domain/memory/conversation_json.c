#include "codec/json.h"
#include "codec/json_writer.h"
#include "conversation_internal.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

enum {
    DEPTH = 3,
    VALUES_PER_MESSAGE = 3, /* an object, and commas in it and behind it */
    VALUES_MAX = 64 + VALUES_PER_MESSAGE * CONVERSATION_MESSAGES_MAX,
    MEMBERS_SIZE = 512, /* names, brackets and numbers of a head or turn */
    MESSAGE_SIZE = 64,  /* the same of a message */
    ESCAPED_MAX = 6,
    ROLE_MAX = 64,
    FACTS_MAX = 4096
};

#define TIME_MAX 9007199254740991U /* what readers of JSON don't round */
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */
enum { REPLACEMENT_SIZE = sizeof REPLACEMENT - 1 };

static const char *const end_names[] = {[CONVERSATION_COMPLETE] = "complete",
                                        [CONVERSATION_LENGTH] = "length",
                                        [CONVERSATION_CUT] = "cut",
                                        [CONVERSATION_FAILED] = "failed"};

enum { END_COUNT = sizeof end_names / sizeof end_names[0] };

/* Bytes that the text may take when it is escaped. */
static size_t escaped_size(slice text) {
    size_t size = text.length;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        size += c < ' ' ? ESCAPED_MAX - 1 : c == '"' || c == '\\' ? 1 : 0;
    }
    /* What isn't UTF-8 becomes U+FFFD, three bytes for one. */
    return slice_is_utf8(text) ? size : size + (REPLACEMENT_SIZE - 1) * text.length;
}

/* What readers of JSON, ours too, don't take in a text is U+0000: it becomes U+FFFD as well. */
static void add_text(json_writer *w, const char *name, slice text) {
    size_t nul = slice_find(text, 0);
    if (nul == SIZE_MAX) {
        json_add_text(w, name, text);
        return;
    }
    json_write_key(w, name);
    json_write_raw(w, SLICE_LITERAL("\""));
    for (; nul != SIZE_MAX; nul = slice_find(text, 0)) {
        json_append_escaped(w->out, slice_part(text, 0, nul));
        buffer_append_text(w->out, REPLACEMENT);
        text = slice_after(text, nul + 1);
    }
    json_append_escaped(w->out, text);
    buffer_append_byte(w->out, '"');
}

static void write_members(json_writer *w, const conversation_turn *turn) {
    json_add_u64(w, "created_ms", turn->created_ms);
    add_text(w, "model", turn->model);
    json_write_key(w, "messages");
    json_write_array_begin(w);
    for (size_t i = 0; i < turn->message_count; i++) {
        json_write_object_begin(w);
        add_text(w, "role", turn->messages[i].role);
        add_text(w, "content", turn->messages[i].content);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    add_text(w, "answer", turn->answer);
    add_text(w, "end", slice_of_text((size_t)turn->end < END_COUNT ? end_names[turn->end] : "failed"));
    if (turn->facts.length > 0) {
        add_text(w, "facts", turn->facts);
    }
}

void conversation_write_json(const uint8_t id[RECORD_ID_SIZE], const conversation_turn *turn, buffer *out) {
    char text[2 * RECORD_ID_SIZE + 1];
    hex_encode(slice_of(id, RECORD_ID_SIZE), text);
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "id", slice_of_text(text));
    write_members(&w, turn);
    json_write_object_end(&w);
}

static bool reserve(buffer *content, size_t size, error *err) {
    return buffer_reserve(content, size) != NULL || error_memory(err);
}

bool conversation_write_head(const conversation_head *head, buffer *content, error *err) {
    if (!conversation_title_is_valid(head->title)) {
        return error_set(err, ERROR_INVALID, "a title is 1 to %d bytes of UTF-8 without control characters",
                         CONVERSATION_TITLE_MAX);
    }
    if (!reserve(content, MEMBERS_SIZE + escaped_size(head->title), err)) {
        return false;
    }
    json_writer w = json_writer_make(content);
    json_write_object_begin(&w);
    json_add_text(&w, "title", head->title);
    json_add_bytes(&w, "key", slice_of(head->key, RECORD_KEY_SIZE));
    json_write_object_end(&w);
    return !buffer_failed(content) || error_memory(err);
}

static bool too_much(error *err) {
    return error_set(err, ERROR_LIMIT,
                     "a question and its answer are longer than can be kept: begin a new conversation");
}

/* Bytes that the turn may take; none when it is more than can be kept anyway. */
static size_t turn_size(const conversation_turn *turn) {
    size_t plain = turn->answer.length;
    for (size_t i = 0; i < turn->message_count && plain <= RECORD_CONTENT_MAX; i++) {
        plain += turn->messages[i].content.length;
    }
    if (plain > RECORD_CONTENT_MAX) {
        return 0;
    }
    size_t size =
        MEMBERS_SIZE + escaped_size(turn->model) + escaped_size(turn->answer) + escaped_size(turn->facts);
    for (size_t i = 0; i < turn->message_count; i++) {
        size += MESSAGE_SIZE + escaped_size(turn->messages[i].role) + escaped_size(turn->messages[i].content);
    }
    return size;
}

static bool check_lengths(const conversation_turn *turn, error *err) {
    bool good = turn->model.length <= CONVERSATION_MODEL_MAX && turn->facts.length <= FACTS_MAX &&
                turn->message_count <= CONVERSATION_MESSAGES_MAX && turn->answer.length <= RECORD_CONTENT_MAX;
    for (size_t i = 0; good && i < turn->message_count; i++) {
        good = turn->messages[i].role.length <= ROLE_MAX &&
               turn->messages[i].content.length <= RECORD_CONTENT_MAX;
    }
    if (good && (turn->created_ms > TIME_MAX || (size_t)turn->end >= END_COUNT)) {
        return error_set(err, ERROR_INTERNAL, "a turn of a time or an end that doesn't exist");
    }
    return good || too_much(err);
}

bool conversation_write_turn(const conversation_turn *turn, buffer *content, error *err) {
    if (!check_lengths(turn, err)) {
        return false;
    }
    size_t size = turn_size(turn);
    if (size == 0) {
        return too_much(err);
    }
    if (!reserve(content, size, err)) {
        return false;
    }
    json_writer w = json_writer_make(content);
    json_write_object_begin(&w);
    write_members(&w, turn);
    json_write_object_end(&w);
    return buffer_failed(content) ? error_memory(err)
                                  : buffer_length(content) <= RECORD_CONTENT_MAX || too_much(err);
}

static json_value *parse(slice content, error *err) {
    json_limits limits = {.size = RECORD_CONTENT_MAX, .depth = DEPTH, .values = VALUES_MAX};
    return json_parse(content, limits, err);
}

/* All but lack of memory means that this was never written here. */
static bool refuse(error *err) {
    if (err->code == ERROR_MEMORY) {
        return false;
    }
    return error_set(err, ERROR_CORRUPT, "a record opens, but isn't what a conversation is kept as");
}

/* A text member of at most so many bytes, copied. */
static bool take_text(const json_value *object, const char *name, size_t most, arena *memory, slice *text,
                      error *err) {
    slice there;
    if (!json_get_text(object, name, &there, err)) {
        return false;
    }
    if (there.length > REPLACEMENT_SIZE * most) { /* each byte may have become U+FFFD */
        return error_set(err, ERROR_LIMIT, "%s is too long", name);
    }
    return arena_copy(memory, there, text) || error_memory(err);
}

static bool read_head(const json_value *root, arena *memory, conversation_head *head, error *err) {
    return take_text(root, "title", CONVERSATION_TITLE_MAX, memory, &head->title, err) &&
           json_get_bytes(root, "key", head->key, RECORD_KEY_SIZE, err) &&
           (conversation_title_is_valid(head->title) || error_set(err, ERROR_INVALID, "this is no title"));
}

bool conversation_read_head(slice content, arena *memory, conversation_head *head, error *err) {
    json_value *root = parse(content, err);
    bool good = root != NULL && read_head(root, memory, head, err);
    json_free(root);
    if (!good) {
        secret_wipe(head, sizeof *head);
    }
    return good || refuse(err);
}

static bool read_messages(const json_value *root, arena *memory, conversation_turn *turn, error *err) {
    const json_value *array = NULL;
    if (!json_get_array(root, "messages", &array, err)) {
        return false;
    }
    size_t count = json_count(array);
    if (count > CONVERSATION_MESSAGES_MAX) {
        return error_set(err, ERROR_LIMIT, "there are too many messages");
    }
    conversation_message *messages = arena_allocate_array(memory, count, sizeof *messages);
    if (messages == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        const json_value *message = json_at(array, i);
        if (json_kind_of(message) != JSON_KIND_OBJECT) {
            return error_set(err, ERROR_INVALID, "a message is an object");
        }
        if (!take_text(message, "role", ROLE_MAX, memory, &messages[i].role, err) ||
            !take_text(message, "content", RECORD_CONTENT_MAX, memory, &messages[i].content, err)) {
            return false;
        }
    }
    turn->messages = messages;
    turn->message_count = count;
    return true;
}

static bool read_end(const json_value *root, conversation_end *end, error *err) {
    slice name;
    if (!json_get_text(root, "end", &name, err)) {
        return false;
    }
    for (size_t i = 0; i < END_COUNT; i++) {
        if (slice_equal_text(name, end_names[i])) {
            *end = (conversation_end)i;
            return true;
        }
    }
    return error_set(err, ERROR_INVALID, "there is no such end");
}

static bool read_turn(const json_value *root, arena *memory, conversation_turn *turn, error *err) {
    return json_get_u64(root, "created_ms", 0, TIME_MAX, &turn->created_ms, err) &&
           take_text(root, "model", CONVERSATION_MODEL_MAX, memory, &turn->model, err) &&
           read_messages(root, memory, turn, err) &&
           take_text(root, "answer", RECORD_CONTENT_MAX, memory, &turn->answer, err) &&
           read_end(root, &turn->end, err) &&
           (json_find(root, "facts") == NULL ||
            take_text(root, "facts", FACTS_MAX, memory, &turn->facts, err));
}

bool conversation_read_turn(slice content, arena *memory, conversation_turn *turn, error *err) {
    json_value *root = parse(content, err);
    bool good = root != NULL && read_turn(root, memory, turn, err);
    json_free(root);
    if (!good) {
        *turn = (conversation_turn){0};
    }
    return good || refuse(err);
}
