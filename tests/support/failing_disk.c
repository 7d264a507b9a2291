/* Preloaded into a daemon: what it does to files below a folder fails as a test says; see failing_disk.py.

   The test says it in a file that is mapped here and there, so it may change its mind at any time. Only calls that change
   a file are met: pages that are written through a map are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2, ALLOCATIONS = 4 };
enum { PAGE_BYTES = 4096 };

struct control {
    int32_t error;              /* errno of what fails; 0: nothing does */
    int32_t kinds;              /* which calls may fail */
    int32_t per_thousand;       /* of those, how many do */
    int32_t short_per_thousand; /* of writes, how many take a part only */
    int32_t kill_at;            /* the process is killed in this call from now, counted down; 0: in none */
    int32_t seed;
    int32_t cannot_allocate; /* the file system knows no fallocate(2) */
    int32_t unused;
    int64_t calls;
    int64_t failed;
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_bytes;

__attribute__((constructor)) static void begin(void)
{
    const char *below = getenv("FAILING_DISK_FOLDER"), *path = getenv("FAILING_DISK_CONTROL");
    if (below == NULL || path == NULL || realpath(below, folder) == NULL)
        return;
    folder_bytes = strlen(folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        control = map;
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static int is_ours(int fd)
{
    char link[64], path[PATH_MAX];
    if (control == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    return size > (ssize_t)folder_bytes && memcmp(path, folder, folder_bytes) == 0 && path[folder_bytes] == '/';
}

/* The same number for the same call of the same seed. */
static uint32_t chance(int64_t call)
{
    uint64_t x = (uint64_t)call * 0x9E3779B97F4A7C15u + (uint32_t)control->seed;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(x >> 32);
}

enum fate { GOES, FAILS, IS_SHORT, KILLS };

static enum fate fate_of(int kind, uint32_t *number)
{
    int64_t call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    *number = chance(call);
    if (control->kill_at > 0 && __atomic_sub_fetch(&control->kill_at, 1, __ATOMIC_SEQ_CST) == 0)
        return KILLS;
    int32_t drawn = (int32_t)(*number % 1000);
    if (control->error != 0 && (control->kinds & kind) && drawn < control->per_thousand) {
        __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
        errno = control->error;
        return FAILS;
    }
    if (kind == WRITES && drawn < control->short_per_thousand) {
        __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
        return IS_SHORT;
    }
    return GOES;
}

static void end(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* A killed write has got as far as some page. */
static size_t pages_of(size_t size, uint32_t number)
{
    return (number % (size / PAGE_BYTES + 2)) * PAGE_BYTES;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

typedef ssize_t (*writer)(int, const struct iovec *, int, off_t);

static ssize_t to_end(int fd, const struct iovec *parts, int count, off_t at)
{
    (void)at;
    static ssize_t (*real)(int, const struct iovec *, int);
    if (real == NULL)
        real = next("writev");
    return real(fd, parts, count);
}

static ssize_t to_place(int fd, const struct iovec *parts, int count, off_t at)
{
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    if (real == NULL)
        real = next("pwritev");
    return real(fd, parts, count, at);
}

/* Write no more than so many bytes of some parts. */
static ssize_t write_some(writer write_parts, int fd, const struct iovec *parts, int count, off_t at, size_t most)
{
    ssize_t done = 0;
    for (int i = 0; i < count && most > 0; i++) {
        struct iovec part = {parts[i].iov_base, least(parts[i].iov_len, most)};
        ssize_t size = part.iov_len == 0 ? 0 : write_parts(fd, &part, 1, at + done);
        if (size < 0)
            return done > 0 ? done : size;
        done += size;
        most -= (size_t)size;
        if ((size_t)size < part.iov_len)
            break;
    }
    return done;
}

static ssize_t write_as_told(writer write_parts, int fd, const struct iovec *parts, int count, off_t at)
{
    uint32_t number;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    switch (fate_of(WRITES, &number)) {
    case FAILS:
        return -1;
    case IS_SHORT:
        return write_some(write_parts, fd, parts, count, at, size / 2);
    case KILLS:
        write_some(write_parts, fd, parts, count, at, pages_of(size, number));
        end();
    default:
        return write_parts(fd, parts, count, at);
    }
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL)
        real = next("write");
    struct iovec part = {(void *)data, size};
    return is_ours(fd) ? write_as_told(to_end, fd, &part, 1, 0) : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return is_ours(fd) ? write_as_told(to_end, fd, parts, count, 0) : to_end(fd, parts, count, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return is_ours(fd) ? write_as_told(to_place, fd, parts, count, at) : to_place(fd, parts, count, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    struct iovec part = {(void *)data, size};
    return pwritev(fd, &part, 1, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return pwrite(fd, data, size, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
    return pwritev(fd, parts, count, at);
}

/* Whether a call that is no write goes through. */
static int goes(int kind)
{
    uint32_t number;
    enum fate fate = fate_of(kind, &number);
    if (fate == KILLS)
        end();
    return fate != FAILS;
}

#define SYNCING(name)                                 \
    int name(int fd)                                  \
    {                                                 \
        static int (*real)(int);                      \
        if (real == NULL)                             \
            real = next(#name);                       \
        return is_ours(fd) && !goes(SYNCS) ? -1 : real(fd); \
    }
SYNCING(fsync)
SYNCING(fdatasync)

int msync(void *start, size_t size, int flags)
{
    static int (*real)(void *, size_t, int);
    if (real == NULL)
        real = next("msync");
    return control != NULL && !goes(SYNCS) ? -1 : real(start, size, flags);
}

int fallocate(int fd, int mode, off_t start, off_t size)
{
    static int (*real)(int, int, off_t, off_t);
    if (real == NULL)
        real = next("fallocate");
    if (!is_ours(fd))
        return real(fd, mode, start, size);
    if (control->cannot_allocate) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return goes(ALLOCATIONS) ? real(fd, mode, start, size) : -1;
}

int fallocate64(int fd, int mode, off_t start, off_t size)
{
    return fallocate(fd, mode, start, size);
}

int ftruncate(int fd, off_t size)
{
    static int (*real)(int, off_t);
    if (real == NULL)
        real = next("ftruncate");
    return is_ours(fd) && !goes(ALLOCATIONS) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}
