/* golden_memory FORM: hashes of what a search of many vectors finds and of vectors of a few texts, one a
 * line. `golden_memory forms` names the forms that this build has and this processor runs. Needs no library,
 * so that it is built for any machine from a few files. */
#include "base/map.h"
#include "memory/embedder.h"
#include "vectors_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum { COUNT = 500 };

static uint64_t random_state = 17;

static float draw(void) {
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (float)(int32_t)(random_state >> 32) * 0x1p-31f;
}

static void draw_vector(float *vector, size_t dimensions) {
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = draw();
    }
}

static uint64_t hash_on(uint64_t hash, const void *bytes, size_t size) {
    uint8_t seed[MAP_SEED_SIZE] = {0};
    memcpy(seed, &hash, sizeof hash);
    return map_hash(seed, slice_of(bytes, size));
}

/* Goes on from `hash` with the order and the scores of all. */
static bool search(const dots_form *form, size_t dimensions, uint64_t *hash) {
    static float vector[VECTORS_DIMENSIONS_MAX];
    static vectors_found found[COUNT];
    error err;
    vectors *v = vectors_new(dimensions, &err);
    bool good = v != NULL;
    for (uint64_t id = 0; good && id < COUNT; id++) {
        draw_vector(vector, dimensions);
        good = vectors_put(v, id, vector, &err);
    }
    if (good) {
        v->form = form;
        draw_vector(vector, dimensions);
        size_t count = vectors_search(v, vector, found, COUNT);
        for (size_t i = 0; i < count; i++) {
            *hash = hash_on(*hash, &found[i].id, sizeof found[i].id);
            *hash = hash_on(*hash, &found[i].score, sizeof found[i].score);
        }
    }
    vectors_free(v);
    return good;
}

static uint64_t embed(void) {
    static const char *const texts[] = {
        "The quarterly report is due on the third Friday, the third of all the reports",
        "L'élève s'appelle Amélie ; son cœur bat, son vélo a été volé",
        "Λόγος και Достоевский, Straße, İstanbul, ١٢٣",
        "会議は火曜日の朝です 회의는 화요일",
        "\xc3 half a letter",
    };
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        float vector[EMBEDDER_DIMENSIONS];
        embedder_embed(slice_of_text(texts[i]), vector);
        hash = hash_on(hash, vector, sizeof vector);
    }
    return hash;
}

int main(int argc, char **argv) {
    static const size_t dimensions[] = {1, 15, 16, 17, 384, 1024, 4096};
    const dots_form *forms[DOTS_FORMS_MAX];
    size_t count = dots_forms(forms);
    bool named = argc == 2 && strcmp(argv[1], "forms") == 0;
    for (size_t f = 0; argc == 2 && f < count; f++) {
        if (named) {
            puts(forms[f]->name);
        } else if (strcmp(argv[1], forms[f]->name) == 0) {
            uint64_t found = 0;
            for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
                if (!search(forms[f], dimensions[d], &found)) {
                    fprintf(stderr, "golden_memory: memory is out\n");
                    return 1;
                }
            }
            printf("search %016" PRIx64 "\n%s %016" PRIx64 "\n", found, embedder_name, embed());
            return 0;
        }
    }
    if (!named) {
        fprintf(stderr, "usage: golden_memory FORM|forms\n");
    }
    return named ? 0 : 2;
}
