#include "accounts.h"
#include "auth/token.h"
#include "base/memory.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "os/clock.h"
#include "os/random.h"
#include "sso/logins_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What it costs the pool to know who asks, by its own accounts and sessions: bench_callers KEYS TOKENS. Finds
 * some of KEYS keys; verifies TOKENS session tokens that it hasn't seen before, then finds them again. Prints
 * one JSON object: processor time of each in microseconds, what the keys take of memory, and Welch's t of the
 * times of two comparisons that fail, at a hash's 9th and at its last byte. */
enum { CHOSEN = 4096, ROUNDS = 50, COMPARED = 200, SAMPLES = 4000, SCRATCH_LIMIT = 65536 };

static const char pool_id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const uint8_t map_seed[MAP_SEED_SIZE] = {7};

typedef struct bench {
    pool pool;
    logins logins;
    accounts *accounts;
    uint64_t keys;
    size_t tokens;
    char (*texts)[AUTH_SESSION_TOKEN_MAX + 1];
} bench;

static double cpu_us(void) {
    struct timespec spent;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec * 1e6 + (double)spent.tv_nsec / 1e3;
}

/* Megabytes of this process. */
static double resident_mb(void) {
    char line[256] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    const char *resident = file != NULL && fgets(line, sizeof line, file) != NULL ? strchr(line, ' ') : NULL;
    if (file != NULL) {
        fclose(file);
    }
    return resident == NULL ? 0 : (double)strtoull(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* The key of that number, the same each time. */
static void make_key(uint64_t number, char text[AUTH_USER_KEY_LENGTH + 1]) {
    uint8_t secret[AUTH_SECRET_SIZE] = {0};
    memcpy(secret, &number, sizeof number);
    auth_user_key_make(secret, text);
}

static bool add_keys(bench *b, error *err) {
    for (uint64_t i = 0; i < b->keys; i++) {
        char text[AUTH_USER_KEY_LENGTH + 1];
        char name[32];
        make_key(i, text);
        snprintf(name, sizeof name, "person.%llu", (unsigned long long)i);
        store_loaded_key key = {.key_id = i + 1,
                                .user_id = i + 1,
                                .user_name = slice_of_text(name),
                                .role = SLICE_LITERAL("employee"),
                                .verify_mode = SLICE_LITERAL("spot")};
        if (!auth_user_key_hash(slice_of_text(text), key.token_hash, err) ||
            !accounts_add_stored(b->accounts, &key, err)) {
            return false;
        }
    }
    return true;
}

/* As identify.c does it, from the field's value. */
static bool measure_key(const bench *b, double *each_us, error *err) {
    static char fields[CHOSEN][AUTH_USER_KEY_LENGTH + 16];
    for (uint64_t i = 0; i < CHOSEN; i++) {
        char text[AUTH_USER_KEY_LENGTH + 1];
        make_key(i * 2654435761U % b->keys, text);
        snprintf(fields[i], sizeof fields[i], "Bearer %s", text);
    }
    size_t found = 0;
    double before = cpu_us();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CHOSEN; i++) {
            uint8_t token_hash[AUTH_HASH_SIZE];
            slice token;
            if (!auth_bearer_parse(slice_of_text(fields[i]), &token) ||
                !auth_user_key_hash(token, token_hash, err)) {
                return error_set(err, ERROR_INTERNAL, "a key can't be read");
            }
            found += accounts_find(b->accounts, token_hash, clock_unix_ms()) != NULL;
        }
    }
    *each_us = (cpu_us() - before) / (ROUNDS * CHOSEN);
    return found == (size_t)ROUNDS * CHOSEN || error_set(err, ERROR_INTERNAL, "a key was not found");
}

typedef struct moments {
    double count;
    double mean;
    double squares;
} moments;

static void add_sample(moments *m, double value) {
    double difference = value - m->mean;
    m->count++;
    m->mean += difference / m->count;
    m->squares += difference * (value - m->mean);
}

/* Hashes that nobody has but for one byte. In turns, so that what disturbs one disturbs the other. */
static double measure_comparison(const bench *b) {
    uint8_t wrong[2][AUTH_HASH_SIZE];
    moments of[2] = {{0}};
    char text[AUTH_USER_KEY_LENGTH + 1];
    error err = {0};
    size_t found = 0;
    make_key(1, text);
    for (int i = 0; i < 2; i++) {
        if (!auth_user_key_hash(slice_of_text(text), wrong[i], &err)) {
            return NAN;
        }
    }
    wrong[0][8] ^= 1;
    wrong[1][AUTH_HASH_SIZE - 1] ^= 1;
    for (int sample = 0; sample < SAMPLES; sample++) {
        int which = sample % 2;
        double before = cpu_us();
        for (int i = 0; i < COMPARED; i++) {
            found += accounts_find(b->accounts, wrong[which], 1) != NULL;
        }
        double spent = cpu_us() - before;
        if (sample >= SAMPLES / 10) { /* the first ones warm up */
            add_sample(&of[which], spent);
        }
    }
    double error_square =
        of[0].squares / (of[0].count - 1) / of[0].count + of[1].squares / (of[1].count - 1) / of[1].count;
    return found == 0 ? fabs(of[0].mean - of[1].mean) / sqrt(error_square) : NAN;
}

