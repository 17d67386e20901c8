/* Preloaded into a process whose clock or disk is to misbehave.
 *
 * CHAOS_CONTROL names a file of two int64: [0] is added to the wall clock, microseconds;
 * [1] delays every flush to disk, milliseconds. CHAOS_FLUSHED names a folder in which the
 * size that each file had when it was last flushed is kept, so that a power cut can be
 * imitated: what was not flushed is cut off. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t nothing[2];
static volatile int64_t *control = nothing;

__attribute__((constructor)) static void open_control(void) {
  const char *path = getenv("CHAOS_CONTROL");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *shared = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared != MAP_FAILED) control = shared;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t micros = now->tv_sec * 1000000LL + now->tv_nsec / 1000 + control[0];
    now->tv_sec = micros / 1000000;
    now->tv_nsec = micros % 1000000 * 1000 + now->tv_nsec % 1000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  int result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return result;
}

time_t time(time_t *where) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (where) *where = exact.tv_sec;
  return exact.tv_sec;
}

static void note_flushed(int fd, long long size) {
  char link[64], name[4096], path[8192], text[32];
  const char *folder = getenv("CHAOS_FLUSHED");
  struct stat facts;
  if (!folder || fstat(fd, &facts) || !S_ISREG(facts.st_mode)) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length <= 0) return;
  name[length] = 0;
  const char *last = strrchr(name, '/');
  snprintf(path, sizeof path, "%s/%s", folder, last ? last + 1 : name);
  int note = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (note < 0) return;
  int digits = snprintf(text, sizeof text, "%020lld", size);
  if (pwrite(note, text, digits, 0) < 0) abort();
  close(note);
}

static int flush(int fd, const char *name) {
  int (*real)(int) = dlsym(RTLD_NEXT, name);
  struct stat facts;
  /* What is written while the flush is under way is not promised by it. */
  long long size = fstat(fd, &facts) == 0 ? (long long)facts.st_size : 0;
  if (control[1] > 0) usleep(control[1] * 1000);
  int result = real(fd);
  if (result == 0) note_flushed(fd, size);
  return result;
}

int fsync(int fd) { return flush(fd, "fsync"); }
int fdatasync(int fd) { return flush(fd, "fdatasync"); }
