#include "reader.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "format/dequantise.h"

#include <stdio.h>

enum {
    VOCABULARY_MAX = 1 << 20,
    TENSOR_NAME_SIZE = 64,
    LINE = 64,          /* bytes that matrices and vectors are aligned to */
    STRETCH = 16 << 20, /* packed bytes between two calls of progress and used */
    GRAIN = 256 << 10,  /* packed bytes that a member takes at once */
};

/* A tensor, or the rows of one from first_row on, and where it goes. */
typedef struct placement {
    const gguf_tensor *tensor;
    uint32_t first_row;
    matrix *matrix; /* or NULL: */
    const float **numbers;
} placement;

typedef struct plan {
    reader *r;
    placement *placements;
    size_t count;
    size_t room;
    uint64_t matrices_size;
    uint64_t numbers_size; /* bytes */
} plan;

static uint64_t whole_lines(uint64_t size) {
    return (size + LINE - 1) / LINE * LINE;
}

const gguf_tensor *take_tensor(reader *r, const char *name) {
    const gguf_tensor *t = gguf_find_tensor(r->file, name);
    if (t != NULL) {
        r->used[t - gguf_tensor_at(r->file, 0)] = true;
    }
    return t;
}

bool check_numbers(const reader *r, const gguf_tensor *t) {
    return t->type == GGUF_F32 || t->type == GGUF_F16 || t->type == GGUF_BF16 ||
           error_set(r->err, ERROR_UNSUPPORTED,
                     "tensor '%.*s' is %s: this engine takes F32, F16 or BF16 there", SLICE_FORMAT(t->name),
                     gguf_type_name((uint32_t)t->type));
}

void read_numbers(const gguf_tensor *t, float *values) {
    dequantise_row(t->type, t->data.data, (size_t)t->dimensions[0], values);
}

static uint32_t length_of(const architecture *a, side s) {
    switch (s) {
    case WIDTH:
        return a->width;
    case HIDDEN:
        return a->hidden;
    case QUERIES:
        return a->heads * a->head_size;
    case KEYS:
        return a->key_heads * a->head_size;
    case HEAD_SIZE:
        return a->head_size;
    case VOCABULARY:
        return a->vocabulary;
    case POSITIONS:
        return a->context;
    case ONE:
    case ANY:
        break;
    }
    return 1;
}

static bool has_shape(const plan *p, const gguf_tensor *t, uint32_t columns, uint64_t rows) {
    return (t->dimensions[0] == columns && t->dimensions[1] == rows && t->dimensions[2] == 1 &&
            t->dimensions[3] == 1) ||
           error_set(p->r->err, ERROR_CORRUPT, "tensor '%.*s' is not %u by %llu", SLICE_FORMAT(t->name),
                     columns, (unsigned long long)rows);
}

static bool place_numbers(plan *p, const tensor_rule *rule, placement *to) {
    bool any = rule->rows == ANY && to->tensor->dimensions[1] > 0;
    uint64_t rows = any ? to->tensor->dimensions[1] : 1;
    uint32_t columns = length_of(p->r->a, rule->columns);
    p->numbers_size += whole_lines((uint64_t)columns * sizeof(float));
    return has_shape(p, to->tensor, columns, rows) && check_numbers(p->r, to->tensor);
}

static bool place_matrix(plan *p, const tensor_rule *rule, placement *to) {
    const gguf_tensor *t = to->tensor;
    uint32_t columns = length_of(p->r->a, rule->columns);
    if (!matrix_shape(to->matrix, t->type, length_of(p->r->a, rule->rows), columns)) {
        return error_set(p->r->err, ERROR_UNSUPPORTED,
                         "tensor '%.*s' has rows of %u numbers, not whole blocks", SLICE_FORMAT(t->name),
                         columns);
    }
    p->matrices_size += matrix_size(to->matrix);
    return true;
}

static bool same_name(const tensor_rule *a, const tensor_rule *b) {
    return b->name != NULL && strcmp(a->name, b->name) == 0;
}

