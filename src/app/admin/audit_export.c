#include "audit_export.h"

#include "base/memory.h"
#include "ledger/layout.h"
#include "os/file.h"

#include <stdio.h>
#include <time.h>

/* For the tries together the pool may take to sign with another key. */
enum { PATH_SIZE = 4096, NOTE_LIMIT = NOTE_SIZE_MAX, TRIES = 50, PAUSE_MS = 200 };

/* ERROR_CONFLICT: another key did. */
static bool check_signed(const note *n, const note_key *key, error *err) {
    uint64_t ignored = 0;
    if (note_verify(n, key, &ignored, err)) {
        return true;
    }
    if (err->code == ERROR_NOT_FOUND) {
        err->code = ERROR_CONFLICT;
    }
    return false;
}

static bool read_head(const json_value *answer, audit_head *head, error *err) {
    slice text;
    slice key_text;
    note n;
    note_key key;
    if (!json_get_text(answer, "note", &text, err) || !json_get_text(answer, "key", &key_text, err) ||
        !note_key_parse(key_text, &key, err) || !note_key_write(&key, head->key_text, err)) {
        return false;
    }
    buffer_append(&head->note, text);
    return (!buffer_failed(&head->note) || error_memory(err)) &&
           note_parse(buffer_slice(&head->note), &n, err) && check_signed(&n, &key, err) &&
           checkpoint_parse(n.text, &head->checkpoint, err);
}

/* Those of the pool that the log's name says, of which the last signed it: ERROR_CONFLICT else. */
static bool get_keys(api *a, const audit_head *head, succession *keys, error *err) {
    uint8_t pool_id[HASH_SIZE];
    note_key key;
    if (!succession_log_pool(head->checkpoint.origin, pool_id)) {
        return error_set(err, ERROR_CORRUPT, "the pool's checkpoint doesn't say of which pool it is");
    }
    return pool_keys_get(a, pool_id, keys, err) && note_key_parse(slice_of_text(head->key_text), &key, err) &&
           (memcmp(key.public_key, succession_current(keys), SIGN_PUBLIC_SIZE) == 0 ||
            error_set(err, ERROR_CONFLICT,
                      "the last of the keys that the pool shows isn't the one that signs its log: if it "
                      "isn't exchanging its key just now, tell the security officer"));
}

static bool get_once(api *a, audit_head *head, succession *keys, error *err) {
    api_answer answer = {0};
    buffer_free(&head->note);
    *head = (audit_head){.note = buffer_make(NOTE_LIMIT)};
    bool read = api_call(a, "GET", "/v1/audit/checkpoint", (slice){NULL, 0}, &answer, err) &&
                (read_head(answer.json, head, err) || error_context(err, "the pool's checkpoint"));
    json_free(answer.json);
    return read && (keys == NULL || get_keys(a, head, keys, err));
}

/* `keys` NULL: not asked for. */
static bool get_head(api *a, audit_head *head, succession *keys, error *err) {
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    bool got = get_once(a, head, keys, err);
    for (int i = 1; i < TRIES && !got && err->code == ERROR_CONFLICT; i++) {
        nanosleep(&pause, NULL);
        got = get_once(a, head, keys, err);
    }
    return got;
}

bool audit_head_get(api *a, audit_head *head, error *err) {
    *head = (audit_head){.note = buffer_make(NOTE_LIMIT)};
    return get_head(a, head, NULL, err);
}

static bool give_page(const json_value *answer, uint64_t *from, uint64_t end, audit_each *each, void *context,
                      error *err) {
    const json_value *entries = json_find(answer, "entries");
    size_t count = json_count(entries);
    if (count == 0) {
        return error_set(err, ERROR_CORRUPT, "the pool gives no entry %llu", (unsigned long long)*from);
    }
    for (size_t i = 0; i < count && *from < end; i++) {
        if (!each(context, *from, json_text_of(json_at(entries, i)), err)) {
            return false;
        }
        (*from)++;
    }
    return true;
}

bool audit_get_range(api *a, uint64_t from, uint64_t end, audit_each *each, void *context, error *err) {
    bool good = true;
    while (good && from < end) {
        char path[96];
        api_answer answer = {0};
        snprintf(path, sizeof path, "/v1/audit/entries?from=%llu&limit=%llu", (unsigned long long)from,
                 (unsigned long long)(end - from));
        good = api_call(a, "GET", path, (slice){NULL, 0}, &answer, err) &&
               give_page(answer.json, &from, end, each, context, err);
        json_free(answer.json);
    }
    return good;
}

typedef struct exporting {
    const char *folder;
    succession keys;
    merkle_edge edge;
    buffer bundle;
} exporting;

