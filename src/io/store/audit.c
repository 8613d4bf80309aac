#include "store/audit.h"

#include "request.h"

typedef struct audit_append {
    request base;
    uint64_t first;
    slice *entries;
    size_t entry_count;
    store_audit_tile *tiles;
    size_t tile_count;
    store_audit_salt *salts;
    size_t salt_count;
    slice note;
    store_done *done;
    void *context;
} audit_append;

static uint64_t tile_place(const store_audit_tile *tile) {
    return (uint64_t)tile->level * STORE_AUDIT_SIZE_MAX + tile->index;
}

static bool insert_entries(const audit_append *r, database *d, error *err) {
    query q;
    for (size_t i = 0; i < r->entry_count; i++) {
        uint64_t place = r->first + i;
        query_start(&q, d, "INSERT INTO audit_entries (place, entry) VALUES (?, ?)");
        query_u64(&q, place);
        query_bytes(&q, r->entries[i].data, r->entries[i].length);
        if (!query_run(&q, err)) {
            return error_context(err, "audit entry %llu", (unsigned long long)place);
        }
    }
    return true;
}

static bool insert_tiles(const audit_append *r, database *d, error *err) {
    query q;
    for (size_t i = 0; i < r->tile_count; i++) {
        query_start(&q, d, "INSERT INTO audit_tiles (place, hashes) VALUES (?, ?)");
        query_u64(&q, tile_place(&r->tiles[i]));
        query_bytes(&q, r->tiles[i].hashes, STORE_AUDIT_TILE_SIZE);
        if (!query_run(&q, err)) {
            return error_context(err, "tile of the audit log");
        }
    }
    return true;
}

static bool insert_salts(const audit_append *r, database *d, error *err) {
    query q;
    for (size_t i = 0; i < r->salt_count; i++) {
        query_start(&q, d, "INSERT INTO audit_salts (person, salt) VALUES (?, ?)");
        query_text(&q, r->salts[i].person);
        query_bytes(&q, r->salts[i].salt, STORE_AUDIT_SALT_SIZE);
        if (!query_run(&q, err)) {
            return error_context(err, "a person's salt");
        }
    }
    return true;
}

static bool audit_append_run(request *base, database *d, error *err) {
    const audit_append *r = (const audit_append *)base;
    query q;
    if (!insert_entries(r, d, err) || !insert_tiles(r, d, err) || !insert_salts(r, d, err)) {
        return false;
    }
    query_start(&q, d,
                "INSERT INTO audit_checkpoint (one, size, note) VALUES (1, ?1, ?2) "
                "ON CONFLICT (one) DO UPDATE SET size = ?1, note = ?2");
    query_u64(&q, r->first + r->entry_count);
    query_bytes(&q, r->note.data, r->note.length);
    return query_run(&q, err) || error_context(err, "checkpoint of the audit log");
}

static void audit_append_answer(request *base, const error *failure) {
    const audit_append *r = (const audit_append *)base;
    r->done(r->context, failure);
}

static const operation audit_append_operation = {DATABASE_WRITE_SYNCED | OPERATION_BLIND, audit_append_run,
                                                 audit_append_answer};

static bool tile_is_valid(const store_audit_tile *tile) {
    return tile->level < STORE_AUDIT_LEVELS && tile->index < STORE_AUDIT_SIZE_MAX;
}

static bool person_is_valid(slice person) {
    return person.length > 0 && request_text_is_valid(person, STORE_NAME_MAX);
}

static bool check_batch(const store_audit_batch *b, error *err) {
    bool good = b->entry_count > 0 && b->entry_count <= STORE_AUDIT_BATCH_MAX &&
                b->first <= STORE_AUDIT_SIZE_MAX - b->entry_count && b->tile_count <= STORE_AUDIT_TILES_MAX &&
                b->salt_count <= STORE_AUDIT_PERSONS_MAX && b->note.length > 0 &&
                b->note.length <= STORE_AUDIT_NOTE_MAX;
    for (size_t i = 0; good && i < b->entry_count; i++) {
        good = b->entries[i].length > 0 && b->entries[i].length <= STORE_AUDIT_ENTRY_MAX;
    }
    for (size_t i = 0; good && i < b->tile_count; i++) {
        good = tile_is_valid(&b->tiles[i]) && b->tiles[i].hashes != NULL;
    }
    for (size_t i = 0; good && i < b->salt_count; i++) {
        good = person_is_valid(b->salts[i].person);
    }
    return good || error_set(err, ERROR_INVALID, "this can't be appended to the audit log");
}

static void *copy_array(request *r, const void *from, size_t count, size_t size) {
    void *copy = arena_allocate_array(r->memory, count == 0 ? 1 : count, size);
    if (copy == NULL) {
        r->memory_out = true;
    } else if (count > 0) {
        memcpy(copy, from, count * size);
    }
    return copy;
}

static void copy_batch(audit_append *r, const store_audit_batch *b) {
    r->entries = copy_array(&r->base, b->entries, b->entry_count, sizeof *r->entries);
    r->tiles = copy_array(&r->base, b->tiles, b->tile_count, sizeof *r->tiles);
    r->salts = copy_array(&r->base, b->salts, b->salt_count, sizeof *r->salts);
    if (r->base.memory_out) {
        return;
    }
    for (size_t i = 0; i < b->entry_count; i++) {
        r->entries[i] = request_copy(&r->base, b->entries[i]);
    }
    for (size_t i = 0; i < b->tile_count; i++) {
        r->tiles[i].hashes = request_copy(&r->base, slice_of(b->tiles[i].hashes, STORE_AUDIT_TILE_SIZE)).data;
    }
    for (size_t i = 0; i < b->salt_count; i++) {
        r->salts[i].person = request_copy(&r->base, b->salts[i].person);
    }
    r->note = request_copy(&r->base, b->note);
}