static bool start_logins(bench *b, error *err) {
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    logins *all = &b->logins;
    all->by_id = map_new(map_seed);
    all->by_user = map_new(map_seed);
    all->by_token = map_new(map_seed);
    all->scratch = arena_new(SCRATCH_LIMIT);
    all->ring.keep_ms = AUTH_SESSION_SECONDS_MAX * 1000;
    if (all->by_id == NULL || all->by_user == NULL || all->by_token == NULL || all->scratch == NULL) {
        return error_memory(err);
    }
    sign_key *key = sign_key_from_seed(seed, err);
    b->pool.logins = all;
    memcpy(b->pool.site.pool_id_hex, pool_id, sizeof pool_id);
    return key != NULL && auth_key_ring_add(&all->ring, key, 1, err);
}

/* A session and a token of it, for each. */
static bool make_tokens(bench *b, error *err) {
    uint64_t now_ms = clock_unix_ms();
    b->texts = memory_allocate_zeroed(b->tokens, sizeof *b->texts);
    if (b->texts == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < b->tokens; i++) {
        store_session stored = {.user_id = i + 1,
                                .key_id = i + 1,
                                .user_name = SLICE_LITERAL("person"),
                                .role = SLICE_LITERAL("employee"),
                                .verify_mode = SLICE_LITERAL("spot"),
                                .created_ms = now_ms,
                                .expires_ms = now_ms + 3600000};
        auth_session_token token = {.user_name = stored.user_name,
                                    .role = AUTH_EMPLOYEE,
                                    .issued_s = now_ms / 1000,
                                    .expires_s = now_ms / 1000 + AUTH_SESSION_SECONDS_MAX};
        memcpy(stored.id, &i, sizeof i);
        memcpy(token.session_id, stored.id, sizeof stored.id);
        buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
        bool made = logins_put(&b->logins, &stored, err) &&
                    auth_session_token_make(&token, stored.id, pool_id, &b->logins.ring, &text, err);
        slice whole = buffer_slice(&text);
        if (made && whole.data != NULL) {
            memcpy(b->texts[i], whole.data, whole.length);
        }
        buffer_free(&text);
        if (!made) {
            return false;
        }
    }
    return true;
}

static bool measure_tokens(bench *b, double *each_us, error *err) {
    size_t found = 0;
    double before = cpu_us();
    for (size_t i = 0; i < b->tokens; i++) {
        found += logins_find_token(&b->pool, slice_of_text(b->texts[i]), err) != NULL;
    }
    *each_us = (cpu_us() - before) / (double)b->tokens;
    return found == b->tokens || error_set(err, ERROR_INTERNAL, "a token was refused: %s", err->text);
}

static bool run(bench *b, error *err) {
    double key_us = 0;
    double fresh_us = 0;
    double known_us = 0;
    b->accounts = accounts_new(err);
    double before = resident_mb();
    if (b->accounts == NULL || !add_keys(b, err)) {
        return false;
    }
    double memory = resident_mb() - before;
    if (!measure_key(b, &key_us, err) || !start_logins(b, err) || !make_tokens(b, err) ||
        !measure_tokens(b, &fresh_us, err) || !measure_tokens(b, &known_us, err)) {
        return false;
    }
    printf("{\"keys\":%llu,\"keys_mb\":%.1f,\"key_us\":%.3f,\"fresh_us\":%.2f,\"known_us\":%.3f,\"comparison_"
           "t\":%.2f}\n",
           (unsigned long long)b->keys, memory, key_us, fresh_us, known_us, measure_comparison(b));
    return true;
}

static void stop(bench *b) {
    void *value = NULL;
    for (size_t i = 0; b->logins.by_id != NULL && map_next(b->logins.by_id, &i, NULL, &value);) {
        logins_remove(&b->logins, value);
    }
    map_free(b->logins.by_id);
    map_free(b->logins.by_user);
    map_free(b->logins.by_token);
    arena_free(b->logins.scratch);
    auth_key_ring_free(&b->logins.ring);
    accounts_free(b->accounts);
    memory_free(b->texts);
}

int main(int argc, char **argv) {
    static bench b;
    error err = {0};
    b.keys = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    b.tokens = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (b.keys < CHOSEN || b.tokens == 0) {
        fprintf(stderr, "usage: bench_callers KEYS TOKENS, with %d keys at least\n", CHOSEN);
        return 2;
    }
    json_start(1);
    bool good = crypto_start(&err) && run(&b, &err);
    if (!good) {
        fprintf(stderr, "bench_callers: %s\n", err.text);
    }
    stop(&b);
    crypto_stop();
    return good ? 0 : 1;
}
