#include "audit/api.h"

#include "audit_internal.h"
#include "base/log.h"
#include "reply.h"

#include <stdio.h>

enum { ENTRIES_IN_ANSWER = 1000 };

void audit_get_checkpoint(pool *p, http_request *request, const account *who, slice segment) {
    note_key key;
    char key_text[NOTE_KEY_TEXT_MAX + 1];
    error err = {0};
    slice text = audit_checkpoint(p->audit);
    (void)who;
    (void)segment;
    audit_log_key(p, &key);
    if (text.length == 0) {
        reply_error(request, 404, NULL, "not_found", "the audit log has no entry yet");
        return;
    }
    if (!note_key_write(&key, key_text, &err)) {
        reply_failure(request, &err);
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.audit_checkpoint"));
    json_add_u64(&answer.w, "size", audit_size(p->audit));
    json_add_text(&answer.w, "key", slice_of_text(key_text));
    json_add_text(&answer.w, "note", text);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

/* name=NUMBER among the query's parameters; `otherwise` if it isn't there. False: it isn't a number. */
static bool query_number(const http_request *request, const char *name, uint64_t otherwise,
                         uint64_t *number) {
    slice rest = http_request_query(request);
    *number = otherwise;
    while (rest.length > 0) {
        size_t end = slice_find(rest, '&');
        slice one = slice_part(rest, 0, end);
        rest = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(rest, end + 1);
        size_t equals = slice_find(one, '=');
        if (equals != SIZE_MAX && slice_equal_text(slice_part(one, 0, equals), name)) {
            return slice_to_u64(slice_after(one, equals + 1), number);
        }
    }
    return true;
}

static bool read_number(http_request *request, const char *name, uint64_t otherwise, uint64_t *number) {
    if (!query_number(request, name, otherwise, number)) {
        reply_error(request, 400, name, NULL, "%s must be a whole number", name);
        return false;
    }
    return true;
}

static void entries_read(void *context, const slice *entries, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    uint64_t from = 0;
    memcpy(&from, later.bytes, sizeof from);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.audit_entries"));
    json_add_u64(&answer.w, "from", from);
    json_add_u64(&answer.w, "size", audit_size(later.pool->audit));
    json_write_key(&answer.w, "entries");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; i < count; i++) {
        json_write_text(&answer.w, entries[i]);
    }
    json_write_array_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, later.request, 200);
}

void audit_get_entries(pool *p, http_request *request, const account *who, slice segment) {
    uint64_t from = 0;
    uint64_t limit = 0;
    error err = {0};
    (void)segment;
    if (!read_number(request, "from", 0, &from) ||
        !read_number(request, "limit", ENTRIES_IN_ANSWER, &limit)) {
        return;
    }
    limit = limit == 0 || limit > ENTRIES_IN_ANSWER ? ENTRIES_IN_ANSWER : limit;
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, &from, sizeof from);
    if (!store_audit_entries(p->store, from, (size_t)limit, entries_read, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void proved(void *context, const merkle_proof *proof, const error *failure) {
    reply_later later = reply_later_take(context);
    uint64_t numbers[2];
    memcpy(numbers, later.bytes, sizeof numbers);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.audit_proof"));
    json_add_u64(&answer.w, later.name, numbers[0]);
    json_add_u64(&answer.w, "size", numbers[1]);
    json_write_key(&answer.w, "hashes");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; i < proof->count; i++) {
        json_write_bytes(&answer.w, slice_of(proof->hashes[i], HASH_SIZE));
    }
    json_write_array_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, later.request, 200);
}

static void prove(pool *p, http_request *request, const account *who, const char *name,
                  bool (*begin)(pool *p, uint64_t number, uint64_t size, audit_proved *done, void *context,
                                error *err)) {
    uint64_t numbers[2] = {0, 0};
    error err = {0};
    if (!read_number(request, name, UINT64_MAX, &numbers[0]) ||
        !read_number(request, "size", audit_size(p->audit), &numbers[1])) {
        return;
    }
    if (numbers[0] == UINT64_MAX) {
        reply_error(request, 400, name, NULL, "say which: ?%s=NUMBER", name);
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, numbers, sizeof numbers);
    snprintf(later->name, sizeof later->name, "%s", name);
    if (!begin(p, numbers[0], numbers[1], proved, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void audit_get_inclusion(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    prove(p, request, who, "index", audit_prove_inclusion);
}

void audit_get_consistency(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    prove(p, request, who, "from", audit_prove_consistency);
}

static void person_erased(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_info("a person's salt erased from the audit log", LOG_U64("by", later.user_id));
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
}

void audit_post_erase(pool *p, http_request *request, const account *who, slice person) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !audit_erase_person(p, person, person_erased, later, &err)) {
        reply_later_fail(later, &err);
    }
}
