#include "verify/policy.h"

static const char *const names[] = {
#define X(mode, name) [mode] = name,
    VERIFY_MODES(X)
#undef X
};

enum { MODES = sizeof names / sizeof names[0] };

const char *verify_mode_name(verify_mode mode) {
    return names[mode];
}

bool verify_mode_parse(slice text, verify_mode *mode) {
    for (unsigned i = 0; i < MODES; i++) {
        if (slice_equal_text(text, names[i])) {
            *mode = (verify_mode)i;
            return true;
        }
    }
    *mode = VERIFY_REQUIRED;
    return false;
}

verify_mode verify_strictest(const verify_mode *modes, size_t count) {
    verify_mode strictest = VERIFY_OFF;
    for (size_t i = 0; i < count; i++) {
        strictest = modes[i] > strictest ? modes[i] : strictest;
    }
    return strictest;
}
