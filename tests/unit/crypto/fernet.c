#include "crypto/fernet.h"
#include "codec/base64.h"
#include "crypto/start.h"

#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 24, ROUNDS = 200, TOKEN_MAX = 4096, OVERHEAD = 57 };

static error err;
static const uint8_t key[FERNET_KEY_SIZE] = {1, 2, 3, 4, 5, [16] = 6, 7, 8, 9, 10};
static uint8_t published_key[FERNET_KEY_SIZE];

static size_t decode(const char *text, uint8_t *bytes) {
    slice unpadded = slice_of_text(text);
    size_t length = 0;
    while (unpadded.length > 0 && unpadded.data[unpadded.length - 1] == '=') {
        unpadded.length--;
    }
    assert_true(base64url_decode(unpadded, bytes, TOKEN_MAX, &length));
    return length;
}

static int start(void **state) {
    (void)state;
    uint8_t bytes[TOKEN_MAX];
    assert_int_equal(decode("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", bytes), FERNET_KEY_SIZE);
    memcpy(published_key, bytes, FERNET_KEY_SIZE);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* generate.json and verify.json of the specification: 1985-10-26T01:20:00-07:00 and the second behind it. */
static const char published[] =
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
enum { PUBLISHED_DATE = 499162800 };

static void test_the_specifications_token_is_made(void **state) {
    (void)state;
    uint8_t initial[FERNET_INITIAL_SIZE];
    uint8_t expected[TOKEN_MAX];
    size_t length = decode(published, expected);
    for (size_t i = 0; i < sizeof initial; i++) {
        initial[i] = (uint8_t)i;
    }
    buffer token = buffer_make(TOKEN_MAX);
    assert_true(
        fernet_seal_with(published_key, PUBLISHED_DATE, initial, SLICE_LITERAL("hello"), &token, &err));
    assert_true(slice_equal(buffer_slice(&token), slice_of(expected, length)));
    buffer_free(&token);
}

static void assert_opens(const char *text, const char *expected, uint64_t date) {
    uint8_t bytes[TOKEN_MAX];
    uint64_t seconds = 0;
    buffer plain = buffer_make(TOKEN_MAX);
    assert_true(fernet_open(published_key, slice_of(bytes, decode(text, bytes)), &seconds, &plain, &err));
    assert_true(slice_equal_text(buffer_slice(&plain), expected));
    assert_int_equal(seconds, date);
    buffer_wipe(&plain);
}

static void test_the_specifications_token_opens(void **state) {
    (void)state;
    assert_opens(published, "hello", PUBLISHED_DATE);
}

static void assert_refused(const uint8_t *with, slice token) {
    uint64_t seconds = 7;
    buffer plain = buffer_make(TOKEN_MAX);
    buffer_append_text(&plain, "kept");
    err = (error){0};
    assert_false(fernet_open(with, token, &seconds, &plain, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(slice_equal_text(buffer_slice(&plain), "kept"));
    assert_false(buffer_failed(&plain));
    assert_int_equal(seconds, 7);
    buffer_wipe(&plain);
}

/* invalid.json: MAC, too short, not whole blocks, padding, initial vector. */
static void test_the_specifications_invalid_tokens_are_refused(void **state) {
    (void)state;
    static const char *const invalid[] = {
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ="
        "=",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
        "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw="
        "=",
        "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ="
        "=",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        uint8_t bytes[TOKEN_MAX];
        assert_refused(published_key, slice_of(bytes, decode(invalid[i], bytes)));
    }
}

/* The others of invalid.json: what is too young or too old the caller says, by the date; and what is base64.
 */
static void test_a_tokens_date_is_told_and_not_judged(void **state) {
    (void)state;
    assert_opens("gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-"
                 "iX9b_qXQcw==",
                 "", PUBLISHED_DATE + 36001);
    assert_opens("gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-"
                 "p1YsUD2Q==",
                 "", PUBLISHED_DATE + 1);
}

static void test_what_is_sealed_opens_again_whatever_its_length(void **state) {
    (void)state;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    for (size_t length = 0; length <= sizeof bytes; length += length < 70 ? 1 : 23) {
        uint64_t seconds = 0;
        buffer token = buffer_make(6 + fernet_sealed_size(length));
        buffer plain = buffer_make(8 + length);
        buffer_append_text(&token, "before");
        buffer_append_text(&plain, "in front");
        assert_true(fernet_seal(key, UINT64_MAX - length, slice_of(bytes, length), &token, &err));
        assert_int_equal(buffer_length(&token), 6 + fernet_sealed_size(length));
        assert_int_equal(fernet_sealed_size(length), OVERHEAD + length / 16 * 16 + 16);
        assert_true(fernet_open(key, slice_after(buffer_slice(&token), 6), &seconds, &plain, &err));
        assert_true(seconds == UINT64_MAX - length);
        assert_int_equal(buffer_length(&plain), 8 + length);
        assert_memory_equal(buffer_slice(&plain).data, "in front", 8);
        assert_true(slice_equal(slice_after(buffer_slice(&plain), 8), slice_of(bytes, length)));
        buffer_free(&token);
        buffer_wipe(&plain);
    }
    assert_true(fernet_sealed_size(SIZE_MAX) == SIZE_MAX);
    assert_true(fernet_sealed_size(SIZE_MAX - OVERHEAD) == SIZE_MAX);
}

static void test_the_text_may_lie_where_the_token_comes(void **state) {
    (void)state;
    for (size_t length = 0; length < 70; length++) {
        uint8_t expected[70];
        buffer token = buffer_make(TOKEN_MAX);
        buffer plain = buffer_make(TOKEN_MAX);
        uint8_t *room = buffer_reserve(&token, fernet_sealed_size(length));
        assert_non_null(room);
        for (size_t i = 0; i < length; i++) {
            expected[i] = room[FERNET_TEXT_AT + i] = (uint8_t)(3 * i + 1);
        }
        assert_true(fernet_seal(key, 1, slice_of(room + FERNET_TEXT_AT, length), &token, &err));
        assert_true(fernet_open(key, buffer_slice(&token), NULL, &plain, &err));
        assert_true(slice_equal(buffer_slice(&plain), slice_of(expected, length)));
        buffer_free(&token);
        buffer_wipe(&plain);
    }
}

static void test_the_same_text_is_never_sealed_alike(void **state) {
    (void)state;
    buffer first = buffer_make(TOKEN_MAX);
    buffer second = buffer_make(TOKEN_MAX);
    assert_true(fernet_seal(key, 5, SLICE_LITERAL("the same"), &first, &err));
    assert_true(fernet_seal(key, 5, SLICE_LITERAL("the same"), &second, &err));
    assert_int_equal(buffer_length(&first), buffer_length(&second));
    assert_memory_equal(first.bytes, second.bytes, 9);
    assert_memory_not_equal(first.bytes + 9, second.bytes + 9, 16);
    assert_memory_not_equal(first.bytes + 25, second.bytes + 25, 16);
    buffer_free(&first);
    buffer_free(&second);
}

static void test_every_changed_bit_and_every_part_of_a_token_is_refused(void **state) {
    (void)state;
    buffer token = buffer_make(TOKEN_MAX);
    assert_true(fernet_seal(key, 5, SLICE_LITERAL("what was asked, and what was answered"), &token, &err));
    size_t size = buffer_length(&token);
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            token.bytes[i] = (uint8_t)(token.bytes[i] ^ 1U << bit);
            assert_refused(key, buffer_slice(&token));
            token.bytes[i] = (uint8_t)(token.bytes[i] ^ 1U << bit);
        }
    }
    for (size_t length = 0; length < size; length++) {
        assert_refused(key, slice_of(token.bytes, length));
        assert_refused(key, slice_after(buffer_slice(&token), size - length));
    }
    for (size_t more = 1; more <= 32; more++) {
        buffer_append_byte(&token, 0);
        assert_refused(key, buffer_slice(&token));
    }
    assert_refused(key, (slice){NULL, 0});
    buffer_free(&token);
}

static void test_another_key_does_not_open_it(void **state) {
    (void)state;
    buffer token = buffer_make(TOKEN_MAX);
    assert_true(fernet_seal(key, 5, SLICE_LITERAL("what was asked"), &token, &err));
    for (size_t i = 0; i < 16; i++) { /* the half that signs: whoever has that alone decrypts to noise */
        uint8_t other[FERNET_KEY_SIZE];
        memcpy(other, key, sizeof other);
        other[i] ^= 0x80;
        assert_refused(other, buffer_slice(&token));
    }
    buffer_free(&token);
}

static void test_a_full_buffer_is_left_as_it_was(void **state) {
    (void)state;
    buffer token = buffer_make(fernet_sealed_size(15));
    assert_false(fernet_seal(key, 5, SLICE_LITERAL("of sixteen bytes"), &token, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&token), 0);
    assert_true(fernet_seal(key, 5, SLICE_LITERAL("of fifteen byte"), &token, &err));
    for (size_t limit = 0; limit < 15; limit++) {
        buffer plain = buffer_make(limit);
        assert_false(fernet_open(key, buffer_slice(&token), NULL, &plain, &err));
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_int_equal(buffer_length(&plain), 0);
        assert_false(buffer_failed(&plain));
        buffer_wipe(&plain);
    }
    buffer_free(&token);
}

/* OpenSSL gets over some of the failures; nothing that is half made is ever taken for whole. */
static void test_each_failing_allocation_is_an_error_or_harmless_and_leaves_nothing(void **state) {
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            if (warm == 0) { /* contexts are made anew */
                crypto_stop();
                assert_true(crypto_start(&err));
            }
            buffer token = buffer_make(TOKEN_MAX);
            buffer plain = buffer_make(TOKEN_MAX);
            fault_fail_nth(nth);
            bool sealed = fernet_seal(key, 5, SLICE_LITERAL("asked"), &token, &err);
            bool done = sealed && fernet_open(key, buffer_slice(&token), NULL, &plain, &err);
            reached = fault_stop();
            assert_true(done || reached);
            assert_int_equal(buffer_length(&token), sealed ? fernet_sealed_size(5) : 0);
            assert_true(slice_equal_text(buffer_slice(&plain), done ? "asked" : ""));
            if (!done) {
                assert_int_equal(err.code, ERROR_MEMORY);
            }
            buffer_free(&token);
            buffer_wipe(&plain);
        }
    }
}

