#include "ledger/note.h"
#include "ledger/checkpoint.h"

#include "crypto/start.h"

#include "unit.h"

#include <stdlib.h>

static sign_key *log_private;
static sign_key *witness_private;
static note_key log_key = {.name = "cellule.example/log", .kind = NOTE_ED25519};
static note_key witness_key = {.name = "witness.example/w1", .kind = NOTE_COSIGNATURE};

static int start(void **state) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    log_private = sign_key_from_seed(seed, &err);
    seed[0] = 2;
    witness_private = sign_key_from_seed(seed, &err);
    if (log_private == NULL || witness_private == NULL) {
        return -1;
    }
    memcpy(log_key.public_key, sign_key_public(log_private), SIGN_PUBLIC_SIZE);
    memcpy(witness_key.public_key, sign_key_public(witness_private), SIGN_PUBLIC_SIZE);
    return 0;
}

static int stop(void **state) {
    (void)state;
    sign_key_free(log_private);
    sign_key_free(witness_private);
    crypto_stop();
    return 0;
}

/* The example of the format's first implementation (golang.org/x/mod/sumdb/note). */
#define PUBLISHED_KEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PUBLISHED_NOTE                                                                                       \
    "If you think cryptography is the answer to your problem,\n"                                             \
    "then you don't know what your problem is.\n"                                                            \
    "\n"                                                                                                     \
    "\xE2\x80\x94 PeterNeumann "                                                                             \
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static void test_the_published_example_verifies(void **state) {
    error err;
    note_key key;
    note n;
    uint64_t time = 7;
    char text[NOTE_KEY_TEXT_MAX + 1];
    (void)state;
    assert_true(note_key_parse(SLICE_LITERAL(PUBLISHED_KEY), &key, &err));
    assert_string_equal(key.name, "PeterNeumann");
    assert_true(note_key_write(&key, text, &err));
    assert_string_equal(text, PUBLISHED_KEY);
    assert_true(note_parse(SLICE_LITERAL(PUBLISHED_NOTE), &n, &err));
    assert_int_equal(n.count, 1);
    assert_true(note_verify(&n, &key, &time, &err));
    assert_int_equal(time, 0);
}

static buffer make_note(void) {
    error err;
    buffer text = buffer_make(4096);
    checkpoint c = {.origin = "cellule.example/log", .size = 20852163};
    memset(c.root, 0x5A, sizeof c.root);
    assert_true(checkpoint_write(&c, &text, &err));
    buffer whole = buffer_make(4096);
    buffer_append(&whole, buffer_slice(&text));
    buffer_append_text(&whole, "\n");
    assert_true(note_sign(buffer_slice(&text), &log_key, log_private, 0, &whole, &err));
    assert_true(note_sign(buffer_slice(&text), &witness_key, witness_private, 1679315147, &whole, &err));
    buffer_free(&text);
    assert_false(buffer_failed(&whole));
    return whole;
}

static void test_a_signed_and_witnessed_checkpoint_is_read_back(void **state) {
    error err;
    note n;
    checkpoint c;
    uint64_t time = 0;
    buffer whole = make_note();
    (void)state;
    assert_true(note_parse(buffer_slice(&whole), &n, &err));
    assert_int_equal(n.count, 2);
    assert_true(note_verify(&n, &log_key, &time, &err));
    assert_int_equal(time, 0);
    assert_true(note_verify(&n, &witness_key, &time, &err));
    assert_int_equal(time, 1679315147);
    assert_true(checkpoint_parse(n.text, &c, &err));
    assert_string_equal(c.origin, "cellule.example/log");
    assert_int_equal(c.size, 20852163);
    assert_int_equal(c.root[31], 0x5A);
    buffer_free(&whole);
}

