#include "release/acceptance.h"

#include "base/memory.h"

#define SIGNED_FROM "signed>="

static bool take_word(slice word, release_acceptance *wanted, error *err) {
    slice from = SLICE_LITERAL(SIGNED_FROM);
    if (slice_equal_text(word, "same")) {
        wanted->same = true;
        return true;
    }
    if (slice_equal_text(word, "signed") && !wanted->is_signed) {
        wanted->is_signed = true;
        return true;
    }
    if (slice_starts_with(word, from) && !wanted->is_signed &&
        release_version_parse(slice_after(word, from.length), &wanted->least)) {
        wanted->is_signed = true;
        return true;
    }
    if (wanted->count == RELEASE_ACCEPTED_MAX) {
        return error_set(err, ERROR_INVALID, "more than %d programs are accepted; name fewer",
                         RELEASE_ACCEPTED_MAX);
    }
    if (!hex_decode(word, wanted->digests[wanted->count], HASH_SIZE)) {
        return error_set(err, ERROR_INVALID,
                         "\"%.*s\" is neither the SHA-256 of a program (64 digits) nor one of same, signed, "
                         "signed>=1.2.3",
                         SLICE_FORMAT(slice_part(word, 0, 100)));
    }
    wanted->count++;
    return true;
}

bool release_acceptance_parse(slice text, release_acceptance *wanted, error *err) {
    memset(wanted, 0, sizeof *wanted);
    text = slice_trim(text);
    wanted->anything = text.length == 0;
    while (text.length > 0) {
        size_t end = slice_find(text, ',');
        if (!take_word(slice_trim(slice_part(text, 0, end)), wanted, err)) {
            return false;
        }
        text = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, end + 1);
    }
    return true;
}

static bool is_named(const release_acceptance *wanted, const uint8_t program[HASH_SIZE]) {
    for (size_t i = 0; i < wanted->count; i++) {
        if (memcmp(wanted->digests[i], program, HASH_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_manifest(const release_acceptance *wanted, const release_asker *asker,
                           const release_claim *claim, release_manifest *m, error *err) {
    char version[RELEASE_VERSION_SIZE];
    char least[RELEASE_VERSION_SIZE];
    if (!maintainers_open_manifest(asker->keys, claim->manifest, m, err) ||
        !release_manifest_is_current(m, asker->now_s, err)) {
        return false;
    }
    const release_file *file = release_manifest_find(m, SLICE_LITERAL(RELEASE_PROGRAM));
    if (file == NULL || memcmp(file->digest, claim->program, HASH_SIZE) != 0) {
        return error_set(err, ERROR_DENIED, "its manifest is about another program");
    }
    if (release_version_compare(&m->version, &wanted->least) < 0) {
        release_version_write(&m->version, version);
        release_version_write(&wanted->least, least);
        return error_set(err, ERROR_DENIED, "release %s is older than %s", version, least);
    }
    return true;
}

static bool is_signed(const release_acceptance *wanted, const release_asker *asker,
                      const release_claim *claim, error *err) {
    if (asker->keys == NULL) {
        return error_set(err, ERROR_DENIED, "no maintainers' keys are known here that could tell");
    }
    if (claim->manifest.length == 0) {
        return error_set(err, ERROR_DENIED, "it has no signed manifest");
    }
    release_manifest *m = memory_allocate(sizeof *m);
    if (m == NULL) {
        return error_memory(err);
    }
    bool good = check_manifest(wanted, asker, claim, m, err);
    memory_free(m);
    return good;
}

bool release_accepts(const release_acceptance *wanted, const release_asker *asker, const release_claim *claim,
                     error *err) {
    static const uint8_t none[HASH_SIZE];
    char digest[HASH_HEX_SIZE];
    bool says = memcmp(claim->program, none, HASH_SIZE) != 0;
    if (wanted->anything) {
        return true;
    }
    if (says && ((wanted->same && memcmp(asker->program, claim->program, HASH_SIZE) == 0) ||
                 is_named(wanted, claim->program))) {
        return true;
    }
    if (says && wanted->is_signed && is_signed(wanted, asker, claim, err)) {
        return true;
    }
    if (says && wanted->is_signed && err->code == ERROR_MEMORY) {
        return false;
    }
    char reason[RELEASE_REASON_SIZE] = "";
    if (says && wanted->is_signed) {
        size_t length = strnlen(err->text, sizeof reason - 1);
        memcpy(reason, err->text, length);
        reason[length] = '\0';
    }
    hex_encode(slice_of(claim->program, HASH_SIZE), digest);
    return error_set(err, ERROR_DENIED, "the program %s isn't accepted%s%s",
                     says ? digest : "that isn't named", reason[0] == '\0' ? "" : ": ", reason);
}
