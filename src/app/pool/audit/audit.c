#include "audit_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "os/random.h"

#include <stdio.h>

enum { ID_BYTES = 16 };

bool audit_make_id(char id[AUDIT_ID_SIZE], error *err) {
    uint8_t bytes[ID_BYTES];
    if (!random_bytes(bytes, sizeof bytes, err)) {
        return false;
    }
    hex_encode(slice_of(bytes, sizeof bytes), id);
    return true;
}

/* As much as fits, up to a whole character; what can't stand in an entry becomes '?'. */
static void copy_text(slice from, char *to, size_t size) {
    size_t length = from.length < size ? from.length : size - 1;
    while (length > 0 && length < from.length && (from.data[length] & 0xC0) == 0x80) {
        length--;
    }
    bool utf8 = slice_is_utf8(slice_part(from, 0, length));
    for (size_t i = 0; i < length; i++) {
        uint8_t c = from.data[i];
        bool bad = c < ' ' || c == 0x7F || (c >= 0x80 && !utf8);
        to[i] = bad ? '?' : (char)c;
    }
    to[length] = '\0';
}

static void copy_word(const char *from, char *to, size_t size) {
    copy_text(from == NULL ? (slice){NULL, 0} : slice_of_text(from), to, size);
}

static void fill_item(audit_item *item, const audit_record *r) {
    audit_entry *e = &item->entry;
    e->at_ms = clock_unix_ms();
    e->outcome = r->outcome;
    copy_word(r->action, e->action, sizeof e->action);
    copy_word(r->role, e->role, sizeof e->role);
    copy_text(r->target, e->target, sizeof e->target);
    copy_word(r->request, e->request, sizeof e->request);
    copy_word(r->approval, e->approval, sizeof e->approval);
    copy_word(r->detail, e->detail, sizeof e->detail);
    copy_text(r->actor, item->actor, sizeof item->actor);
    copy_text(r->person, item->person, sizeof item->person);
    copy_text(r->address, item->address, sizeof item->address);
}

static bool fill_person(const audit *a, slice owner, const char *value, audit_person *person, error *err) {
    if (value == NULL || value[0] == '\0') {
        return true;
    }
    const audit_salt *salt = audit_salt_find(a, owner);
    return (salt != NULL || error_set(err, ERROR_INTERNAL, "a person in the audit log has no salt")) &&
           audit_person_make(salt->salt, slice_of_text(value), person, err);
}

static bool keep_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                      error *err) {
    audit *a = context;
    if (a->tile_count == AUDIT_BATCH_TILES) {
        return error_set(err, ERROR_INTERNAL, "a batch of the audit log fills too many tiles");
    }
    memcpy(a->tile_hashes[a->tile_count], hashes, MERKLE_TILE_SIZE);
    a->tiles[a->tile_count] = (store_audit_tile){level, index, a->tile_hashes[a->tile_count]};
    a->tile_count++;
    return true;
}

static bool add_entry(audit *a, audit_item *item, size_t place, error *err) {
    uint8_t leaf[HASH_SIZE];
    size_t begin = buffer_length(&a->entries);
    audit_entry *e = &item->entry;
    if (!fill_person(a, slice_of_text(item->actor), item->actor, &e->actor, err) ||
        !fill_person(a, slice_of_text(item->person), item->person, &e->person, err) ||
        !fill_person(a, audit_salt_owner(item), item->address, &e->origin, err) ||
        !audit_entry_write(e, &a->entries, err)) {
        return false;
    }
    a->entry_ends[place] = buffer_length(&a->entries);
    slice bytes = slice_part(buffer_slice(&a->entries), begin, a->entry_ends[place] - begin);
    return merkle_leaf_hash(bytes, leaf, err) && merkle_append(&a->next, leaf, keep_tile, a, err);
}

static bool make_batch(audit *a, error *err) {
    size_t place = 0;
    a->next = a->durable;
    a->tile_count = 0;
    buffer_clear(&a->entries);
    for (list_node *node = a->batch.next; node != &a->batch; node = node->next) {
        if (!add_entry(a, LIST_ENTRY(node, audit_item, node), place++, err)) {
            return false;
        }
    }
    return audit_note_make(a->pool, &a->next, &a->next_note, err);
}

