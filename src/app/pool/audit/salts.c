#include "audit_internal.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "os/random.h"

slice audit_salt_owner(const audit_item *item) {
    return slice_of_text(item->actor[0] != '\0' ? item->actor : AUDIT_STRANGERS);
}

audit_salt *audit_salt_find(const audit *a, slice person) {
    return map_get(a->salts, person);
}

static void add_missing(const audit *a, slice person, slice *persons, size_t *count) {
    if (person.length > 0 && audit_salt_find(a, person) == NULL) {
        persons[(*count)++] = person;
    }
}

size_t audit_salts_missing(const audit *a, slice *persons) {
    size_t count = 0;
    for (const list_node *node = a->batch.next; node != &a->batch; node = node->next) {
        const audit_item *item = LIST_ENTRY(node, audit_item, node);
        add_missing(a, slice_of_text(item->actor), persons, &count);
        add_missing(a, slice_of_text(item->person), persons, &count);
        if (item->address[0] != '\0' && item->actor[0] == '\0') {
            add_missing(a, audit_salt_owner(item), persons, &count);
        }
    }
    return count;
}

static bool take_one(audit *a, const store_audit_salt *found, error *err) {
    if (audit_salt_find(a, found->person) != NULL) {
        return true;
    }
    audit_salt *salt = memory_allocate_zeroed(1, sizeof *salt);
    if (salt == NULL) {
        return error_memory(err);
    }
    salt->fresh = !found->known;
    memcpy(salt->salt, found->salt, sizeof salt->salt);
    if (salt->fresh && !random_bytes(salt->salt, sizeof salt->salt, err)) {
        memory_free(salt);
        return false;
    }
    if (!map_put(a->salts, found->person, salt)) {
        memory_free(salt);
        return error_memory(err);
    }
    return true;
}

bool audit_salts_take(audit *a, const store_audit_salt *salts, size_t count, error *err) {
    for (size_t i = 0; i < count; i++) {
        if (!take_one(a, &salts[i], err)) {
            return false;
        }
    }
    return true;
}

size_t audit_salts_fresh(const audit *a, store_audit_salt *salts) {
    size_t count = 0;
    slice person;
    void *value = NULL;
    for (size_t i = 0; map_next(a->salts, &i, &person, &value);) {
        const audit_salt *salt = value;
        if (salt->fresh) {
            salts[count] = (store_audit_salt){.person = person, .known = true};
            memcpy(salts[count].salt, salt->salt, sizeof salt->salt);
            count++;
        }
    }
    return count;
}

void audit_salts_written(audit *a) {
    void *value = NULL;
    for (size_t i = 0; map_next(a->salts, &i, NULL, &value);) {
        ((audit_salt *)value)->fresh = false;
    }
}

static void wipe(audit_salt *salt) {
    if (salt != NULL) {
        secret_wipe(salt, sizeof *salt);
        memory_free(salt);
    }
}

void audit_salts_forget(audit *a, slice person) {
    wipe(map_remove(a->salts, person));
}

void audit_salts_forget_all(audit *a) {
    slice person;
    void *value = NULL;
    for (size_t i = 0; map_next(a->salts, &i, &person, &value); i = 0) {
        wipe(map_remove(a->salts, person));
    }
}

typedef struct erasure {
    pool *pool;
    char person[AUDIT_PERSON_MAX + 1];
    store_done *done;
    void *context;
} erasure;

/* A salt that was read before it was erased may have come back meanwhile. */
static void salt_erased(void *context, const error *failure) {
    erasure taken = *(erasure *)context;
    memory_free(context);
    if (taken.pool->audit != NULL) {
        audit_salts_forget(taken.pool->audit, slice_of_text(taken.person));
    }
    taken.done(taken.context, failure);
}

bool audit_erase_person(pool *p, slice person, store_done *done, void *context, error *err) {
    if (person.length == 0 || person.length > AUDIT_PERSON_MAX) {
        return error_set(err, ERROR_INVALID, "a person's name is 1 to %d bytes", (int)AUDIT_PERSON_MAX);
    }
    erasure *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        return error_memory(err);
    }
    *e = (erasure){.pool = p, .done = done, .context = context};
    memcpy(e->person, person.data, person.length);
    audit_salts_forget(p->audit, person);
    if (!store_audit_erase_salt(p->store, person, salt_erased, e, err)) {
        memory_free(e);
        return false;
    }
    return true;
}
