#include "commands.h"

#include "app_release/folder.h"
#include "app_release/trust.h"
#include "base/memory.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

static bool notes_path(const char *folder, char path[RELEASE_FOLDER_SIZE], error *err) {
    return snprintf(path, RELEASE_FOLDER_SIZE, "%s/" RELEASE_NOTES "/manifest", folder) <
               RELEASE_FOLDER_SIZE ||
           error_set(err, ERROR_LIMIT, "the path of the release's folder is too long");
}

typedef struct manifest_options {
    const char *folder;
    const char *version;
    const char *expires;
} manifest_options;

/* The folders of RELEASE_NOTES, one after the other. */
static bool make_folders(const char *folder, error *err) {
    static const char *const below[] = {"share", "share/cellule", RELEASE_NOTES};
    char path[RELEASE_FOLDER_SIZE];
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, below[i]) >= (int)sizeof path) {
            return error_set(err, ERROR_LIMIT, "the path of the release's folder is too long");
        }
        if (!file_exists(path) && !file_make_folder(path, 0755, err)) {
            return false;
        }
    }
    return true;
}

static void print_summary(const char *what, const release_manifest *m) {
    char version[RELEASE_VERSION_SIZE];
    char date[RELEASE_DATE_SIZE];
    char digest[HASH_HEX_SIZE] = "";
    const release_file *program = release_manifest_find(m, SLICE_LITERAL(RELEASE_PROGRAM));
    if (program != NULL) {
        hex_encode(slice_of(program->digest, HASH_SIZE), digest);
    }
    release_version_write(&m->version, version);
    release_date_write(m->expires_s, date);
    printf("%s release %s, %zu files, until %s\nprogram %s\n", what, version, m->count, date, digest);
}

static bool write_manifest(const manifest_options *o, release_manifest *m, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    if (!release_folder_scan(o->folder, MAINTAINERS_SUCCESSIONS_MAX + 1, m, err)) {
        return false;
    }
    if (!release_version_parse(slice_of_text(o->version), &m->version)) {
        return error_set(err, ERROR_INVALID, "--release is a version like 1.2.3, not \"%s\"", o->version);
    }
    if (!release_date_parse(slice_of_text(o->expires), &m->expires_s)) {
        return error_set(err, ERROR_INVALID, "--expires is a day like 2027-11-22, not \"%s\"", o->expires);
    }
    if (release_manifest_find(m, SLICE_LITERAL(RELEASE_PROGRAM)) == NULL) {
        return error_set(err, ERROR_INVALID,
                         "%s has no " RELEASE_PROGRAM ": it isn't the folder of a release", o->folder);
    }
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    bool written = release_manifest_write(m, &text, err) && make_folders(o->folder, err) &&
                   notes_path(o->folder, path, err) &&
                   file_write_atomic(path, buffer_slice(&text), 0644, err);
    buffer_free(&text);
    if (written) {
        print_summary("manifest of", m);
    }
    return written;
}

int release_manifest_main(int argc, char **argv) {
    manifest_options o = {.version = CELLULE_VERSION};
    const option_row rows[] = {
        {"release", OPTION_TEXT, &o.version, "VERSION", "which it is", 0, 0},
        {"expires", OPTION_REQUIRED, &o.expires, "DATE", "the day from which it counts no more, 2027-11-22",
         0, 0},
    };
    const option_table table = {
        .usage = "cellule release manifest --expires DATE [options] DIR",
        .summary = "Writes the manifest of the release in DIR: SHA-256 and length of every file in it. It "
                   "counts when\n"
                   "enough maintainers have signed it.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, &o.folder, &status)) {
        return status;
    }
    release_manifest *m = memory_allocate_zeroed(1, sizeof *m);
    bool done = false;
    if (m == NULL) {
        error_memory(&err);
    } else {
        done = crypto_start(&err) && write_manifest(&o, m, &err);
    }
    memory_free(m);
    crypto_stop();
    return done ? 0 : options_fail("cellule release manifest", &err);
}

typedef struct signing {
    const char *path;
    const char *key_file;
    const char *name;
    buffer bytes;  /* of the file, as it is */
    slice text;    /* in it: what is signed */
    bool has_note; /* somebody signed before */
    note n;
} signing;

