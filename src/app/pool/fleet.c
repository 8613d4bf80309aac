#include "fleet.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "proto/message.h"

struct fleet {
    map *by_id;
    size_t reserved; /* of these, places only */
    bool has_referee;
};

fleet *fleet_new(const uint8_t seed[MAP_SEED_SIZE], error *err) {
    fleet *f = memory_allocate(sizeof *f);
    map *by_id = map_new(seed);
    if (f == NULL || by_id == NULL) {
        memory_free(f);
        map_free(by_id);
        error_memory(err);
        return NULL;
    }
    *f = (fleet){.by_id = by_id};
    return f;
}

void fleet_free(fleet *f) {
    if (f == NULL) {
        return;
    }
    void *value = NULL;
    for (size_t i = 0; map_next(f->by_id, &i, NULL, &value);) {
        memory_free(value);
    }
    map_free(f->by_id);
    memory_free(f);
}

static void copy_text(char *target, size_t size, slice text) {
    size_t length = text.length < size - 1 ? text.length : size - 1;
    if (length > 0) {
        memcpy(target, text.data, length);
    }
    target[length] = '\0';
}

static fleet_worker *place_of(const fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]) {
    return map_get(f->by_id, slice_of(id, STORE_WORKER_ID_SIZE));
}

bool fleet_reserve(fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE], error *err) {
    if (place_of(f, id) != NULL) {
        return true;
    }
    fleet_worker *place = memory_allocate_zeroed(1, sizeof *place);
    if (place == NULL || !map_put(f->by_id, slice_of(id, STORE_WORKER_ID_SIZE), place)) {
        memory_free(place);
        return error_memory(err);
    }
    f->reserved++;
    return true;
}

void fleet_release(fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]) {
    fleet_worker *place = place_of(f, id);
    if (place != NULL && !place->enrolled) {
        memory_free(map_remove(f->by_id, slice_of(id, STORE_WORKER_ID_SIZE)));
        f->reserved--;
    }
}

bool fleet_put_stored(fleet *f, const store_worker *stored, error *err) {
    if (!fleet_reserve(f, stored->id, err)) {
        return false;
    }
    fleet_worker *worker = place_of(f, stored->id);
    f->reserved -= !worker->enrolled;
    worker->enrolled = true;
    memcpy(worker->id, stored->id, sizeof worker->id);
    hex_encode(slice_of(stored->id, sizeof stored->id), worker->id_hex);
    memcpy(worker->public_key, stored->public_key, sizeof worker->public_key);
    copy_text(worker->name, sizeof worker->name, stored->name);
    copy_text(worker->owner, sizeof worker->owner, stored->owner);
    copy_text(worker->tiers, sizeof worker->tiers, stored->tiers);
    copy_text(worker->class_name, sizeof worker->class_name, stored->class_name);
    worker->requested_by = stored->requested_by;
    worker->approved_by = stored->approved_by;
    worker->approval = stored->approval;
    worker->contractor = stored->contractor;
    worker->referee = stored->referee;
    f->has_referee = f->has_referee || stored->referee;
    worker->has_machine = stored->has_machine;
    memcpy(worker->machine, stored->machine, sizeof worker->machine);
    worker->created_ms = stored->created_ms;
    worker->expires_ms = stored->expires_ms;
    if (worker->revoked_ms == 0) { /* revoking counts at once, and what was read before it must not undo it */
        worker->revoked_ms = stored->revoked_ms;
    }
    if (worker->suspected_ms == 0) {
        worker->suspected_ms = stored->suspected_ms;
    }
    worker->last_seen_ms = stored->last_seen_ms;
    return true;
}

fleet_worker *fleet_find(const fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]) {
    fleet_worker *worker = place_of(f, id);
    return worker != NULL && worker->enrolled ? worker : NULL;
}

size_t fleet_count(const fleet *f) {
    return map_count(f->by_id) - f->reserved;
}

bool fleet_has_referee(const fleet *f) {
    return f->has_referee;
}

fleet_worker *fleet_next(const fleet *f, size_t *position) {
    void *value = NULL;
    while (map_next(f->by_id, position, NULL, &value)) {
        fleet_worker *worker = value;
        if (worker->enrolled) {
            return worker;
        }
    }
    return NULL;
}

const char *fleet_state_name(const fleet_worker *worker) {
    if (worker->revoked_ms != 0) {
        return "revoked";
    }
    return worker->suspected_ms != 0 ? "quarantined" : "approved";
}

const char *fleet_refusal(const fleet_worker *worker, uint64_t unix_ms) {
    if (worker->revoked_ms != 0) {
        return PROTO_REFUSE_REVOKED;
    }
    if (worker->suspected_ms != 0) {
        return PROTO_REFUSE_QUARANTINED;
    }
    return worker->expires_ms != 0 && unix_ms >= worker->expires_ms ? PROTO_REFUSE_EXPIRED : NULL;
}
