#include "sample/recogniser.h"

#include "base/memory.h"

enum {
    WORK_MAX = 1 << 24,
    READINGS_MAX = 256, /* of a level */
    ITEMS_MAX = 1 << 20,
    COLLECT_FROM = 4096, /* nodes, before it is worth looking for unused ones */
};

/* A call of a rule at one place of the text. */
typedef struct node {
    uint32_t rule;
    uint32_t first_link;
} node;

/* One who waits for it: it goes on at `state`, with `node` behind it. NETWORK_NONE for both: the text ends.
 */
typedef struct link {
    uint32_t next;
    uint32_t state;
    uint32_t node;
} link;

typedef struct level {
    uint32_t first_reading;
    uint32_t node_count; /* before it: nodes from here on are of this place and may get more links */
    uint32_t link_count;
    bool can_end;
} level;

typedef struct items {
    void *items;
    uint32_t count;
    uint32_t capacity;
} items;

struct recogniser {
    grammar *grammar;
    items readings;
    items nodes;
    items links;
    items levels;
    uint32_t *node_of; /* of each rule: its node at this place, if that is what stands there */
    uint32_t settled;  /* nodes after the last collection */
    uint32_t work_left;
    bool failed;
    error failure;
};

static bool fail(recogniser *r, error_code code, const char *text) {
    if (!r->failed) {
        r->failed = true;
        error_set(&r->failure, code, "%s", text);
    }
    return false;
}

/* What looks through a list counts it, so that no grammar holds up the engine. */
static bool work(recogniser *r, uint32_t amount) {
    if (amount >= r->work_left) {
        return fail(r, ERROR_LIMIT,
                    "the grammar is too ambiguous for this engine: a text may be read in too many ways");
    }
    r->work_left -= amount;
    return !r->failed;
}

