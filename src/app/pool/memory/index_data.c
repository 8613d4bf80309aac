#include "index_internal.h"

#include "base/memory.h"
#include "crypto/secret.h"

#include <stdlib.h>

slice index_target(const pool *p) {
    slice model = slice_of_text(p->settings.embedding_model);
    return model.length > 0 ? model : slice_of_text(embedder_name);
}

bool index_embed(slice text, float vector[EMBEDDER_DIMENSIONS]) {
    embedder_embed(text, vector);
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS; i++) {
        if (vector[i] < 0 || vector[i] > 0) {
            return true;
        }
    }
    return false;
}

index_data *index_data_new(const pool *p, error *err) {
    index_data *data = memory_allocate_zeroed(1, sizeof *data);
    slice target = index_target(p);
    if (data == NULL) {
        error_memory(err);
        return NULL;
    }
    memcpy(data->wish.target, target.data, target.length); /* the settings keep it within bounds */
    data->wish.by_model = !slice_equal_text(target, embedder_name);
    data->plain = vectors_new(EMBEDDER_DIMENSIONS, err);
    data->places = map_new(p->map_seed);
    if (data->plain == NULL || data->places == NULL) {
        error_memory(err);
        index_data_free(data);
        return NULL;
    }
    return data;
}

void index_data_free(index_data *data) {
    if (data != NULL) {
        vectors_free(data->plain);
        vectors_free(data->model);
        map_free(data->places);
        memory_free(data->list);
        memory_free(data);
    }
}

size_t index_data_size(const index_data *data) {
    return vectors_size(data->plain) + (data->model == NULL ? 0 : vectors_size(data->model)) +
           data->count * INDEX_ENTRY_BYTES;
}

void index_data_forget_model(index_data *data) {
    vectors_free(data->model);
    data->model = NULL;
    for (size_t i = 0; i < data->count; i++) {
        data->list[i].of_model = false;
    }
}

static index_place *place_at(const index_data *data, const uint8_t id[RECORD_ID_SIZE], uint64_t *number) {
    size_t found = (size_t)(uintptr_t)map_get(data->places, slice_of(id, RECORD_ID_SIZE));
    *number = found == 0 ? 0 : found - 1;
    return found == 0 ? NULL : &data->list[found - 1];
}

static bool grow(index_data *data, error *err) {
    if (data->count < data->capacity) {
        return true;
    }
    size_t capacity = data->capacity == 0 ? 64 : data->capacity * 2;
    index_place *list = data->count >= 2 * (size_t)FACTS_OF_USER_MAX
                            ? NULL
                            : memory_resize(data->list, capacity * sizeof *list);
    if (list == NULL) {
        return error_memory(err);
    }
    data->list = list;
    data->capacity = capacity;
    return true;
}

/* A place that is given up isn't used again: vectors are few, and what is read anew has none. */
static index_place *new_place(index_data *data, const uint8_t id[RECORD_ID_SIZE], uint64_t *number,
                              error *err) {
    if (!grow(data, err)) {
        return NULL;
    }
    if (!map_put(data->places, slice_of(id, RECORD_ID_SIZE), (void *)(uintptr_t)(data->count + 1))) {
        error_memory(err);
        return NULL;
    }
    index_place *place = &data->list[data->count];
    *place = (index_place){.used = true};
    memcpy(place->id, id, RECORD_ID_SIZE);
    *number = data->count++;
    data->used++;
    return place;
}

static void set_current(index_data *data, index_place *place, bool current) {
    data->current -= place->current ? 1 : 0;
    data->current += current ? 1 : 0;
    place->current = current;
}

/* The model may have come to make vectors of another length: those that there are can't be compared any more.
 */
static bool take_dimensions(index_data *data, size_t dimensions, error *err) {
    if (data->model != NULL && data->wish.dimensions != dimensions) {
        for (size_t i = 0; i < data->count; i++) {
            set_current(data, &data->list[i], data->list[i].current && !data->list[i].of_model);
        }
        index_data_forget_model(data);
    }
    if (data->model == NULL) {
        data->model = vectors_new(dimensions, err);
        data->wish.dimensions = dimensions;
    }
    return data->model != NULL;
}

