#include "crypto/fernet.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto_internal.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdatomic.h>

/* A token: version, date, initial vector, cipher text, code. */
enum {
    VERSION = 0x80,
    DATE_AT = 1,
    INITIAL_AT = 9,
    CODE_SIZE = HASH_SIZE,
    HASH_BLOCK = 64, /* of SHA-256 */
    BLOCK = 16,
    SIGNING_SIZE = 16, /* of the key; the rest encrypts */
    SHORTEST = FERNET_TEXT_AT + BLOCK + CODE_SIZE,
    CONTEXTS = 8
};

_Static_assert(FERNET_TEXT_AT == INITIAL_AT + FERNET_INITIAL_SIZE, "the cipher text follows the vector");
_Static_assert(FERNET_KEY_SIZE == SIGNING_SIZE + BLOCK, "AES-128");

/* Making OpenSSL's contexts takes longer than using them for a kilobyte. So some are kept; a call has one for
 * itself, gives it its key, and takes the key out again. */
typedef struct context {
    atomic_bool taken;
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *digest;
} context;

static context kept[CONTEXTS];

static void context_drop(context *c) {
    EVP_CIPHER_CTX_free(c->cipher);
    EVP_MD_CTX_free(c->digest);
    c->cipher = NULL;
    c->digest = NULL;
}

/* Cipher and digest are set once: setting them again would make or fetch again what is behind them. */
static bool context_make(context *c, const crypto_algorithms *algorithms) {
    c->cipher = EVP_CIPHER_CTX_new();
    c->digest = EVP_MD_CTX_new();
    return c->cipher != NULL && c->digest != NULL &&
           EVP_EncryptInit_ex2(c->cipher, algorithms->aes, NULL, NULL, NULL) == 1 &&
           EVP_CIPHER_CTX_set_padding(c->cipher, 0) == 1 &&
           EVP_DigestInit_ex2(c->digest, algorithms->sha256, NULL) == 1;
}

/* When more threads come than there are contexts kept, it is `own`. NULL: memory is out. */
static context *context_take(context *own, const crypto_algorithms *algorithms) {
    context *c = own;
    for (size_t i = 0; i < CONTEXTS && c == own; i++) {
        if (!atomic_exchange_explicit(&kept[i].taken, true, memory_order_acquire)) {
            c = &kept[i];
        }
    }
    if (c->cipher == NULL && !context_make(c, algorithms)) {
        context_drop(c);
        atomic_store_explicit(&c->taken, false, memory_order_release);
        return NULL;
    }
    return c;
}

/* A key of zeros in the place of the key: OpenSSL overwrites what it had made of that. Freeing does, too. */
static void context_give_back(context *c, const context *own) {
    static const uint8_t zeros[BLOCK] = {0};
    if (c == own || EVP_EncryptInit_ex2(c->cipher, NULL, zeros, NULL, NULL) != 1) {
        context_drop(c);
    }
    atomic_store_explicit(&c->taken, false, memory_order_release);
}

void crypto_fernet_stop(void) {
    for (size_t i = 0; i < CONTEXTS; i++) {
        context_drop(&kept[i]);
    }
}

/* The digest of a block made of the key, then of what is signed. */
static bool digest_after(const context *c, const uint8_t pad[HASH_BLOCK], slice bytes,
                         uint8_t code[CODE_SIZE]) {
    return EVP_DigestInit_ex2(c->digest, NULL, NULL) == 1 &&
           EVP_DigestUpdate(c->digest, pad, HASH_BLOCK) == 1 &&
           EVP_DigestUpdate(c->digest, bytes.data, bytes.length) == 1 &&
           EVP_DigestFinal_ex(c->digest, code, NULL) == 1;
}

/* HMAC (RFC 2104) out of the digest: OpenSSL's own keeps in its context what it made of the key, and taking
 * that out again costs as much as a fifth of a kilobyte. A digest that has ended holds its result alone. */
static bool compute_code(const context *c, const uint8_t *key, slice bytes, uint8_t code[CODE_SIZE]) {
    enum { INNER = 0x36, OUTER = 0x5c };
    uint8_t pad[HASH_BLOCK] = {0};
    memcpy(pad, key, SIGNING_SIZE);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= INNER;
    }
    bool good = digest_after(c, pad, bytes, code);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= INNER ^ OUTER;
    }
    good = good && digest_after(c, pad, slice_of(code, CODE_SIZE), code);
    secret_wipe(pad, sizeof pad);
    return good;
}

/* EVP takes an int. Whole blocks alone: so nothing of a text stays in the context. */
static bool crypt_blocks(const context *c, const uint8_t *from, uint8_t *to, size_t length) {
    enum { STEP = 1 << 30 };
    while (length > 0) {
        int step = length < STEP ? (int)length : STEP;
        int written = 0;
        if (EVP_CipherUpdate(c->cipher, to, &written, from, step) != 1 || written != step) {
            return false;
        }
        from += step;
        to += step;
        length -= (size_t)step;
    }
    return true;
}

static bool begin(const context *c, const uint8_t *key, const uint8_t *initial, bool encrypt) {
    return EVP_CipherInit_ex2(c->cipher, NULL, key + SIGNING_SIZE, initial, encrypt ? 1 : 0, NULL) == 1;
}

size_t fernet_sealed_size(size_t plain) {
    size_t rest = SIZE_MAX - SHORTEST;
    return plain > rest ? SIZE_MAX : SHORTEST + plain / BLOCK * BLOCK;
}

