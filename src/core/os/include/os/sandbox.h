#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/error.h"

/* For a process that only computes: from here to its end all its threads can read, write, sync, cut, lock and
 * poll the descriptors that are open, take memory, tell the time and exit. Everything else the kernel answers
 * with EPERM: any socket, opening a file, starting a program, process or thread, signalling another process,
 * executable memory. Nothing undoes it. It also keeps the process out of core dumps and from being traced.
 * Linux's seccomp (seccomp(2)), for threads that run already as well; fails closed with ERROR_UNSUPPORTED
 * where the kernel has none. */
MUST_CHECK bool sandbox_enter(error *err);

#endif
