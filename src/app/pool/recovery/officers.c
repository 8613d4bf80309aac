#include "recovery/officers.h"

#include "audit/audit.h"
#include "base/log.h"
#include "codec/base64.h"

#include <stdio.h>

_Static_assert((int)RECOVERY_NAME_MAX == (int)STORE_NAME_MAX, "every user may be an officer");

const officer *officers_find(const officers *all, slice name) {
    for (size_t i = 0; i < all->count; i++) {
        if (slice_equal_text(name, all->all[i].name)) {
            return &all->all[i];
        }
    }
    return NULL;
}

static bool has_key(const officers *all, const uint8_t key[BOX_KEY_SIZE]) {
    for (size_t i = 0; i < all->count; i++) {
        if (memcmp(all->all[i].public_key, key, BOX_KEY_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static bool parse_one(slice text, officers *all, error *err) {
    size_t equals = slice_find(text, '=');
    slice name = slice_trim(slice_part(text, 0, equals));
    slice key = slice_trim(equals == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, equals + 1));
    officer one = {0};
    if (name.length == 0 || name.length > STORE_NAME_MAX ||
        !base64url_decode_exact(key, one.public_key, sizeof one.public_key)) {
        return error_set(err, ERROR_INVALID,
                         "\"%.*s\" is not NAME=PUBLIC-KEY, as cellule admin recovery-key prints it",
                         SLICE_FORMAT(text));
    }
    if (all->count == RECOVERY_OFFICERS_MAX) {
        return error_set(err, ERROR_INVALID, "more than %d officers are named; leave some out",
                         (int)RECOVERY_OFFICERS_MAX);
    }
    if (officers_find(all, name) != NULL || has_key(all, one.public_key)) {
        return error_set(err, ERROR_INVALID, "%.*s, or that public key, is named twice; each officer has one",
                         SLICE_FORMAT(name));
    }
    memcpy(one.name, name.data, name.length);
    all->all[all->count++] = one;
    return true;
}

static bool parse_all(slice text, officers *all, error *err) {
    while (text.length > 0) {
        size_t comma = slice_find(text, ',');
        if (!parse_one(slice_trim(slice_part(text, 0, comma)), all, err)) {
            return error_context(err, "recovery_officers");
        }
        text = comma == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, comma + 1);
    }
    return true;
}

bool officers_parse(const pool_settings *settings, officers *all, error *err) {
    uint64_t needed = settings->recovery_needed;
    *all = (officers){0};
    if (!parse_all(slice_of_text(settings->recovery_officers), all, err)) {
        return false;
    }
    if (needed == 1 || needed > all->count) {
        return error_set(
            err, ERROR_INVALID,
            "recovery_needed: %llu of %zu officers can't be; it is 0 for off, or 2 up to how many are named",
            (unsigned long long)needed, all->count);
    }
    all->needed = (uint8_t)needed;
    if (needed == 0) {
        all->count = 0;
    }
    return true;
}

bool officers_check(const pool_settings *settings, error *err) {
    officers all;
    if (!officers_parse(settings, &all, err)) {
        return false;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (!box_check_key(all.all[i].public_key, err)) {
            return error_context(err, "recovery_officers: %s", all.all[i].name);
        }
    }
    return true;
}

bool officers_present(const pool *p, officers *all) {
    error ignored = {0};
    if (!officers_parse(&p->settings, all, &ignored)) {
        *all = (officers){0};
    }
    return all->count > 0;
}

static void announce_officer(pool *p, const officer *one) {
    char target[16 + BASE64URL_LENGTH(BOX_KEY_SIZE)];
    char key[BASE64URL_LENGTH(BOX_KEY_SIZE) + 1];
    base64url_encode(slice_of(one->public_key, BOX_KEY_SIZE), key);
    snprintf(target, sizeof target, "x25519 %s", key);
    audit_note(p, &(audit_record){.outcome = AUDIT_NOTED,
                                  .action = "recovery_officer",
                                  .person = slice_of_text(one->name),
                                  .target = slice_of_text(target)});
}

void officers_announce(pool *p, bool at_start) {
    officers all;
    char target[64] = "recovery off";
    if (!officers_present(p, &all) && at_start) {
        return;
    }
    if (all.count > 0) {
        snprintf(target, sizeof target, "recovery by %u of %zu officers", (unsigned)all.needed, all.count);
    }
    log_info("recovery of users' memory", LOG_U64("officers", all.count), LOG_U64("needed", all.needed));
    audit_note_event(p, "pool_policy", slice_of_text(target), NULL);
    for (size_t i = 0; i < all.count; i++) {
        announce_officer(p, &all.all[i]);
    }
}
