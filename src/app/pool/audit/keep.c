#include "audit_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/file.h"

#include <stdio.h>

enum { KEEP_EACH_MS = 1000 };

void audit_origin(const pool *p, char origin[NOTE_NAME_MAX + 1]) {
    note_key key;
    audit_log_key(p, &key);
    memcpy(origin, key.name, sizeof key.name);
}

void audit_log_key(const pool *p, note_key *key) {
    *key = succession_log_key(&p->site.keys, p->site.keys.count);
}

bool audit_note_make(const pool *p, const merkle_edge *edge, buffer *out, error *err) {
    note_key key;
    checkpoint c = {.size = edge->size};
    audit_log_key(p, &key);
    audit_origin(p, c.origin);
    buffer_clear(out);
    if (!merkle_root(edge, c.root, err) || !checkpoint_write(&c, out, err)) {
        return false;
    }
    char text[AUDIT_NOTE_MAX];
    size_t length = buffer_length(out);
    if (length == 0 || length > sizeof text || buffer_slice(out).data == NULL) {
        return error_set(err, ERROR_INTERNAL, "the audit log's checkpoint has no length that it may have");
    }
    memcpy(text, buffer_slice(out).data, length);
    buffer_append_byte(out, '\n');
    return note_sign(slice_of(text, length), &key, p->site.key, 0, out, err) &&
           (!buffer_failed(out) || error_memory(err));
}

static bool open_by(const note_key *key, slice bytes, checkpoint *c, error *err) {
    note n;
    uint64_t ignored = 0;
    bool opened =
        note_parse(bytes, &n, err) && note_verify(&n, key, &ignored, err) &&
        checkpoint_parse(n.text, c, err) &&
        (strcmp(c->origin, key->name) == 0 || error_set(err, ERROR_CORRUPT, "it is of another log"));
    return opened || (err->code != ERROR_MEMORY &&
                      error_set(err, ERROR_CORRUPT, "the log's checkpoint isn't signed by this pool"));
}

bool audit_note_open(const pool *p, slice bytes, checkpoint *c, error *err) {
    note_key key;
    audit_log_key(p, &key);
    return open_by(&key, bytes, c, err);
}

bool audit_note_open_former(const pool *p, slice bytes, checkpoint *c, error *err) {
    const succession *keys = &p->site.keys;
    if (keys->count == 0) {
        return error_set(err, ERROR_CORRUPT, "the log's checkpoint isn't signed by this pool");
    }
    const note_key key = succession_log_key(keys, keys->count - 1);
    return open_by(&key, bytes, c, err);
}

bool audit_kept_read(audit *a, checkpoint *kept, bool *by_both, error *err) {
    char path[SITE_PATH_SIZE];
    *kept = (checkpoint){0};
    *by_both = false;
    if (!site_path(a->pool->site.folder, SITE_AUDIT, path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return true;
    }
    buffer bytes = buffer_make(AUDIT_NOTE_MAX);
    bool read = file_read_all(path, &bytes, err) &&
                (audit_note_open(a->pool, buffer_slice(&bytes), kept, err) || error_context(err, "%s", path));
    a->kept_size = read ? kept->size : 0;
    if (read && a->pool->site.keys.count > 0) {
        checkpoint ignored;
        error failure = {0};
        *by_both = audit_note_open_former(a->pool, buffer_slice(&bytes), &ignored, &failure);
        read = failure.code != ERROR_MEMORY || error_memory(err);
    }
    buffer_free(&bytes);
    return read;
}

static bool write_note(const pool *p, const char *path, slice text, error *err) {
    return p->privilege.keeper != NULL ? keeper_write_checkpoint(p->privilege.keeper, text, err)
                                       : file_write_atomic(path, text, 0600, err);
}

bool audit_keep_now(audit *a, error *err) {
    char path[SITE_PATH_SIZE];
    if (a->held || a->kept_size == a->durable.size) {
        return true;
    }
    bool kept = site_path(a->pool->site.folder, SITE_AUDIT, path, err) &&
                write_note(a->pool, path, buffer_slice(&a->note), err);
    a->kept_size = kept ? a->durable.size : a->kept_size;
    return kept;
}

/* One write of the file, on a thread of the loop's pool. */
typedef struct keeping {
    pool *pool;
    char path[SITE_PATH_SIZE];
    char note[AUDIT_NOTE_MAX];
    size_t length;
    uint64_t size;
    bool written;
    error failure;
} keeping;

static void write_file(void *context) {
    keeping *k = context;
    k->written = write_note(k->pool, k->path, slice_of(k->note, k->length), &k->failure);
}

static void file_written(void *context) {
    keeping *k = context;
    audit *a = k->pool->audit;
    if (!k->written) {
        log_error("the audit log's checkpoint is not kept beside the database", LOG_CAUSE(&k->failure));
    }
    if (a != NULL) {
        a->keeping = false;
        a->kept_size = k->written ? k->size : a->kept_size;
        if (!audit_hold_ready(a)) {
            audit_keep_soon(a);
        }
    }
    memory_free(k);
}

void audit_keep_file(void *context) {
    audit *a = context;
    error err = {0};
    keeping *k = memory_allocate_zeroed(1, sizeof *k);
    slice last = audit_checkpoint(a);
    if (k == NULL || last.length > sizeof k->note) {
        memory_free(k);
        audit_keep_soon(a);
        return;
    }
    *k = (keeping){.pool = a->pool, .length = last.length, .size = a->durable.size};
    memcpy(k->note, last.data, last.length);
    a->keeping = true;
    if (!site_path(a->pool->site.folder, SITE_AUDIT, k->path, &err) ||
        !ev_work(a->pool->loop, write_file, file_written, k, &err)) {
        a->keeping = false;
        log_error("the audit log's checkpoint is not kept beside the database", LOG_CAUSE(&err));
        memory_free(k);
        audit_keep_soon(a);
    }
}

void audit_keep_soon(audit *a) {
    if (a->pool->store == NULL || a->store == NULL || a->keeping || a->held ||
        a->kept_size == a->durable.size || ev_timer_is_running(&a->keep_timer)) {
        return;
    }
    ev_timer_start(a->pool->loop, &a->keep_timer, KEEP_EACH_MS);
}