static void pump(audit *a);

static void tell_all(audit *a, const error *failure) {
    while (!list_is_empty(&a->batch)) {
        audit_item *item = LIST_ENTRY(a->batch.next, audit_item, node);
        list_remove(&item->node);
        if (item->done != NULL) {
            item->done(item->context, failure);
        } else if (failure != NULL) {
            log_error("not in the audit log", LOG_TEXT("action", item->entry.action), LOG_CAUSE(failure));
        }
        memory_free(item);
    }
}

static void end_batch(audit *a, const error *failure) {
    if (failure == NULL) {
        buffer kept = a->note;
        a->durable = a->next;
        a->note = a->next_note;
        a->next_note = kept;
        if (a->key_changed) {
            audit_sign_anew(a);
        }
        audit_salts_written(a);
        audit_keep_soon(a);
    } else {
        audit_salts_forget_all(a);
    }
    if (a->failing != (failure != NULL)) {
        a->failing = failure != NULL;
        if (failure != NULL) {
            log_error("the audit log can't be written: privileged acts are refused", LOG_CAUSE(failure));
        } else {
            log_info("the audit log can be written again");
        }
    }
    a->key_changed = false;
    tell_all(a, failure);
    a->batch_count = 0;
    a->busy = false;
    pump(a);
}

static void batch_written(void *context, const error *failure) {
    end_batch(context, failure);
}

static bool submit_batch(audit *a, error *err) {
    size_t begin = 0;
    slice *entries = memory_allocate_zeroed(a->batch_count, sizeof *entries);
    store_audit_salt *salts = memory_allocate_zeroed(3 * a->batch_count, sizeof *salts);
    if (entries == NULL || salts == NULL) {
        memory_free(entries);
        memory_free(salts);
        return error_memory(err);
    }
    for (size_t i = 0; i < a->batch_count; i++) {
        entries[i] = slice_part(buffer_slice(&a->entries), begin, a->entry_ends[i] - begin);
        begin = a->entry_ends[i];
    }
    store_audit_batch batch = {.first = a->durable.size,
                               .entries = entries,
                               .entry_count = a->batch_count,
                               .tiles = a->tiles,
                               .tile_count = a->tile_count,
                               .salts = salts,
                               .salt_count = audit_salts_fresh(a, salts),
                               .note = buffer_slice(&a->next_note)};
    bool submitted = store_audit_append(a->store, &batch, batch_written, a, err);
    memory_free(entries);
    memory_free(salts);
    return submitted;
}

static void write_batch(audit *a) {
    error err = {0};
    if (!make_batch(a, &err) || !submit_batch(a, &err)) {
        end_batch(a, &err);
    }
}

static void find_salts(audit *a);

static void salts_found(void *context, const store_audit_salt *salts, size_t count, const error *failure) {
    audit *a = context;
    error err = {0};
    if (failure != NULL) {
        end_batch(a, failure);
    } else if (!audit_salts_take(a, salts, count, &err)) {
        end_batch(a, &err);
    } else {
        find_salts(a); /* one may have been erased meanwhile */
    }
}

static void find_salts(audit *a) {
    error err = {0};
    slice *persons = memory_allocate_zeroed(3 * a->batch_count, sizeof *persons);
    if (persons == NULL) {
        error_memory(&err);
        end_batch(a, &err);
        return;
    }
    size_t count = audit_salts_missing(a, persons);
    if (count == 0) {
        memory_free(persons);
        write_batch(a);
        return;
    }
    bool asked = store_audit_get_salts(a->store, persons, count, salts_found, a, &err);
    memory_free(persons);
    if (!asked) {
        end_batch(a, &err);
    }
}

/* What has gathered becomes the next batch. */
static void pump(audit *a) {
    if (a->busy || a->store == NULL || list_is_empty(&a->waiting)) {
        return;
    }
    a->busy = true;
    if (map_count(a->salts) > AUDIT_SALTS_KEPT) {
        audit_salts_forget_all(a);
    }
    while (!list_is_empty(&a->waiting) && a->batch_count < AUDIT_BATCH_MAX) {
        audit_item *item = LIST_ENTRY(a->waiting.next, audit_item, node);
        list_remove(&item->node);
        list_append(&a->batch, &item->node);
        a->waiting_count--;
        a->batch_count++;
    }
    find_salts(a);
}

