#include "memory/recovery.h"

#include "crypto/secret.h"

#include <stdio.h>

enum {
    VERSION = 1,
    COMMON_SIZE = 1 + 8 + WRAP_SALT_SIZE + RECOVERY_SET_ID_SIZE + 2,
    FIXED_SIZE = COMMON_SIZE + 1 + HASH_SIZE + RECORD_KEY_SIZE + 1,
    CODE_BYTES = 8,
    JOINED_MAX = RECOVERY_OFFICERS_MAX * RECORD_KEY_SIZE
};
_Static_assert(FIXED_SIZE + RECOVERY_NAME_MAX <= (int)RECOVERY_SHARE_MAX, "a share fits");

static void write_common(const recovery_set *set, uint8_t out[COMMON_SIZE]) {
    out[0] = VERSION;
    for (unsigned i = 0; i < 8; i++) {
        out[1 + i] = (uint8_t)(set->user_id >> (56 - 8 * i));
    }
    uint8_t *next = out + 9;
    memcpy(next, set->salt, WRAP_SALT_SIZE);
    memcpy(next + WRAP_SALT_SIZE, set->id, RECOVERY_SET_ID_SIZE);
    next += WRAP_SALT_SIZE + RECOVERY_SET_ID_SIZE;
    next[0] = set->needed;
    next[1] = set->count;
}

static void read_common(const uint8_t in[COMMON_SIZE], recovery_set *set) {
    for (unsigned i = 0; i < 8; i++) {
        set->user_id = set->user_id << 8U | in[1 + i];
    }
    const uint8_t *next = in + 9;
    memcpy(set->salt, next, WRAP_SALT_SIZE);
    memcpy(set->id, next + WRAP_SALT_SIZE, RECOVERY_SET_ID_SIZE);
    next += WRAP_SALT_SIZE + RECOVERY_SET_ID_SIZE;
    set->needed = next[0];
    set->count = next[1];
}

static bool make_check(const recovery_set *set, const uint8_t *data_key, uint8_t check[HASH_SIZE],
                       error *err) {
    static const char label[] = "cellule recovery check";
    uint8_t text[sizeof label + COMMON_SIZE];
    memcpy(text, label, sizeof label);
    write_common(set, text + sizeof label);
    return hash_hmac(slice_of(data_key, RECORD_KEY_SIZE), slice_of(text, sizeof text), check, err);
}

bool recovery_make_check(recovery_set *set, const uint8_t data_key[RECORD_KEY_SIZE], error *err) {
    return make_check(set, data_key, set->check, err);
}

static bool is_good(const recovery_share *share) {
    return share->set.needed >= 2 && share->set.needed <= share->set.count &&
           share->set.count <= RECOVERY_OFFICERS_MAX && share->point >= 1 && share->point <= share->set.count;
}

bool recovery_seal(const recovery_share *share, const uint8_t public_key[BOX_KEY_SIZE],
                   uint8_t digest[HASH_SIZE], buffer *sealed, error *err) {
    uint8_t plain[RECOVERY_SHARE_MAX];
    size_t name = strnlen(share->officer, RECOVERY_NAME_MAX);
    if (!is_good(share) || name == 0) {
        return error_set(err, ERROR_INVALID, "this is no share of a set that there can be");
    }
    write_common(&share->set, plain);
    uint8_t *next = plain + COMMON_SIZE;
    next[0] = share->point;
    memcpy(next + 1, share->set.check, HASH_SIZE);
    memcpy(next + 1 + HASH_SIZE, share->bytes, RECORD_KEY_SIZE);
    next += 1 + HASH_SIZE + RECORD_KEY_SIZE;
    next[0] = (uint8_t)name;
    memcpy(next + 1, share->officer, name);
    slice text = slice_of(plain, FIXED_SIZE + name);
    bool good = hash_sha256(text, digest, err) && box_seal(public_key, text, sealed, err);
    secret_wipe(plain, sizeof plain);
    return good;
}

