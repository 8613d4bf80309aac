#include "proof/record.h"

#include "codec/envelope.h"
#include "ledger/messages.h"

static const char record_label[] = "cellule answer record v1";
static const char findings_label[] = "cellule findings v1";

static void add_tokens(buffer *out, const uint32_t *tokens, size_t count) {
    buffer_append_u32_big_endian(out, (uint32_t)(count * sizeof *tokens));
    for (size_t i = 0; i < count; i++) {
        buffer_append_u32_big_endian(out, tokens[i]);
    }
}

size_t record_size(const answer_record *record) {
    enum { FIELD = 4, HEAD = 1024 + RECEIPT_ENCODED_LIMIT };
    size_t size = HEAD + record->model.length + record->token_count * sizeof *record->tokens;
    for (size_t i = 0; i < record->message_count; i++) {
        size += 2 * FIELD + record->messages[i].role.length + record->messages[i].content.length;
    }
    for (size_t i = 0; i < record->stop_count; i++) {
        size += FIELD + record->stops[i].length;
    }
    return size;
}

bool record_encode(const answer_record *record, buffer *out, error *err) {
    const signed_receipt *entry = &record->entry;
    envelope_begin(out, record_label);
    envelope_add(out, slice_of(entry->bytes, entry->length));
    envelope_add(out, slice_of(entry->worker_key, sizeof entry->worker_key));
    envelope_add(out, slice_of(entry->worker_signature, sizeof entry->worker_signature));
    envelope_add(out, slice_of(entry->salt, sizeof entry->salt));
    envelope_add(out, record->model);
    envelope_add_u32(out, (uint32_t)record->message_count);
    for (size_t i = 0; i < record->message_count; i++) {
        envelope_add(out, record->messages[i].role);
        envelope_add(out, record->messages[i].content);
    }
    envelope_add_u32(out, (uint32_t)record->stop_count);
    for (size_t i = 0; i < record->stop_count; i++) {
        envelope_add(out, record->stops[i]);
    }
    add_tokens(out, record->tokens, record->token_count);
    return !buffer_failed(out) || error_memory(err);
}

static bool read_messages(envelope_reader *r, arena *memory, answer_record *record, error *err) {
    record->message_count = envelope_read_u32(r);
    if (record->message_count > MESSAGES_LIMIT) {
        return error_set(err, ERROR_CORRUPT, "a kept answer has too many messages");
    }
    receipt_message *messages = arena_allocate_array(memory, record->message_count + 1, sizeof *messages);
    if (messages == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < record->message_count; i++) {
        messages[i].role = envelope_read(r);
        messages[i].content = envelope_read(r);
    }
    record->messages = messages;
    return true;
}

static bool read_stops(envelope_reader *r, arena *memory, answer_record *record, error *err) {
    record->stop_count = envelope_read_u32(r);
    if (record->stop_count > CHAT_STOPS_LIMIT) {
        return error_set(err, ERROR_CORRUPT, "a kept answer has too many stops");
    }
    slice *stops = arena_allocate_array(memory, record->stop_count + 1, sizeof *stops);
    if (stops == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < record->stop_count; i++) {
        stops[i] = envelope_read(r);
    }
    record->stops = stops;
    return true;
}

