#include "log_watch.h"

#include "codec/base64.h"

void log_watch_init(log_watch *w) {
    *w = (log_watch){.note = buffer_make(PROTO_CHECKPOINT_MAX), .forked = buffer_make(PROTO_CHECKPOINT_MAX)};
}

void log_watch_free(log_watch *w) {
    buffer_free(&w->note);
    buffer_free(&w->forked);
}

/* What the note says, without asking who signed it. */
static bool read_note(slice bytes, note *n, checkpoint *c, error *err) {
    return note_parse(bytes, n, err) && checkpoint_parse(n->text, c, err);
}

bool log_watch_restore(log_watch *w, slice kept, error *err) {
    note n;
    if (kept.length == 0) {
        return true;
    }
    buffer_clear(&w->note);
    buffer_append(&w->note, kept);
    return (!buffer_failed(&w->note) || error_memory(err)) && read_note(kept, &n, &w->known, err);
}

static log_verdict forked(log_watch *w, slice shown, error *err, const char *what) {
    buffer_clear(&w->forked);
    buffer_append(&w->forked, shown);
    error_set(err, ERROR_CORRUPT, "%s", what);
    return LOG_FORKED;
}

/* Whatever is wrong with what was shown, but for what is wrong here. */
static log_verdict refuse(log_watch *w, slice shown, const error *err) {
    if (err->code == ERROR_MEMORY) {
        return LOG_UNKNOWN;
    }
    buffer_clear(&w->forked);
    buffer_append(&w->forked, shown);
    return LOG_FORKED;
}

/* By key `number` of the pool. */
static bool open_by(const succession *keys, size_t number, slice bytes, checkpoint *c, error *err) {
    note n;
    const note_key signer = succession_log_key(keys, number);
    uint64_t ignored = 0;
    return read_note(bytes, &n, c, err) && note_verify(&n, &signer, &ignored, err) &&
           (strcmp(c->origin, signer.name) == 0 ||
            error_set(err, ERROR_CORRUPT, "the checkpoint that the pool shows is of another log"));
}

static bool open_note(const succession *keys, slice bytes, checkpoint *c, error *err) {
    return open_by(keys, keys->count, bytes, c, err);
}

/* What was kept, by whichever key signed then. */
static bool open_kept(const log_watch *w, const succession *keys, error *err) {
    checkpoint ignored;
    slice kept = buffer_slice(&w->note);
    bool opened = open_note(keys, kept, &ignored, err);
    for (size_t i = keys->count; !opened && err->code != ERROR_MEMORY && i > 0; i--) {
        opened = open_by(keys, i - 1, kept, &ignored, err);
    }
    return opened || error_context(err, "what was kept of the pool's audit log");
}

static log_verdict believe(log_watch *w, slice bytes, const checkpoint *c, error *err) {
    buffer copy = buffer_make(PROTO_CHECKPOINT_MAX);
    buffer_append(&copy, bytes);
    if (buffer_failed(&copy)) {
        buffer_free(&copy);
        error_memory(err);
        return LOG_UNKNOWN;
    }
    buffer_free(&w->note);
    w->note = copy;
    w->known = *c;
    return LOG_BELIEVED;
}

/* Of as many entries or fewer: then no proof is needed. */
static log_verdict compare(log_watch *w, slice shown, const checkpoint *c, error *err) {
    if (c->size < w->known.size) {
        return forked(w, shown, err, "the pool's audit log is shorter than it was");
    }
    if (memcmp(c->root, w->known.root, sizeof c->root) != 0) {
        return forked(w, shown, err, "the pool's audit log is another than it was");
    }
    return LOG_UNCHANGED;
}

log_verdict log_watch_welcome(log_watch *w, const succession *keys, slice shown, error *err) {
    checkpoint c;
    w->shown = shown.length > 0;
    if (!w->shown) {
        return w->known.size == 0 ? LOG_UNCHANGED
                                  : forked(w, shown, err, "the pool doesn't show its audit log any more");
    }
    if (!open_note(keys, shown, &c, err)) {
        return refuse(w, shown, err);
    }
    if (w->known.size == 0) {
        return believe(w, shown, &c, err);
    }
    if (!open_kept(w, keys, err)) {
        return refuse(w, shown, err);
    }
    if (c.size < w->awaited) {
        return forked(w, shown, err, "the pool's audit log is shorter than it said");
    }
    w->awaited = c.size;
    return c.size > w->known.size ? LOG_GREW : compare(w, shown, &c, err);
}

static bool read_hashes(slice text, merkle_proof *proof) {
    size_t length = 0;
    bool read =
        base64url_decode(text, proof->hashes[0], sizeof proof->hashes, &length) && length % HASH_SIZE == 0;
    proof->count = read ? length / HASH_SIZE : 0;
    return read;
}

log_verdict log_watch_proof(log_watch *w, const succession *keys, const proto_log_proof *answer, error *err) {
    checkpoint c;
    merkle_proof proof = {0};
    if (!w->shown || answer->from != w->known.size) {
        return forked(w, answer->checkpoint, err, "a proof about the pool's audit log that wasn't asked for");
    }
    if (!open_note(keys, answer->checkpoint, &c, err)) {
        return refuse(w, answer->checkpoint, err);
    }
    if (c.size < w->awaited) {
        return forked(w, answer->checkpoint, err, "the pool's audit log is shorter than it said");
    }
    if (c.size <= w->known.size) {
        return compare(w, answer->checkpoint, &c, err);
    }
    if (!read_hashes(answer->hashes, &proof)) {
        return forked(w, answer->checkpoint, err, "the proof about the pool's audit log is none");
    }
    if (!merkle_verify_consistency(w->known.size, w->known.root, c.size, c.root, &proof, err)) {
        return err->code == ERROR_CORRUPT
                   ? forked(w, answer->checkpoint, err, "the pool's audit log doesn't go on from what it was")
                   : refuse(w, answer->checkpoint, err);
    }
    w->awaited = c.size;
    return believe(w, answer->checkpoint, &c, err);
}
