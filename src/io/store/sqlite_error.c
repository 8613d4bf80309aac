#include "sqlite.h"

#include <errno.h>
#include <sqlite3.h>

static bool no_space(error *err) {
    return error_set(err, ERROR_IO,
                     "the disk is full, or the database has reached its size limit; make room and try again");
}

static bool system_error(int code, int cause, error *err) {
    if (code == SQLITE_IOERR_NOMEM) {
        return error_memory(err);
    }
    if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG) {
        return no_space(err);
    }
    return error_set_errno(err, ERROR_IO, cause, "the database can't be read or written (%s)",
                           sqlite3_errstr(code));
}

static bool constraint_error(const database *d, int code, error *err) {
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return error_set(err, ERROR_CONFLICT, "it exists already");
    }
    if (code == SQLITE_CONSTRAINT_FOREIGNKEY) {
        return error_set(err, ERROR_INVALID, "it names a user or a worker that doesn't exist");
    }
    return error_set(err, ERROR_INVALID, "the database refuses it: %s", sqlite3_errmsg(sqlite_connection(d)));
}

bool sqlite_error(const database *d, int code, int cause, error *err) {
    switch (code & 0xFF) {
    case SQLITE_NOMEM:
        return error_memory(err);
    case SQLITE_FULL:
        return no_space(err);
    case SQLITE_IOERR:
        return system_error(code, cause, err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, ERROR_TIMEOUT,
                         "another program holds the database locked; end it and try again");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return error_set(err, ERROR_IO,
                         "the database can't be opened or written (%s); check its owner and mode",
                         sqlite3_errstr(code));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, ERROR_CORRUPT, "the database is damaged, or isn't one; restore a backup");
    case SQLITE_CONSTRAINT:
        return constraint_error(d, code, err);
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return error_set(err, ERROR_INVALID, "a value is too large for the database");
    default:
        return error_set(err, ERROR_INTERNAL, "the database failed: %s",
                         sqlite3_errmsg(sqlite_connection(d)));
    }
}
