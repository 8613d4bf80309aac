#include "store/blacklist.h"

#include "request.h"

static bool check_what(slice kind, slice value, error *err) {
    bool known = slice_equal_text(kind, "worker") || slice_equal_text(kind, "owner") ||
                 slice_equal_text(kind, "machine");
    if (!known) {
        return error_set(err, ERROR_INVALID, "the blacklist knows worker, owner and machine");
    }
    return store_display_name_is_valid(value) ||
           error_set(err, ERROR_INVALID, "what is blacklisted is 1 to %d bytes of text", (int)STORE_NAME_MAX);
}

typedef struct blacklist_change {
    request base;
    store_blacklisting entry;
    store_blacklisted *done;
    void *context;
} blacklist_change;

static void blacklist_change_answer(request *base, const error *failure) {
    const blacklist_change *r = (const blacklist_change *)base;
    r->done(r->context, failure == NULL ? r->entry.id : 0, failure);
}

static bool blacklist_add_run(request *base, database *d, error *err) {
    store_blacklisting *entry = &((blacklist_change *)base)->entry;
    query q;
    query_start(&q, d,
                "INSERT INTO blacklist (kind, value, reason, created_ms, created_by) VALUES (?, ?, ?, ?, ?)");
    query_text(&q, entry->kind);
    query_text(&q, entry->value);
    query_text(&q, entry->reason);
    query_u64(&q, entry->created_ms);
    if (entry->created_by != 0) {
        query_u64(&q, entry->created_by);
    }
    if (!query_run(&q, err)) {
        return err->code == ERROR_CONFLICT
                   ? error_set(err, ERROR_CONFLICT, "the %.*s is on the blacklist already",
                               SLICE_FORMAT(entry->kind))
                   : error_context(err, "blacklist");
    }
    entry->id = database_last_id(d);
    return true;
}

static const operation blacklist_add_operation = {DATABASE_WRITE_SYNCED, blacklist_add_run,
                                                  blacklist_change_answer};

bool store_blacklist_add(store *s, const store_blacklisting *entry, store_blacklisted *done, void *context,
                         error *err) {
    if (!check_what(entry->kind, entry->value, err)) {
        return false;
    }
    if (entry->reason.length == 0 || !request_text_is_valid(entry->reason, STORE_REASON_MAX)) {
        return error_set(err, ERROR_INVALID, "the reason is 1 to %d bytes of text", (int)STORE_REASON_MAX);
    }
    blacklist_change *r = request_new(&blacklist_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->entry = *entry;
    r->entry.kind = request_copy(&r->base, entry->kind);
    r->entry.value = request_copy(&r->base, entry->value);
    r->entry.reason = request_copy(&r->base, entry->reason);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool blacklist_clear_run(request *base, database *d, error *err) {
    store_blacklisting *entry = &((blacklist_change *)base)->entry;
    query q;
    query_start(&q, d,
                "UPDATE blacklist SET cleared_by = ?, cleared_ms = ? "
                "WHERE kind = ? AND value = ? AND cleared_ms IS NULL RETURNING id");
    query_u64(&q, entry->cleared_by);
    query_u64(&q, entry->cleared_ms);
    query_text(&q, entry->kind);
    query_text(&q, entry->value);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return error_context(err, "blacklist");
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "this %.*s isn't on the blacklist", SLICE_FORMAT(entry->kind));
    }
    entry->id = query_read_u64(&q);
    return query_columns_fit(&q, err) && query_run(&q, err);
}

static const operation blacklist_clear_operation = {DATABASE_WRITE_SYNCED, blacklist_clear_run,
                                                    blacklist_change_answer};

bool store_blacklist_clear(store *s, slice kind, slice value, uint64_t cleared_by, uint64_t now_ms,
                           store_blacklisted *done, void *context, error *err) {
    if (!check_what(kind, value, err)) {
        return false;
    }
    if (now_ms == 0 || cleared_by == 0) {
        return error_set(err, ERROR_INVALID, "clearing needs its date and who does it");
    }
    blacklist_change *r = request_new(&blacklist_clear_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->entry.kind = request_copy(&r->base, kind);
    r->entry.value = request_copy(&r->base, value);
    r->entry.cleared_by = cleared_by;
    r->entry.cleared_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct blacklist_list {
    request base;
    uint64_t after;
    size_t limit; /* 0: all that count */
    void *entries;
    size_t count;
    store_blacklist_listed *done;
    void *context;
} blacklist_list;

#define BLACKLIST_COLUMNS "id, kind, value, reason, created_by, created_ms, cleared_by, cleared_ms"

static bool read_entry(query *q, arena *memory, store_blacklisting *entry, error *err) {
    entry->id = query_read_u64(q);
    entry->kind = query_read_slice(q, memory);
    entry->value = query_read_slice(q, memory);
    entry->reason = query_read_slice(q, memory);
    entry->created_by = query_read_u64(q);
    entry->created_ms = query_read_u64(q);
    entry->cleared_by = query_read_u64(q);
    entry->cleared_ms = query_read_u64(q);
    return query_columns_fit(q, err);
}

static bool blacklist_list_run(request *base, database *d, error *err) {
    blacklist_list *r = (blacklist_list *)base;
    query q;
    if (r->limit == 0) {
        query_start(&q, d,
                    "SELECT " BLACKLIST_COLUMNS " FROM blacklist WHERE cleared_ms IS NULL ORDER BY id");
    } else {
        query_start(&q, d, "SELECT " BLACKLIST_COLUMNS " FROM blacklist WHERE id > ? ORDER BY id LIMIT ?");
        query_u64(&q, r->after);
        query_u64(&q, r->limit);
    }
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_blacklisting *entry = request_add_row(base, &r->entries, &r->count, sizeof *entry, err);
        if (entry == NULL || !read_entry(&q, base->memory, entry, err)) {
            return false;
        }
    }
    return false;
}

static void blacklist_list_answer(request *base, const error *failure) {
    const blacklist_list *r = (const blacklist_list *)base;
    r->done(r->context, failure == NULL ? r->entries : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation blacklist_list_operation = {DATABASE_READ, blacklist_list_run, blacklist_list_answer};

static bool submit_list(store *s, uint64_t after, size_t limit, store_blacklist_listed *done, void *context,
                        error *err) {
    blacklist_list *r = request_new(&blacklist_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_load_blacklist(store *s, store_blacklist_listed *done, void *context, error *err) {
    return submit_list(s, 0, 0, done, context, err);
}

bool store_blacklist_list(store *s, uint64_t after, size_t limit, store_blacklist_listed *done, void *context,
                          error *err) {
    return request_check_list(limit, err) && submit_list(s, after, limit, done, context, err);
}