static bool read_share(slice text, recovery_share *share, error *err) {
    bool good = text.length > FIXED_SIZE && text.data[0] == VERSION &&
                text.data[FIXED_SIZE - 1] == text.length - FIXED_SIZE &&
                text.length - FIXED_SIZE <= RECOVERY_NAME_MAX;
    if (good) {
        const uint8_t *next = text.data + COMMON_SIZE;
        read_common(text.data, &share->set);
        share->point = next[0];
        memcpy(share->set.check, next + 1, HASH_SIZE);
        memcpy(share->bytes, next + 1 + HASH_SIZE, RECORD_KEY_SIZE);
        memcpy(share->officer, text.data + FIXED_SIZE, text.length - FIXED_SIZE);
        good = is_good(share) && memchr(share->officer, 0, text.length - FIXED_SIZE) == NULL;
    }
    return good || error_set(err, ERROR_CORRUPT, "what was sealed is no share of a user's memory");
}

bool recovery_open(const uint8_t private_key[BOX_KEY_SIZE], slice sealed, recovery_share *share,
                   uint8_t digest[HASH_SIZE], error *err) {
    buffer plain = buffer_make(RECOVERY_SHARE_MAX);
    memset(share, 0, sizeof *share);
    if (sealed.length > RECOVERY_SEALED_MAX) {
        return error_set(err, ERROR_CORRUPT, "what was sealed is no share of a user's memory");
    }
    bool good = box_open(private_key, sealed, &plain, err) && read_share(buffer_slice(&plain), share, err) &&
                hash_sha256(buffer_slice(&plain), digest, err);
    buffer_wipe(&plain);
    if (!good) {
        secret_wipe(share, sizeof *share);
    }
    return good;
}

static bool are_of_one_set(const recovery_share *const *shares, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!is_good(shares[i]) || memcmp(shares[i]->set.id, shares[0]->set.id, RECOVERY_SET_ID_SIZE) != 0) {
            return false;
        }
    }
    return count > 0 && count == shares[0]->set.needed;
}

static bool join(const recovery_share *const *shares, size_t count, uint8_t *data_key, error *err) {
    uint8_t points[RECOVERY_OFFICERS_MAX];
    uint8_t bytes[JOINED_MAX];
    for (size_t i = 0; i < count; i++) {
        points[i] = shares[i]->point;
        memcpy(bytes + i * RECORD_KEY_SIZE, shares[i]->bytes, RECORD_KEY_SIZE);
    }
    bool joined = share_join(points, bytes, (unsigned)count, data_key, RECORD_KEY_SIZE, err);
    secret_wipe(bytes, sizeof bytes);
    return joined;
}

static bool refuse(error *err) {
    return error_set(err, ERROR_CORRUPT, "these shares don't give the key that was split; ask anew");
}

bool recovery_join(const recovery_share *const *shares, size_t count, uint8_t data_key[RECORD_KEY_SIZE],
                   error *err) {
    uint8_t check[HASH_SIZE];
    memset(data_key, 0, RECORD_KEY_SIZE);
    if (count > RECOVERY_OFFICERS_MAX || !are_of_one_set(shares, count)) {
        return refuse(err);
    }
    bool good = join(shares, count, data_key, err) && make_check(&shares[0]->set, data_key, check, err);
    for (size_t i = 0; good && i < count; i++) {
        good = hash_equal(check, shares[i]->set.check, HASH_SIZE) || refuse(err);
    }
    if (!good) {
        secret_wipe(data_key, RECORD_KEY_SIZE);
    }
    return good;
}

bool recovery_code(const uint8_t id[RECOVERY_ID_SIZE], const uint8_t public_key[BOX_KEY_SIZE],
                   char code[RECOVERY_CODE_SIZE], error *err) {
    uint8_t text[RECOVERY_ID_SIZE + BOX_KEY_SIZE];
    uint8_t digest[HASH_SIZE];
    char hex[2 * CODE_BYTES + 1];
    memcpy(text, id, RECOVERY_ID_SIZE);
    memcpy(text + RECOVERY_ID_SIZE, public_key, BOX_KEY_SIZE);
    if (!hash_sha256(slice_of(text, sizeof text), digest, err)) {
        return false;
    }
    hex_encode(slice_of(digest, CODE_BYTES), hex);
    snprintf(code, RECOVERY_CODE_SIZE, "%.4s-%.4s-%.4s-%.4s", hex, hex + 4, hex + 8, hex + 12);
    return true;
}
