/*
 * A disk that can lose power and can be full, for one process: loaded by LD_PRELOAD.
 *
 * Every change below CRASH_ROOT is done and then written to CRASH_LOG, in the order in which it happened. An fsync is only
 * written down: what it makes durable is decided by the reader of the log (disk.rs). While the file CRASH_FULL exists, as many
 * bytes as it names can still be written, and no more.
 *
 * A record is the struct below, the path (with its NUL), and the bytes written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096

struct record {
    uint64_t kind, inode, offset, path_length, length;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *full;
static int log_file = -1;
/* The paths of the open files that are watched. */
static char *paths[FILES];
/* How many bytes can still be written; -1 while the disk is not full. */
static int64_t room = -1;

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("CRASH_LOG");
    root = getenv("CRASH_ROOT");
    full = getenv("CRASH_FULL");
    if (root && log)
        log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_watched(const char *path) {
    return log_file >= 0 && strncmp(path, root, strlen(root)) == 0;
}

static const char *path_of(int file) {
    return file >= 0 && file < FILES ? paths[file] : NULL;
}

static void put(char kind, uint64_t inode, uint64_t offset, const char *path, const void *bytes, uint64_t length) {
    struct record record = {kind, inode, offset, strlen(path) + 1, bytes ? length : 0};
    struct iovec parts[3] = {{&record, sizeof record}, {(void *)path, record.path_length}, {(void *)bytes, record.length}};
    int error = errno;
    if (syscall(SYS_writev, log_file, parts, 3) < 0)
        abort();
    errno = error;
}

/* How many of these bytes there is room for; 0 with ENOSPC. */
static size_t take_room(size_t wanted) {
    int file = full ? syscall(SYS_openat, AT_FDCWD, full, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (file < 0) {
        room = -1;
        return wanted;
    }
    if (room < 0) {
        char text[32] = {0};
        room = syscall(SYS_read, file, text, sizeof text - 1) > 0 ? atoll(text) : 0;
    }
    syscall(SYS_close, file);
    size_t taken = wanted < (size_t)room ? wanted : (size_t)room;
    room -= taken;
    if (taken == 0)
        errno = ENOSPC;
    return taken;
}

static struct stat look(int file) {
    struct stat found = {0};
    fstat(file, &found);
    return found;
}

static int open_file(const char *path, int flags, mode_t mode) {
    if (!is_watched(path))
        return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&turn);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int file = -1;
    if (!is_new || take_room(1))
        file = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= FILES)
        abort();
    if (file >= 0) {
        free(paths[file]);
        paths[file] = strdup(path);
        uint64_t inode = look(file).st_ino;
        if (is_new)
            put('C', inode, 0, path, NULL, 0);
        else if (flags & O_TRUNC)
            put('T', inode, 0, path, NULL, 0);
    }
    pthread_mutex_unlock(&turn);
    return file;
}

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...) {        \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more);                                   \
        return open_file(path, flags, mode);            \
    }
OPEN(open)
OPEN(open64)

int close(int file) {
    if (path_of(file)) {
        pthread_mutex_lock(&turn);
        free(paths[file]);
        paths[file] = NULL;
        pthread_mutex_unlock(&turn);
    }
    return syscall(SYS_close, file);
}

/* At the position of the file where the offset is negative. */
static ssize_t write_file(int file, const void *bytes, size_t count, off_t offset) {
    const char *path = path_of(file);
    if (!path)
        return offset < 0 ? syscall(SYS_write, file, bytes, count) : syscall(SYS_pwrite64, file, bytes, count, offset);
    pthread_mutex_lock(&turn);
    ssize_t written = -1;
    size_t taken = take_room(count);
    if (taken > 0) {
        off_t at = offset;
        if (offset < 0)
            at = fcntl(file, F_GETFL) & O_APPEND ? look(file).st_size : lseek(file, 0, SEEK_CUR);
        written = offset < 0 ? syscall(SYS_write, file, bytes, taken) : syscall(SYS_pwrite64, file, bytes, taken, offset);
        if (written > 0)
            put('W', look(file).st_ino, at, path, bytes, written);
    }
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t write(int file, const void *bytes, size_t count) { return write_file(file, bytes, count, -1); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) { return write_file(file, bytes, count, offset); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) { return write_file(file, bytes, count, offset); }

int ftruncate(int file, off_t length) {
    const char *path = path_of(file);
    if (!path)
        return syscall(SYS_ftruncate, file, length);
    pthread_mutex_lock(&turn);
    int done = -1;
    if (length <= look(file).st_size || take_room(1))
        done = syscall(SYS_ftruncate, file, length);
    if (done == 0)
        put('T', look(file).st_ino, length, path, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
int ftruncate64(int file, off_t length) { return ftruncate(file, length); }

int fsync(int file) {
    const char *path = path_of(file);
    if (!path)
        return syscall(SYS_fsync, file);
    pthread_mutex_lock(&turn);
    struct stat found = look(file);
    put(S_ISDIR(found.st_mode) ? 'D' : 'S', found.st_ino, 0, path, NULL, 0);
    pthread_mutex_unlock(&turn);
    return 0;
}
int fdatasync(int file) { return fsync(file); }

int mkdir(const char *path, mode_t mode) {
    if (!is_watched(path))
        return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    pthread_mutex_lock(&turn);
    int done = take_room(1) ? syscall(SYS_mkdirat, AT_FDCWD, path, mode) : -1;
    if (done == 0)
        put('M', 0, 0, path, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}

int unlink(const char *path) {
    if (!is_watched(path))
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&turn);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (done == 0)
        put('U', 0, 0, path, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}

/* The new path is where the bytes of a write are. */
int rename(const char *from, const char *to) {
    if (!is_watched(from))
        return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&turn);
    int done = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (done == 0)
        put('R', 0, 0, from, to, strlen(to));
    pthread_mutex_unlock(&turn);
    return done;
}
