/* What a signature costs that the signer process makes, beside one that the caller makes itself: SITE is a
 * site's folder. Prints one JSON object. */
#include "privilege/signer.h"
#include "crypto/start.h"
#include "os/clock.h"
#include "samples.h"
#include "site.h"

#include <stdio.h>

enum { SIGNATURES = 20000, MESSAGE_SIZE = 600 }; /* a receipt with the worker's signature */

static bool measure(const sign_key *key, const char *name, error *err) {
    static uint8_t message[MESSAGE_SIZE];
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    samples times = {0};
    bool good = true;
    for (size_t i = 0; good && i < SIGNATURES; i++) {
        uint64_t begun = clock_monotonic_ns();
        message[i % sizeof message]++;
        good = sign_bytes(key, slice_of(message, sizeof message), signature, err) &&
               (samples_add(&times, (clock_monotonic_ns() - begun) / 100) || error_memory(err));
    }
    if (good) {
        printf("\"%s_us\":{\"p50\":%.1f,\"p99\":%.1f}", name, samples_percentile(&times, 0.5) / 10.0,
               samples_percentile(&times, 0.99) / 10.0);
    }
    samples_free(&times);
    return good;
}

int main(int argc, char **argv) {
    error err = {0};
    bool confined = false;
    static const uint8_t transfer[SEAL_KEY_SIZE];
    char path[SITE_PATH_SIZE];
    sign_key *apart = NULL;
    sign_key *own = NULL;
    helper *signer = NULL;
    bool good = argc == 2 && crypto_start(&err) && site_path(argv[1], SITE_POOL_KEY, path, &err);
    if (good) {
        own = sign_key_load(path, &err);
        signer = own == NULL ? NULL : signer_start(argv[1], transfer, &confined, &apart, &err);
    }
    printf("{");
    good = signer != NULL && measure(own, "own", &err) && printf(",") == 1 && measure(apart, "signer", &err);
    printf("}\n");
    if (!good) {
        fprintf(stderr, "bench_signer SITE: %s\n", err.text);
    }
    sign_key_free(apart);
    sign_key_free(own);
    helper_stop(signer);
    crypto_stop();
    return good ? 0 : 1;
}
