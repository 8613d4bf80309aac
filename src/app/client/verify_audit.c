#include "base/memory.h"
#include "codec/json_writer.h"
#include "crypto/start.h"
#include "ledger/audit_entry.h"
#include "ledger/checkpoint.h"
#include "ledger/layout.h"
#include "log_keys.h"
#include "options/options.h"
#include "os/file.h"
#include "verify.h"
#include "verify_cosign.h"

#include <inttypes.h>
#include <stdio.h>

enum { PATH_SIZE = 4096, RESULT_LIMIT = 16384 };

static const char program[] = "cellule verify audit";

static const char more[] = "DIR is what `cellule admin audit export` wrote, or any copy of the log as C2SP "
                           "tlog-tiles. Every entry is "
                           "hashed anew.\nExit 0: the log is whole, and is the one that was signed; 1: it "
                           "isn't, and says why; 2: it "
                           "can't be checked here.";

typedef struct verification {
    const char *folder;
    const char *pool_id_hex;
    const char *key;
    const char *keys_path;
    option_texts older;
    option_texts witnesses;
    uint64_t quorum;    /* witnesses that must have signed; 0: all that are named */
    const char *cosign; /* the witness's key; NULL: it isn't to be signed */
    const char *cosign_name;
    bool json;

    outcome result;
    log_keys keys;
    buffer note;
    char memory[COSIGN_PATH_SIZE];
    char witness_key[NOTE_KEY_TEXT_MAX + 1];
    checkpoint signed_one;
    const char *older_files[OPTION_TEXTS_MAX + 1]; /* with what this witness signed last */
    checkpoint older_ones[OPTION_TEXTS_MAX + 1];
    size_t older_count;
    size_t cosigned;
    merkle_edge edge;
    buffer file;
    uint64_t first_ms;
    uint64_t last_ms;
} verification;

static bool refuted(verification *v, error *err, const char *what) {
    v->result = OUTCOME_REFUTED;
    return error_set(err, ERROR_CORRUPT, "%s", what);
}

/* A file of the folder, whole. */
static bool read_file(verification *v, const char *name, error *err) {
    char path[PATH_SIZE];
    buffer_clear(&v->file);
    if (snprintf(path, sizeof path, "%s/%s", v->folder, name) >= (int)sizeof path) {
        return error_set(err, ERROR_INVALID, "the folder's path is too long");
    }
    if (file_read_all(path, &v->file, err)) {
        return true;
    }
    v->result = err->code == ERROR_LIMIT ? OUTCOME_REFUTED : OUTCOME_UNCHECKED;
    return false;
}

static slice without_line_end(slice text) {
    return text.length > 0 && text.data[text.length - 1] == '\n' ? slice_part(text, 0, text.length - 1)
                                                                 : text;
}

/* From --key, else from the folder. */
static bool find_key(verification *v, note_key *key, error *err) {
    if (v->key != NULL) {
        return note_key_parse(slice_of_text(v->key), key, err);
    }
    return read_file(v, "log.key", err) && note_key_parse(without_line_end(buffer_slice(&v->file)), key, err);
}

/* The pool that is trusted: it is named, or the key that is trusted names it. */
static bool find_pool(verification *v, const note_key *key, uint8_t pool_id[HASH_SIZE], error *err) {
    if (v->pool_id_hex != NULL) {
        return hex_decode(slice_of_text(v->pool_id_hex), pool_id, HASH_SIZE) ||
               error_set(err, ERROR_INVALID, "--pool-id is the 64 digits that `cellule pool init` printed");
    }
    return log_keys_pool(key, pool_id) ||
           error_set(err, ERROR_INVALID, "the log's name says no pool: give --pool-id HEX");
}

