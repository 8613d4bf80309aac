#include "secrets/pool_key.h"

#include "crypto/start.h"
#include "ledger/note.h"
#include "os/file.h"
#include "secrets/staging.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_MS = 1000000 };

static error err;
static char folder[64];
static uint8_t pool_id[HASH_SIZE];
static note_key log_key; /* the first */
static const uint8_t transfer[SEAL_KEY_SIZE] = {1, 2, 3};
static const site_file files[] = {SITE_POOL_KEY, SITE_AUDIT, SITE_SUCCESSION};

enum { FILE_COUNT = sizeof files / sizeof files[0] };

static void must(bool good) {
    if (!good) {
        fail_msg("%s", err.text);
    }
}

static void path_of(site_file file, char path[SITE_PATH_SIZE]) {
    must(site_path(folder, file, path, &err));
}

static int make_site(void **state) {
    char path[SITE_PATH_SIZE];
    char hex[HASH_HEX_SIZE];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-pool-key-XXXXXX");
    if (!crypto_start(&err) || mkdtemp(folder) == NULL) {
        return -1;
    }
    sign_key *key = sign_key_generate(&err);
    path_of(SITE_POOL_KEY, path);
    must(key != NULL && sign_key_save(key, path, &err));
    must(hash_sha256(slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE), pool_id, &err));
    hex_encode(slice_of(pool_id, sizeof pool_id), hex);
    log_key = (note_key){.kind = NOTE_ED25519};
    snprintf(log_key.name, sizeof log_key.name, "cellule/%s", hex);
    memcpy(log_key.public_key, sign_key_public(key), SIGN_PUBLIC_SIZE);
    sign_key_free(key);
    return 0;
}

static int remove_site(void **state) {
    (void)state;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[SITE_PATH_SIZE];
        path_of(files[i], path);
        unlink(path);
        must(staging_path(folder, files[i], path, &err));
        unlink(path);
    }
    crypto_stop();
    return rmdir(folder);
}

/* What the log's last checkpoint is: a note by this key. */
static void sign_note(const sign_key *key, buffer *out) {
    slice text = SLICE_LITERAL("the log\n");
    note_key by = log_key;
    memcpy(by.public_key, sign_key_public(key), SIGN_PUBLIC_SIZE);
    *out = buffer_make(NOTE_SIZE_MAX);
    buffer_append(out, text);
    buffer_append_byte(out, '\n');
    must(note_sign(text, &by, key, 0, out, &err));
}

/* The key that the site has, which must belong to the other files. */
static sign_key *whole(succession *keys) {
    char path[SITE_PATH_SIZE];
    must(pool_key_settle(folder, &err));
    for (size_t i = 0; i < FILE_COUNT; i++) {
        must(staging_path(folder, files[i], path, &err));
        assert_false(file_exists(path));
    }
    sign_key *key = pool_key_load(folder, &err);
    must(key != NULL);
    must(pool_key_read_succession(folder, sign_key_public(key), keys, &err));
    assert_memory_equal(keys->pool_id, pool_id, HASH_SIZE);
    path_of(SITE_AUDIT, path);
    if (keys->count > 0 && file_exists(path)) {
        note n;
        note_key by = log_key;
        uint64_t ignored = 0;
        buffer kept = buffer_make(NOTE_SIZE_MAX);
        memcpy(by.public_key, sign_key_public(key), SIGN_PUBLIC_SIZE);
        must(file_read_all(path, &kept, &err) && note_parse(buffer_slice(&kept), &n, &err) &&
             note_verify(&n, &by, &ignored, &err));
        buffer_free(&kept);
    }
    return key;
}

static void test_each_key_is_named_by_the_one_before(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        succession keys;
        struct stat status;
        char path[SITE_PATH_SIZE];
        buffer shown;
        pool_key_issued issued = pool_key_issued_make();
        sign_key *former = whole(&keys);
        assert_int_equal(keys.count, i);
        sign_note(former, &shown);
        must(pool_key_exchange(folder, AT_MS + i, buffer_slice(&shown), transfer, &issued, &err));
        sign_key *key = whole(&keys);
        sign_key *unsealed = pool_key_unseal(buffer_slice(&issued.sealed), transfer, &err);
        must(unsealed != NULL);
        assert_int_equal(keys.count, i + 1);
        assert_memory_not_equal(sign_key_public(key), sign_key_public(former), SIGN_PUBLIC_SIZE);
        assert_memory_equal(sign_key_public(key), sign_key_public(unsealed), SIGN_PUBLIC_SIZE);
        path_of(SITE_POOL_KEY, path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        sign_key_free(former);
        sign_key_free(key);
        sign_key_free(unsealed);
        buffer_free(&shown);
        pool_key_issued_free(&issued);
    }
}