static bool read_tokens(envelope_reader *r, arena *memory, answer_record *record, error *err) {
    slice bytes = envelope_read(r);
    record->token_count = bytes.length / sizeof *record->tokens;
    uint32_t *tokens = arena_allocate_array(memory, record->token_count + 1, sizeof *tokens);
    if (tokens == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < record->token_count; i++) {
        const uint8_t *at = bytes.data + i * sizeof *tokens;
        tokens[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    record->tokens = tokens;
    return bytes.length % sizeof *tokens == 0 ||
           error_set(err, ERROR_CORRUPT, "the tokens of a kept answer are cut off");
}

/* Prompt, stops and tokens are what the receipt has the hashes of. */
static bool is_of_receipt(const answer_record *record, error *err) {
    const receipt *fields = &record->entry.fields;
    uint8_t prompt[HASH_SIZE];
    uint8_t stops[HASH_SIZE];
    uint8_t tokens[HASH_SIZE];
    if (!receipt_hash_prompt(record->entry.salt, record->messages, record->message_count, prompt, err) ||
        !receipt_hash_stop(record->stops, record->stop_count, stops, err) ||
        !receipt_hash_tokens(record->tokens, record->token_count, tokens, err)) {
        return false;
    }
    return (hash_equal(prompt, fields->prompt_hash, sizeof prompt) &&
            hash_equal(stops, fields->stop_hash, sizeof stops) &&
            hash_equal(tokens, fields->token_hash, sizeof tokens) &&
            record->token_count == fields->completion_tokens) ||
           error_set(err, ERROR_CORRUPT, "a kept answer isn't the one of its receipt");
}

bool record_decode(slice bytes, arena *memory, answer_record *record, error *err) {
    *record = (answer_record){0};
    signed_receipt *entry = &record->entry;
    envelope_reader r = envelope_open(bytes, record_label);
    slice receipt_bytes = envelope_read(&r);
    if (receipt_bytes.length == 0 || receipt_bytes.length > sizeof entry->bytes) {
        return error_set(err, ERROR_CORRUPT, "a kept answer has no receipt");
    }
    memcpy(entry->bytes, receipt_bytes.data, receipt_bytes.length);
    entry->length = receipt_bytes.length;
    envelope_read_exact(&r, entry->worker_key, sizeof entry->worker_key);
    envelope_read_exact(&r, entry->worker_signature, sizeof entry->worker_signature);
    envelope_read_exact(&r, entry->salt, sizeof entry->salt);
    record->model = envelope_read(&r);
    if (!read_messages(&r, memory, record, err) || !read_stops(&r, memory, record, err) ||
        !read_tokens(&r, memory, record, err)) {
        return false;
    }
    if (!envelope_close(&r)) {
        return error_set(err, ERROR_CORRUPT, "a kept answer is cut off");
    }
    return receipt_verify_worker(entry, err) && is_of_receipt(record, err);
}

bool findings_encode(const finding_list *list, buffer *out, error *err) {
    envelope_begin(out, findings_label);
    envelope_add_u32(out, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        const signed_finding *one = &list->items[i];
        envelope_add(out, slice_of(one->bytes, one->length));
        envelope_add(out, slice_of(one->worker_key, sizeof one->worker_key));
        envelope_add(out, slice_of(one->worker_signature, sizeof one->worker_signature));
    }
    return !buffer_failed(out) || error_memory(err);
}

static bool read_finding(envelope_reader *r, signed_finding *one, error *err) {
    slice bytes = envelope_read(r);
    if (bytes.length == 0 || bytes.length > sizeof one->bytes) {
        return error_set(err, ERROR_CORRUPT, "a stored finding is too long or missing");
    }
    memcpy(one->bytes, bytes.data, bytes.length);
    one->length = bytes.length;
    envelope_read_exact(r, one->worker_key, sizeof one->worker_key);
    envelope_read_exact(r, one->worker_signature, sizeof one->worker_signature);
    return finding_verify_worker(one, err);
}

bool findings_decode(slice bytes, finding_list *list, error *err) {
    *list = (finding_list){0};
    if (bytes.length == 0) {
        return true;
    }
    envelope_reader r = envelope_open(bytes, findings_label);
    size_t count = envelope_read_u32(&r);
    if (count > FINDINGS_MAX) {
        return error_set(err, ERROR_CORRUPT, "too many findings are stored for one answer");
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_finding(&r, &list->items[i], err)) {
            return false;
        }
    }
    list->count = count;
    return envelope_close(&r) || error_set(err, ERROR_CORRUPT, "stored findings are cut off");
}