/* `text` may be where the cipher text comes: each block is read before it is written. */
static bool encrypt(const context *c, slice text, uint8_t *cipher) {
    size_t whole = text.length / BLOCK * BLOCK;
    uint8_t last[BLOCK];
    memset(last, (int)(BLOCK - (text.length - whole)), sizeof last);
    if (text.length > whole) {
        memcpy(last, text.data + whole, text.length - whole);
    }
    bool good = crypt_blocks(c, text.data, cipher, whole) && crypt_blocks(c, last, cipher + whole, BLOCK);
    secret_wipe(last, sizeof last);
    return good;
}

static void write_head(uint8_t *token, uint64_t seconds, const uint8_t *initial) {
    token[0] = VERSION;
    for (size_t i = 0; i < sizeof seconds; i++) {
        token[DATE_AT + i] = (uint8_t)(seconds >> (56 - 8 * i));
    }
    memcpy(token + INITIAL_AT, initial, FERNET_INITIAL_SIZE);
}

static bool seal_into(const context *c, const uint8_t *key, slice plain, uint8_t *token, size_t size) {
    size_t signed_size = size - CODE_SIZE;
    return begin(c, key, token + INITIAL_AT, true) && encrypt(c, plain, token + FERNET_TEXT_AT) &&
           compute_code(c, key, slice_of(token, signed_size), token + signed_size);
}

bool fernet_seal_with(const uint8_t key[FERNET_KEY_SIZE], uint64_t seconds,
                      const uint8_t initial[FERNET_INITIAL_SIZE], slice plain, buffer *token, error *err) {
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    size_t size = fernet_sealed_size(plain.length);
    uint8_t *room = crypto_room(token, size, err);
    if (room == NULL) {
        return false;
    }
    context own = {0};
    context *c = context_take(&own, algorithms);
    bool good = c != NULL;
    if (good) {
        write_head(room, seconds, initial);
        good = seal_into(c, key, plain, room, size);
        context_give_back(c, &own);
    }
    if (!good) {
        return crypto_no_memory(err);
    }
    buffer_commit(token, size);
    return true;
}

bool fernet_seal(const uint8_t key[FERNET_KEY_SIZE], uint64_t seconds, slice plain, buffer *token,
                 error *err) {
    uint8_t initial[FERNET_INITIAL_SIZE];
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    randombytes_buf(initial, sizeof initial);
    return fernet_seal_with(key, seconds, initial, plain, token, err);
}

static bool looks_like_one(slice token) {
    return token.length >= SHORTEST && (token.length - SHORTEST) % BLOCK == 0 && token.data[0] == VERSION;
}

/* Bytes that belong to the text in the last block; BLOCK if the padding isn't right. */
static size_t text_in_last(const uint8_t last[BLOCK]) {
    size_t padding = last[BLOCK - 1];
    if (padding == 0 || padding > BLOCK) {
        return BLOCK;
    }
    for (size_t i = BLOCK - padding; i < BLOCK; i++) {
        if (last[i] != padding) {
            return BLOCK;
        }
    }
    return BLOCK - padding;
}

static bool refuse(error *err) {
    return error_set(err, ERROR_CORRUPT, "a token doesn't open: the key is another, or it was changed");
}

/* The last block goes through the stack: only behind it is it known how long the text is. */
static bool decrypt(const context *c, slice cipher, buffer *plain, error *err) {
    size_t whole = cipher.length - BLOCK;
    size_t used = buffer_length(plain);
    size_t allowed = used < plain->limit ? plain->limit - used : 0;
    size_t most = whole + BLOCK - 1 < allowed ? whole + BLOCK - 1 : allowed;
    uint8_t *room = crypto_room(plain, most > whole ? most : whole, err);
    if (room == NULL) {
        return false;
    }
    uint8_t last[BLOCK];
    bool good =
        crypt_blocks(c, cipher.data, room, whole) && crypt_blocks(c, cipher.data + whole, last, BLOCK);
    size_t rest = good ? text_in_last(last) : BLOCK;
    if (!good) {
        crypto_no_memory(err);
    } else if (rest == BLOCK) {
        good = refuse(err);
    } else if (whole + rest > allowed) {
        good = crypto_no_room(whole + rest, err);
    }
    if (good) {
        memcpy(room + whole, last, rest);
        buffer_commit(plain, whole + rest);
    } else {
        secret_wipe(room, whole);
    }
    secret_wipe(last, sizeof last);
    return good;
}

/* Nothing is decrypted before the code is known to be right. */
static bool open_with(const context *c, const uint8_t *key, slice token, buffer *plain, error *err) {
    uint8_t code[CODE_SIZE];
    slice is_signed = slice_part(token, 0, token.length - CODE_SIZE);
    if (!compute_code(c, key, is_signed, code)) {
        return crypto_no_memory(err);
    }
    if (!hash_equal(code, token.data + is_signed.length, CODE_SIZE)) {
        return refuse(err);
    }
    if (!begin(c, key, token.data + INITIAL_AT, false)) {
        return crypto_no_memory(err);
    }
    return decrypt(c, slice_after(is_signed, FERNET_TEXT_AT), plain, err);
}

bool fernet_open(const uint8_t key[FERNET_KEY_SIZE], slice token, uint64_t *seconds, buffer *plain,
                 error *err) {
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    if (!looks_like_one(token)) {
        return refuse(err);
    }
    context own = {0};
    context *c = context_take(&own, algorithms);
    if (c == NULL) {
        return crypto_no_memory(err);
    }
    bool good = open_with(c, key, token, plain, err);
    context_give_back(c, &own);
    if (good && seconds != NULL) {
        *seconds = 0;
        for (size_t i = 0; i < sizeof *seconds; i++) {
            *seconds = *seconds << 8 | token.data[DATE_AT + i];
        }
    }
    return good;
}
