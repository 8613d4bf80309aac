#include "commands.h"

#include "crypto/start.h"
#include "options/options.h"
#include "os/file.h"

#include <stdio.h>

static bool name_key(const char *name, const sign_key *private_half, note_key *key, error *err) {
    size_t length = strlen(name);
    if (length == 0 || length > NOTE_NAME_MAX) {
        return error_set(err, ERROR_INVALID, "a maintainer's name has 1 to %d bytes", NOTE_NAME_MAX);
    }
    memset(key, 0, sizeof *key);
    memcpy(key->name, name, length);
    key->kind = NOTE_ED25519;
    memcpy(key->public_key, sign_key_public(private_half), sizeof key->public_key);
    return true;
}

sign_key *release_load_key(const char *path, const char *name, note_key *key, error *err) {
    sign_key *private_half = sign_key_load(path, err);
    if (private_half != NULL && !name_key(name, private_half, key, err)) {
        sign_key_free(private_half);
        private_half = NULL;
    }
    return private_half;
}

static bool show_key(const char *path, const char *name, error *err) {
    note_key key;
    char text[NOTE_KEY_TEXT_MAX + 1];
    if (!file_exists(path)) {
        sign_key *made = sign_key_generate(err);
        bool saved = made != NULL && name_key(name, made, &key, err) && note_key_write(&key, text, err) &&
                     sign_key_save(made, path, err);
        sign_key_free(made);
        if (!saved) {
            return false;
        }
    }
    sign_key *private_half = release_load_key(path, name, &key, err);
    bool shown = private_half != NULL && note_key_write(&key, text, err);
    sign_key_free(private_half);
    if (shown) {
        printf("%s\n", text);
    }
    return shown;
}

int release_key_main(int argc, char **argv) {
    const char *name = NULL;
    const char *path = NULL;
    const option_row rows[] = {
        {"name", OPTION_REQUIRED, &name, "NAME", "the maintainer's, as it stands in the lists", 0, 0},
    };
    const option_table table = {
        .usage = "cellule release key --name NAME FILE",
        .summary =
            "Makes a maintainer's Ed25519 key in FILE (mode 0600), if it isn't there, and prints the public\n"
            "half as lists of maintainers have it.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    bool done = crypto_start(&err) && show_key(path, name, &err);
    crypto_stop();
    return done ? 0 : options_fail("cellule release key", &err);
}

typedef struct keys_options {
    uint64_t threshold;
    const char *after;
    const char *output;
    option_words keys;
} keys_options;

/* What the new list follows: a list, signed or not yet. */
static bool find_generation(const char *path, uint64_t *generation, error *err) {
    maintainers before;
    note n;
    *generation = 1;
    if (path == NULL) {
        return true;
    }
    buffer bytes = buffer_make(RELEASE_NOTE_MAX);
    bool read = file_read_all(path, &bytes, err);
    slice text = buffer_slice(&bytes);
    if (read && note_parse(text, &n, err)) {
        text = n.text;
    }
    read = read && maintainers_parse(text, &before, err);
    buffer_free(&bytes);
    *generation = read ? before.generation + 1 : 0;
    return read || error_context(err, "%s", path);
}

static bool write_list(const keys_options *o, error *err) {
    maintainers m = {.threshold = (uint32_t)o->threshold, .count = o->keys.count};
    if (o->threshold > m.count) {
        return error_set(err, ERROR_INVALID, "%zu keys can't give the %u signatures of --threshold: %s",
                         m.count, (unsigned)m.threshold, "name more keys, or a lower threshold");
    }
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    bool good = find_generation(o->after, &m.generation, err);
    for (size_t i = 0; good && i < m.count; i++) {
        good = note_key_parse(slice_of_text(o->keys.first[i]), &m.keys[i], err);
    }
    good = good && maintainers_write(&m, &text, err);
    if (good && o->output != NULL) {
        good = file_write_atomic(o->output, buffer_slice(&text), 0644, err);
    } else if (good) {
        printf("%.*s", SLICE_FORMAT(buffer_slice(&text)));
    }
    buffer_free(&text);
    return good;
}

int release_keys_main(int argc, char **argv) {
    keys_options o = {.threshold = 2, .keys = {.least = 1, .most = MAINTAINERS_MAX}};
    const option_row rows[] = {
        {"threshold", OPTION_U64, &o.threshold, "K", "so many of them must sign", 1, MAINTAINERS_MAX},
        {"after", OPTION_TEXT, &o.after, "FILE", "the list that this one is to follow", 0, 0},
        {"output", OPTION_TEXT, &o.output, "FILE", "write it there instead of printing it", 0, 0},
    };
    const option_table table = {
        .usage = "cellule release keys [options] KEY...",
        .summary =
            "Writes a list of maintainers from their public keys, as `cellule release key` prints them. The\n"
            "first list is built into the program; one that follows is signed by enough of both.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .words = &o.keys,
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    bool done = crypto_start(&err) && write_list(&o, &err);
    crypto_stop();
    return done ? 0 : options_fail("cellule release keys", &err);
}
