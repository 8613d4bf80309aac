#ifndef APP_RELEASE_BOOT_H
#define APP_RELEASE_BOOT_H

#include "app_release/trust.h"
#include "release/acceptance.h"

/* What a program that starts finds of itself: its own bytes against the signed manifest that is installed
 * with it. It finds what was changed, mixed up or put back by mistake or behind the maintainers' backs; a
 * program made by somebody else to say what it likes isn't stopped by it. */
typedef enum release_policy { RELEASE_REFUSE, RELEASE_WARN, RELEASE_OFF } release_policy;

/* "refuse", "warn", "off"; "auto": refuse for a release, off for a development build. False: another word. */
MUST_CHECK bool release_policy_parse(const char *word, release_policy *policy);

typedef struct release_check {
    const char *policy;       /* a word of release_policy_parse */
    const char *keys_file;    /* NULL or empty: the keys in the program; an error if there are both */
    const char *state_folder; /* remembers what ran here; must exist */
    bool only_look;           /* nothing is written, and what nothing depends on isn't looked at */
} release_check;

typedef enum release_state { RELEASE_UNCHECKED, RELEASE_VERIFIED, RELEASE_WRONG } release_state;

typedef struct release_status {
    release_state state;
    uint8_t program[HASH_SIZE];
    char program_hex[HASH_HEX_SIZE];
    uint64_t expires_s;            /* 0 unless verified */
    buffer manifest;               /* as it was signed; empty unless verified */
    char problem[ERROR_TEXT_SIZE]; /* why it is wrong */
    bool has_keys;
    maintainers keys;
} release_status;

/* Once, at start; logs what it found. False: the policy refuses it, or it can't be told (then too). Blocks.
 * The caller frees the status, whatever is returned. */
MUST_CHECK bool release_check_self(const release_check *check, release_status *status, error *err);
void release_status_free(release_status *status);

const char *release_state_name(release_state state); /* "verified" */

/* release_accepts, asked by this program now. */
MUST_CHECK bool release_status_accepts(const release_status *status, const release_acceptance *wanted,
                                       const release_claim *claim, error *err);

#endif
