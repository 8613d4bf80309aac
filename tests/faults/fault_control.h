#ifndef FAULT_CONTROL_H
#define FAULT_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Faults in another process: this test program, run again as pool or worker, shares memory with the test, in
 * which the test says which call of a fault point is to fail. */
typedef enum fault_point { FAULT_MEMORY, FAULT_WRITE, FAULT_POINT_COUNT } fault_point;

typedef struct fault_control {
    int descriptor; /* of this memory */
    struct {
        _Atomic int64_t countdown; /* 0: the next call fails; below 0: none does */
        _Atomic uint64_t calls;
        _Atomic bool reached;
    } points[FAULT_POINT_COUNT];
} fault_control;

/* The variable that gives the child the shared memory's descriptor. */
#define FAULT_CONTROL_VARIABLE "CELLULE_FAULT_CONTROL"

/* Test: makes the memory. Ends the test on failure. */
fault_control *fault_control_make(void);
/* The children started from now on obey this one. */
void fault_control_give(const fault_control *control);
void fault_control_arm(fault_control *control, fault_point point, int64_t nth);
/* True if the call was reached. */
bool fault_control_disarm(fault_control *control, fault_point point);

/* Child: lets the memory at the descriptor decide, from here on. */
bool fault_control_obey(void);
/* What it obeys. */
fault_control *fault_control_obeyed(void);

#endif
