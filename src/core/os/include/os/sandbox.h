#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/error.h"

#include <stdint.h>

/* For a process that only computes: from here to its end all its threads can read, write, sync, cut, lock and
 * poll the descriptors that are open, take memory, tell the time and exit. Everything else the kernel answers
 * with EPERM: any socket, opening a file, starting a program, process or thread, signalling another process,
 * executable memory. Nothing undoes it. It also keeps the process out of core dumps and from being traced.
 * Linux's seccomp (seccomp(2)), for threads that run already as well; fails closed with ERROR_UNSUPPORTED
 * where the kernel has none. */
MUST_CHECK bool sandbox_enter(error *err);

/* For a process that serves. It keeps what it has opened, and can use it, begin threads and take memory that
 * isn't executable; of the rest it has only the rights that are named. */
typedef enum sandbox_right {
    SANDBOX_CONNECT = 1, /* TCP and UDP sockets, to connect and to look names up; none that listens */
    SANDBOX_READ = 2,    /* open files for reading */
    SANDBOX_WRITE = 4,   /* make, write, rename and remove files */
    SANDBOX_START = 8,   /* start programs and end them; they get no more rights */
    SANDBOX_LOCAL = 16   /* connect to Unix sockets, by whatever path: the kernel can't tell them apart */
} sandbox_right;

typedef struct sandbox_place {
    const char *path; /* a file, or a folder and all below it; one that isn't there is passed over */
    unsigned rights;  /* SANDBOX_READ, _WRITE, _START */
} sandbox_place;

/* What looking up a name, and checking a certificate against the system's CAs, reads. */
enum { SANDBOX_NAME_PLACES = 10 };
extern const sandbox_place sandbox_name_places[SANDBOX_NAME_PLACES];

typedef struct sandbox_profile {
    unsigned rights; /* all that some place has must be here too */
    const sandbox_place *places;
    size_t place_count;
    const uint16_t *ports; /* TCP ports that may be connected to; NULL: any */
    size_t port_count;
} sandbox_profile;

/* What the kernel has to enforce it with. Without `files` the rights to files are for all files that the user
 * may open. */
typedef struct sandbox_walls {
    bool calls; /* seccomp(2): no system call beyond the rights */
    bool files; /* Landlock (landlock(7)): no file but in the places */
    bool ports; /* Landlock 4: no TCP port but those named, and none to listen on */
} sandbox_walls;

/* Gives up the other rights, for this thread and those that it begins: to be called before there are others.
 * Nothing undoes it. It also keeps the process out of core dumps and from being traced. A wall that the
 * kernel hasn't got is left out, and `walls` says so; ERROR_MEMORY, ERROR_IO: some may be up, so end. */
MUST_CHECK bool sandbox_confine(const sandbox_profile *profile, sandbox_walls *walls, error *err);

#endif
