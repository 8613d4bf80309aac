/* Shares of a user's data key, as an officer seals them. What opens is sealed again to the same bytes, and no
 * number of such shares is taken for a key unless their own check says so. */
#include "memory/recovery.h"
#include "crypto/start.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t public_key[BOX_KEY_SIZE];
static uint8_t private_key[BOX_KEY_SIZE];

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    error err;
    require(crypto_start(&err) && box_make_keys(public_key, private_key, &err));
    return 0;
}

static void try_to_join(const recovery_share *share) {
    error err;
    uint8_t key[RECORD_KEY_SIZE];
    uint8_t next = (uint8_t)(share->point % share->set.count + 1);
    recovery_share other = *share;
    const recovery_share *both[] = {share, &other};
    require(!recovery_join(both, 2, key, &err)); /* the same twice */
    other.point = next;
    require(!recovery_join(both, 2, key, &err)); /* nobody makes a code up */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error err;
    recovery_share share;
    uint8_t digest[HASH_SIZE];
    uint8_t again[HASH_SIZE];
    buffer sealed = buffer_make(4096);
    if (box_seal(public_key, slice_of(data, size), &sealed, &err) &&
        recovery_open(private_key, buffer_slice(&sealed), &share, digest, &err)) {
        buffer second = buffer_make(RECOVERY_SEALED_MAX);
        require(recovery_seal(&share, public_key, again, &second, &err));
        require(hash_equal(digest, again, sizeof digest));
        buffer_free(&second);
        try_to_join(&share);
    }
    buffer_free(&sealed);
    return 0;
}