static bool read_text(signing *s, const char *path, error *err) {
    if (!file_read_all(path, &s->bytes, err)) {
        return false;
    }
    s->text = buffer_slice(&s->bytes);
    s->has_note = slice_find_slice(s->text, SLICE_LITERAL("\n\n")) != SIZE_MAX;
    if (s->has_note && !note_parse(s->text, &s->n, err)) {
        return error_context(err, "%s", path);
    }
    s->text = s->has_note ? s->n.text : s->text;
    return true;
}

/* A maintainer signs what lies there, not what a text says of it. */
static bool check_release(const signing *s, release_manifest *m, release_manifest *found, error *err) {
    return release_manifest_parse(s->text, m, err) &&
           release_folder_scan(s->path, MAINTAINERS_SUCCESSIONS_MAX + 1, found, err) &&
           release_folder_compare(m, found, err);
}

static bool check_folder(const signing *s, error *err) {
    release_manifest *both = memory_allocate_zeroed(2, sizeof *both);
    if (both == NULL) {
        return error_memory(err);
    }
    bool good = check_release(s, &both[0], &both[1], err);
    if (good) {
        print_summary("signing", &both[0]);
    }
    memory_free(both);
    return good;
}

static bool check_list(const signing *s, error *err) {
    maintainers m;
    if (!maintainers_parse(s->text, &m, err)) {
        return error_context(err, "%s: a release is signed by its folder, a list of maintainers by its file",
                             s->path);
    }
    printf("signing generation %" PRIu64 " of the maintainers: %zu keys, %" PRIu32 " must sign\n",
           m.generation, m.count, m.threshold);
    return true;
}

static bool is_not_signed_yet(const signing *s, const note_key *key, error *err) {
    uint64_t ignored = 0;
    if (!s->has_note) {
        return true;
    }
    if (note_verify(&s->n, key, &ignored, err)) {
        return error_set(err, ERROR_CONFLICT, "%s has signed it already", key->name);
    }
    return err->code == ERROR_NOT_FOUND;
}

static bool append_signature(const signing *s, const char *path, error *err) {
    note_key key;
    sign_key *private_half = release_load_key(s->key_file, s->name, &key, err);
    if (private_half == NULL) {
        return false;
    }
    buffer out = buffer_make(RELEASE_NOTE_MAX);
    buffer_append(&out, buffer_slice(&s->bytes));
    if (!s->has_note) {
        buffer_append_text(&out, "\n");
    }
    bool done = is_not_signed_yet(s, &key, err) && note_sign(s->text, &key, private_half, 0, &out, err) &&
                file_write_atomic(path, buffer_slice(&out), 0644, err);
    buffer_free(&out);
    sign_key_free(private_half);
    return done;
}

static bool sign(signing *s, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    struct stat status;
    bool is_folder = stat(s->path, &status) == 0 && S_ISDIR(status.st_mode);
    if (!is_folder && snprintf(path, sizeof path, "%s", s->path) >= (int)sizeof path) {
        return error_set(err, ERROR_LIMIT, "the file's path is too long");
    }
    if (is_folder && !notes_path(s->path, path, err)) {
        return false;
    }
    return read_text(s, path, err) && (is_folder ? check_folder(s, err) : check_list(s, err)) &&
           append_signature(s, path, err);
}

int release_sign_main(int argc, char **argv) {
    signing s = {.bytes = buffer_make(RELEASE_NOTE_MAX)};
    const option_row rows[] = {
        {"key", OPTION_REQUIRED, &s.key_file, "FILE", "the maintainer's private key", 0, 0},
        {"name", OPTION_REQUIRED, &s.name, "NAME", "the maintainer's, as it stands in the lists", 0, 0},
    };
    const option_table table = {
        .usage = "cellule release sign --key FILE --name NAME PATH",
        .summary = "Adds a maintainer's signature: to the manifest of the release in the folder PATH, once "
                   "every file\n"
                   "in it is what the manifest says, or to the list of maintainers in the file PATH.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, &s.path, &status)) {
        return status;
    }
    bool done = crypto_start(&err) && sign(&s, &err);
    buffer_free(&s.bytes);
    crypto_stop();
    return done ? 0 : options_fail("cellule release sign", &err);
}