/* One tensor, by one rule or several. Gives how many. */
static bool plan_tensor(plan *p, const tensor_rule *rules, const char *name, void *base, size_t *rule_count) {
    const gguf_tensor *t = take_tensor(p->r, name);
    uint32_t row = 0;
    size_t first = p->count;
    *rule_count = 0;
    if (t != NULL) {
        p->r->a->parameters += t->dimensions[0] * t->dimensions[1];
    } else if (!rules->optional) {
        return error_set(p->r->err, ERROR_CORRUPT, "the model has no tensor '%s'", name);
    }
    for (const tensor_rule *rule = rules; rule == rules || same_name(rules, rule); rule++) {
        ++*rule_count;
        if (t == NULL) {
            continue;
        }
        if (p->count == p->room) {
            return error_set(p->r->err, ERROR_INTERNAL, "more tensors than were counted");
        }
        placement *to = &p->placements[p->count++];
        bool numbers = rule->rows == ONE || rule->rows == ANY;
        void *place = (uint8_t *)base + rule->place;
        *to = (placement){t, row, numbers ? NULL : place, numbers ? place : NULL};
        if (numbers ? !place_numbers(p, rule, to) : !place_matrix(p, rule, to)) {
            return false;
        }
        row += numbers ? 0 : length_of(p->r->a, rule->rows);
    }
    if (t == NULL) {
        return true;
    }
    return p->placements[first].matrix == NULL || has_shape(p, t, length_of(p->r->a, rules->columns), row);
}

static bool plan_table(plan *p, const tensor_rule *rules, uint32_t index, void *base) {
    size_t step = 0;
    for (; rules->name != NULL; rules += step) {
        char name[TENSOR_NAME_SIZE];
        if (base == p->r->a) {
            snprintf(name, sizeof name, "%s", rules->name);
        } else {
            snprintf(name, sizeof name, "blk.%u.%s", index, rules->name);
        }
        if (!plan_tensor(p, rules, name, base, &step)) {
            return false;
        }
    }
    return true;
}

static size_t count_rules(const tensor_rule *rules) {
    size_t count = 0;
    while (rules[count].name != NULL) {
        count++;
    }
    return count;
}

/* All that the embedding has rows for. */
static bool read_vocabulary(reader *r) {
    uint32_t stated = 0;
    const gguf_tensor *t = gguf_find_tensor(r->file, "token_embd.weight");
    if (t == NULL) {
        return error_set(r->err, ERROR_CORRUPT, "the model has no tensor 'token_embd.weight'");
    }
    if (t->dimensions[1] == 0 || t->dimensions[1] > VOCABULARY_MAX) {
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "tensor 'token_embd.weight' has rows for none or over %d tokens", VOCABULARY_MAX);
    }
    r->a->vocabulary = (uint32_t)t->dimensions[1];
    stated = r->a->vocabulary;
    return read_number(r, "vocab_size", false, r->a->vocabulary, r->a->vocabulary, &stated);
}

static bool plan_all(plan *p) {
    architecture *a = p->r->a;
    const description *family = p->r->family;
    if (!read_vocabulary(p->r)) {
        return false;
    }
    p->room = count_rules(family->tensors) + a->layer_count * count_rules(family->layer_tensors);
    p->placements = memory_allocate_zeroed(p->room, sizeof *p->placements);
    if (p->placements == NULL) {
        return error_memory(p->r->err);
    }
    if (!plan_table(p, family->tensors, 0, a)) {
        return false;
    }
    for (uint32_t i = 0; i < a->layer_count; i++) {
        if (!plan_table(p, family->layer_tensors, i, &a->layers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < gguf_tensor_count(p->r->file); i++) {
        if (!p->r->used[i]) {
            return error_set(p->r->err, ERROR_UNSUPPORTED,
                             "tensor '%.*s' belongs to nothing this engine computes",
                             SLICE_FORMAT(gguf_tensor_at(p->r->file, i)->name));
        }
    }
    return true;
}

static void *aligned(void *memory) {
    uintptr_t address = (uintptr_t)memory;
    return (uint8_t *)memory + (LINE - address % LINE) % LINE;
}

/* Zeroed, so that what lies between numbers is the same each time the image is kept. */
static void *allocate_lines(uint64_t size) {
    return size > SIZE_MAX - LINE ? NULL : memory_allocate_zeroed(1, (size_t)size + LINE);
}

static bool allocate(plan *p) {
    reader *r = p->r;
    slice given = r->source->packed;
    if (given.length > 0 && given.length != p->matrices_size) {
        return error_set(r->err, ERROR_CORRUPT, "the packed weights beside the model are not this model's");
    }
    r->owned->numbers = allocate_lines(p->numbers_size);
    r->owned->weights = allocate_lines(p->matrices_size);
    if (r->owned->numbers == NULL || r->owned->weights == NULL) {
        return error_memory(r->err);
    }
    memory_prefer_large_pages(r->owned->weights, (size_t)p->matrices_size);
    r->owned->packed = slice_of(aligned(r->owned->weights), (size_t)p->matrices_size);
    r->a->weights_size = p->matrices_size;
    return true;
}

static void read_all_numbers(const plan *p) {
    float *next = aligned(p->r->owned->numbers);
    for (size_t i = 0; i < p->count; i++) {
        const placement *from = &p->placements[i];
        if (from->matrix == NULL) {
            read_numbers(from->tensor, next);
            *from->numbers = next;
            next += whole_lines(from->tensor->dimensions[0] * sizeof(float)) / sizeof(float);
        }
    }
}

typedef struct packing {
    const matrix *matrix;
    uint8_t *tiles;
    const uint8_t *rows;
    size_t first;
    size_t count;
    size_t grain;
} packing;

static void pack_part(void *context, crew_member *self) {
    const packing *job = context;
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, job->count, job->grain, &first, &last)) {
        matrix_pack(job->matrix, job->tiles, job->rows, job->first + first, last - first);
    }
}