static bool put_vector(index_data *data, index_place *place, uint64_t number, const index_entry *entry,
                       error *err) {
    if (place->of_model) {
        (void)vectors_remove(data->model, number);
        place->of_model = false;
    }
    if (entry->vector == NULL || data->no_room) {
        return true;
    }
    place->of_model = take_dimensions(data, entry->dimensions, err) &&
                      vectors_put(data->model, number, entry->vector, err);
    return place->of_model;
}

bool index_data_put(index_data *data, const index_entry *entry, error *err) {
    uint64_t number = 0;
    index_place *place = place_at(data, entry->id, &number);
    if (place == NULL && !entry->is_new) {
        return true;
    }
    if (place == NULL) {
        place = new_place(data, entry->id, &number, err);
    }
    if (place == NULL || !put_vector(data, place, number, entry, err)) {
        return false;
    }
    set_current(data, place, entry->current);
    if (entry->plain == NULL) {
        return true;
    }
    (void)vectors_remove(data->plain, number);
    error ignored = {0};
    bool put = vectors_put(data->plain, number, entry->plain, &ignored);
    return put || ignored.code == ERROR_INVALID || error_memory(err); /* without a word nothing finds it */
}

void index_data_remove(index_data *data, const uint8_t id[RECORD_ID_SIZE]) {
    uint64_t number = 0;
    index_place *place = place_at(data, id, &number);
    if (place == NULL) {
        return;
    }
    (void)vectors_remove(data->plain, number);
    if (place->of_model) {
        (void)vectors_remove(data->model, number);
    }
    map_remove(data->places, slice_of(id, RECORD_ID_SIZE));
    data->used--;
    set_current(data, place, false);
    *place = (index_place){0};
}

static void add_found(const index_data *data, index_search *s, const vectors_found *found, bool by_model) {
    index_found *next = &s->found[s->count++];
    memcpy(next->id, data->list[found->id].id, sizeof next->id);
    next->score = found->score;
    next->by_model = by_model;
}

static int by_score(const void *a, const void *b) {
    const index_found *one = a;
    const index_found *other = b;
    if (one->score > other->score || one->score < other->score) {
        return one->score > other->score ? -1 : 1;
    }
    return memcmp(one->id, other->id, sizeof one->id);
}

/* Facts that have no vector of the model's yet are found by the other. */
size_t index_data_search(const index_data *data, index_search *s) {
    vectors_found near[INDEX_FOUND_MAX];
    float query[EMBEDDER_DIMENSIONS];
    bool by_model = s->vector != NULL && data->model != NULL && data->wish.dimensions == s->dimensions;
    size_t count = by_model ? vectors_search(data->model, s->vector, near, s->most) : 0;
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        add_found(data, s, &near[i], true);
    }
    bool all = by_model && vectors_count(data->model) == data->used;
    count = !all && index_embed(s->text, query) ? vectors_search(data->plain, query, near, INDEX_FOUND_MAX) : 0;
    for (size_t i = 0; i < count && s->count < s->most * 2; i++) {
        if (!by_model || !data->list[near[i].id].of_model) {
            add_found(data, s, &near[i], false);
        }
    }
    secret_wipe(query, sizeof query);
    qsort(s->found, s->count, sizeof s->found[0], by_score);
    return s->count < s->most ? s->count : s->most;
}

bool index_is_current(const index_wish *wish, const fact *f) {
    float vector[EMBEDDER_DIMENSIONS];
    if (!slice_equal_text(f->embedder, wish->target)) {
        return !wish->by_model && f->dimensions == 0 && !index_embed(f->text, vector);
    }
    return !wish->by_model || wish->dimensions == 0 || f->dimensions == wish->dimensions;
}