/* The log's key is the pool's first one. */
static bool check_first_key(verification *v, const note_key *key, error *err) {
    uint8_t pool_id[HASH_SIZE];
    uint8_t named[HASH_SIZE];
    uint8_t own[HASH_SIZE];
    log_keys_of_one(&v->keys, key);
    if (v->pool_id_hex == NULL) {
        return true;
    }
    if (!find_pool(v, key, pool_id, err) ||
        !hash_sha256(slice_of(key->public_key, sizeof key->public_key), own, err)) {
        return false;
    }
    if (hash_equal(own, pool_id, sizeof own)) {
        return true;
    }
    if (!log_keys_pool(key, named) || !hash_equal(named, pool_id, sizeof named)) {
        return refuted(v, err, "the log isn't that pool's: its key is another");
    }
    error_set(err, ERROR_NOT_FOUND, "the log's key isn't the pool's first one, and there is no keys.json");
    verify_ask_for_keys(err);
    return false;
}

/* The copy's own list must name the key, another list may be too old. */
static void unknown_key(verification *v, error *err) {
    v->result = v->keys_path == NULL ? OUTCOME_REFUTED : OUTCOME_UNCHECKED;
    if (v->keys_path != NULL) {
        verify_ask_for_keys(err);
    }
}

/* The keys that the pool has had, and the log's is one of them: the last, if it is the folder that names it.
 */
static bool check_chain(verification *v, slice json, const note_key *key, error *err) {
    uint8_t pool_id[HASH_SIZE];
    succession chain;
    if (!find_pool(v, key, pool_id, err)) {
        return false;
    }
    if (!succession_read_json(json, pool_id, &chain, err)) {
        v->result = v->keys_path == NULL ? outcome_of(err) : OUTCOME_UNCHECKED;
        return error_context(err, "%s", v->keys_path == NULL ? "keys.json" : v->keys_path);
    }
    log_keys_of_pool(&v->keys, &chain);
    if (log_keys_have(&v->keys, key, v->key != NULL)) {
        return true;
    }
    if (log_keys_have(&v->keys, key, true)) {
        return refuted(v, err, "log.key is a key that the pool has replaced");
    }
    error_set(err, ERROR_NOT_FOUND, "%s isn't one of the pool's keys, of %zu that are known",
              v->key == NULL ? "log.key" : "the key of --key", log_keys_count(&v->keys));
    unknown_key(v, err);
    return false;
}

/* Who signs the log. */
static bool find_keys(verification *v, error *err) {
    char path[PATH_SIZE];
    note_key key;
    if (!find_key(v, &key, err)) {
        return false;
    }
    if (snprintf(path, sizeof path, "%s/keys.json", v->folder) >= (int)sizeof path) {
        return error_set(err, ERROR_INVALID, "the folder's path is too long");
    }
    if (v->keys_path == NULL && !file_exists(path)) {
        return check_first_key(v, &key, err);
    }
    buffer_clear(&v->file);
    if (v->keys_path == NULL ? !read_file(v, "keys.json", err)
                             : !file_read_all(v->keys_path, &v->file, err)) {
        return false;
    }
    return check_chain(v, buffer_slice(&v->file), &key, err);
}

/* `shown`: by the log now. */
static bool open_note(verification *v, const char *what, bool shown, note *n, checkpoint *c, error *err) {
    if (!note_parse(buffer_slice(&v->file), n, err) ||
        !(shown ? log_keys_verify_shown(&v->keys, n, err) : log_keys_verify_older(&v->keys, n, err)) ||
        !checkpoint_parse(n->text, c, err)) {
        v->result = err->code == ERROR_MEMORY ? OUTCOME_UNCHECKED : OUTCOME_REFUTED;
        if (err->code == ERROR_NOT_FOUND) {
            unknown_key(v, err);
        }
        return error_context(err, "%s", what);
    }
    return strcmp(c->origin, v->keys.current.name) == 0 ||
           refuted(v, err, "the checkpoint is of another log");
}

static bool check_witnesses(verification *v, const note *n, error *err) {
    uint64_t wanted = v->quorum == 0 ? v->witnesses.count : v->quorum;
    for (size_t i = 0; i < v->witnesses.count; i++) {
        note_key key;
        uint64_t time = 0;
        if (!note_key_parse(slice_of_text(v->witnesses.texts[i]), &key, err)) {
            return error_context(err, "--witness");
        }
        if (note_verify(n, &key, &time, err)) {
            v->cosigned++;
        } else if (err->code != ERROR_NOT_FOUND) {
            v->result = OUTCOME_REFUTED;
            return error_context(err, "witness %s", key.name);
        }
    }
    return v->cosigned >= wanted || refuted(v, err, "too few of the witnesses signed the checkpoint");
}

