#include "agent.h"

#include "base/log.h"
#include "os/file.h"

bool link_keys_load(agent *a, error *err) {
    char path[HOME_PATH_SIZE];
    buffer kept = buffer_make(SUCCESSION_JSON_LIMIT);
    key_watch_init(&a->keys, a->home.pool_id);
    bool loaded = worker_home_keys_path(a->state_folder, &a->home, false, path, err) &&
                  (!file_exists(path) || file_read_all(path, &kept, err)) &&
                  (key_watch_restore(&a->keys, buffer_slice(&kept), err) || error_context(err, "%s", path));
    buffer_free(&kept);
    return loaded;
}

static bool keep(const agent *a, bool forked, slice json, error *err) {
    char path[HOME_PATH_SIZE];
    return worker_home_keys_path(a->state_folder, &a->home, forked, path, err) &&
           file_write_atomic(path, json, 0600, err);
}

static void raise_alarm(agent *a, const error *why) {
    error err = {0};
    slice shown = buffer_slice(&a->keys.forked);
    log_error(
        "ALARM: the keys that the pool shows aren't its own, or not those that it showed before: it has an "
        "old or "
        "stolen key, or was put back from a backup; not serving it. Ask the admin whether the pool runs on "
        "its newest "
        "files, and tell the security officer: keys-*.json and keys-*.forked in the worker's folder are "
        "what was shown before and now",
        LOG_CAUSE(why), LOG_U64("remembered", a->keys.known.count));
    if (shown.length > 0 && !keep(a, true, shown, &err)) {
        log_error("what the pool showed of its keys is not kept", LOG_CAUSE(&err));
    }
    link_end_forked(a);
}

/* On the disk first: otherwise a crash would make the worker believe the key before once more. */
static bool take(agent *a, const succession *next, buffer *json) {
    error err = {0};
    if (!keep(a, false, buffer_slice(json), &err)) {
        log_error("the pool has another key, which can't be kept: not serving it until it is",
                  LOG_CAUSE(&err));
        link_close(a, PROTO_CLOSE_INTERNAL, "the pool's keys could not be kept");
        return false;
    }
    if (buffer_length(&a->keys.json) > 0) {
        log_info("the pool has another key", LOG_U64("keys", next->count + 1));
    }
    key_watch_take(&a->keys, next, json);
    return true;
}

bool link_keys_take(agent *a, slice shown) {
    error err = {0};
    succession next;
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool good = false;
    switch (key_watch_look(&a->keys, shown, &next, &json, &err)) {
    case KEYS_UNCHANGED:
        good = true;
        break;
    case KEYS_NEWER:
        good = take(a, &next, &json);
        break;
    case KEYS_FORKED:
        raise_alarm(a, &err);
        break;
    case KEYS_UNKNOWN:
        link_close(a, PROTO_CLOSE_INTERNAL, err.text);
        break;
    }
    buffer_free(&json);
    return good;
}
