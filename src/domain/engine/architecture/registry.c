#include "description.h"

#define FAMILY(name) extern const description family_##name;
#include "architecture/families.h"
#undef FAMILY

static const description *const families[] = {
#define FAMILY(name) &family_##name,
#include "architecture/families.h"
#undef FAMILY
};

const description *description_find(slice name) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (slice_equal_text(name, families[i]->name)) {
            return families[i];
        }
    }
    return NULL;
}

bool architecture_known(slice name) {
    return description_find(name) != NULL;
}