/* Each seals and opens under a key of its own. NULL: all went well. */
static void *work(void *argument) {
    static char failed[] = "failed";
    const uint8_t *number = argument;
    uint8_t own[FERNET_KEY_SIZE] = {*number, 1, [16] = *number};
    uint8_t text[333];
    error problem;
    memset(text, *number, sizeof text);
    bool good = true;
    for (int round = 0; good && round < ROUNDS; round++) {
        buffer token = buffer_make(TOKEN_MAX);
        buffer plain = buffer_make(TOKEN_MAX);
        slice asked = slice_of(text, (size_t)round);
        good = fernet_seal(own, 5, asked, &token, &problem) &&
               fernet_open(own, buffer_slice(&token), NULL, &plain, &problem) &&
               slice_equal(buffer_slice(&plain), asked);
        buffer_free(&token);
        buffer_wipe(&plain);
    }
    return good ? NULL : failed;
}

static void test_many_threads_seal_at_once(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    uint8_t numbers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = (uint8_t)(i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
}

enum { MASK = 0x5a, HALF = 16, SCANNED_MAX = 64 << 20 };

/* How often what `masked` hides stands in a part of this process's memory; `copy` is room for all of it. */
static size_t count_in(int file, uint64_t from, size_t size, const uint8_t masked[HALF], uint8_t *copy) {
    size_t found = 0;
    ssize_t got = pread(file, copy, size, (off_t)from);
    for (size_t at = 0; got >= HALF && at <= (size_t)got - HALF; at++) {
        size_t i = 0;
        while (i < HALF && (copy[at + i] ^ MASK) == masked[i]) {
            i++;
        }
        found += i == HALF ? 1 : 0;
    }
    return found;
}

/* In all that can be written to, but where `copy` is. */
static size_t count_in_memory(const uint8_t masked[HALF], uint8_t *copy) {
    size_t found = 0;
    char line[512];
    int file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_true(file >= 0 && maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from = 0;
        unsigned long long to = 0;
        char rights[8] = "";
        bool read = sscanf(line, "%llx-%llx %7s", &from, &to, rights) == 3 && rights[1] == 'w';
        if (read && to - from <= SCANNED_MAX && (uintptr_t)copy - from >= to - from) {
            found += count_in(file, from, (size_t)(to - from), masked, copy);
        }
    }
    fclose(maps);
    close(file);
    return found;
}

/* Freed blocks are looked at as well: they stay as they are for a while where there are sanitizers. */
static void test_no_key_and_no_text_stay_in_memory(void **state) {
    (void)state;
    uint8_t masked[3][HALF]; /* both halves of a key, and a text's end */
    uint8_t *copy = mmap(NULL, SCANNED_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *secret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(copy != MAP_FAILED && secret != MAP_FAILED);
    for (size_t i = 0; i < sizeof masked; i++) {
        masked[i / HALF][i % HALF] = (uint8_t)(i * 37 + 11);
        secret[i] = masked[i / HALF][i % HALF] ^ MASK;
    }
    slice text = slice_of(secret + FERNET_KEY_SIZE, HALF + 9);
    buffer token = buffer_make(TOKEN_MAX);
    buffer plain = buffer_make(TOKEN_MAX);
    assert_true(fernet_seal(secret, 5, text, &token, &err));
    assert_true(fernet_open(secret, buffer_slice(&token), NULL, &plain, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_true(count_in_memory(masked[i], copy) > 0);
    }
    buffer_wipe(&plain);
    explicit_bzero(secret, 4096);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count_in_memory(masked[i], copy), 0);
    }
    buffer_free(&token);
    munmap(copy, SCANNED_MAX);
    munmap(secret, 4096);
}

static void test_nothing_is_sealed_before_the_start(void **state) {
    (void)state;
    crypto_stop();
    buffer token = buffer_make(TOKEN_MAX);
    assert_false(fernet_seal(key, 5, SLICE_LITERAL("asked"), &token, &err));
    assert_int_equal(err.code, ERROR_INTERNAL);
    assert_false(fernet_open(key, SLICE_LITERAL("token"), NULL, &token, &err));
    assert_int_equal(err.code, ERROR_INTERNAL);
    assert_int_equal(buffer_length(&token), 0);
    buffer_free(&token);
    assert_true(crypto_start(&err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_specifications_token_is_made),
        cmocka_unit_test(test_the_specifications_token_opens),
        cmocka_unit_test(test_the_specifications_invalid_tokens_are_refused),
        cmocka_unit_test(test_a_tokens_date_is_told_and_not_judged),
        cmocka_unit_test(test_what_is_sealed_opens_again_whatever_its_length),
        cmocka_unit_test(test_the_text_may_lie_where_the_token_comes),
        cmocka_unit_test(test_the_same_text_is_never_sealed_alike),
        cmocka_unit_test(test_every_changed_bit_and_every_part_of_a_token_is_refused),
        cmocka_unit_test(test_another_key_does_not_open_it),
        cmocka_unit_test(test_a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(test_each_failing_allocation_is_an_error_or_harmless_and_leaves_nothing),
        cmocka_unit_test(test_many_threads_seal_at_once),
        cmocka_unit_test(test_no_key_and_no_text_stay_in_memory),
        cmocka_unit_test(test_nothing_is_sealed_before_the_start),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