bool audit_write(pool *p, const audit_record *record, audit_written *done, void *context, error *err) {
    audit *a = p->audit;
    size_t room = record->outcome == AUDIT_REFUSED ? AUDIT_REFUSALS_MAX : AUDIT_WAITING_MAX;
    if (a->waiting_count >= room) {
        return error_set(err, ERROR_LIMIT, "the audit log is behind; try again");
    }
    audit_item *item = memory_allocate_zeroed(1, sizeof *item);
    if (item == NULL) {
        return error_memory(err);
    }
    fill_item(item, record);
    item->done = done;
    item->context = context;
    list_append(&a->waiting, &item->node);
    a->waiting_count++;
    pump(a);
    return true;
}

void audit_note(pool *p, const audit_record *record) {
    error err = {0};
    if (p->audit == NULL) {
        return;
    }
    if (!audit_write(p, record, NULL, NULL, &err)) {
        log_error("not in the audit log", LOG_TEXT("action", record->action), LOG_CAUSE(&err));
    }
}

void audit_note_event(pool *p, const char *action, slice target, const char *detail) {
    audit_note(p,
               &(audit_record){.outcome = AUDIT_NOTED, .action = action, .target = target, .detail = detail});
}

slice audit_checkpoint(const audit *a) {
    return buffer_slice(&a->note);
}

uint64_t audit_size(const audit *a) {
    return a->durable.size;
}

bool audit_is_failing(const audit *a) {
    return a->failing;
}

uint64_t audit_unchecked(const audit *a) {
    return a->sweep == NULL ? 0 : audit_sweep_left(a->sweep);
}

static void audit_free(audit *a) {
    if (a == NULL) {
        return;
    }
    error err = {0};
    error_set(&err, ERROR_CONFLICT, "the pool is stopping");
    while (!list_is_empty(&a->waiting)) {
        audit_item *item = LIST_ENTRY(a->waiting.next, audit_item, node);
        list_remove(&item->node);
        list_append(&a->batch, &item->node);
    }
    tell_all(a, &err);
    if (a->salts != NULL) {
        audit_salts_forget_all(a);
    }
    map_free(a->salts);
    audit_sweep_free(a->sweep);
    buffer_free(&a->note);
    buffer_free(&a->next_note);
    buffer_free(&a->entries);
    memory_free(a);
}

bool audit_load(pool *p, store *database, uint64_t at_once, error *err) {
    audit *a = memory_allocate_zeroed(1, sizeof *a);
    if (a == NULL) {
        return error_memory(err);
    }
    p->audit = a;
    a->pool = p;
    list_init(&a->waiting);
    list_init(&a->batch);
    ev_timer_init(&a->keep_timer, audit_keep_file, a);
    a->note = buffer_make(AUDIT_NOTE_MAX);
    a->next_note = buffer_make(AUDIT_NOTE_MAX);
    a->entries = buffer_make((size_t)AUDIT_BATCH_MAX * AUDIT_ENTRY_SIZE_MAX);
    a->salts = map_new(p->map_seed);
    return (a->salts != NULL || error_memory(err)) && audit_check(a, database, at_once, err);
}

void audit_start(pool *p) {
    p->audit->store = p->store;
    if (p->audit->sweep != NULL) {
        audit_sweep_start(p->audit->sweep);
    }
    pump(p->audit);
}

static void write_last(audit *a) {
    if (a->booted) {
        audit_note_event(a->pool, "pool_stop", (slice){NULL, 0}, NULL);
    } else {
        pump(a);
    }
    a->store = NULL;
}

void audit_stop(pool *p) {
    audit *a = p->audit;
    if (a == NULL) {
        return;
    }
    audit_sweep_free(a->sweep);
    a->sweep = NULL;
    error err = {0};
    if (a->store != NULL) {
        write_last(a);
        if (!audit_keep_now(a, &err)) {
            log_error("the audit log's checkpoint is not kept beside the database", LOG_CAUSE(&err));
        }
    }
    ev_timer_stop(&a->keep_timer); /* what was written last has started it again */
    p->audit = NULL;
    (void)audit_hold_ready(a);
    audit_free(a);
}
