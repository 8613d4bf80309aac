#include "call.h"
#include "codec/base64.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "os/file.h"
#include "recovery_key.h"

#include <stdio.h>

/* Officers' keys, and what they are asked for. */

static const char magic[] = "cellule recovery key 1\n";

enum { FILE_LIMIT = 256, KEY_TEXT = BASE64URL_LENGTH(BOX_KEY_SIZE) };

static bool write_key(const char *path, const uint8_t *private_key, error *err) {
    char text[KEY_TEXT + 1];
    buffer content = buffer_make(FILE_LIMIT);
    base64url_encode(slice_of(private_key, BOX_KEY_SIZE), text);
    bool good = buffer_reserve(&content, FILE_LIMIT) != NULL && buffer_append_text(&content, magic) &&
                buffer_append_text(&content, text) && buffer_append_byte(&content, '\n');
    good = (good || error_memory(err)) && key_file_write(path, buffer_slice(&content), err);
    buffer_wipe(&content);
    secret_wipe(text, sizeof text);
    return good;
}

bool recovery_key_make(const char *path, uint8_t public_key[BOX_KEY_SIZE], error *err) {
    if (file_exists(path)) {
        return error_set(err, ERROR_CONFLICT, "%s is there already; choose another name", path);
    }
    uint8_t *private_key = secret_allocate(BOX_KEY_SIZE, err);
    bool good = private_key != NULL && box_make_keys(public_key, private_key, err) &&
                write_key(path, private_key, err);
    secret_free(private_key);
    return good;
}

static bool parse_key(slice text, uint8_t *private_key) {
    size_t head = sizeof magic - 1;
    return slice_starts_with(text, slice_of_text(magic)) && text.length == head + KEY_TEXT + 1 &&
           text.data[text.length - 1] == '\n' &&
           base64url_decode_exact(slice_part(text, head, KEY_TEXT), private_key, BOX_KEY_SIZE);
}

uint8_t *recovery_key_read(const char *path, error *err) {
    buffer content = buffer_make(FILE_LIMIT);
    uint8_t *private_key = secret_allocate(BOX_KEY_SIZE, err);
    bool good = private_key != NULL && (buffer_reserve(&content, FILE_LIMIT) != NULL || error_memory(err)) &&
                key_file_read(path, &content, err) &&
                (parse_key(buffer_slice(&content), private_key) ||
                 error_set(err, ERROR_INVALID,
                           "%s is no file of cellule admin recovery-key; name the one that it made", path));
    buffer_wipe(&content);
    if (!good) {
        secret_free(private_key);
        private_key = NULL;
    }
    return private_key;
}

int admin_recovery_key_main(int argc, char **argv) {
    const char *passphrase_file = NULL;
    const char *path = NULL;
    int status = 0;
    error err = {0};
    uint8_t public_key[BOX_KEY_SIZE];
    char text[KEY_TEXT + 1];
    const option_row rows[] = {OPTION_PASSPHRASE_ROW(&passphrase_file)};
    const option_table table = {
        .usage = "cellule admin recovery-key --passphrase-file FILE KEY_FILE",
        .summary =
            "Makes a recovery officer's key pair: the private key goes into KEY_FILE, sealed under the\n"
            "passphrase, and never leaves this machine; the public one is printed for the setting\n"
            "recovery_officers.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    bool made = crypto_start(&err) && key_file_use_from(passphrase_file, &err) &&
                (key_file_has_passphrase() ||
                 error_set(&err, ERROR_INVALID,
                           "the key opens what users keep: give a passphrase with --passphrase-file FILE")) &&
                recovery_key_make(path, public_key, &err);
    key_file_forget();
    if (!made) {
        return options_fail("cellule admin recovery-key", &err);
    }
    base64url_encode(slice_of(public_key, sizeof public_key), text);
    printf("%s\n", text);
    return 0;
}

static void print_recoveries(const json_value *answer) {
    static const admin_column columns[] = {
        {"ID", "id", 33, ADMIN_TEXT},          {"USER", "user", 16, ADMIN_TEXT},
        {"ON", "asked_ms", 12, ADMIN_DATE},    {"GIVEN", "given", 6, ADMIN_NUMBER},
        {"NEEDED", "needed", 7, ADMIN_NUMBER}, {"STATE", "state", 0, ADMIN_TEXT},
    };
    admin_print_table(answer, "recoveries", columns, sizeof columns / sizeof columns[0]);
}

static const admin_request requests[] = {
    {"list", NULL, "Lists the users who ask for their memory: all but yourself.", "GET",
     "/v1/admin/recoveries", "", print_recoveries, NULL},
    {"refuse", "ID", "Ends a request. The user can ask anew.", "POST", "/v1/admin/recoveries/", "/refuse",
     admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin recovery", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

int admin_recovery_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", run_request, "list who asks"},
        {"approve", admin_recovery_approve, "give your share of a user's memory"},
        {"refuse", run_request, "end a request"},
    };
    return options_run_verb("cellule admin recovery", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
