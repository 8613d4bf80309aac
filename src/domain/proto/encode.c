#include "schema_internal.h"

#include "codec/json_writer.h"
#include "crypto/hash.h"

static bool check_fields(const schema *s, const uint8_t *place, error *err);
static void write_fields(json_writer *w, const schema *s, const uint8_t *place);

static const uint8_t *items_of(const field *f, const uint8_t *message) {
    return f->in_place ? message + f->offset : *(const uint8_t *const *)(const void *)(message + f->offset);
}

static size_t count_of(const field *f, const uint8_t *message) {
    return *(const size_t *)(const void *)(message + f->count_offset);
}

static unsigned names_count(const field *f) {
    unsigned count = 0;
    while (f->names[count] != NULL) {
        count++;
    }
    return count;
}

static bool in_range(const field *f, double value) {
    return value >= (double)f->least && value <= (double)f->most;
}

static bool check_items(const field *f, const uint8_t *message, error *err) {
    size_t count = count_of(f, message);
    if (count < f->least || count > f->most) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!check_fields(&f->inner, items_of(f, message) + i * f->item_size, err)) {
            return false;
        }
    }
    return true;
}

static bool field_is_good(const field *f, const uint8_t *message, error *err) {
    const void *place = message + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_CODE:
        return proto_text_is_good(f, *(const slice *)place);
    case FIELD_U32:
        return *(const uint32_t *)place >= f->least && *(const uint32_t *)place <= f->most;
    case FIELD_U64:
        return *(const uint64_t *)place >= f->least && *(const uint64_t *)place <= f->most;
    case FIELD_DOUBLE:
        return in_range(f, *(const double *)place);
    case FIELD_FLOAT:
        return in_range(f, (double)*(const float *)place);
    case FIELD_LOGPROB:
        return *(const float *)place <= 0 && *(const float *)place >= -(float)f->most;
    case FIELD_NAME:
        return *(const unsigned *)place < names_count(f);
    case FIELD_OBJECT:
        return check_fields(&f->inner, message, err);
    case FIELD_ITEMS:
        return check_items(f, message, err);
    default:
        return true;
    }
}

static bool check_fields(const schema *s, const uint8_t *place, error *err) {
    for (size_t i = 0; i < s->count; i++) {
        const field *f = &s->fields[i];
        bool is_there = proto_field_applies(f, place) && (!f->optional || !proto_field_is_absent(f, place));
        if (is_there && !field_is_good(f, place, err)) {
            return error_set(err, ERROR_INVALID, "\"%s\" is out of the protocol's bounds",
                             f->name == NULL ? "an element" : f->name);
        }
    }
    return true;
}

static void write_hex(json_writer *w, const uint8_t *bytes, size_t length) {
    char text[2 * PROTO_POOL_ID_SIZE + 1];
    hex_encode(slice_of(bytes, length), text);
    json_write_text(w, slice_of(text, 2 * length));
}

static void write_items(json_writer *w, const field *f, const uint8_t *message) {
    const uint8_t *items = items_of(f, message);
    size_t count = count_of(f, message);
    bool bare = f->inner.fields[0].name == NULL;
    json_write_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        if (!bare) {
            json_write_object_begin(w);
        }
        write_fields(w, &f->inner, items + i * f->item_size);
        if (!bare) {
            json_write_object_end(w);
        }
    }
    json_write_array_end(w);
}

static void write_object(json_writer *w, const field *f, const uint8_t *message) {
    json_write_object_begin(w);
    write_fields(w, &f->inner, message);
    json_write_object_end(w);
}

static void write_value(json_writer *w, const field *f, const uint8_t *message) {
    const void *place = message + f->offset;
    switch (f->kind) {
    case FIELD_HEX:
        write_hex(w, place, (size_t)f->most);
        break;
    case FIELD_BYTES:
        json_write_bytes(w, slice_of(place, (size_t)f->most));
        break;
    case FIELD_TEXT:
    case FIELD_CODE:
        json_write_text(w, *(const slice *)place);
        break;
    case FIELD_U32:
        json_write_u64(w, *(const uint32_t *)place);
        break;
    case FIELD_U64:
        json_write_u64(w, *(const uint64_t *)place);
        break;
    case FIELD_U64_TEXT:
        json_write_u64_text(w, *(const uint64_t *)place);
        break;
    case FIELD_DOUBLE:
        json_write_double(w, *(const double *)place);
        break;
    case FIELD_FLOAT:
    case FIELD_LOGPROB:
        json_write_double(w, (double)*(const float *)place);
        break;
    case FIELD_BOOL:
        json_write_bool(w, *(const bool *)place);
        break;
    case FIELD_NAME:
        json_write_text(w, slice_of_text(f->names[*(const unsigned *)place]));
        break;
    case FIELD_OBJECT:
        write_object(w, f, message);
        break;
    case FIELD_ITEMS:
        write_items(w, f, message);
        break;
    }
}

static void write_fields(json_writer *w, const schema *s, const uint8_t *place) {
    for (size_t i = 0; i < s->count; i++) {
        const field *f = &s->fields[i];
        if (!proto_field_applies(f, place) || (f->optional && proto_field_is_absent(f, place))) {
            continue;
        }
        if (f->name != NULL) {
            json_write_key(w, f->name);
        }
        write_value(w, f, place);
    }
}

bool proto_encode(const proto_message *message, buffer *out, error *err) {
    if ((unsigned)message->type >= PROTO_TYPE_COUNT) {
        return error_set(err, ERROR_INVALID, "a message of no known type");
    }
    const schema *s = proto_schema(message->type);
    const uint8_t *payload = proto_payload((proto_message *)(uintptr_t)message);
    if (!check_fields(s, payload, err) || !proto_check_members(message, err)) {
        return error_context(err, "%s", proto_type_name(message->type));
    }
    size_t before = buffer_length(out);
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "type", slice_of_text(proto_type_name(message->type)));
    write_fields(&w, s, payload);
    json_write_object_end(&w);
    if (buffer_failed(out)) {
        return error_set(err, ERROR_LIMIT, "no room for a message: the queue is full or memory is out");
    }
    if (buffer_length(out) - before > proto_size_limit(message)) {
        buffer_truncate(out, before);
        return error_set(err, ERROR_LIMIT, "%s: larger than %zu bytes as a message",
                         proto_type_name(message->type), proto_size_limit(message));
    }
    return true;
}
