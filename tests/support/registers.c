/* Fills every vector register with a mark, has them forgotten, and prints the number of each that still holds
 * a part of it. An argument: the process doesn't wipe, so that all are told. Needs no library, so that it is
 * built for any machine from a few files. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { REGISTERS = 32, WIDTH = 16, PART = 4 };

static const uint8_t mark[64] = "The heron flies at dusk, over reeds and water, home to its nest";
static uint8_t seen[REGISTERS][WIDTH];

#define FIRST_16 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define LAST_16 "16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH(numbers, line) ".irp n," numbers "\n\t" line "\n\t.endr\n\t"

#if defined(__x86_64__)

static const bool keeps_halves = false;

static void fill(void) {
    __asm__ volatile(EACH(FIRST_16, "movdqu (%0), %%xmm\\n")::"r"(mark));
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile(EACH(LAST_16, "vmovdqu32 (%0), %%zmm\\n")::"r"(mark));
    }
}

static void look(void) {
    __asm__ volatile(EACH(FIRST_16, "movdqu %%xmm\\n, 16*\\n(%0)")::"r"(seen) : "memory");
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile(EACH(LAST_16, "vextracti32x4 $0, %%zmm\\n, 16*\\n(%0)")::"r"(seen) : "memory");
    }
}

#elif defined(__aarch64__)

/* The lower halves of v8 to v15 are the caller's (AAPCS64, 6.1.2), who gets them back as they were. */
static const bool keeps_halves = true;

static void fill(void) {
    __asm__ volatile(EACH(FIRST_16 "," LAST_16, "ldr q\\n, [%0]")::"r"(mark));
}

static void look(void) {
    __asm__ volatile(EACH(FIRST_16 "," LAST_16, "str q\\n, [%0, #16*\\n]")::"r"(seen) : "memory");
}

#else
#error "say here how the registers of this machine are filled and read"
#endif

int main(int count, char **arguments) {
    (void)arguments;
    if (count == 1) {
        memory_wipe_freed();
    }
    fill();
    memory_forget_registers();
    look();
    for (int i = 0; i < REGISTERS; i++) {
        int from = keeps_halves && i >= 8 && i < 16 ? WIDTH / 2 : 0;
        bool there = false;
        for (int at = from; at < WIDTH; at += PART) {
            there = there || memcmp(seen[i] + at, mark + at, PART) == 0;
        }
        if (there) {
            printf("%d\n", i);
        }
    }
    return 0;
}