static bool read_older(verification *v, const char *path, checkpoint *older, error *err) {
    note n;
    buffer_clear(&v->file);
    if (!file_read_all(path, &v->file, err)) {
        return false;
    }
    /* What is no checkpoint at all says nothing of the log. */
    if (!note_parse(buffer_slice(&v->file), &n, err)) {
        return error_context(err, "%s", path);
    }
    if (!open_note(v, path, false, &n, older, err)) {
        return false;
    }
    if (older->size > v->signed_one.size) {
        refuted(v, err, "the log is shorter than it was");
        return error_context(err, "%s", path);
    }
    return true;
}

static bool name_older(verification *v, error *err) {
    for (size_t i = 0; i < v->older.count; i++) {
        v->older_files[v->older_count++] = v->older.texts[i];
    }
    if (v->cosign == NULL) {
        return true;
    }
    if (!verify_cosign_memory(v->cosign, v->signed_one.origin, v->memory, err)) {
        return false;
    }
    if (file_exists(v->memory)) {
        v->older_files[v->older_count++] = v->memory;
    }
    return true;
}

static bool read_checkpoints(verification *v, error *err) {
    note n;
    bool good = false;
    if (!find_keys(v, err) || !read_file(v, "checkpoint", err) ||
        !open_note(v, "checkpoint", true, &n, &v->signed_one, err) || !check_witnesses(v, &n, err)) {
        return false;
    }
    buffer_append(&v->note, buffer_slice(&v->file));
    good = (!buffer_failed(&v->note) || error_memory(err)) && name_older(v, err);
    for (size_t i = 0; good && i < v->older_count; i++) {
        good = read_older(v, v->older_files[i], &v->older_ones[i], err);
    }
    return good;
}

static bool compare_tile(verification *v, const merkle_tile_id *tile, const uint8_t *hashes, error *err) {
    char path[LAYOUT_PATH_SIZE];
    char what[128];
    layout_tile_path(tile, path);
    if (!read_file(v, path, err)) {
        return false;
    }
    slice found = buffer_slice(&v->file);
    if (found.length == tile->count * HASH_SIZE && memcmp(found.data, hashes, found.length) == 0) {
        return true;
    }
    snprintf(what, sizeof what, "%s isn't what the entries give", path);
    return refuted(v, err, what);
}

static bool on_full_tile(void *context, unsigned level, uint64_t index,
                         const uint8_t hashes[MERKLE_TILE_SIZE], error *err) {
    return compare_tile(context, &(merkle_tile_id){level, index, MERKLE_TILE_WIDTH}, hashes, err);
}

static bool compare_older(verification *v, error *err) {
    uint8_t root[HASH_SIZE];
    for (size_t i = 0; i < v->older_count; i++) {
        if (v->edge.size != v->older_ones[i].size) {
            continue;
        }
        if (!merkle_root(&v->edge, root, err)) {
            return false;
        }
        if (memcmp(root, v->older_ones[i].root, sizeof root) != 0) {
            refuted(v, err, "the log isn't a continuation of this checkpoint's");
            return error_context(err, "%s", v->older_files[i]);
        }
    }
    return true;
}

static bool take_entry(verification *v, slice bytes, error *err) {
    audit_entry entry;
    uint8_t leaf[HASH_SIZE];
    if (!audit_entry_parse(bytes, &entry, err)) {
        v->result = OUTCOME_REFUTED;
        return error_context(err, "entry %" PRIu64, v->edge.size);
    }
    v->first_ms = v->edge.size == 0 ? entry.at_ms : v->first_ms;
    v->last_ms = entry.at_ms;
    return merkle_leaf_hash(bytes, leaf, err) && merkle_append(&v->edge, leaf, on_full_tile, v, err) &&
           compare_older(v, err);
}

