#include "runtime_pieces.h"

/* As many whole characters as a piece holds. */
static size_t cut(slice text) {
    size_t length = text.length < RUNTIME_PIECE_MAX ? text.length : RUNTIME_PIECE_MAX;
    while (length > 0 && length < text.length && (text.data[length] & 0xC0) == 0x80) {
        length--;
    }
    return length;
}

runtime_piece runtime_pieces_take(runtime_pieces *p, slice *text, slice *piece) {
    *piece = (slice){0};
    if (text->length == 0) {
        return RUNTIME_PIECE_NONE;
    }
    if (p->count + 1 < p->most) {
        *piece = slice_part(*text, 0, cut(*text));
        *text = slice_after(*text, piece->length);
        p->count++;
        return RUNTIME_PIECE_GIVEN;
    }
    if (text->length > sizeof p->last - p->held) {
        return RUNTIME_PIECE_TOO_MANY;
    }
    memcpy(p->last + p->held, text->data, text->length);
    p->held += text->length;
    *text = (slice){0};
    return RUNTIME_PIECE_NONE;
}

bool runtime_pieces_take_empty(runtime_pieces *p) {
    if (p->count + 1 >= p->most) {
        return false;
    }
    p->count++;
    return true;
}

void runtime_pieces_end(runtime_pieces *p, uint32_t told, slice *piece, uint32_t *missing) {
    uint32_t wanted = told < p->most ? told : p->most;
    *piece = slice_of(p->last, p->held);
    p->count += p->held > 0;
    *missing = wanted > p->count ? wanted - p->count : 0;
    p->count += *missing;
    p->held = 0;
}
