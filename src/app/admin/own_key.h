#ifndef ADMIN_OWN_KEY_H
#define ADMIN_OWN_KEY_H

#include "base/buffer.h"
#include "call.h"

/* What the verbs of `cellule key` share. */
typedef struct own_key_wish {
    const char *label;
    uint64_t days;
    bool no_memory;
} own_key_wish;

#define OWN_KEY_WISH_ROWS(wish)                                                                              \
    {"label", OPTION_TEXT, &(wish)->label, "TEXT", "what the key is for", 0, 0},                             \
        {"days", OPTION_U64, &(wish)->days, "N", "days until it expires; 0: as long as may be", 0, 3650}, {  \
        "no-memory", OPTION_FLAG, &(wish)->no_memory, NULL, "it needn't open what you keep at the pool", 0,  \
            0                                                                                                \
    }

/* The body of POST /v1/keys. */
void own_key_write_wish(buffer *body, const own_key_wish *wish);
int own_key_rotate_main(int argc, char **argv);

#endif