/* What a crash leaves: the disk gives out at each step in turn, and the next start settles it. */
static void test_whenever_it_breaks_off_the_files_belong_together(void **state) {
    (void)state;
    bool reached = true;
    size_t failures = 0;
    int nth = 0;
    for (; reached; nth++) {
        succession before;
        succession after;
        buffer shown;
        pool_key_issued issued = pool_key_issued_make();
        sign_key *former = whole(&before);
        sign_note(former, &shown);
        fault_fail_nth_at("write", nth);
        bool done = pool_key_exchange(folder, AT_MS, buffer_slice(&shown), transfer, &issued, &err);
        reached = fault_stop();
        assert_true(done || reached);
        failures += !done;
        /* Who looks before it is settled sees the same key as after. */
        sign_key *early = pool_key_load(folder, &err);
        sign_key *late = whole(&after);
        must(early != NULL);
        assert_memory_equal(sign_key_public(early), sign_key_public(late), SIGN_PUBLIC_SIZE);
        assert_int_equal(after.count, before.count + done);
        sign_key_free(former);
        sign_key_free(early);
        sign_key_free(late);
        buffer_free(&shown);
        pool_key_issued_free(&issued);
    }
    assert_true(failures > 2 || nth == 1); /* the build has no faults */
}

static void test_no_memory_is_no_exchange(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        succession keys;
        pool_key_issued issued = pool_key_issued_make();
        fault_fail_nth(nth);
        bool done = pool_key_exchange(folder, AT_MS, (slice){NULL, 0}, transfer, &issued, &err);
        reached = fault_stop();
        assert_true(done || reached);
        sign_key_free(whole(&keys));
        assert_int_equal(keys.count, done);
        pool_key_issued_free(&issued);
        assert_int_equal(remove_site(NULL), 0);
        assert_int_equal(make_site(NULL), 0);
    }
}

static void test_a_checkpoint_by_anybody_else_is_not_signed(void **state) {
    (void)state;
    succession keys;
    buffer shown;
    pool_key_issued issued = pool_key_issued_make();
    sign_key *stranger = sign_key_generate(&err);
    must(stranger != NULL);
    sign_note(stranger, &shown);
    assert_false(pool_key_exchange(folder, AT_MS, buffer_slice(&shown), transfer, &issued, &err));
    sign_key_free(whole(&keys));
    assert_int_equal(keys.count, 0);
    sign_key_free(stranger);
    buffer_free(&shown);
    pool_key_issued_free(&issued);
}

static void test_a_clock_that_was_set_back_keeps_no_key_in_use(void **state) {
    (void)state;
    succession keys;
    for (int i = 0; i < 2; i++) {
        pool_key_issued issued = pool_key_issued_make();
        must(pool_key_exchange(folder, i == 0 ? AT_MS : 1, (slice){NULL, 0}, transfer, &issued, &err));
        pool_key_issued_free(&issued);
    }
    sign_key_free(whole(&keys));
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.steps[1].made_ms, AT_MS);
}

static void test_a_key_of_another_backup_is_refused(void **state) {
    (void)state;
    succession keys;
    char path[SITE_PATH_SIZE];
    pool_key_issued issued = pool_key_issued_make();
    sign_key *former = whole(&keys);
    must(pool_key_exchange(folder, AT_MS, (slice){NULL, 0}, transfer, &issued, &err));
    path_of(SITE_POOL_KEY, path);
    must(sign_key_save(former, path, &err));
    assert_false(pool_key_read_succession(folder, sign_key_public(former), &keys, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "backup"));
    sign_key_free(former);
    pool_key_issued_free(&issued);
}

static void test_a_sealed_key_is_for_its_holder_alone(void **state) {
    (void)state;
    static const uint8_t other[SEAL_KEY_SIZE] = {9};
    pool_key_issued issued = pool_key_issued_make();
    must(pool_key_exchange(folder, AT_MS, (slice){NULL, 0}, transfer, &issued, &err));
    assert_null(pool_key_unseal(buffer_slice(&issued.sealed), other, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_null(pool_key_unseal((slice){NULL, 0}, transfer, &err));
    pool_key_issued_free(&issued);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_site, remove_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_each_key_is_named_by_the_one_before),
        TEST(test_whenever_it_breaks_off_the_files_belong_together),
        TEST(test_no_memory_is_no_exchange),
        TEST(test_a_checkpoint_by_anybody_else_is_not_signed),
        TEST(test_a_clock_that_was_set_back_keeps_no_key_in_use),
        TEST(test_a_key_of_another_backup_is_refused),
        TEST(test_a_sealed_key_is_for_its_holder_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
