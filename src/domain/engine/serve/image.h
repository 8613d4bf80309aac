#ifndef ENGINE_SERVE_IMAGE_H
#define ENGINE_SERVE_IMAGE_H

#include "engine/engine.h"
#include "threads/crew.h"

/* Packed weights kept beside a model: a header, then the weights as the architecture packs them. The header
 * is 256 bytes: "cellule packed\0\0", the layout's version u32, the size of a part u32, the weights' size
 * u64, the profile (32 bytes, filled up with zeros), the model's digest, the weights' digest, and behind
 * zeros at its end the SHA-256 of all before. Numbers are little-endian. The weights' digest is the SHA-256
 * over the SHA-256 of each part of 1 MiB, so that all threads can look over them. */
enum { IMAGE_HEADER_SIZE = 256, IMAGE_LAYOUT = 2 /* of packed tiles and of their order; counts up */ };

/* Who hashes, and who is told how far it is. */
typedef struct image_work {
    crew *members;
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes; or NULL */
    void *context;
} image_work;

MUST_CHECK bool image_write_header(uint8_t header[IMAGE_HEADER_SIZE], const uint8_t model[ENGINE_DIGEST_SIZE],
                                   slice weights, const image_work *work, error *err);
/* The weights in a whole image. ERROR_CORRUPT: something in it was changed or is missing; ERROR_CONFLICT: it
 * is of another model or build. */
MUST_CHECK bool image_read(slice image, const uint8_t model[ENGINE_DIGEST_SIZE], const image_work *work,
                           slice *weights, error *err);

#endif
