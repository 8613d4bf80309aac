#include "app_release/folder.h"
#include "app_release/trust.h"
#include "base/memory.h"
#include "codec/json_writer.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/clock.h"
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>

enum { RESULT_LIMIT = 16384 };

static const char program[] = "cellule verify release";

static const char more[] =
    "DIR is an unpacked release. Exit 0: it is what the maintainers signed, all of it and nothing else, not\n"
    "older than --least and not expired; 1: it isn't, and says why; 2: it can't be checked here.";

typedef struct verification {
    const char *folder;
    const char *keys_file;
    const char *least;
    bool json;

    outcome result;
    maintainers keys;
    release_manifest signed_one;
    release_manifest found;
} verification;

/* From here on what is wrong refutes the release, unless it can't be looked at. */
static outcome outcome_of_release(const error *err) {
    return err->code == ERROR_DENIED ? OUTCOME_REFUTED : outcome_of(err);
}

static bool check_version(const verification *v, error *err) {
    char version[RELEASE_VERSION_SIZE];
    release_version least;
    if (!release_version_parse(slice_of_text(v->least), &least)) {
        return error_set(err, ERROR_UNSUPPORTED, "--least is a version like 1.2.3, not \"%s\"", v->least);
    }
    release_version_write(&v->signed_one.version, version);
    return release_version_compare(&v->signed_one.version, &least) >= 0 ||
           error_set(err, ERROR_DENIED, "release %s is older than %s (--least says which is old enough)",
                     version, v->least);
}

static bool check_release(verification *v, error *err) {
    buffer note_bytes = buffer_make(RELEASE_NOTE_MAX);
    bool good = release_read_manifest(v->folder, &note_bytes, err) &&
                maintainers_open_manifest(&v->keys, buffer_slice(&note_bytes), &v->signed_one, err) &&
                release_manifest_is_current(&v->signed_one, clock_unix_ms() / 1000, err) &&
                check_version(v, err) && release_folder_scan(v->folder, v->keys.generation, &v->found, err) &&
                release_folder_compare(&v->signed_one, &v->found, err);
    buffer_free(&note_bytes);
    return good;
}

static bool verify(verification *v, error *err) {
    if (!crypto_start(err)) {
        return false;
    }
    if (v->keys_file == NULL && !release_is_pinned()) {
        return error_set(
            err, ERROR_NOT_FOUND,
            "say whom you trust: --keys FILE, a list of maintainers' keys (this is a development "
            "build, which has none in it)");
    }
    if (!release_trust_load(v->keys_file, NULL, &v->keys, err)) {
        return false; /* nothing is known of the release yet */
    }
    if (release_trust_load(v->keys_file, v->folder, &v->keys, err) && check_release(v, err)) {
        return true;
    }
    v->result = outcome_of_release(err);
    return false;
}

static const release_file *program_of(const verification *v) {
    return release_manifest_find(&v->signed_one, SLICE_LITERAL(RELEASE_PROGRAM));
}

static void print_json(const verification *v, bool holds, const error *err) {
    char version[RELEASE_VERSION_SIZE];
    buffer out = buffer_make(RESULT_LIMIT);
    json_writer w = json_writer_make(&out);
    json_write_object_begin(&w);
    json_add_text(&w, "result",
                  holds                          ? SLICE_LITERAL("holds")
                  : v->result == OUTCOME_REFUTED ? SLICE_LITERAL("refuted")
                                                 : SLICE_LITERAL("unchecked"));
    if (holds) {
        const release_file *file = program_of(v);
        char digest[HASH_HEX_SIZE] = "";
        if (file != NULL) {
            hex_encode(slice_of(file->digest, HASH_SIZE), digest);
        }
        release_version_write(&v->signed_one.version, version);
        json_add_text(&w, "version", slice_of_text(version));
        json_add_text(&w, "program", slice_of_text(digest));
        json_add_u64(&w, "files", v->signed_one.count);
        json_add_u64(&w, "expires_s", v->signed_one.expires_s);
        json_add_u64(&w, "generation", v->keys.generation);
    } else {
        json_add_text(&w, "reason", slice_of_text(err->text));
    }
    json_write_object_end(&w);
    printf("%.*s\n", SLICE_FORMAT(buffer_slice(&out)));
    buffer_free(&out);
}

static void print_text(const verification *v) {
    char version[RELEASE_VERSION_SIZE];
    char date[RELEASE_DATE_SIZE];
    char digest[HASH_HEX_SIZE] = "none";
    const release_file *file = program_of(v);
    if (file != NULL) {
        hex_encode(slice_of(file->digest, HASH_SIZE), digest);
    }
    release_version_write(&v->signed_one.version, version);
    release_date_write(v->signed_one.expires_s, date);
    printf("release: holds\n  version    %s\n  program    %s\n  files      %zu\n  until      %s\n"
           "  signed by  %" PRIu32 " or more of the %zu maintainers of generation %" PRIu64 "\n",
           version, digest, v->signed_one.count, date, v->keys.threshold, v->keys.count, v->keys.generation);
}

static int run(verification *v) {
    error err = {0};
    v->result = OUTCOME_UNCHECKED;
    bool holds = verify(v, &err);
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
    crypto_stop();
    return (int)v->result;
}

int verify_release_main(int argc, char **argv) {
    verification *v = memory_allocate_zeroed(1, sizeof *v);
    error err = {0};
    if (v == NULL) {
        error_memory(&err);
        (void)options_fail(program, &err);
        return OUTCOME_UNCHECKED;
    }
    v->least = CELLULE_VERSION;
    const option_row rows[] = {
        {"keys", OPTION_TEXT, &v->keys_file, "FILE",
         "the maintainers' first list; else the one in this program", 0, 0},
        {"least", OPTION_TEXT, &v->least, "VERSION", "an older release is refused", 0, 0},
        {"json", OPTION_FLAG, &v->json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule verify release [options] DIR",
        .summary = "Checks offline that an unpacked release is what enough maintainers signed.",
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
