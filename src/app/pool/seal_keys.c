#include "commands.h"
#include "crypto/key_file.h"
#include "crypto/start.h"
#include "options/options.h"
#include "secrets/files.h"
#include "secrets/pool_key.h"
#include "site.h"

#include <stdio.h>
#include <string.h>

/* Writes the keys of a site anew: sealed, sealed under another passphrase, or as they are. */

typedef struct seal_options {
    const char *site;
    const char *passphrase_file;
    const char *new_passphrase_file;
    bool plain;
} seal_options;

static const site_file keys[] = {SITE_CA_KEY, SITE_SERVER_KEY, SITE_POOL_KEY, SITE_VERIFY_KEY};

enum { KEY_COUNT = sizeof keys / sizeof keys[0], KEY_LIMIT = SITE_PEM_LIMIT };

static bool rewrite(const char *folder, site_file file, error *err) {
    char path[SITE_PATH_SIZE];
    buffer content = buffer_make(KEY_LIMIT);
    bool done = site_path(folder, file, path, err) &&
                (!file_exists(path) || /* a CA that is kept elsewhere */
                 (key_file_read(path, &content, err) && key_file_write(path, buffer_slice(&content), err)));
    buffer_wipe(&content);
    return done;
}

/* Each file is replaced as one act, and read by either passphrase: broken off, it is done once more. */
static bool rewrite_all(const seal_options *options, error *err) {
    char path[SITE_PATH_SIZE];
    if (!site_exists(options->site, err) || !site_path(options->site, SITE_LOCK, path, err)) {
        return false;
    }
    file_lock *lock = file_lock_take(path, err);
    bool done = lock != NULL || error_context(err, "stop the pool of %s first", options->site);
    /* Files of an exchange that broke off take the place of others at the next start. */
    done = done && secrets_settle(options->site, err) && pool_key_settle(options->site, err);
    for (size_t i = 0; done && i < KEY_COUNT; i++) {
        done = rewrite(options->site, keys[i], err);
    }
    file_lock_release(lock);
    return done;
}

static bool use_passphrases(const seal_options *options, error *err) {
    if (options->plain && options->new_passphrase_file != NULL) {
        return error_set(err, ERROR_INVALID, "--plain and --new-passphrase-file exclude each other");
    }
    if (!key_file_use_from(options->passphrase_file, err) ||
        (options->new_passphrase_file != NULL && !key_file_use_from(options->new_passphrase_file, err))) {
        return false;
    }
    if (options->plain) {
        key_file_write_plain();
        return true;
    }
    return key_file_has_passphrase() ||
           error_set(
               err, ERROR_INVALID,
               "name a passphrase with --passphrase-file FILE, or say --plain to store the keys as they are");
}

int pool_seal_main(int argc, char **argv) {
    seal_options options = {.site = "./site"};
    const option_row rows[] = {
        {"site", OPTION_TEXT, &options.site, "DIR", "the site's folder", 0, 0},
        OPTION_PASSPHRASE_ROW(&options.passphrase_file),
        {"new-passphrase-file", OPTION_TEXT, &options.new_passphrase_file, "FILE",
         "another passphrase, which replaces that one", 0, 0},
        {"plain", OPTION_FLAG, &options.plain, NULL, "store the keys as they are, mode 0600", 0, 0},
    };
    const option_table table = {
        .usage = "cellule pool seal [options]",
        .summary =
            "Seals the keys of a site under a passphrase, changes it, or takes it away. The pool that is\n"
            "started then has to be told it.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    bool done = crypto_start(&err) && use_passphrases(&options, &err) && rewrite_all(&options, &err);
    if (done) {
        printf("the keys of %s are %s\n", options.site, options.plain ? "stored as they are" : "sealed");
    }
    key_file_forget();
    crypto_stop();
    return done ? 0 : options_fail("cellule pool seal", &err);
}
