#include "fault_control.h"

#define FIU_ENABLE 1
#include <fiu-control.h>
#include <fiu.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const point_names[FAULT_POINT_COUNT] = {
    [FAULT_MEMORY] = "memory", [FAULT_WRITE] = "write"};

static fault_control *obeyed;

fault_control *fault_control_make(void) {
    int descriptor = memfd_create("faults", 0);
    if (descriptor < 0 || ftruncate(descriptor, sizeof(fault_control)) != 0) {
        abort();
    }
    fault_control *control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (control == MAP_FAILED) {
        abort();
    }
    control->descriptor = descriptor;
    for (int point = 0; point < FAULT_POINT_COUNT; point++) {
        (void)fault_control_disarm(control, (fault_point)point);
    }
    return control;
}

void fault_control_give(const fault_control *control) {
    char number[16];
    snprintf(number, sizeof number, "%d", control->descriptor);
    if (setenv(FAULT_CONTROL_VARIABLE, number, 1) != 0) {
        abort();
    }
}

void fault_control_arm(fault_control *control, fault_point point, int64_t nth) {
    control->points[point].reached = false;
    control->points[point].calls = 0;
    control->points[point].countdown = nth;
}

bool fault_control_disarm(fault_control *control, fault_point point) {
    control->points[point].countdown = -1;
    return control->points[point].reached;
}

/* Called for each use of a point, by any thread of the child. */
static int decide(const char *name, int *failnum, void **failinfo, unsigned int *flags) {
    (void)failnum;
    (void)failinfo;
    (void)flags;
    int point = strcmp(name, point_names[FAULT_MEMORY]) == 0 ? FAULT_MEMORY : FAULT_WRITE;
    atomic_fetch_add(&obeyed->points[point].calls, 1);
    if (obeyed->points[point].countdown < 0 || atomic_fetch_sub(&obeyed->points[point].countdown, 1) != 0) {
        return 0;
    }
    obeyed->points[point].reached = true;
    return 1;
}

fault_control *fault_control_obeyed(void) {
    return obeyed;
}

bool fault_control_obey(void) {
    const char *number = getenv(FAULT_CONTROL_VARIABLE);
    obeyed = number == NULL ? MAP_FAILED
                            : mmap(NULL, sizeof *obeyed, PROT_READ | PROT_WRITE, MAP_SHARED,
                                   (int)strtol(number, NULL, 10), 0);
    if (obeyed == MAP_FAILED || fiu_init(0) != 0) {
        return false;
    }
    for (int point = 0; point < FAULT_POINT_COUNT; point++) {
        if (fiu_enable_external(point_names[point], 1, NULL, 0, decide) != 0) {
            return false;
        }
    }
    return true;
}
