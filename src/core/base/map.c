#include "base/map.h"

#include "base/memory.h"

/* Entries stand in an array in order of insertion; a second array of positions, open-addressed, finds them.
 * Invariants: `positions` has a power-of-two size of at least twice `filled`; a removed entry keeps its place
 * (value NULL) until the next rebuild, so probe sequences stay whole. */
typedef struct entry {
    uint64_t hash;
    uint8_t *key;
    size_t key_length;
    void *value;
} entry;

struct map {
    uint8_t seed[MAP_SEED_SIZE];
    entry *entries;
    size_t filled;       /* entries in use, removed ones included */
    size_t count;        /* live ones */
    uint32_t *positions; /* index + 1 into entries; 0 is free */
    size_t position_count;
};

enum { SMALLEST_POSITIONS = 16 };

static uint64_t load_little_endian(const uint8_t *bytes, size_t length) {
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static uint64_t rotate(uint64_t x, unsigned bits) {
    return (x << bits) | (x >> (64 - bits));
}

static void sip_rounds(uint64_t v[4], int rounds) {
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t map_hash(const uint8_t seed[MAP_SEED_SIZE], slice bytes) {
    uint64_t k0 = load_little_endian(seed, 8);
    uint64_t k1 = load_little_endian(seed + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU, k0 ^ 0x6c7967656e657261U,
                     k1 ^ 0x7465646279746573U};
    size_t whole = bytes.length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_little_endian(bytes.data + i, 8);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    size_t rest = bytes.length - whole;
    uint64_t last = (uint64_t)bytes.length << 56;
    if (rest > 0) {
        last |= load_little_endian(bytes.data + whole, rest);
    }
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

map *map_new(const uint8_t seed[MAP_SEED_SIZE]) {
    map *m = memory_allocate_zeroed(1, sizeof *m);
    if (m != NULL) {
        memcpy(m->seed, seed, MAP_SEED_SIZE);
    }
    return m;
}

void map_free(map *m) {
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->filled; i++) {
        memory_free(m->entries[i].key);
    }
    memory_free(m->entries);
    memory_free(m->positions);
    memory_free(m);
}

size_t map_count(const map *m) {
    return m->count;
}

/* The place of the key, or of the free position where its probe sequence ends. */
static size_t find_position(const map *m, slice key, uint64_t hash) {
    size_t mask = m->position_count - 1;
    size_t at = (size_t)hash & mask;
    while (m->positions[at] != 0) {
        const entry *e = &m->entries[m->positions[at] - 1];
        if (e->hash == hash && e->value != NULL && slice_equal(slice_of(e->key, e->key_length), key)) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

static entry *find(const map *m, slice key) {
    if (m->count == 0) {
        return NULL;
    }
    size_t at = find_position(m, key, map_hash(m->seed, key));
    return m->positions[at] == 0 ? NULL : &m->entries[m->positions[at] - 1];
}

void *map_get(const map *m, slice key) {
    const entry *e = find(m, key);
    return e == NULL ? NULL : e->value;
}

/* Drops removed entries and makes room for one more. */
static bool rebuild(map *m) {
    size_t size = SMALLEST_POSITIONS;
    while (size < (m->count + 1) * 4) {
        size *= 2;
    }
    if (size > UINT32_MAX) {
        return false;
    }
    entry *entries = memory_allocate_zeroed(size / 2, sizeof *entries);
    uint32_t *positions = memory_allocate_zeroed(size, sizeof *positions);
    if (entries == NULL || positions == NULL) {
        memory_free(entries);
        memory_free(positions);
        return false;
    }
    size_t filled = 0;
    for (size_t i = 0; i < m->filled; i++) {
        if (m->entries[i].value != NULL) {
            entries[filled] = m->entries[i];
            size_t at = (size_t)entries[filled].hash & (size - 1);
            while (positions[at] != 0) {
                at = (at + 1) & (size - 1);
            }
            positions[at] = (uint32_t)++filled;
        }
    }
    memory_free(m->entries);
    memory_free(m->positions);
    m->entries = entries;
    m->positions = positions;
    m->position_count = size;
    m->filled = filled;
    return true;
}

bool map_put(map *m, slice key, void *value) {
    entry *there = find(m, key);
    if (there != NULL) {
        there->value = value;
        return true;
    }
    if (m->filled + 1 > m->position_count / 2 && !rebuild(m)) {
        return false;
    }
    uint8_t *copy = memory_allocate(key.length);
    if (copy == NULL) {
        return false;
    }
    if (key.length > 0) {
        memcpy(copy, key.data, key.length);
    }
    uint64_t hash = map_hash(m->seed, key);
    m->entries[m->filled] = (entry){hash, copy, key.length, value};
    m->positions[find_position(m, key, hash)] = (uint32_t)++m->filled;
    m->count++;
    return true;
}

void *map_remove(map *m, slice key) {
    entry *e = find(m, key);
    if (e == NULL) {
        return NULL;
    }
    void *value = e->value;
    memory_free(e->key);
    e->key = NULL;
    e->key_length = 0;
    e->value = NULL;
    m->count--;
    return value;
}

bool map_next(const map *m, size_t *position, slice *key, void **value) {
    while (*position < m->filled) {
        const entry *e = &m->entries[(*position)++];
        if (e->value != NULL) {
            if (key != NULL) {
                *key = slice_of(e->key, e->key_length);
            }
            *value = e->value;
            return true;
        }
    }
    return false;
}
