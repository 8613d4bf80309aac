#include "sample/network.h"

#include "tokenizer/utf8.h"

#include <stdlib.h>

bool characters_add(characters *set, uint32_t low, uint32_t high) {
    if (set->count == CHARACTERS_RANGES_MAX) {
        return false;
    }
    set->ranges[set->count].low = low;
    set->ranges[set->count++].high = high;
    return true;
}

static int compare_ranges(const void *a, const void *b) {
    const uint32_t *first = a;
    const uint32_t *second = b;
    return first[0] < second[0] ? -1 : first[0] > second[0];
}

static void join_ranges(characters *set) {
    size_t kept = 0;
    qsort(set->ranges, set->count, sizeof set->ranges[0], compare_ranges);
    for (size_t i = 0; i < set->count; i++) {
        if (kept > 0 && set->ranges[i].low <= set->ranges[kept - 1].high + 1) {
            if (set->ranges[i].high > set->ranges[kept - 1].high) {
                set->ranges[kept - 1].high = set->ranges[i].high;
            }
        } else {
            set->ranges[kept++] = set->ranges[i];
        }
    }
    set->count = kept;
}

bool characters_remove(characters *set, uint32_t low, uint32_t high) {
    size_t count = set->count;
    for (size_t i = 0; i < count; i++) {
        uint32_t first = set->ranges[i].low;
        uint32_t last = set->ranges[i].high;
        if (last < low || first > high) {
            continue;
        }
        /* What is left: below, above, both or neither. An emptied range is marked by low > high. */
        set->ranges[i].low = 1;
        set->ranges[i].high = 0;
        if (first < low) {
            set->ranges[i].low = first;
            set->ranges[i].high = low - 1;
        }
        if (last > high && !characters_add(set, high + 1, last)) {
            return false;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].low <= set->ranges[i].high) {
            set->ranges[kept++] = set->ranges[i];
        }
    }
    set->count = kept;
    return true;
}

bool characters_normalise(characters *set) {
    join_ranges(set);
    if (!characters_remove(set, 0xd800, 0xdfff)) {
        return false;
    }
    join_ranges(set);
    return true;
}

bool characters_negate(characters *set) {
    characters negated = {0};
    if (!characters_normalise(set)) {
        return false;
    }
    uint32_t next = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].low > next && !characters_add(&negated, next, set->ranges[i].low - 1)) {
            return false;
        }
        next = set->ranges[i].high + 1;
    }
    if (next <= CHARACTER_MOST && !characters_add(&negated, next, CHARACTER_MOST)) {
        return false;
    }
    *set = negated;
    return characters_normalise(set);
}

/* [low, high] of one length whose bytes each run through a range of their own. */
static void add_sequence(network *n, uint32_t low, uint32_t high, uint32_t start, uint32_t end) {
    uint8_t first[4];
    uint8_t last[4];
    size_t length = utf8_write(low, first);
    (void)utf8_write(high, last);
    uint32_t at = start;
    for (size_t i = 0; i < length; i++) {
        uint32_t next = i + 1 == length ? end : network_state(n);
        network_bytes_edge(n, at, first[i], last[i], next);
        at = next;
    }
}

/* Cuts a range where the length of the encoding changes and where the bytes behind the first that differs
 * don't run through all their values (as in R. Cox, "Regular Expression Matching in the Wild"). */
static void add_range(network *n, uint32_t low, uint32_t high, uint32_t start, uint32_t end) {
    static const uint32_t longest[] = {0x7f, 0x7ff, 0xffff};
    while (low <= high && !n->failed) {
        uint32_t last = high;
        for (size_t i = 0; i < 3; i++) {
            if (low <= longest[i] && last > longest[i]) {
                last = longest[i];
            }
        }
        for (unsigned bits = 6; bits <= 18 && low >= 0x80; bits += 6) {
            uint32_t mask = (UINT32_C(1) << bits) - 1;
            if ((low & ~mask) == (last & ~mask)) {
                break;
            }
            if ((low & mask) != 0) {
                last = low | mask;
                break;
            }
            if ((last & mask) != mask) {
                last = (last & ~mask) - 1;
            }
        }
        add_sequence(n, low, last, start, end);
        low = last + 1;
    }
}

piece network_characters(network *n, const characters *set) {
    piece p = network_never(n);
    for (size_t i = 0; i < set->count; i++) {
        add_range(n, set->ranges[i].low, set->ranges[i].high, p.start, p.end);
    }
    return (piece){p.from, n->state_count, p.start, p.end};
}