/* Comparing a tile reads into the same buffer, so the bundle is taken out of it first. */
static bool take_bundle(verification *v, uint64_t index, size_t count, error *err) {
    char path[LAYOUT_PATH_SIZE];
    layout_bundle_path(index, count, path);
    if (!read_file(v, path, err)) {
        return false;
    }
    buffer bundle = v->file;
    v->file = buffer_make(LAYOUT_BUNDLE_MAX);
    slice rest = buffer_slice(&bundle);
    slice entry;
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        good = layout_bundle_next(&rest, &entry) ? take_entry(v, entry, err)
                                                 : refuted(v, err, "a bundle of entries is cut short");
    }
    good = good && (rest.length == 0 || refuted(v, err, "a bundle has more entries than were signed"));
    buffer_free(&bundle);
    return good || error_context(err, "%s", path);
}

static bool check_partial_tiles(verification *v, error *err) {
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        uint64_t hashes = v->edge.size >> (8 * level);
        merkle_tile_id tile = {level, hashes / MERKLE_TILE_WIDTH, (size_t)(hashes % MERKLE_TILE_WIDTH)};
        if (tile.count > 0 && !compare_tile(v, &tile, v->edge.tiles[level][0], err)) {
            return false;
        }
    }
    return true;
}

static bool check_log(verification *v, error *err) {
    uint8_t root[HASH_SIZE];
    uint64_t size = v->signed_one.size;
    while (v->edge.size < size) {
        uint64_t left = size - v->edge.size;
        size_t count = left < MERKLE_TILE_WIDTH ? (size_t)left : MERKLE_TILE_WIDTH;
        if (!take_bundle(v, v->edge.size / MERKLE_TILE_WIDTH, count, err)) {
            return false;
        }
    }
    if (!check_partial_tiles(v, err) || !merkle_root(&v->edge, root, err)) {
        return false;
    }
    return memcmp(root, v->signed_one.root, sizeof root) == 0 ||
           refuted(v, err, "the entries aren't those that were signed");
}

static void print_json(const verification *v, bool holds, const error *err) {
    char root[HASH_HEX_SIZE];
    buffer out = buffer_make(RESULT_LIMIT);
    json_writer w = json_writer_make(&out);
    hex_encode(slice_of(v->signed_one.root, HASH_SIZE), root);
    json_write_object_begin(&w);
    json_add_text(&w, "result",
                  holds                          ? SLICE_LITERAL("holds")
                  : v->result == OUTCOME_REFUTED ? SLICE_LITERAL("refuted")
                                                 : SLICE_LITERAL("unchecked"));
    if (holds) {
        json_add_text(&w, "origin", slice_of_text(v->signed_one.origin));
        json_add_u64(&w, "size", v->signed_one.size);
        json_add_text(&w, "root", slice_of_text(root));
        json_add_u64(&w, "keys", log_keys_count(&v->keys));
        json_add_u64(&w, "witnesses", v->cosigned);
        json_add_u64(&w, "first_ms", v->first_ms);
        json_add_u64(&w, "last_ms", v->last_ms);
        if (v->cosign != NULL) {
            json_add_text(&w, "signed_as", slice_of_text(v->witness_key));
        }
    } else {
        json_add_text(&w, "reason", slice_of_text(err->text));
    }
    json_write_object_end(&w);
    printf("%.*s\n", SLICE_FORMAT(buffer_slice(&out)));
    buffer_free(&out);
}

static void print_text(const verification *v) {
    char root[HASH_HEX_SIZE];
    hex_encode(slice_of(v->signed_one.root, HASH_SIZE), root);
    printf("audit log: holds\n  log        %s\n  entries    %" PRIu64 "\n  root       %s\n  witnesses  %zu\n",
           v->signed_one.origin, v->signed_one.size, root, v->cosigned);
    if (log_keys_count(&v->keys) > 1) {
        printf("  signed by  the last of the pool's %zu keys\n", log_keys_count(&v->keys));
    }
    for (size_t i = 0; i < v->older_count; i++) {
        printf("  goes on from the %" PRIu64 " entries of %s\n", v->older_ones[i].size, v->older_files[i]);
    }
    if (v->cosign != NULL) {
        printf("  signed as %s\n", v->witness_key);
    }
}