/* With the folders on the way. */
static bool write_file(const exporting *x, const char *name, slice content, error *err) {
    char path[PATH_SIZE];
    size_t root = strlen(x->folder);
    if (snprintf(path, sizeof path, "%s/%s", x->folder, name) >= (int)sizeof path) {
        return error_set(err, ERROR_INVALID, "the folder's path is too long");
    }
    for (char *slash = strchr(path + root + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = file_exists(path) || file_make_folder(path, 0755, err);
        *slash = '/';
        if (!made) {
            return false;
        }
    }
    return file_write_atomic(path, content, 0644, err);
}

static bool write_tile(void *context, unsigned level, uint64_t index, const uint8_t hashes[MERKLE_TILE_SIZE],
                       error *err) {
    char name[LAYOUT_PATH_SIZE];
    layout_tile_path(&(merkle_tile_id){level, index, MERKLE_TILE_WIDTH}, name);
    return write_file(context, name, slice_of(hashes, MERKLE_TILE_SIZE), err);
}

static bool write_bundle(exporting *x, uint64_t index, size_t count, error *err) {
    char name[LAYOUT_PATH_SIZE];
    layout_bundle_path(index, count, name);
    bool written = write_file(x, name, buffer_slice(&x->bundle), err);
    buffer_clear(&x->bundle);
    return written;
}

static bool take_entry(void *context, uint64_t index, slice entry, error *err) {
    exporting *x = context;
    uint8_t leaf[HASH_SIZE];
    if (!layout_bundle_append(&x->bundle, entry)) {
        return error_set(err, ERROR_CORRUPT, "entry %llu is too long", (unsigned long long)index);
    }
    if (!merkle_leaf_hash(entry, leaf, err) || !merkle_append(&x->edge, leaf, write_tile, x, err)) {
        return false;
    }
    return x->edge.size % MERKLE_TILE_WIDTH != 0 ||
           write_bundle(x, index / MERKLE_TILE_WIDTH, MERKLE_TILE_WIDTH, err);
}

static bool write_partial(exporting *x, error *err) {
    size_t entries = (size_t)(x->edge.size % MERKLE_TILE_WIDTH);
    if (entries > 0 && !write_bundle(x, x->edge.size / MERKLE_TILE_WIDTH, entries, err)) {
        return false;
    }
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        char name[LAYOUT_PATH_SIZE];
        uint64_t hashes = x->edge.size >> (8 * level);
        merkle_tile_id tile = {level, hashes / MERKLE_TILE_WIDTH, (size_t)(hashes % MERKLE_TILE_WIDTH)};
        layout_tile_path(&tile, name);
        if (tile.count > 0 &&
            !write_file(x, name, slice_of(x->edge.tiles[level][0], tile.count * HASH_SIZE), err)) {
            return false;
        }
    }
    return true;
}

static bool write_keys(const exporting *x, error *err) {
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool written =
        succession_write_json(&x->keys, &json, err) && write_file(x, "keys.json", buffer_slice(&json), err);
    buffer_free(&json);
    return written;
}

static bool finish(exporting *x, const audit_head *head, error *err) {
    uint8_t root[HASH_SIZE];
    char key[NOTE_KEY_TEXT_MAX + 2];
    if (!write_partial(x, err) || !merkle_root(&x->edge, root, err)) {
        return false;
    }
    if (memcmp(root, head->checkpoint.root, sizeof root) != 0) {
        return error_set(
            err, ERROR_CORRUPT,
            "the entries that the pool gives aren't those that it signed: tell the security officer");
    }
    snprintf(key, sizeof key, "%s\n", head->key_text);
    return write_file(x, "log.key", slice_of_text(key), err) && write_keys(x, err) &&
           write_file(x, "checkpoint", buffer_slice(&head->note), err);
}

/* Into a new folder, an empty one, or an older copy; never among other things. */
static bool make_folder(const char *folder, error *err) {
    char path[PATH_SIZE];
    bool empty = false;
    if (snprintf(path, sizeof path, "%s/checkpoint", folder) >= (int)sizeof path) {
        return error_set(err, ERROR_INVALID, "the folder's path is too long");
    }
    if (!file_make_folder(folder, 0755, err) || !file_folder_is_empty(folder, &empty, err)) {
        return false;
    }
    return empty || file_exists(path) ||
           error_set(err, ERROR_CONFLICT, "%s holds other things; name a new folder", folder);
}

bool audit_export(api *a, audit_head *head, const char *folder, error *err) {
    exporting *x = memory_allocate_zeroed(1, sizeof *x);
    if (x == NULL) {
        return error_memory(err);
    }
    x->folder = folder;
    x->bundle = buffer_make(LAYOUT_BUNDLE_MAX);
    bool exported = make_folder(folder, err) && get_head(a, head, &x->keys, err) &&
                    audit_get_range(a, 0, head->checkpoint.size, take_entry, x, err) && finish(x, head, err);
    buffer_free(&x->bundle);
    memory_free(x);
    return exported;
}
