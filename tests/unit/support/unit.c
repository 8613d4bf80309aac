#include "unit.h"

#ifdef CELLULE_FAULTS
#define FIU_ENABLE 1
#include <fiu-control.h>
#include <fiu.h>

static struct {
    const char *point;
    int countdown;
    bool reached;
} fault;

static int count_down(const char *name, int *failnum, void **failinfo, unsigned int *flags) {
    (void)name;
    (void)failnum;
    (void)failinfo;
    (void)flags;
    bool now = fault.countdown-- == 0;
    fault.reached = fault.reached || now;
    return now ? 1 : 0;
}

void fault_fail_nth_at(const char *point, int nth) {
    fiu_init(0);
    fault.point = point;
    fault.countdown = nth;
    fault.reached = false;
    fiu_enable_external(point, 1, NULL, 0, count_down);
}

bool fault_stop(void) {
    fiu_disable(fault.point);
    return fault.reached;
}
#else
void fault_fail_nth_at(const char *point, int nth) {
    (void)point;
    (void)nth;
}

bool fault_stop(void) {
    return false;
}
#endif

void fault_fail_nth(int nth) {
    fault_fail_nth_at("memory", nth);
}
