#include "base/memory.h"
#include "postgresql.h"

#include <endian.h>

/* The binary form of an array of one dimension: dimensions, whether there are NULLs, the elements' type,
 * their number and the first one's index; then each element behind its length. All numbers have 32 bits. */
enum { BYTEA = 17, INT8 = 20, BYTEA_ARRAY = 1001, INT8_ARRAY = 1016, HEAD_SIZE = 20, LENGTH_SIZE = 4 };

static uint8_t *put_u32(uint8_t *to, uint32_t number) {
    uint32_t big = htobe32(number);
    memcpy(to, &big, sizeof big);
    return to + sizeof big;
}

static size_t length_of(const database_value *value) {
    return value->type == DATABASE_INTEGER ? sizeof value->integer : value->bytes.length;
}

/* False: it is none of a list of this type. */
static bool measure(const database_value *values, size_t count, size_t *length) {
    *length = HEAD_SIZE;
    for (size_t i = 0; i < count; i++) {
        const database_value *v = &values[i];
        if (v->type != values[0].type || (v->type != DATABASE_INTEGER && v->type != DATABASE_BYTES) ||
            (v->type == DATABASE_INTEGER && v->integer < 0) ||
            length_of(v) > INT32_MAX - LENGTH_SIZE - *length) {
            return false;
        }
        *length += LENGTH_SIZE + length_of(v);
    }
    return count > 0 && count <= INT32_MAX;
}

static uint8_t *put_element(uint8_t *to, const database_value *value) {
    size_t length = length_of(value);
    uint64_t big = htobe64((uint64_t)value->integer);
    to = put_u32(to, (uint32_t)length);
    if (length > 0) {
        memcpy(to, value->type == DATABASE_INTEGER ? (const void *)&big : value->bytes.data, length);
    }
    return to + length;
}

void *postgresql_list_encode(const database_value *values, size_t count, Oid *type, size_t *length) {
    bool numbers = values[0].type == DATABASE_INTEGER;
    *type = !measure(values, count, length) ? 0 : numbers ? INT8_ARRAY : BYTEA_ARRAY;
    uint8_t *bytes = *type == 0 ? NULL : memory_allocate(*length);
    if (bytes == NULL) {
        return NULL;
    }
    uint8_t *to = put_u32(bytes, 1);
    to = put_u32(to, 0);
    to = put_u32(to, numbers ? INT8 : BYTEA);
    to = put_u32(to, (uint32_t)count);
    to = put_u32(to, 1);
    for (size_t i = 0; i < count; i++) {
        to = put_element(to, &values[i]);
    }
    return bytes;
}
