#include "sso/strangers.h"

#include "audit/audit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { NETWORK_SIZE = 8, MINUTE_MS = 60000 };

static const struct {
    uint64_t at_once;
    uint64_t cost_ms;
} limits[STRANGERS_KINDS] = {[STRANGERS_FAILED] = {STRANGER_FAILURES, 1000 / STRANGER_PER_SECOND},
                             [STRANGERS_BROWSER] = {300, 100},
                             [STRANGERS_DEVICE] = {100, 3000}};

/* GCRA: each time moves `until_ms` on; how far it may lie ahead is the burst. */
typedef struct stranger {
    list_node node; /* longest ago first */
    uint8_t network[NETWORK_SIZE];
    uint64_t until_ms;
} stranger;

typedef struct table {
    map *by_network;
    list_node all;
} table;

struct strangers {
    table kinds[STRANGERS_KINDS];
    uint64_t minute;
    uint64_t in_minute;
};

bool strangers_start(pool *p, error *err) {
    strangers *all = memory_allocate_zeroed(1, sizeof *all);
    bool made = all != NULL;
    for (size_t i = 0; made && i < STRANGERS_KINDS; i++) {
        list_init(&all->kinds[i].all);
        all->kinds[i].by_network = map_new(p->map_seed);
        made = all->kinds[i].by_network != NULL;
    }
    if (!made) {
        for (size_t i = 0; all != NULL && i < STRANGERS_KINDS; i++) {
            map_free(all->kinds[i].by_network);
        }
        memory_free(all);
        return error_memory(err);
    }
    p->strangers = all;
    return true;
}

static void forget(table *t, stranger *one) {
    map_remove(t->by_network, slice_of(one->network, sizeof one->network));
    list_remove(&one->node);
    memory_free(one);
}

void strangers_free(strangers *all) {
    for (size_t i = 0; all != NULL && i < STRANGERS_KINDS; i++) {
        table *t = &all->kinds[i];
        while (!list_is_empty(&t->all)) {
            forget(t, LIST_ENTRY(list_first(&t->all), stranger, node));
        }
        map_free(t->by_network);
    }
    memory_free(all);
}

size_t strangers_count(const strangers *all) {
    return map_count(all->kinds[STRANGERS_FAILED].by_network);
}

/* An IPv4 address whole, with zeros before it, also where it is written as IPv6; of others what a site gives
 * to one house. What is no address is all zeros. */
static void network_of(const char *peer, uint8_t network[NETWORK_SIZE]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    struct in_addr four;
    struct in6_addr six;
    memset(network, 0, NETWORK_SIZE);
    if (inet_pton(AF_INET, peer, &four) == 1) {
        memcpy(network + 4, &four, 4);
    } else if (inet_pton(AF_INET6, peer, &six) == 1) {
        bool is_four = memcmp(&six, mapped, sizeof mapped) == 0;
        memcpy(network + (is_four ? 4 : 0), (const uint8_t *)&six + (is_four ? 12 : 0), is_four ? 4 : 8);
    }
}

/* NULL: memory is out. */
static stranger *find(table *t, const uint8_t network[NETWORK_SIZE]) {
    stranger *one = map_get(t->by_network, slice_of(network, NETWORK_SIZE));
    if (one != NULL) {
        list_remove(&one->node);
        list_append(&t->all, &one->node);
        return one;
    }
    if (map_count(t->by_network) >= STRANGERS_MAX) {
        forget(t, LIST_ENTRY(list_first(&t->all), stranger, node));
    }
    one = memory_allocate_zeroed(1, sizeof *one);
    if (one == NULL || !map_put(t->by_network, slice_of(network, NETWORK_SIZE), one)) {
        memory_free(one);
        return NULL;
    }
    memcpy(one->network, network, NETWORK_SIZE);
    list_append(&t->all, &one->node);
    return one;
}

/* From many addresses at once no single one is conspicuous. */
static void count_all(pool *p, uint64_t now_ms) {
    strangers *all = p->strangers;
    if (now_ms / MINUTE_MS != all->minute) {
        all->minute = now_ms / MINUTE_MS;
        all->in_minute = 0;
    }
    if (++all->in_minute == STRANGERS_ALARM_MINUTE) {
        log_warning("very many bad keys or tokens", LOG_U64("in_this_minute", all->in_minute),
                    LOG_U64("addresses", strangers_count(all)));
        audit_note_event(p, "many_strangers", SLICE_LITERAL("keys and tokens"), "very many that nobody has");
    }
}

static bool is_too_often(pool *p, const char *peer, strangers_kind kind) {
    uint8_t network[NETWORK_SIZE];
    uint64_t now_ms = ev_now_ms(p->loop);
    uint64_t cost_ms = limits[kind].cost_ms;
    network_of(peer, network);
    stranger *one = find(&p->strangers->kinds[kind], network);
    if (one == NULL) {
        return true;
    }
    uint64_t until_ms = (one->until_ms > now_ms ? one->until_ms : now_ms) + cost_ms;
    if (until_ms > now_ms + limits[kind].at_once * cost_ms) {
        return true;
    }
    one->until_ms = until_ms;
    return false;
}

bool strangers_failed(pool *p, const char *peer) {
    count_all(p, ev_now_ms(p->loop));
    return is_too_often(p, peer, STRANGERS_FAILED);
}

bool strangers_begin(pool *p, const char *peer, strangers_kind kind) {
    return is_too_often(p, peer, kind);
}
