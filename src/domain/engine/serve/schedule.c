#include "serve/schedule.h"

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t schedule_writers(schedule_entry *entries, size_t count, size_t turn, uint32_t room) {
    for (size_t i = 0; i < count && room > 0; i++) {
        schedule_entry *e = &entries[(turn % count + i) % count];
        if (e->writes) {
            e->count = 1;
            room--;
        }
    }
    return room;
}

static void schedule_readers(schedule_entry *entries, size_t count, uint32_t room) {
    uint32_t readers = 0;
    for (size_t i = 0; i < count; i++) {
        readers += !entries[i].writes && !entries[i].whole;
    }
    if (readers == 0) {
        return;
    }
    const uint32_t share = room / 2 / readers;
    for (size_t i = 0; i < count; i++) {
        schedule_entry *e = &entries[i];
        if (!e->writes && !e->whole) {
            e->count = smaller(e->pending, share);
            room -= e->count;
        }
    }
    for (size_t i = 0; i < count && room > 0; i++) {
        schedule_entry *e = &entries[i];
        if (!e->writes && !e->whole) {
            uint32_t more = smaller(e->pending - e->count, room);
            e->count += more;
            room -= more;
        }
    }
}

static uint32_t schedule_wholes(schedule_entry *entries, size_t count, uint32_t room) {
    for (size_t i = 0; i < count; i++) {
        schedule_entry *e = &entries[i];
        if (!e->whole) {
            continue;
        }
        if (e->pending > room) {
            break;
        }
        e->count = e->pending;
        room -= e->count;
    }
    return room;
}

void schedule_pass(schedule_entry *entries, size_t count, size_t turn, uint32_t batch) {
    for (size_t i = 0; i < count; i++) {
        entries[i].count = 0;
    }
    if (count > 0) {
        uint32_t room = schedule_writers(entries, count, turn, batch);
        room = schedule_wholes(entries, count, room);
        schedule_readers(entries, count, room);
    }
}
