#include "privilege/keeper.h"
#include "privilege/signer.h"

#include "crypto/start.h"
#include "os/file.h"
#include "site.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cellule-privilege-XXXXXX";
static char settings[64];
static sign_key *pool_key;

static const uint8_t transfer[SEAL_KEY_SIZE] = {7, 8, 9};

static void must(bool good, const error *err) {
    if (!good) {
        fail_msg("%s", err->text);
    }
}

static void write_file(const char *name, const char *text, unsigned mode) {
    char path[128];
    error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    must(file_write_atomic(path, slice_of_text(text), mode, &err), &err);
}

static helper *start_signer(sign_key **key) {
    error err;
    bool confined = false;
    helper *signer = signer_start(folder, transfer, &confined, key, &err);
    must(signer != NULL, &err);
    return signer;
}

static void test_the_signer_signs_with_the_pool_s_key(void **state) {
    (void)state;
    sign_key *key = NULL;
    helper *signer = start_signer(&key);
    assert_memory_equal(sign_key_public(key), sign_key_public(pool_key), SIGN_PUBLIC_SIZE);
    for (int i = 0; i < 100; i++) {
        uint8_t signature[SIGN_SIGNATURE_SIZE];
        uint8_t expected[SIGN_SIGNATURE_SIZE];
        char message[32];
        error err;
        snprintf(message, sizeof message, "message %d", i);
        must(sign_bytes(key, slice_of_text(message), signature, &err), &err);
        must(sign_bytes(pool_key, slice_of_text(message), expected, &err), &err);
        assert_memory_equal(signature, expected, sizeof signature);
    }
    sign_key_free(key);
    helper_stop(signer);
}

