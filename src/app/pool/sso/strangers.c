#include "sso/strangers.h"

#include "audit/audit.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { NETWORK_SIZE = 8, MINUTE_MS = 60000, COST_MS = 1000 / STRANGER_PER_SECOND };

/* GCRA: each failure moves `until_ms` on; how far it may lie ahead is the burst. */
typedef struct stranger {
    list_node node; /* failed longest ago first */
    uint8_t network[NETWORK_SIZE];
    uint64_t until_ms;
} stranger;

struct strangers {
    map *by_network;
    list_node all;
    uint64_t minute;
    uint64_t in_minute;
};

bool strangers_start(pool *p, error *err) {
    strangers *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_network = map_new(p->map_seed);
    if (all == NULL || by_network == NULL) {
        memory_free(all);
        map_free(by_network);
        return error_memory(err);
    }
    all->by_network = by_network;
    list_init(&all->all);
    p->strangers = all;
    return true;
}

static void forget(strangers *all, stranger *one) {
    map_remove(all->by_network, slice_of(one->network, sizeof one->network));
    list_remove(&one->node);
    memory_free(one);
}

void strangers_free(strangers *all) {
    if (all == NULL) {
        return;
    }
    while (!list_is_empty(&all->all)) {
        forget(all, LIST_ENTRY(list_first(&all->all), stranger, node));
    }
    map_free(all->by_network);
    memory_free(all);
}

size_t strangers_count(const strangers *all) {
    return map_count(all->by_network);
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
static stranger *find(strangers *all, const uint8_t network[NETWORK_SIZE]) {
    stranger *one = map_get(all->by_network, slice_of(network, NETWORK_SIZE));
    if (one != NULL) {
        list_remove(&one->node);
        list_append(&all->all, &one->node);
        return one;
    }
    if (map_count(all->by_network) >= STRANGERS_MAX) {
        forget(all, LIST_ENTRY(list_first(&all->all), stranger, node));
    }
    one = memory_allocate_zeroed(1, sizeof *one);
    if (one == NULL || !map_put(all->by_network, slice_of(network, NETWORK_SIZE), one)) {
        memory_free(one);
        return NULL;
    }
    memcpy(one->network, network, NETWORK_SIZE);
    list_append(&all->all, &one->node);
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

bool strangers_failed(pool *p, const char *peer) {
    uint8_t network[NETWORK_SIZE];
    uint64_t now_ms = ev_now_ms(p->loop);
    count_all(p, now_ms);
    network_of(peer, network);
    stranger *one = find(p->strangers, network);
    if (one == NULL) {
        return true;
    }
    uint64_t until_ms = (one->until_ms > now_ms ? one->until_ms : now_ms) + COST_MS;
    if (until_ms > now_ms + (uint64_t)STRANGER_FAILURES * COST_MS) {
        return true;
    }
    one->until_ms = until_ms;
    return false;
}
