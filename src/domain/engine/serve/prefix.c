#include "serve/prefix.h"

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "crypto/hash.h"

#include <string.h>

struct prefix_entry {
    list_node node; /* in index->idle while nobody uses it */
    uint8_t key[PREFIX_KEY_SIZE];
    page *page;
    uint32_t users;
};

struct prefix_index {
    page_pool *pool;
    map *entries;   /* by key */
    list_node idle; /* the one to go next first */
    size_t idle_count;
};

static slice key_slice(const uint8_t key[PREFIX_KEY_SIZE]) {
    return slice_of(key, PREFIX_KEY_SIZE);
}

prefix_index *prefix_new(page_pool *pool, error *err) {
    /* The keys are digests over a salt that strangers don't know: no seed of the map's own is needed. */
    static const uint8_t seed[MAP_SEED_SIZE] = {0};
    prefix_index *index = memory_allocate_zeroed(1, sizeof *index);
    map *entries = map_new(seed);
    if (index == NULL || entries == NULL) {
        memory_free(index);
        map_free(entries);
        error_memory(err);
        return NULL;
    }
    index->pool = pool;
    index->entries = entries;
    list_init(&index->idle);
    return index;
}

void prefix_free(prefix_index *index) {
    if (index != NULL) {
        while (prefix_evict(index)) {
        }
        map_free(index->entries);
        memory_free(index);
    }
}

bool prefix_root(const uint8_t salt[PREFIX_KEY_SIZE], uint8_t key[PREFIX_KEY_SIZE], error *err) {
    static const char label[] = "cellule prefix v1";
    uint8_t input[sizeof label - 1 + PREFIX_KEY_SIZE];
    memcpy(input, label, sizeof label - 1);
    memcpy(input + sizeof label - 1, salt, PREFIX_KEY_SIZE);
    return hash_sha256(slice_of(input, sizeof input), key, err);
}

bool prefix_next(const uint8_t parent[PREFIX_KEY_SIZE], const uint32_t tokens[CHUNK],
                 uint8_t key[PREFIX_KEY_SIZE], error *err) {
    uint8_t input[PREFIX_KEY_SIZE + CHUNK * sizeof *tokens];
    memcpy(input, parent, PREFIX_KEY_SIZE);
    memcpy(input + PREFIX_KEY_SIZE, tokens, CHUNK * sizeof *tokens);
    bool good = hash_sha256(slice_of(input, sizeof input), key, err);
    explicit_bzero(input, sizeof input);
    return good;
}

static void use(prefix_index *index, prefix_entry *entry) {
    if (entry->users++ == 0) {
        list_remove(&entry->node);
        index->idle_count--;
    }
}

prefix_entry *prefix_join(prefix_index *index, const uint8_t key[PREFIX_KEY_SIZE]) {
    prefix_entry *entry = map_get(index->entries, key_slice(key));
    if (entry != NULL) {
        use(index, entry);
    }
    return entry;
}

prefix_entry *prefix_offer(prefix_index *index, const uint8_t key[PREFIX_KEY_SIZE], page *full) {
    prefix_entry *entry = prefix_join(index, key);
    if (entry != NULL) {
        return entry;
    }
    entry = memory_allocate_zeroed(1, sizeof *entry);
    if (entry == NULL || !map_put(index->entries, key_slice(key), entry)) {
        memory_free(entry);
        return NULL;
    }
    memcpy(entry->key, key, PREFIX_KEY_SIZE);
    list_init(&entry->node);
    entry->page = full;
    entry->users = 1;
    page_share(full);
    return entry;
}

void prefix_leave(prefix_index *index, prefix_entry *entry) {
    if (--entry->users == 0) {
        list_append(&index->idle, &entry->node);
        index->idle_count++;
    }
}

page *prefix_page(const prefix_entry *entry) {
    return entry->page;
}

size_t prefix_idle(const prefix_index *index) {
    return index->idle_count;
}

bool prefix_evict(prefix_index *index) {
    list_node *node = list_first(&index->idle);
    if (node == NULL) {
        return false;
    }
    prefix_entry *entry = LIST_ENTRY(node, prefix_entry, node);
    list_remove(node);
    index->idle_count--;
    (void)!map_remove(index->entries, key_slice(entry->key));
    page_release(index->pool, entry->page);
    explicit_bzero(entry->key, sizeof entry->key);
    memory_free(entry);
    return true;
}