static void test_a_change_anywhere_makes_a_signature_void_or_the_note_unreadable(void **state) {
    buffer whole = make_note();
    size_t length = buffer_length(&whole);
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    (void)state;
    for (size_t i = 0; i < length; i++) {
        error err;
        note n;
        uint64_t time;
        memcpy(bytes, buffer_slice(&whole).data, length);
        bytes[i] ^= 1;
        bool both = note_parse(slice_of(bytes, length), &n, &err) && note_verify(&n, &log_key, &time, &err) &&
                    note_verify(&n, &witness_key, &time, &err);
        if (both) {
            fail_msg("byte %zu may be changed", i);
        }
    }
    free(bytes);
    buffer_free(&whole);
}

static void test_a_key_that_has_not_signed_is_told_from_one_that_signed_wrongly(void **state) {
    error err;
    note n;
    uint64_t time;
    buffer whole = make_note();
    note_key other = log_key;
    (void)state;
    assert_true(note_parse(buffer_slice(&whole), &n, &err));
    memcpy(other.name, "another", sizeof "another");
    assert_false(note_verify(&n, &other, &time, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    other = log_key;
    other.kind = NOTE_COSIGNATURE;
    assert_false(note_verify(&n, &other, &time, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    n.text = slice_part(n.text, 0, n.text.length - 1);
    assert_false(note_verify(&n, &log_key, &time, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    buffer_free(&whole);
}

#define GOOD_LINE "\xE2\x80\x94 a YWJjZGVmZ2g=\n"

static void test_what_is_not_a_note_is_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "\n",
                                        "\n\n",
                                        "text\n",
                                        "text\n\n",
                                        "text\n" GOOD_LINE,
                                        "\n\n" GOOD_LINE "rest",
                                        "text\n\n- a YWJjZGVmZ2g=\n",
                                        "text\n\n\xE2\x80\x94 YWJjZGVmZ2g=\n",
                                        "text\n\n\xE2\x80\x94  YWJjZGVmZ2g=\n",
                                        "text\n\n\xE2\x80\x94 a+b YWJjZGVmZ2g=\n",
                                        "text\n\n\xE2\x80\x94 a YWJj\n",
                                        "text\n\n\xE2\x80\x94 a YWJjZGVmZ2g\n",
                                        "text\n\n\xE2\x80\x94 a YWJjZGVmZ2g= \n",
                                        "te\txt\n\n" GOOD_LINE,
                                        "te\xFFxt\n\n" GOOD_LINE,
                                        "text\r\n\r\n" GOOD_LINE};
    error err;
    note n;
    (void)state;
    assert_true(note_parse(SLICE_LITERAL("text\n\n" GOOD_LINE), &n, &err));
    assert_true(note_parse(SLICE_LITERAL("a\n\nb\n\n" GOOD_LINE), &n, &err));
    assert_true(slice_equal_text(n.text, "a\n\nb\n"));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (note_parse(slice_of_text(wrong[i]), &n, &err)) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_sixteen_signatures_are_read_and_too_many_refused(void **state) {
    (void)state;
    for (size_t count = 16; count <= NOTE_SIGNATURES_MAX + 1; count++) {
        error err;
        note n;
        buffer whole = buffer_make(NOTE_SIZE_MAX * 2);
        buffer_append_text(&whole, "text\n\n");
        for (size_t i = 0; i < count; i++) {
            buffer_append_text(&whole, GOOD_LINE);
        }
        assert_int_equal(note_parse(buffer_slice(&whole), &n, &err), count <= NOTE_SIGNATURES_MAX);
        buffer_free(&whole);
    }
    error err;
    note n;
    uint8_t *bytes = malloc(NOTE_SIZE_MAX + 1);
    assert_non_null(bytes);
    memset(bytes, 'a', NOTE_SIZE_MAX + 1);
    assert_false(note_parse(slice_of(bytes, NOTE_SIZE_MAX + 1), &n, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    free(bytes);
}

static void test_keys_that_are_not_exact_are_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "PeterNeumann",
                                        "PeterNeumann+c74f20a3",
                                        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                                        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                                        "PeterNeumann+c74f20a3+AhPc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                                        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy",
                                        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                                        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"};
    error err;
    note_key key = log_key;
    char text[NOTE_KEY_TEXT_MAX + 1];
    (void)state;
    memset(key.name, 'n', NOTE_NAME_MAX);
    assert_true(note_key_write(&key, text, &err));
    assert_true(note_key_parse(slice_of_text(text), &key, &err));
    key.name[3] = ' ';
    assert_false(note_key_write(&key, text, &err));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(note_key_parse(slice_of_text(wrong[i]), &key, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

#define ROOT "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo="

static void test_checkpoints_that_are_not_exact_are_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "o\n",
                                        "o\n1\n",
                                        "o\n1\n" ROOT,
                                        "o\n01\n" ROOT "\n",
                                        "o\n-1\n" ROOT "\n",
                                        "o\n18446744073709551616\n" ROOT "\n",
                                        "o\n281474976710657\n" ROOT "\n",
                                        "\n1\n" ROOT "\n",
                                        "o\n1\nWlpa\n",
                                        "o\n1\n" ROOT "\n\n",
                                        "o\n1\n" ROOT "\nmore"};
    error err;
    checkpoint c;
    (void)state;
    assert_true(checkpoint_parse(SLICE_LITERAL("o\n0\n" ROOT "\n"), &c, &err));
    assert_true(checkpoint_parse(SLICE_LITERAL("o\n281474976710656\n" ROOT "\nmore\n"), &c, &err));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(checkpoint_parse(slice_of_text(wrong[i]), &c, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_string_equal(c.origin, "");
    }
}

static void test_what_cannot_be_in_a_note_is_not_signed(void **state) {
    error err;
    buffer out = buffer_make(4096);
    checkpoint c = {.origin = "two words"};
    note_key key = log_key;
    (void)state;
    assert_false(note_sign(SLICE_LITERAL("no newline"), &log_key, log_private, 0, &out, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(note_sign(SLICE_LITERAL("a\x01\n"), &log_key, log_private, 0, &out, &err));
    assert_false(checkpoint_write(&c, &out, &err));
    key.name[0] = '+';
    assert_false(note_sign(SLICE_LITERAL("text\n"), &key, log_private, 0, &out, &err));
    assert_int_equal(buffer_length(&out), 0);
    buffer_free(&out);
}

static void test_no_memory_is_told(void **state) {
    (void)state;
    for (int nth = 0;; nth++) {
        error err = {0};
        note n;
        uint64_t time;
        buffer out = buffer_make(4096);
        fault_fail_nth(nth);
        bool good = buffer_append_text(&out, "text\n\n") &&
                    note_sign(SLICE_LITERAL("text\n"), &log_key, log_private, 0, &out, &err) &&
                    note_parse(buffer_slice(&out), &n, &err) && note_verify(&n, &log_key, &time, &err);
        bool reached = fault_stop();
        assert_int_equal(good, !reached);
        buffer_free(&out);
        if (!reached) {
            break;
        }
        assert_true(nth < 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_example_verifies),
        cmocka_unit_test(test_a_signed_and_witnessed_checkpoint_is_read_back),
        cmocka_unit_test(test_a_change_anywhere_makes_a_signature_void_or_the_note_unreadable),
        cmocka_unit_test(test_a_key_that_has_not_signed_is_told_from_one_that_signed_wrongly),
        cmocka_unit_test(test_what_is_not_a_note_is_refused),
        cmocka_unit_test(test_sixteen_signatures_are_read_and_too_many_refused),
        cmocka_unit_test(test_keys_that_are_not_exact_are_refused),
        cmocka_unit_test(test_checkpoints_that_are_not_exact_are_refused),
        cmocka_unit_test(test_what_cannot_be_in_a_note_is_not_signed),
        cmocka_unit_test(test_no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
