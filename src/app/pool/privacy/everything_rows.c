#include "crypto/hash.h"
#include "everything_internal.h"
#include "memory/fact.h"
#include "store/keys.h"

enum { FACTS_AT_ONCE = 200, KEYS_AT_ONCE = 200 };

/* In a thread. */
static bool write_fact(everything *e, const store_fact *row) {
    char id[2 * STORE_FACT_ID_SIZE + 1];
    char source[2 * RECORD_ID_SIZE + 1];
    fact f;
    arena_wipe(e->opened);
    if (!fact_open(e->vault->data_key, e->user_id, row->id, row->sealed, e->opened, &f, &e->failure)) {
        return false;
    }
    hex_encode(slice_of(row->id, sizeof row->id), id);
    json_write_object_begin(&e->w);
    json_add_text(&e->w, "id", slice_of_text(id));
    json_add_text(&e->w, "text", f.text);
    if (f.source.length == RECORD_ID_SIZE) {
        hex_encode(f.source, source);
        json_add_text(&e->w, "conversation", slice_of_text(source));
    }
    json_add_u64(&e->w, "created_ms", f.created_ms);
    json_add_u64(&e->w, "changed_ms", row->changed_ms);
    json_add_text(&e->w, "embedder", f.embedder);
    json_write_object_end(&e->w);
    return true;
}

static void write_facts(void *argument) {
    everything *e = argument;
    e->failed = false;
    for (size_t i = 0; i < e->fact_count && !e->failed; i++) {
        e->failed = !write_fact(e, &e->facts[i]);
    }
    arena_wipe(e->opened);
}

static void facts_written(void *argument) {
    everything *e = argument;
    if (everything_came(e, e->failed ? &e->failure : NULL)) {
        memcpy(e->fact_after, e->facts[e->fact_count - 1].id, sizeof e->fact_after);
        everything_send(e, false);
    }
}

static bool copy_facts(everything *e, const store_fact *facts, size_t count, error *err) {
    arena_reset(e->sealed);
    e->fact_count = count;
    e->facts = arena_allocate_array(e->sealed, count, sizeof *e->facts);
    for (size_t i = 0; e->facts != NULL && i < count; i++) {
        e->facts[i] = facts[i];
        if (!arena_copy(e->sealed, facts[i].sealed, &e->facts[i].sealed)) {
            return error_memory(err);
        }
    }
    return e->facts != NULL || error_memory(err);
}

static void facts_listed(void *context, const store_fact *facts, size_t count, const error *failure) {
    everything *e = context;
    error err = {0};
    if (!everything_came(e, failure)) {
        return;
    }
    if (count == 0) {
        everything_send(e, true);
        return;
    }
    e->busy =
        copy_facts(e, facts, count, &err) && ev_work(e->pool->loop, write_facts, facts_written, e, &err);
    if (!e->busy) {
        (void)!everything_came(e, &err);
    }
}

bool everything_ask_facts(everything *e, error *err) {
    return store_fact_list(e->pool->store, e->user_id, e->facts == NULL ? NULL : e->fact_after, FACTS_AT_ONCE,
                           facts_listed, e, err);
}

static void add_date(json_writer *w, const char *name, uint64_t unix_ms) {
    if (unix_ms > 0) {
        json_add_u64(w, name, unix_ms);
    }
}

static void keys_listed(void *context, const store_key *keys, size_t count, const error *failure) {
    everything *e = context;
    if (!everything_came(e, failure)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&e->w);
        json_add_u64(&e->w, "id", keys[i].id);
        json_add_text(&e->w, "label", keys[i].label);
        json_add_u64(&e->w, "created_ms", keys[i].created_ms);
        add_date(&e->w, "expires_ms", keys[i].expires_ms);
        add_date(&e->w, "revoked_ms", keys[i].revoked_ms);
        json_add_text(&e->w, "verify", keys[i].verify_mode);
        json_write_object_end(&e->w);
        e->place.number = keys[i].id;
    }
    everything_send(e, count < KEYS_AT_ONCE);
}

bool everything_ask_keys(everything *e, error *err) {
    return store_key_list(e->pool->store, slice_of_text(e->user_name), e->place.number, KEYS_AT_ONCE,
                          keys_listed, e, err);
}

static void add_text(json_writer *w, const char *name, slice text) {
    if (text.length > 0) {
        json_add_text(w, name, text);
    }
}

/* What a kind hasn't is left out. */
static void write_row(json_writer *w, store_personal_kind kind, const store_personal_row *row) {
    static const struct {
        const char *id;
        const char *text;
        bool counts;
    } kinds[] = {
        [STORE_PERSONAL_IDENTITIES] = {NULL, NULL, false}, [STORE_PERSONAL_SESSIONS] = {"id", NULL, false},
        [STORE_PERSONAL_RECEIPTS] = {"job", NULL, false},  [STORE_PERSONAL_NOTICES] = {"job", "text", false},
        [STORE_PERSONAL_CHECKS] = {NULL, "state", true},   [STORE_PERSONAL_ANSWERS] = {NULL, NULL, true},
    };
    char id[2 * STORE_PERSONAL_ID_SIZE + 1];
    json_write_object_begin(w);
    if (kinds[kind].id != NULL) {
        hex_encode(slice_of(row->id, sizeof row->id), id);
        json_add_text(w, kinds[kind].id, slice_of_text(id));
    }
    if (kinds[kind].text != NULL) {
        json_add_text(w, kinds[kind].text, row->text);
    }
    add_text(w, "issuer", row->issuer);
    add_text(w, "subject", row->subject);
    add_date(w, "created_ms", row->created_ms);
    add_date(w, "expires_ms", row->expires_ms);
    add_date(w, "ended_ms", row->ended_ms);
    add_date(w, "told_ms", row->told_ms);
    if (kinds[kind].counts) {
        json_add_u64(w, "count", row->count);
    }
    json_write_object_end(w);
}

static store_personal_kind kind_of(unsigned part) {
    return (store_personal_kind)(part - PART_PERSONAL);
}

static void rows_listed(void *context, const store_personal_row *rows, size_t count,
                        const store_personal_place *following, const error *failure) {
    everything *e = context;
    if (!everything_came(e, failure)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        write_row(&e->w, kind_of(e->part), &rows[i]);
    }
    if (following != NULL) {
        e->place = *following;
    }
    everything_send(e, following == NULL);
}

bool everything_ask_rows(everything *e, error *err) {
    return store_personal_list(e->pool->store, e->user_id, kind_of(e->part), &e->place, rows_listed, e, err);
}

const char *everything_name_of_rows(unsigned part) {
    static const char *const names[] = {
        [STORE_PERSONAL_IDENTITIES] = "identities", [STORE_PERSONAL_SESSIONS] = "sessions",
        [STORE_PERSONAL_RECEIPTS] = "receipts",     [STORE_PERSONAL_NOTICES] = "notices",
        [STORE_PERSONAL_CHECKS] = "checks",         [STORE_PERSONAL_ANSWERS] = "answers_kept_for_checks",
    };
    return names[kind_of(part)];
}
