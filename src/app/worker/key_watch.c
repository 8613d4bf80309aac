#include "key_watch.h"

void key_watch_init(key_watch *w, const uint8_t pool_id[HASH_SIZE]) {
    *w =
        (key_watch){.json = buffer_make(SUCCESSION_JSON_LIMIT), .forked = buffer_make(SUCCESSION_JSON_LIMIT)};
    memcpy(w->pool_id, pool_id, HASH_SIZE);
}

void key_watch_free(key_watch *w) {
    buffer_free(&w->json);
    buffer_free(&w->forked);
}

/* It is kept, and compared, as this program writes it: nothing else that the pool says gets on the disk. */
static bool read_chain(const key_watch *w, slice text, succession *chain, buffer *json, error *err) {
    return succession_read_json(text, w->pool_id, chain, err) && succession_write_json(chain, json, err);
}

bool key_watch_restore(key_watch *w, slice kept, error *err) {
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    succession chain;
    bool read = kept.length == 0 || read_chain(w, kept, &chain, &json, err);
    if (read && kept.length > 0) {
        key_watch_take(w, &chain, &json);
    }
    buffer_free(&json);
    return read;
}

/* Whatever is wrong with what was shown, but for what is wrong here. */
static key_verdict refuse(key_watch *w, slice forked, const error *err) {
    if (err->code == ERROR_MEMORY) {
        return KEYS_UNKNOWN;
    }
    buffer_clear(&w->forked);
    buffer_append(&w->forked, forked);
    return KEYS_FORKED;
}

key_verdict key_watch_look(key_watch *w, slice shown, succession *next, buffer *json, error *err) {
    bool knows = buffer_length(&w->json) > 0;
    if (knows && slice_equal(shown, buffer_slice(&w->json))) {
        return KEYS_UNCHANGED;
    }
    if (!read_chain(w, shown, next, json, err)) {
        return refuse(w, (slice){NULL, 0}, err); /* signed by nobody: it proves nothing */
    }
    if (knows && !succession_goes_on(&w->known, next, err)) {
        return refuse(w, buffer_slice(json), err);
    }
    return knows && next->count == w->known.count ? KEYS_UNCHANGED : KEYS_NEWER;
}

void key_watch_take(key_watch *w, const succession *next, buffer *json) {
    buffer former = w->json;
    w->json = *json;
    *json = former;
    w->known = *next;
}