static void tell(const reader *r, uint64_t done, slice part) {
    const architecture_source *s = r->source;
    if (s->progress != NULL) {
        s->progress(s->context, done, r->a->weights_size);
    }
    if (s->used != NULL && part.length > 0) {
        s->used(s->context, part);
    }
}

static size_t at_least_one(size_t number) {
    return number > 0 ? number : 1;
}

static bool pack_matrix(const reader *r, const placement *from, uint8_t *tiles, uint64_t done) {
    const matrix *m = from->matrix;
    const gguf_tensor *t = from->tensor;
    size_t row_size = (size_t)(t->data.length / t->dimensions[1]);
    packing job = {.matrix = m,
                   .tiles = tiles,
                   .rows = t->data.data + from->first_row * row_size,
                   .grain = at_least_one(GRAIN / m->tile_size)};
    size_t stretch = at_least_one(STRETCH / m->tile_size);
    for (job.first = 0; job.first < matrix_tile_count(m); job.first += job.count) {
        size_t left = matrix_tile_count(m) - job.first;
        job.count = left < stretch ? left : stretch;
        if (r->source->crew == NULL) {
            matrix_pack(m, tiles, job.rows, job.first, job.count);
        } else if (!crew_run(r->source->crew, pack_part, &job, r->err)) {
            return false;
        }
        done += job.count * m->tile_size;
        size_t row = job.first * TILE_ROWS;
        size_t rows = m->rows - row < job.count * TILE_ROWS ? m->rows - row : job.count * TILE_ROWS;
        tell(r, done, slice_of(job.rows + row * row_size, rows * row_size));
    }
    return true;
}

/* Copied rather than used where it is mapped: memory of its own has large pages, which are read faster. */
static void copy_packed(const reader *r, uint8_t *tiles) {
    slice given = r->source->packed;
    for (size_t done = 0; done < given.length; done += STRETCH) {
        slice part = slice_part(given, done, STRETCH);
        if (part.data != NULL) {
            memcpy(tiles + done, part.data, part.length);
        }
        tell(r, done + part.length, part);
    }
}

static bool pack_all(const plan *p) {
    reader *r = p->r;
    uint8_t *tiles = aligned(r->owned->weights);
    bool given = r->source->packed.length > 0;
    uint64_t done = 0;
    if (given) {
        copy_packed(r, tiles);
    }
    for (size_t i = 0; i < p->count; i++) {
        const placement *from = &p->placements[i];
        if (from->matrix == NULL) {
            continue;
        }
        if (!given && !pack_matrix(r, from, tiles + done, done)) {
            return false;
        }
        from->matrix->tiles = tiles + done;
        done += matrix_size(from->matrix);
    }
    return true;
}

static void choose_windows(reader *r) {
    architecture *a = r->a;
    for (uint32_t i = 0; i < a->layer_count; i++) {
        bool local =
            r->window > 0 && (r->window_pattern == 0 || i % r->window_pattern != r->window_pattern - 1);
        a->layers[i].window = local && r->window < a->context ? r->window : 0;
        a->layers[i].rope = local && a->rope_count > 1 ? 1 : 0;
    }
}

bool read_weights(reader *r) {
    architecture *a = r->a;
    plan p = {.r = r};
    choose_windows(r);
    bool good = plan_all(&p) && allocate(&p);
    if (good) {
        read_all_numbers(&p);
        good = pack_all(&p);
    }
    memory_free(p.placements);
    if (good && !r->family->encoder && a->head.matrix.tiles == NULL) {
        a->head.matrix = a->embedding;
    }
    return good;
}