bool store_audit_append(store *s, const store_audit_batch *batch, store_done *done, void *context,
                        error *err) {
    if (!check_batch(batch, err)) {
        return false;
    }
    audit_append *r = request_new(&audit_append_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->first = batch->first;
    r->entry_count = batch->entry_count;
    r->tile_count = batch->tile_count;
    r->salt_count = batch->salt_count;
    r->done = done;
    r->context = context;
    copy_batch(r, batch);
    return request_submit(s, &r->base, err);
}

typedef struct audit_get_state {
    request base;
    store_audit_state state;
    store_audit_stated *done;
    void *context;
} audit_get_state;

static bool audit_get_state_run(request *base, database *d, error *err) {
    store_audit_state *state = &((audit_get_state *)base)->state;
    query q;
    bool row = false;
    if (!database_read_number(d, "SELECT coalesce(max(place) + 1, 0) FROM audit_entries", &state->end, err) ||
        !database_read_number(d, "SELECT count(*) FROM audit_tiles", &state->tiles, err)) {
        return false;
    }
    query_start(&q, d, "SELECT size, note FROM audit_checkpoint");
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return true;
    }
    state->size = query_read_u64(&q);
    state->note = query_read_slice(&q, base->memory);
    return query_columns_fit(&q, err);
}

static void audit_get_state_answer(request *base, const error *failure) {
    static const store_audit_state none;
    const audit_get_state *r = (const audit_get_state *)base;
    r->done(r->context, failure == NULL ? &r->state : &none, failure);
}

static const operation audit_get_state_operation = {DATABASE_READ, audit_get_state_run,
                                                    audit_get_state_answer};

bool store_audit_get_state(store *s, store_audit_stated *done, void *context, error *err) {
    audit_get_state *r = request_new(&audit_get_state_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct audit_get {
    request base;
    store_audit_tile *tiles;
    size_t tile_count;
    uint64_t from;
    size_t limit;
    void *entries;
    size_t entry_count;
    store_audit_entries_read *entries_read; /* one of these two */
    store_audit_found *found;
    void *context;
} audit_get;

static bool read_tile(audit_get *r, database *d, store_audit_tile *tile, error *err) {
    query q;
    bool row = false;
    tile->hashes = NULL;
    query_start(&q, d, "SELECT hashes FROM audit_tiles WHERE place = ?");
    query_u64(&q, tile_place(tile));
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return true;
    }
    slice hashes = query_read_slice(&q, r->base.memory);
    if (!query_columns_fit(&q, err)) {
        return false;
    }
    tile->hashes = hashes.length == STORE_AUDIT_TILE_SIZE ? hashes.data : NULL;
    return true;
}

static bool read_entries(audit_get *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT place, entry FROM audit_entries WHERE place >= ? ORDER BY place LIMIT ?");
    query_u64(&q, r->from);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        bool next = query_read_u64(&q) == r->from + r->entry_count;
        slice entry = query_read_slice(&q, r->base.memory);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
        if (!next) {
            return true;
        }
        slice *place = request_add_row(&r->base, &r->entries, &r->entry_count, sizeof *place, err);
        if (place == NULL) {
            return false;
        }
        *place = entry;
    }
    return false;
}

static bool audit_get_run(request *base, database *d, error *err) {
    audit_get *r = (audit_get *)base;
    for (size_t i = 0; i < r->tile_count; i++) {
        if (!read_tile(r, d, &r->tiles[i], err)) {
            return false;
        }
    }
    return r->limit == 0 || read_entries(r, d, err);
}

static void audit_get_answer(request *base, const error *failure) {
    const audit_get *r = (const audit_get *)base;
    bool good = failure == NULL;
    const slice *entries = good ? r->entries : NULL;
    size_t count = good ? r->entry_count : 0;
    if (r->entries_read != NULL) {
        r->entries_read(r->context, entries, count, failure);
    } else {
        r->found(r->context, good ? r->tiles : NULL, good ? r->tile_count : 0, entries, count, failure);
    }
}

static const operation audit_get_operation = {DATABASE_READ, audit_get_run, audit_get_answer};

static audit_get *new_get(const store_audit_read *wanted, void *context, error *err) {
    audit_get *r = request_new(&audit_get_operation, sizeof *r, err);
    if (r != NULL) {
        r->tiles = copy_array(&r->base, wanted->tiles, wanted->tile_count, sizeof *r->tiles);
        r->tile_count = wanted->tile_count;
        r->from = wanted->from < STORE_AUDIT_SIZE_MAX ? wanted->from : STORE_AUDIT_SIZE_MAX;
        r->limit = wanted->limit;
        r->context = context;
    }
    return r;
}

bool store_audit_entries(store *s, uint64_t from, size_t limit, store_audit_entries_read *done, void *context,
                         error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    audit_get *r = new_get(&(store_audit_read){.from = from, .limit = limit}, context, err);
    if (r == NULL) {
        return false;
    }
    r->entries_read = done;
    return request_submit(s, &r->base, err);
}

bool store_audit_get(store *s, const store_audit_read *wanted, store_audit_found *done, void *context,
                     error *err) {
    bool good = wanted->tile_count <= STORE_AUDIT_TILES_MAX && wanted->limit <= STORE_LIST_MAX;
    for (size_t i = 0; good && i < wanted->tile_count; i++) {
        good = tile_is_valid(&wanted->tiles[i]);
    }
    if (!good) {
        return error_set(err, ERROR_INVALID, "this can't be read from the audit log");
    }
    audit_get *r = new_get(wanted, context, err);
    if (r == NULL) {
        return false;
    }
    r->found = done;
    return request_submit(s, &r->base, err);
}
