#ifndef STORE_CONVERSATIONS_INTERNAL_H
#define STORE_CONVERSATIONS_INTERNAL_H

#include "base/error.h"
#include "base/slice.h"

/* For conversations*.c and turns*.c. */
/* Always returns false, with what is said of a conversation that isn't there or is another user's. */
bool conversation_is_missing(error *err);
MUST_CHECK bool conversation_check_head(slice head, error *err);

#endif
