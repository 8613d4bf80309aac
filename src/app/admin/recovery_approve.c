#include "call.h"
#include "codec/base64.h"
#include "codec/json_writer.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "memory/recovery.h"
#include "recovery_key.h"

#include <stdio.h>
#include <string.h>

/* An officer gives a share: it is fetched, opened here with a key that the pool never has, and sealed to the
 * key of the request. */

#define PROGRAM "cellule admin recovery approve"

enum { PATH_SIZE = 256, BODY_LIMIT = 1024, LINE_SIZE = 64 };

typedef struct approval {
    admin_options options;
    const char *key_file;
    const char *passphrase_file;
    const char *code; /* that the user has told; NULL: it is asked for */
    const char *id;
} approval;

/* What the pool says of the request. */
typedef struct asked {
    uint8_t id[RECOVERY_ID_SIZE];
    uint8_t public_key[BOX_KEY_SIZE];
    uint8_t sealed[RECOVERY_SEALED_MAX];
    size_t sealed_length;
    slice user; /* in the answer */
    uint64_t asked_ms;
} asked;

static bool read_sealed(const json_value *answer, asked *a, error *err) {
    slice text = {NULL, 0};
    return json_get_text(answer, "share", &text, err) &&
           (base64url_decode(text, a->sealed, sizeof a->sealed, &a->sealed_length) ||
            error_set(err, ERROR_INVALID, "share: is no sealed share"));
}

static bool read_answer(const json_value *answer, const char *wanted, asked *a, error *err) {
    const json_value *of = NULL;
    slice id = {NULL, 0};
    return json_get_object(answer, "recovery", &of, err) && json_get_text(of, "user", &a->user, err) &&
           json_get_u64(of, "asked_ms", 0, UINT64_MAX, &a->asked_ms, err) &&
           json_get_bytes(of, "public_key", a->public_key, sizeof a->public_key, err) &&
           json_get_text(of, "id", &id, err) &&
           ((slice_equal_text(id, wanted) && hex_decode(id, a->id, sizeof a->id)) ||
            error_set(err, ERROR_INVALID, "the pool has answered for another request")) &&
           read_sealed(answer, a, err);
}

/* Spaces, dashes and case don't count. */
static bool is_code(const char *said, const char *code) {
    for (; *code != '\0'; code++) {
        if (*code == '-') {
            continue;
        }
        while (*said == '-' || *said == ' ') {
            said++;
        }
        char digit = *said >= 'A' && *said <= 'F' ? (char)(*said - 'A' + 'a') : *said;
        if (digit != *code) {
            return false;
        }
        said++;
    }
    return said[strspn(said, "- \t\r\n")] == '\0';
}

/* The code is worked out here from the key that the share will be sealed to, and isn't shown: who wants to
 * approve has to hear it from the user, who reads it from his own answer of the pool. */
static bool confirm(const approval *given, const asked *a, error *err) {
    char code[RECOVERY_CODE_SIZE];
    char line[LINE_SIZE] = {0};
    char day[32];
    if (!recovery_code(a->id, a->public_key, code, err)) {
        return false;
    }
    fprintf(stderr,
            "request   %s\nfor       %.*s\nasked on  %s\n\n"
            "Your share helps to open what this user keeps. Whoever has a key in his name can ask, an admin\n"
            "too: talk to the user himself, and have him read you the code that he was given.\n",
            given->id, SLICE_FORMAT(a->user), admin_date(a->asked_ms, day));
    const char *said = given->code;
    if (said == NULL) {
        fprintf(stderr, "His code: ");
        fflush(stderr);
        said = fgets(line, sizeof line, stdin);
    }
    if (said == NULL || said[strspn(said, " \t\r\n")] == '\0') {
        return error_set(err, ERROR_INVALID,
                         "no code was given, so nothing was: ask the user for it, or say --code CODE");
    }
    return is_code(said, code) ||
           error_set(err, ERROR_DENIED,
                     "that isn't the code of this request, so nothing was given; if it is what the user read "
                     "to you, somebody else asks in his name: refuse it");
}

static bool reseal(const asked *a, const uint8_t *private_key, buffer *body, error *err) {
    recovery_share share;
    uint8_t digest[HASH_SIZE];
    buffer sealed = buffer_make(RECOVERY_SEALED_MAX);
    bool good = (recovery_open(private_key, slice_of(a->sealed, a->sealed_length), &share, digest, err) ||
                 error_context(err, "your share doesn't open with this key")) &&
                recovery_seal(&share, a->public_key, digest, &sealed, err);
    secret_wipe(&share, sizeof share);
    if (good) {
        json_writer w = json_writer_make(body);
        json_write_object_begin(&w);
        json_add_bytes(&w, "share", buffer_slice(&sealed));
        json_write_object_end(&w);
        good = !buffer_failed(body) || error_memory(err);
    }
    buffer_free(&sealed);
    return good;
}

static bool give(const approval *given, const uint8_t *private_key, const char *path, api *pool,
                 api_answer *done, error *err) {
    api_answer answer = {0};
    asked a = {0};
    buffer body = buffer_make(BODY_LIMIT);
    bool good = api_call(pool, "GET", path, (slice){NULL, 0}, &answer, err) &&
                read_answer(answer.json, given->id, &a, err) && confirm(given, &a, err) &&
                reseal(&a, private_key, &body, err) &&
                api_call(pool, "POST", path, buffer_slice(&body), done, err);
    buffer_free(&body);
    json_free(answer.json);
    return good;
}

static void print_given(const approval *given, const json_value *answer) {
    if (given->options.json) {
        admin_print_json(answer);
        return;
    }
    printf("%llu of %llu shares are there%s\n", (unsigned long long)admin_number(answer, "given"),
           (unsigned long long)admin_number(answer, "needed"),
           slice_equal_text(admin_text(answer, "state"), "ready")
               ? ": the user's new key opens what he keeps with his next request"
               : "");
}

static bool approve(const approval *given, error *err) {
    char path[PATH_SIZE];
    api_answer done = {0};
    snprintf(path, sizeof path, "/v1/admin/recoveries/%.64s/share", given->id);
    uint8_t *private_key = recovery_key_read(given->key_file, err);
    api *pool = private_key == NULL ? NULL : api_open(&given->options.pool, err);
    bool good = pool != NULL && give(given, private_key, path, pool, &done, err);
    secret_free(private_key);
    if (good) {
        print_given(given, done.json);
    }
    json_free(done.json);
    api_close(pool);
    return good;
}

int admin_recovery_approve(int argc, char **argv) {
    approval given = {0};
    int status = 0;
    error err = {0};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&given.options),
        {"key", OPTION_REQUIRED, &given.key_file, "FILE", "your private key, of cellule admin recovery-key",
         0, 0},
        OPTION_PASSPHRASE_ROW(&given.passphrase_file),
        {"code", OPTION_TEXT, &given.code, "CODE", "that the user has told you; else it is asked for", 0, 0},
    };
    const option_table table = {
        .usage = PROGRAM " --key FILE [options] ID",
        .summary =
            "Gives your share of what a user keeps, if he has lost all his keys and asks for it. Your\n"
            "private key stays here.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    if (!options_parse(&table, argc, argv, &given.id, &status)) {
        return status;
    }
    if (!admin_word_is_plain(PROGRAM, given.id)) {
        return OPTIONS_WRONG_USAGE;
    }
    bool done = crypto_start(&err) && key_file_use_from(given.passphrase_file, &err) && approve(&given, &err);
    key_file_forget();
    return done ? 0 : options_fail(PROGRAM, &err);
}