static bool cosign(verification *v, error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/checkpoint", v->folder); /* it was read there */
    return verify_cosign(v->cosign, v->cosign_name, buffer_slice(&v->note), v->memory, path, v->witness_key,
                         err);
}

static bool verify_log(verification *v, error *err) {
    if (v->key == NULL && v->pool_id_hex == NULL) {
        return error_set(err, ERROR_INVALID, "say whom you trust: --pool-id HEX, or --key KEY");
    }
    if (v->quorum > v->witnesses.count) {
        return error_set(err, ERROR_INVALID, "--quorum is more than the witnesses that --witness names");
    }
    if ((v->cosign == NULL) != (v->cosign_name == NULL)) {
        return error_set(err, ERROR_INVALID, "--cosign FILE and --as NAME belong together");
    }
    return verify_begin(err) && read_checkpoints(v, err) && check_log(v, err) &&
           (v->cosign == NULL || cosign(v, err));
}

static int run(verification *v) {
    error err = {0};
    v->file = buffer_make(LAYOUT_BUNDLE_MAX);
    v->note = buffer_make(NOTE_SIZE_MAX);
    v->result = OUTCOME_UNCHECKED;
    bool holds = verify_log(v, &err);
    if (holds) {
        v->result = OUTCOME_GOOD;
    } else {
        error_context(&err, "%s", v->result == OUTCOME_REFUTED ? "refuted" : "cannot be checked here");
    }
    if (v->json) {
        print_json(v, holds, &err);
    } else if (holds) {
        print_text(v);
    } else {
        (void)options_fail(program, &err);
    }
    buffer_free(&v->file);
    buffer_free(&v->note);
    crypto_stop();
    return (int)v->result;
}

int verify_audit_main(int argc, char **argv) {
    verification *v = memory_allocate_zeroed(1, sizeof *v);
    error err = {0};
    if (v == NULL) {
        error_memory(&err);
        (void)options_fail(program, &err);
        return OUTCOME_UNCHECKED;
    }
    const option_row rows[] = {
        {"pool-id", OPTION_TEXT, &v->pool_id_hex, "HEX", "the pool that you trust", 0, 0},
        {"key", OPTION_TEXT, &v->key, "KEY", "the log's key, NAME+ID+KEY; else the folder's log.key", 0, 0},
        {"keys", OPTION_TEXT, &v->keys_path, "FILE",
         "all keys that the pool has had, as GET /v1/pool/keys gives them; else the folder's keys.json", 0,
         0},
        {"witness", OPTION_TEXTS, &v->witnesses, "KEY", "a witness that must have signed; may be repeated", 0,
         OPTION_TEXTS_MAX},
        {"quorum", OPTION_U64, &v->quorum, "N", "so many of the witnesses are enough; 0: all", 0,
         OPTION_TEXTS_MAX},
        {"older", OPTION_TEXTS, &v->older, "FILE",
         "a checkpoint seen earlier, by you or a worker: the log must go on from it; may be repeated", 0,
         OPTION_TEXTS_MAX},
        {"cosign", OPTION_TEXT, &v->cosign, "FILE",
         "if it holds, sign the checkpoint as a witness with this Ed25519 key, made if there is none", 0, 0},
        {"as", OPTION_TEXT, &v->cosign_name, "NAME", "the witness's name", 0, 0},
        {"json", OPTION_FLAG, &v->json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule verify audit --pool-id HEX [options] DIR",
        .summary = "Checks offline that a copy of an audit log is whole and is the one that the pool signed.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
        .more = more,
    };
    int status = 0;
    if (options_parse(&table, argc, argv, &v->folder, &status)) {
        status = run(v);
    }
    memory_free(v);
    return status;
}
