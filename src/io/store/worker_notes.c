#include "gathered.h"

typedef struct sighting {
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t seen_ms;
} sighting;

static bool write_sighting(database *d, const void *row, error *err) {
    const sighting *seen = row;
    query q;
    query_start(&q, d, "UPDATE workers SET last_seen_ms = ?1 WHERE id = ?2 AND last_seen_ms < ?1");
    query_u64(&q, seen->seen_ms);
    query_bytes(&q, seen->worker_id, STORE_WORKER_ID_SIZE);
    return query_run(&q, err);
}

const gathered_kind gathered_sightings = {sizeof(sighting), write_sighting};

bool store_worker_seen(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms, error *err) {
    sighting seen = {.seen_ms = now_ms};
    memcpy(seen.worker_id, worker_id, sizeof seen.worker_id);
    return gathered_put(s, store_sightings(s), &seen, now_ms, err);
}
