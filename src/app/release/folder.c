#include "app_release/folder.h"

#include "app_release/trust.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 8 };

typedef struct scan {
    const char *folder;
    uint64_t generation;
    release_manifest *found;
} scan;

static bool not_part(error *err, const char *path, const char *why) {
    return error_set(err, ERROR_DENIED, "%s can't be part of a release: %s", path, why);
}

/* The notes speak of the other files; nobody signs them as files. */
static bool is_note(const scan *s, const char *path) {
    static const char lists[] = RELEASE_NOTES "/maintainers-";
    uint64_t number = 0;
    if (strcmp(path, RELEASE_NOTES "/manifest") == 0) {
        return true;
    }
    return strncmp(path, lists, sizeof lists - 1) == 0 &&
           slice_to_u64(slice_of_text(path + sizeof lists - 1), &number) && number > 0 &&
           number <= s->generation;
}

static bool hash_file(const char *path, release_file *file, error *err) {
    slice content;
    if (!file_map(path, &content, err)) {
        return false;
    }
    bool hashed = hash_sha256(content, file->digest, err);
    file->size = content.length;
    file_unmap(content);
    return hashed;
}

static bool add_file(scan *s, const char *full, const char *path, error *err) {
    release_manifest *m = s->found;
    size_t length = strlen(path);
    if (m->count == RELEASE_FILES_MAX) {
        return error_set(err, ERROR_LIMIT, "%s has more than the %d files of a release", s->folder,
                         RELEASE_FILES_MAX);
    }
    if (length > RELEASE_PATH_MAX) {
        return not_part(err, path, "its path is too long");
    }
    release_file *file = &m->files[m->count++];
    memcpy(file->path, path, length + 1);
    return hash_file(full, file, err);
}

static bool scan_folder(scan *s, const char *path, int depth, error *err);

static bool scan_entry(scan *s, const char *path, int depth, error *err) {
    char full[RELEASE_FOLDER_SIZE];
    struct stat status;
    if (snprintf(full, sizeof full, "%s/%s", s->folder, path) >= (int)sizeof full) {
        return not_part(err, path, "its path is too long");
    }
    if (lstat(full, &status) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "looking at %s", full);
    }
    if (S_ISDIR(status.st_mode)) {
        return scan_folder(s, path, depth + 1, err);
    }
    if (!S_ISREG(status.st_mode)) {
        return not_part(err, path, "it is neither a file nor a folder");
    }
    if ((status.st_mode & (S_ISUID | S_ISGID)) != 0) {
        return not_part(err, path, "it would run as somebody else");
    }
    return is_note(s, path) || add_file(s, full, path, err);
}

static bool scan_open_folder(scan *s, DIR *folder, const char *path, int depth, error *err) {
    for (;;) {
        char below[RELEASE_FOLDER_SIZE];
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            return errno == 0 || error_set_errno(err, ERROR_IO, errno, "reading the folder %s", path);
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (snprintf(below, sizeof below, "%s%s%s", path, path[0] == '\0' ? "" : "/", entry->d_name) >=
            (int)sizeof below) {
            return not_part(err, path, "the paths in it are too long");
        }
        if (entry->d_name[0] == '.') {
            return not_part(err, below, "it is hidden, an extra file");
        }
        if (!scan_entry(s, below, depth, err)) {
            return false;
        }
    }
}

static bool scan_folder(scan *s, const char *path, int depth, error *err) {
    char full[RELEASE_FOLDER_SIZE];
    if (depth > DEPTH_MAX) {
        return not_part(err, path, "it lies too deep");
    }
    if (snprintf(full, sizeof full, "%s/%s", s->folder, path) >= (int)sizeof full) {
        return not_part(err, path, "its path is too long");
    }
    DIR *folder = opendir(full);
    if (folder == NULL) {
        return error_set_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, errno,
                               "opening the folder %s", full);
    }
    bool good = scan_open_folder(s, folder, path, depth, err);
    closedir(folder);
    return good;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(((const release_file *)a)->path, ((const release_file *)b)->path);
}

bool release_folder_scan(const char *folder, uint64_t generation, release_manifest *found, error *err) {
    scan s = {.folder = folder, .generation = generation, .found = found};
    memset(found, 0, sizeof *found);
    if (!scan_folder(&s, "", 0, err)) {
        return false;
    }
    qsort(found->files, found->count, sizeof found->files[0], compare_paths);
    return true;
}

static bool differs(error *err, const char *path, const char *how) {
    return error_set(err, ERROR_CORRUPT, "%s %s", path, how);
}

bool release_folder_compare(const release_manifest *expected, const release_manifest *found, error *err) {
    size_t i = 0;
    size_t j = 0;
    while (i < expected->count || j < found->count) {
        const release_file *signed_one = &expected->files[i < expected->count ? i : 0];
        const release_file *file = &found->files[j < found->count ? j : 0];
        int order = i == expected->count ? 1 : j == found->count ? -1 : strcmp(signed_one->path, file->path);
        if (order < 0) {
            return differs(err, signed_one->path, "is in the manifest and is missing here");
        }
        if (order > 0) {
            return differs(err, file->path, "isn't in the manifest: an extra file");
        }
        if (signed_one->size != file->size || memcmp(signed_one->digest, file->digest, HASH_SIZE) != 0) {
            return differs(err, file->path, "was changed: it isn't the file that was signed");
        }
        i++;
        j++;
    }
    return true;
}