static void test_the_key_cannot_be_saved_from_outside_the_signer(void **state) {
    (void)state;
    sign_key *key = NULL;
    char path[128];
    error err;
    helper *signer = start_signer(&key);
    snprintf(path, sizeof path, "%s/stolen", folder);
    assert_false(sign_key_save(key, path, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_false(file_exists(path));
    sign_key_free(key);
    helper_stop(signer);
}

static void test_what_is_too_long_or_unknown_is_not_signed_and_the_signer_goes_on(void **state) {
    (void)state;
    static uint8_t large[HELPER_MESSAGE_MAX + 1];
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    sign_key *key = NULL;
    error err;
    helper *signer = start_signer(&key);
    buffer answer = buffer_make(1024);
    assert_false(sign_bytes(key, slice_of(large, SIGNER_MESSAGE_MAX + 1), signature, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(sign_bytes(key, slice_of(large, sizeof large), signature, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_false(helper_ask(signer, 7, SLICE_LITERAL("x"), &answer, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    must(sign_bytes(key, slice_of(large, SIGNER_MESSAGE_MAX), signature, &err), &err);
    assert_true(sign_verify(sign_key_public(pool_key), slice_of(large, SIGNER_MESSAGE_MAX), signature));
    buffer_free(&answer);
    sign_key_free(key);
    helper_stop(signer);
}

static void test_whoever_asks_the_signer_cannot_name_a_key_of_his_own(void **state) {
    (void)state;
    succession keys;
    sign_key *key = NULL;
    error err = {0};
    helper *signer = start_signer(&key);
    sign_key *stolen = sign_key_generate(&err);
    must(stolen != NULL && succession_begin(sign_key_public(key), &keys, &err), &err);
    assert_false(succession_append(&keys, key, stolen, 1000, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_non_null(strstr(err.text, "doesn't sign this"));
    assert_int_equal(keys.count, 0);
    must(succession_append(&keys, pool_key, stolen, 1000, &err), &err); /* it is the signer that refuses */
    sign_key_free(stolen);
    sign_key_free(key);
    helper_stop(signer);
}

static void test_without_its_key_the_signer_does_not_start_and_says_why(void **state) {
    (void)state;
    bool confined = false;
    sign_key *key = NULL;
    error err;
    assert_null(signer_start("/nonexistent", transfer, &confined, &key, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/pool.key"));
    assert_null(key);
}

/* The process that was started last: the only child. */
static pid_t only_child(void) {
    char path[64];
    char text[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    return (pid_t)strtol(text, NULL, 10);
}

static void test_a_signer_that_is_gone_is_an_error_each_time(void **state) {
    (void)state;
    sign_key *key = NULL;
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    error err;
    helper *signer = start_signer(&key);
    assert_int_equal(kill(only_child(), SIGKILL), 0);
    for (int i = 0; i < 3; i++) {
        memset(signature, 1, sizeof signature);
        assert_false(sign_bytes(key, SLICE_LITERAL("x"), signature, &err));
        assert_int_equal(err.code, ERROR_IO);
        assert_int_equal(signature[0], 0);
    }
    sign_key_free(key);
    helper_stop(signer);
}

static helper *start_keeper(void) {
    error err;
    bool confined = false;
    helper *keeper = keeper_start(folder, settings, transfer, &confined, &err);
    must(keeper != NULL, &err);
    return keeper;
}

static void test_the_keeper_reads_certificate_and_settings_as_they_are_now(void **state) {
    (void)state;
    error err;
    helper *keeper = start_keeper();
    for (int i = 0; i < 2; i++) { /* the second time from other files of the same names */
        certificate_pair server;
        buffer text = buffer_make(1024);
        write_file("server.pem", i == 0 ? "certificate" : "another", 0644);
        write_file("server.key", i == 0 ? "key" : "another key", 0600);
        write_file("pool.yaml", i == 0 ? "beat_ms: 1\n" : "beat_ms: 2\n", 0644);
        must(keeper_read_server(keeper, &server, &err), &err);
        assert_true(slice_equal_text(buffer_slice(&server.certificate), i == 0 ? "certificate" : "another"));
        assert_true(slice_equal_text(buffer_slice(&server.key), i == 0 ? "key" : "another key"));
        must(keeper_read_settings(keeper, &text, &err), &err);
        assert_true(slice_equal_text(buffer_slice(&text), i == 0 ? "beat_ms: 1\n" : "beat_ms: 2\n"));
        certificate_pair_free(&server);
        buffer_free(&text);
    }
    helper_stop(keeper);
}

static void test_the_keeper_says_what_is_wrong_with_a_file(void **state) {
    (void)state;
    error err;
    certificate_pair server;
    helper *keeper = start_keeper();
    write_file("server.pem", "certificate", 0644);
    write_file("server.key", "key", 0644);
    assert_false(keeper_read_server(keeper, &server, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.text, "chmod 600"));
    helper_stop(keeper);
}

static void test_the_keeper_keeps_the_checkpoint_and_gives_no_other_file(void **state) {
    (void)state;
    error err;
    char path[128];
    buffer content = buffer_make(1024);
    helper *keeper = start_keeper();
    must(keeper_write_checkpoint(keeper, SLICE_LITERAL("note one"), &err), &err);
    must(keeper_write_checkpoint(keeper, SLICE_LITERAL("note two"), &err), &err);
    snprintf(path, sizeof path, "%s/audit.checkpoint", folder);
    must(file_read_all(path, &content, &err), &err);
    assert_true(slice_equal_text(buffer_slice(&content), "note two"));
    buffer_clear(&content);
    for (unsigned what = 5; what < 256; what++) {
        assert_false(helper_ask(keeper, (uint8_t)what, SLICE_LITERAL("pool.key"), &content, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(buffer_length(&content), 0);
    buffer_free(&content);
    helper_stop(keeper);
}

static void test_a_helper_that_cannot_be_started_leaves_nothing_behind(void **state) {
    (void)state;
    for (int nth = 0; nth < 20; nth++) {
        sign_key *key = NULL;
        bool confined = false;
        error err = {0};
        fault_fail_nth(nth);
        helper *signer = signer_start(folder, transfer, &confined, &key, &err);
        (void)fault_stop();
        if (signer != NULL) {
            sign_key_free(key);
            helper_stop(signer);
            return;
        }
        assert_null(key);
        assert_true(err.code != ERROR_NONE);
    }
    fail_msg("it never starts");
}

static int prepare(void **state) {
    (void)state;
    char path[128];
    error err;
    must(crypto_start(&err), &err);
    assert_non_null(mkdtemp(folder));
    snprintf(settings, sizeof settings, "%s/pool.yaml", folder);
    snprintf(path, sizeof path, "%s/pool.key", folder);
    pool_key = sign_key_generate(&err);
    must(pool_key != NULL && sign_key_save(pool_key, path, &err), &err);
    return 0;
}

/* Neither key is seen by who asks: the keeper seals the new one, and the signer alone can open it. */
static void test_the_pools_key_goes_from_the_keeper_to_the_signer(void **state) {
    (void)state;
    error err;
    succession keys;
    sign_key *former = NULL;
    bool unsure = true;
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    static const uint8_t nobody[SIGN_PUBLIC_SIZE] = {1};
    slice message = SLICE_LITERAL("message");
    pool_key_issued issued = pool_key_issued_make();
    helper *signer = start_signer(&former);
    helper *keeper = start_keeper();
    must(keeper_exchange_key(keeper, (slice){NULL, 0}, &issued, &unsure, &err), &err);
    must(succession_read_json(buffer_slice(&issued.keys), NULL, &keys, &err), &err);
    const uint8_t *awaited = succession_current(&keys);
    slice sealed = buffer_slice(&issued.sealed);
    must(sign_bytes(former, message, signature, &err), &err);
    assert_true(sign_verify(sign_key_public(former), message, signature));
    assert_null(signer_take(signer, awaited, slice_part(sealed, 0, sealed.length - 1), &err));
    assert_null(signer_take(signer, nobody, sealed, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    must(sign_bytes(former, message, signature, &err), &err); /* nothing has happened */
    assert_true(sign_verify(sign_key_public(former), message, signature));
    sign_key *next = signer_take(signer, awaited, sealed, &err);
    must(next != NULL, &err);
    must(sign_bytes(next, message, signature, &err), &err);
    assert_true(sign_verify(awaited, message, signature));
    sign_key_free(former);
    sign_key_free(next);
    helper_stop(signer);
    signer = start_signer(&next);
    assert_memory_equal(sign_key_public(next), awaited, SIGN_PUBLIC_SIZE);
    sign_key_free(next);
    helper_stop(signer);
    helper_stop(keeper);
    pool_key_issued_free(&issued);
}

static size_t steps_on_disk(void) {
    error err;
    succession keys;
    sign_key *key = pool_key_load(folder, &err);
    must(key != NULL && pool_key_read_succession(folder, sign_key_public(key), &keys, &err), &err);
    sign_key_free(key);
    return keys.count;
}

/* Or the pool would sign on with a key that has been replaced. */
static void test_an_exchange_that_failed_has_changed_nothing_or_says_that_it_may_have(void **state) {
    (void)state;
    bool done = false;
    size_t failures = 0;
    helper *keeper = start_keeper();
    for (int nth = 0; !done && nth < 100; nth++) {
        size_t before = steps_on_disk();
        bool unsure = false;
        error err = {0};
        pool_key_issued issued = pool_key_issued_make();
        fault_fail_nth(nth);
        done = keeper_exchange_key(keeper, (slice){NULL, 0}, &issued, &unsure, &err);
        (void)fault_stop();
        failures += !done;
        if (unsure) {
            helper_stop(keeper);
            keeper = start_keeper();
        } else {
            assert_int_equal(steps_on_disk(), before + done);
        }
        pool_key_issued_free(&issued);
    }
    assert_true(done);
    assert_true(failures > 2 || failures == 0); /* the build has no faults */
    helper_stop(keeper);
}

static void test_a_keeper_that_is_gone_may_have_exchanged_the_key_if_it_was_asked(void **state) {
    (void)state;
    helper *keeper = start_keeper();
    assert_int_equal(kill(only_child(), SIGKILL), 0);
    for (int i = 0; i < 2; i++) {
        bool unsure = false;
        error err = {0};
        pool_key_issued issued = pool_key_issued_make();
        assert_false(keeper_exchange_key(keeper, (slice){NULL, 0}, &issued, &unsure, &err));
        assert_int_equal(err.code, ERROR_IO);
        assert_int_equal(unsure, i == 0);
        pool_key_issued_free(&issued);
    }
    helper_stop(keeper);
}

static int clean_up(void **state) {
    (void)state;
    static const char *const names[] = {"pool.key",  "server.pem",       "server.key",
                                        "pool.yaml", "audit.checkpoint", "succession.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    sign_key_free(pool_key);
    crypto_stop();
    return 0;
}

static bool prepare_nothing(void *context, buffer *first, error *err) {
    (void)context, (void)first, (void)err;
    return true;
}

static bool fail_silently(void *context, uint8_t what, slice question, buffer *answer, error *err) {
    (void)context, (void)what, (void)question, (void)err;
    buffer_append(answer, SLICE_LITERAL("half an answer"));
    return false;
}

static void test_what_fails_without_a_word_has_failed(void **state) {
    (void)state;
    static const helper_task task = {.name = "silent", .prepare = prepare_nothing, .answer = fail_silently};
    buffer first = buffer_make(16);
    buffer answer = buffer_make(16);
    error err = {0};
    helper *silent = helper_start(&task, NULL, &first, &err);
    must(silent != NULL, &err);
    assert_false(helper_ask(silent, 0, SLICE_LITERAL("?"), &answer, &err));
    assert_int_equal(err.code, ERROR_INTERNAL);
    assert_int_equal(buffer_length(&answer), 0);
    helper_stop(silent);
}

/* `context`: where it says who works, in memory that is shared. */
static bool work_on(void *context, uint8_t what, slice question, buffer *answer, error *err) {
    (void)what, (void)question, (void)answer, (void)err;
    atomic_store((_Atomic pid_t *)context, getpid());
    sleep(3);
    return true;
}

/* The pool, which is killed while it waits for an answer. */
static _Noreturn void ask_until_killed(_Atomic pid_t *who) {
    static const helper_task task = {.name = "busy", .prepare = prepare_nothing, .answer = work_on};
    buffer first = buffer_make(16);
    buffer answer = buffer_make(16);
    error err = {0};
    helper *busy = helper_start(&task, who, &first, &err);
    if (busy == NULL || !helper_ask(busy, 0, SLICE_LITERAL("?"), &answer, &err)) {
        atomic_store(who, -1);
    }
    _exit(1);
}

static void test_a_helper_at_work_does_not_outlive_a_pool_that_is_killed(void **state) {
    (void)state;
    int status = 0;
    _Atomic pid_t *who = mmap(NULL, sizeof *who, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(who != MAP_FAILED);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0); /* to see how the helper ends */
    pid_t pool = fork();
    if (pool == 0) {
        ask_until_killed(who);
    }
    while (atomic_load(who) == 0) {
        usleep(1000);
    }
    assert_true(atomic_load(who) > 0);
    assert_int_equal(kill(pool, SIGKILL), 0);
    assert_int_equal(waitpid(pool, &status, 0), pool);
    assert_int_equal(waitpid(atomic_load(who), &status, 0), atomic_load(who));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    assert_int_equal(munmap(who, sizeof *who), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signer_signs_with_the_pool_s_key),
        cmocka_unit_test(test_the_key_cannot_be_saved_from_outside_the_signer),
        cmocka_unit_test(test_what_is_too_long_or_unknown_is_not_signed_and_the_signer_goes_on),
        cmocka_unit_test(test_whoever_asks_the_signer_cannot_name_a_key_of_his_own),
        cmocka_unit_test(test_without_its_key_the_signer_does_not_start_and_says_why),
        cmocka_unit_test(test_a_signer_that_is_gone_is_an_error_each_time),
        cmocka_unit_test(test_the_keeper_reads_certificate_and_settings_as_they_are_now),
        cmocka_unit_test(test_the_keeper_says_what_is_wrong_with_a_file),
        cmocka_unit_test(test_the_keeper_keeps_the_checkpoint_and_gives_no_other_file),
        cmocka_unit_test(test_the_pools_key_goes_from_the_keeper_to_the_signer),
        cmocka_unit_test(test_an_exchange_that_failed_has_changed_nothing_or_says_that_it_may_have),
        cmocka_unit_test(test_a_keeper_that_is_gone_may_have_exchanged_the_key_if_it_was_asked),
        cmocka_unit_test(test_a_helper_that_cannot_be_started_leaves_nothing_behind),
        cmocka_unit_test(test_what_fails_without_a_word_has_failed),
        cmocka_unit_test(test_a_helper_at_work_does_not_outlive_a_pool_that_is_killed),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