/* Room for one more at the end, which is counted; NULL: failure. */
static void *append(recogniser *r, items *list, size_t size) {
    if (list->count == list->capacity) {
        if (list->count >= ITEMS_MAX) {
            fail(r, ERROR_LIMIT, "the answer nests deeper in its grammar than this engine follows");
            return NULL;
        }
        uint32_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        void *grown = memory_resize(list->items, capacity * size);
        if (grown == NULL) {
            fail(r, ERROR_MEMORY, "out of memory");
            return NULL;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    return (char *)list->items + size * list->count++;
}

static node *node_at(const recogniser *r, uint32_t index) {
    return (node *)r->nodes.items + index;
}

static link *link_at(const recogniser *r, uint32_t index) {
    return (link *)r->links.items + index;
}

static reading *reading_at(const recogniser *r, uint32_t index) {
    return (reading *)r->readings.items + index;
}

static level *last_level(const recogniser *r) {
    return (level *)r->levels.items + (r->levels.count - 1);
}

static void add_reading(recogniser *r, uint32_t frame_id, uint32_t node_id) {
    uint32_t first = last_level(r)->first_reading;
    if (frame_id == FRAME_DEAD || !work(r, 1 + r->readings.count - first)) {
        return;
    }
    for (uint32_t i = first; i < r->readings.count; i++) {
        if (reading_at(r, i)->frame == frame_id && reading_at(r, i)->node == node_id) {
            return;
        }
    }
    if (r->readings.count - first >= READINGS_MAX) {
        fail(r, ERROR_LIMIT,
             "the grammar is too ambiguous for this engine: a text may be read in too many ways");
        return;
    }
    reading *added = append(r, &r->readings, sizeof *added);
    if (added != NULL) {
        *added = (reading){frame_id, node_id};
    }
}

static void go_on(recogniser *r, const link *l) {
    if (l->state == NETWORK_NONE) {
        last_level(r)->can_end = true;
    } else {
        uint32_t node_id = l->node;
        add_reading(r, grammar_frame_of(r->grammar, l->state), node_id);
    }
}

static void return_from(recogniser *r, uint32_t node_id) {
    uint32_t at = node_at(r, node_id)->first_link;
    while (at != NETWORK_NONE && work(r, 1)) {
        link l = *link_at(r, at);
        go_on(r, &l);
        at = l.next;
    }
}

/* Somebody more waits for a node of this place. If its rule has taken nothing and ended already, it goes on
 * now. */
static void add_link(recogniser *r, uint32_t node_id, uint32_t state, uint32_t behind) {
    for (uint32_t i = node_at(r, node_id)->first_link; i != NETWORK_NONE && work(r, 1);
         i = link_at(r, i)->next) {
        if (link_at(r, i)->state == state && link_at(r, i)->node == behind) {
            return;
        }
    }
    link *added = work(r, r->readings.count - last_level(r)->first_reading)
                      ? append(r, &r->links, sizeof *added)
                      : NULL;
    if (added == NULL) {
        return;
    }
    link l = {node_at(r, node_id)->first_link, state, behind};
    *added = l;
    node_at(r, node_id)->first_link = r->links.count - 1;
    for (uint32_t i = last_level(r)->first_reading; i < r->readings.count; i++) {
        if (reading_at(r, i)->node == node_id && grammar_frame(r->grammar, reading_at(r, i)->frame)->ends) {
            go_on(r, &l);
            break;
        }
    }
}

/* The node of a rule at this place. */
static uint32_t find_node(recogniser *r, uint32_t rule_id) {
    uint32_t found = r->node_of[rule_id];
    if (found >= last_level(r)->node_count && found < r->nodes.count && node_at(r, found)->rule == rule_id) {
        return found;
    }
    node *made = append(r, &r->nodes, sizeof *made);
    if (made == NULL) {
        return 0;
    }
    *made = (node){rule_id, NETWORK_NONE};
    r->node_of[rule_id] = r->nodes.count - 1;
    return r->nodes.count - 1;
}

/* Where the caller could only end too, whoever waits for it waits for the called rule: so a rule that calls
 * itself at its end doesn't pile up nodes. Only links of earlier places are all known. */
static void call(recogniser *r, uint32_t rule_id, uint32_t back, uint32_t caller) {
    uint32_t called = find_node(r, rule_id);
    uint32_t back_frame = grammar_frame_of(r->grammar, back);
    if (r->failed || back_frame == FRAME_DEAD) {
        return;
    }
    if (grammar_frame(r->grammar, back_frame)->only_end && caller < last_level(r)->node_count) {
        uint32_t at = node_at(r, caller)->first_link;
        while (at != NETWORK_NONE && !r->failed) {
            link l = *link_at(r, at);
            add_link(r, called, l.state, l.node);
            at = l.next;
        }
    } else {
        add_link(r, called, back, caller);
    }
    add_reading(r, grammar_frame_of(r->grammar, grammar_rule_start(r->grammar, rule_id)), called);
}

/* Adds all that the readings of the last level come to without another byte. */
static bool close_level(recogniser *r) {
    for (uint32_t i = last_level(r)->first_reading; i < r->readings.count && !r->failed; i++) {
        reading at = *reading_at(r, i);
        if (grammar_frame(r->grammar, at.frame)->ends) {
            return_from(r, at.node);
        }
        uint32_t calls = grammar_frame(r->grammar, at.frame)->call_count;
        for (uint32_t c = 0; c < calls && !r->failed; c++) {
            uint32_t rule_id = 0;
            uint32_t back = 0;
            grammar_call(r->grammar, grammar_frame(r->grammar, at.frame), c, &rule_id, &back);
            call(r, rule_id, back, at.node);
        }
    }
    const error *failure = grammar_failure(r->grammar);
    if (failure != NULL) {
        fail(r, failure->code, failure->text);
    }
    return !r->failed;
}

static bool push_level(recogniser *r) {
    level *pushed = r->failed ? NULL : append(r, &r->levels, sizeof *pushed);
    if (pushed == NULL) {
        return false;
    }
    *pushed = (level){r->readings.count, r->nodes.count, r->links.count, false};
    return true;
}

void recogniser_take_back(recogniser *r) {
    const level *l = last_level(r);
    r->readings.count = l->first_reading;
    r->nodes.count = l->node_count;
    r->links.count = l->link_count;
    r->levels.count--;
}

static bool finish_level(recogniser *r) {
    bool alive =
        close_level(r) && (last_level(r)->can_end || r->readings.count > last_level(r)->first_reading);
    if (!alive) {
        recogniser_take_back(r);
    }
    return alive;
}

bool recogniser_step(recogniser *r, uint8_t byte) {
    uint32_t from = last_level(r)->first_reading;
    uint32_t to = r->readings.count;
    if (!push_level(r)) {
        return false;
    }
    for (uint32_t i = from; i < to; i++) {
        reading at = *reading_at(r, i);
        add_reading(r, grammar_move(r->grammar, at.frame, byte), at.node);
    }
    return finish_level(r);
}

bool recogniser_return(recogniser *r, uint32_t node_id) {
    if (!push_level(r)) {
        return false;
    }
    return_from(r, node_id);
    return finish_level(r);
}

void recogniser_start_at(recogniser *r, uint32_t frame_id) {
    r->readings.count = 0;
    r->nodes.count = 1;
    r->links.count = 1;
    r->levels.count = 0;
    if (push_level(r)) {
        add_reading(r, frame_id, 0);
    }
}

/* A copy of the nodes that level 0's readings lead to, nearest first (Cheney 1970). */
typedef struct collection {
    uint32_t *moved; /* of each old node: its new place + 1, or 0 */
    uint32_t *old;   /* of each new node */
    node *nodes;
    link *links;
    uint32_t node_count;
    uint32_t link_count;
} collection;

static uint32_t move_node(collection *c, uint32_t old) {
    if (c->moved[old] == 0) {
        c->old[c->node_count] = old;
        c->moved[old] = ++c->node_count;
    }
    return c->moved[old] - 1;
}

static void copy_nodes(recogniser *r, collection *c) {
    (void)move_node(c, 0);
    for (uint32_t i = 0; i < r->readings.count; i++) {
        reading_at(r, i)->node = move_node(c, reading_at(r, i)->node);
    }
    for (uint32_t i = 0; i < c->node_count; i++) {
        c->nodes[i] = (node){node_at(r, c->old[i])->rule, NETWORK_NONE};
        for (uint32_t l = node_at(r, c->old[i])->first_link; l != NETWORK_NONE; l = link_at(r, l)->next) {
            const link *old = link_at(r, l);
            uint32_t behind = old->node == NETWORK_NONE ? NETWORK_NONE : move_node(c, old->node);
            c->links[c->link_count] = (link){c->nodes[i].first_link, old->state, behind};
            c->nodes[i].first_link = c->link_count++;
        }
    }
}

static bool collect(recogniser *r) {
    collection c = {.moved = memory_allocate_zeroed(r->nodes.count, sizeof *c.moved),
                    .old = memory_allocate_zeroed(r->nodes.count, sizeof *c.old),
                    .nodes = memory_allocate_zeroed(r->nodes.count, sizeof *c.nodes),
                    .links = memory_allocate_zeroed(r->links.count, sizeof *c.links)};
    bool good = c.moved != NULL && c.old != NULL && c.nodes != NULL && c.links != NULL;
    if (good) {
        copy_nodes(r, &c);
        memcpy(r->nodes.items, c.nodes, c.node_count * sizeof *c.nodes);
        memcpy(r->links.items, c.links, c.link_count * sizeof *c.links);
        r->nodes.count = c.node_count;
        r->links.count = c.link_count;
        r->settled = c.node_count;
    }
    memory_free(c.moved);
    memory_free(c.old);
    memory_free(c.nodes);
    memory_free(c.links);
    return good || fail(r, ERROR_MEMORY, "out of memory");
}

/* The last level becomes level 0. */
static bool settle(recogniser *r) {
    level last = *last_level(r);
    uint32_t count = r->readings.count - last.first_reading;
    memmove(reading_at(r, 0), reading_at(r, last.first_reading), count * sizeof(reading));
    r->readings.count = count;
    r->levels.count = 1;
    bool good = r->nodes.count < 2 * r->settled + COLLECT_FROM || collect(r);
    *last_level(r) = (level){0, r->nodes.count, r->links.count, last.can_end};
    return good;
}

bool recogniser_accept(recogniser *r, slice bytes) {
    recogniser_allow_work(r);
    for (size_t i = 0; i < bytes.length; i++) {
        if (!recogniser_step(r, bytes.data[i])) {
            while (r->levels.count > 1) {
                recogniser_take_back(r);
            }
            return false;
        }
    }
    return settle(r);
}

recogniser *recogniser_new(grammar *g, error *err) {
    recogniser *r = memory_allocate_zeroed(1, sizeof *r);
    if (r == NULL) {
        error_memory(err);
        return NULL;
    }
    r->grammar = g;
    r->node_of = memory_allocate_zeroed(grammar_rule_count(g), sizeof *r->node_of);
    node *base = r->node_of == NULL ? NULL : append(r, &r->nodes, sizeof *base);
    link *out = base == NULL ? NULL : append(r, &r->links, sizeof *out);
    recogniser_allow_work(r);
    if (out != NULL) {
        *base = (node){NETWORK_NONE, 0};
        *out = (link){NETWORK_NONE, NETWORK_NONE, NETWORK_NONE};
        recogniser_start_at(r, grammar_frame_of(g, grammar_rule_start(g, 0)));
    }
    if (out == NULL || r->failed || !close_level(r)) {
        if (r->failed) {
            *err = r->failure;
        } else {
            error_memory(err);
        }
        recogniser_free(r);
        return NULL;
    }
    return r;
}

void recogniser_free(recogniser *r) {
    if (r != NULL) {
        memory_free(r->readings.items);
        memory_free(r->nodes.items);
        memory_free(r->links.items);
        memory_free(r->levels.items);
        memory_free(r->node_of);
        memory_free(r);
    }
}

void recogniser_allow_work(recogniser *r) {
    r->work_left = WORK_MAX;
}

uint32_t recogniser_work_left(const recogniser *r) {
    return r->work_left;
}

bool recogniser_spend(recogniser *r, uint32_t amount) {
    return work(r, amount);
}

const reading *recogniser_readings(const recogniser *r, size_t *count) {
    uint32_t first = last_level(r)->first_reading;
    *count = r->readings.count - first;
    return reading_at(r, first);
}

bool recogniser_can_end(const recogniser *r) {
    return last_level(r)->can_end;
}

const error *recogniser_failure(const recogniser *r) {
    return r->failed ? &r->failure : NULL;
}
