#include "privacy/expire.h"

#include "base/log.h"
#include "memory/keyring.h"
#include "os/clock.h"
#include "store/conversations.h"
#include "store/facts.h"

enum { EXPIRE_BATCH = 200, LEFT_BEHIND = 1 /* before that date: what deleting has left alone */ };

/* What hasn't changed since is too old; 0: nothing is. */
static uint64_t limit_of(uint64_t days) {
    uint64_t now = clock_unix_ms();
    uint64_t age_ms = days * CLOCK_DAY_MS;
    return days == 0 || now <= age_ms ? 0 : now - age_ms;
}

static void stop(bool *under_way, const char *what, const error *failure) {
    *under_way = false;
    if (failure != NULL) {
        log_warning("what is too old is not deleted; it is tried again in a minute", LOG_TEXT("kind", what),
                    LOG_CAUSE(failure));
    }
}

static void conversations_expired(void *context, size_t count, const error *failure);

static void expire_conversations(pool *p) {
    uint64_t before = limit_of(p->settings.conversation_days);
    error err = {0};
    p->expiring_conversations = store_conversations_expire(p->store, before == 0 ? LEFT_BEHIND : before,
                                                           EXPIRE_BATCH, conversations_expired, p, &err);
    if (!p->expiring_conversations) {
        stop(&p->expiring_conversations, "conversations", &err);
    }
}

static void conversations_expired(void *context, size_t count, const error *failure) {
    pool *p = context;
    if (failure == NULL && count > 0 && !p->stopping) {
        expire_conversations(p);
    } else {
        stop(&p->expiring_conversations, "conversations", failure);
    }
}

static void facts_expired(void *context, size_t count, const error *failure);

static void expire_facts(pool *p) {
    uint64_t before = limit_of(p->settings.fact_days);
    error err = {0};
    if (before == 0) {
        stop(&p->expiring_facts, "facts", NULL);
        return;
    }
    p->expiring_facts = store_facts_expire(p->store, before, EXPIRE_BATCH, facts_expired, p, &err);
    if (!p->expiring_facts) {
        stop(&p->expiring_facts, "facts", &err);
    }
}

/* What was read of them into memory goes too. */
static void facts_expired(void *context, size_t count, const error *failure) {
    pool *p = context;
    if (failure == NULL && count > 0) {
        keyring_detach_all(p->keyring);
    }
    if (failure == NULL && count == EXPIRE_BATCH && !p->stopping) {
        expire_facts(p);
    } else {
        stop(&p->expiring_facts, "facts", failure);
    }
}

void privacy_expire(pool *p) {
    if (!p->expiring_conversations) {
        expire_conversations(p);
    }
    if (!p->expiring_facts) {
        expire_facts(p);
    }
}
