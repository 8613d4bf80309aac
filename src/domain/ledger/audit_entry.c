#include "ledger/audit_entry.h"

#include "codec/envelope.h"
#include "codec/json.h"
#include "codec/json_writer.h"

enum { PERSON_ENVELOPE_MAX = 1024 };

static const char *const outcome_words[AUDIT_OUTCOME_COUNT] = {
#define X(outcome, word) [outcome] = word,
    AUDIT_OUTCOMES(X)
#undef X
};

const char *audit_outcome_word(audit_outcome outcome) {
    return (unsigned)outcome < AUDIT_OUTCOME_COUNT ? outcome_words[outcome] : "";
}

typedef enum field_kind { FIELD_WORD, FIELD_TEXT, FIELD_PERSON } field_kind;

/* What follows time and outcome, in the order of the bytes. */
typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
    size_t size; /* of a text, with its zero */
} field;
#define FIELD(member, kind)                                                                                  \
    { #member, kind, offsetof(audit_entry, member), sizeof((audit_entry *)0)->member }

static const field fields[] = {
    FIELD(action, FIELD_WORD),  FIELD(actor, FIELD_PERSON),  FIELD(role, FIELD_WORD),
    FIELD(target, FIELD_TEXT),  FIELD(person, FIELD_PERSON), FIELD(origin, FIELD_PERSON),
    FIELD(request, FIELD_TEXT), FIELD(approval, FIELD_TEXT), FIELD(detail, FIELD_TEXT),
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static const char *text_of(const audit_entry *entry, const field *f) {
    return (const char *)entry + f->offset;
}

static const audit_person *person_of(const audit_entry *entry, const field *f) {
    return (const audit_person *)(const void *)((const char *)entry + f->offset);
}

static bool word_is_good(slice word) {
    bool good = true;
    for (size_t i = 0; good && i < word.length; i++) {
        uint8_t c = word.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return good;
}

static bool text_is_good(slice text) {
    bool good = slice_is_utf8(text);
    for (size_t i = 0; good && i < text.length; i++) {
        good = text.data[i] >= ' ' && text.data[i] != 0x7F;
    }
    return good;
}

static bool check(const audit_entry *entry, error *err) {
    if ((unsigned)entry->outcome >= AUDIT_OUTCOME_COUNT || entry->action[0] == '\0') {
        return error_set(err, ERROR_INVALID, "an entry of the audit log needs an action and an outcome");
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const field *f = &fields[i];
        if (f->kind == FIELD_PERSON) {
            continue;
        }
        const char *text = text_of(entry, f);
        slice value = slice_of_text(text);
        if (memchr(text, 0, f->size) == NULL ||
            !(f->kind == FIELD_WORD ? word_is_good(value) : text_is_good(value))) {
            return error_set(err, ERROR_INVALID, "the field %s of an audit entry isn't plain text", f->name);
        }
    }
    return true;
}

static void write_checked(const audit_entry *entry, buffer *bytes) {
    json_writer w = json_writer_make(bytes);
    json_write_object_begin(&w);
    json_add_u64(&w, "at_ms", entry->at_ms);
    json_add_text(&w, "outcome", slice_of_text(audit_outcome_word(entry->outcome)));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const field *f = &fields[i];
        if (f->kind != FIELD_PERSON && text_of(entry, f)[0] != '\0') {
            json_add_text(&w, f->name, slice_of_text(text_of(entry, f)));
        } else if (f->kind == FIELD_PERSON && person_of(entry, f)->known) {
            json_add_bytes(&w, f->name, slice_of(person_of(entry, f)->hash, HASH_SIZE));
        }
    }
    json_write_object_end(&w);
}

bool audit_entry_write(const audit_entry *entry, buffer *bytes, error *err) {
    if (!check(entry, err)) {
        return false;
    }
    buffer whole = buffer_make(AUDIT_ENTRY_SIZE_MAX);
    write_checked(entry, &whole);
    bool good = buffer_failed(&whole) ? error_memory(err)
                                      : buffer_append(bytes, buffer_slice(&whole)) || error_memory(err);
    buffer_free(&whole);
    return good;
}

static bool read_outcome(slice word, audit_outcome *outcome) {
    for (unsigned i = 0; i < AUDIT_OUTCOME_COUNT; i++) {
        if (slice_equal_text(word, outcome_words[i])) {
            *outcome = (audit_outcome)i;
            return true;
        }
    }
    return false;
}

static bool read_field(const json_value *root, const field *f, audit_entry *entry) {
    error ignored;
    char *place = (char *)entry + f->offset;
    if (json_find(root, f->name) == NULL) {
        return true;
    }
    if (f->kind == FIELD_PERSON) {
        audit_person *person = (audit_person *)(void *)place;
        person->known = true;
        return json_get_bytes(root, f->name, person->hash, HASH_SIZE, &ignored);
    }
    slice text;
    if (!json_get_text(root, f->name, &text, &ignored) || text.length >= f->size) {
        return false;
    }
    if (text.length > 0) {
        memcpy(place, text.data, text.length);
    }
    return true;
}

static bool read_entry(const json_value *root, audit_entry *entry) {
    error ignored;
    slice word;
    bool good = json_get_u64(root, "at_ms", 0, UINT64_MAX, &entry->at_ms, &ignored) &&
                json_get_text(root, "outcome", &word, &ignored) && read_outcome(word, &entry->outcome);
    for (size_t i = 0; good && i < FIELD_COUNT; i++) {
        good = read_field(root, &fields[i], entry);
    }
    return good;
}

/* One text for an entry: what was read must come out again byte for byte. */
static bool is_canonical(const audit_entry *entry, slice bytes, bool *same, error *err) {
    buffer again = buffer_make(AUDIT_ENTRY_SIZE_MAX);
    bool written = audit_entry_write(entry, &again, err);
    *same = written && slice_equal(buffer_slice(&again), bytes);
    buffer_free(&again);
    return written || err->code != ERROR_MEMORY;
}

bool audit_entry_parse(slice bytes, audit_entry *entry, error *err) {
    memset(entry, 0, sizeof *entry);
    json_limits limits = {.size = AUDIT_ENTRY_SIZE_MAX, .depth = 2, .values = FIELD_COUNT + 4};
    json_value *root = json_parse(bytes, limits, err);
    if (root == NULL && err->code == ERROR_MEMORY) {
        return false;
    }
    bool same = false;
    bool good = root != NULL && read_entry(root, entry);
    json_free(root);
    if (good && !is_canonical(entry, bytes, &same, err)) {
        return false;
    }
    if (!same) {
        memset(entry, 0, sizeof *entry);
        return error_set(err, ERROR_CORRUPT, "not an entry of an audit log");
    }
    return true;
}

bool audit_person_make(const uint8_t salt[AUDIT_SALT_SIZE], slice value, audit_person *person, error *err) {
    buffer bytes = buffer_make(PERSON_ENVELOPE_MAX);
    memset(person, 0, sizeof *person);
    envelope_begin(&bytes, "cellule audit person v1");
    envelope_add(&bytes, slice_of(salt, AUDIT_SALT_SIZE));
    envelope_add(&bytes, value);
    bool good =
        buffer_failed(&bytes) ? error_memory(err) : hash_sha256(buffer_slice(&bytes), person->hash, err);
    buffer_wipe(&bytes);
    person->known = good;
    return good;
}
