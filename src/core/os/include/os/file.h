#ifndef OS_FILE_H
#define OS_FILE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Files, whole. Everything here blocks: not for the loop thread once it serves. Errors name the path:
 * ERROR_NOT_FOUND if it is not there, ERROR_DENIED if not allowed, ERROR_LIMIT if too large, else ERROR_IO.
 */

/* True if something is at `path`, whatever it is. */
bool file_exists(const char *path);
/* Appends the content of a regular file; `content->limit` bounds it. On failure `content` is as before. */
MUST_CHECK bool file_read_all(const char *path, buffer *content, error *err);
/* The same; "-" is the standard input, which may be a pipe. */
MUST_CHECK bool file_read_input(const char *path, buffer *content, error *err);
/* The same for a secret: ERROR_DENIED unless the file is the caller's own (or root's) and nobody else may
 * read or write it. */
MUST_CHECK bool file_read_private(const char *path, buffer *content, error *err);
/* Replaces the file as one act: readers and a crash see the old content or the new, never a part. Written
 * beside it, synced, renamed, and the folder synced. `mode` as 0600, whatever the umask. Fault point "write"
 * at each step. If only the last step (syncing the folder) fails, the new content is already in place. */
MUST_CHECK bool file_write_atomic(const char *path, slice content, unsigned mode, error *err);
/* `from` takes the place of `to` (rename(2)), and the folder of `to` is synced. */
MUST_CHECK bool file_replace(const char *from, const char *to, error *err);
/* Removes a file, and syncs its folder; one that isn't there is no error. */
MUST_CHECK bool file_remove(const char *path, error *err);
/* Makes one folder (its parent must exist) with `mode`, whatever the umask. One that is there is left alone,
 * but refused (ERROR_DENIED) if whoever else owns it, or anybody, could put other files in place of ours. */
MUST_CHECK bool file_make_folder(const char *path, unsigned mode, error *err);
/* *empty: nothing is in this folder. */
MUST_CHECK bool file_folder_is_empty(const char *path, bool *empty, error *err);

/* A lock that one process holds on a file (flock(2)); it ends with the process, however that ends. The file
 * holds the pid and stays. ERROR_CONFLICT, naming the holder, when another has it. */
typedef struct file_lock file_lock;
MUST_CHECK file_lock *file_lock_take(const char *path, error *err);
void file_lock_release(file_lock *lock); /* NULL is allowed */

/* Maps a regular file for reading; release with file_unmap. An empty file gives the empty slice. If another
 * shortens the file meanwhile, reading past its end raises SIGBUS: map only files nobody rewrites in place.
 */
MUST_CHECK bool file_map(const char *path, slice *bytes, error *err);
void file_unmap(slice bytes);
/* This part of a mapped file isn't needed for now: its pages no longer count as the process's memory. Reading
 * it brings them back. */
void file_drop(slice part);

#endif
