/* Numbers that a library which was loaded by LD_PRELOAD shares with whoever plants a fault. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* `count` numbers of a file in the folder of the role `inject`, all 0 at first; what is started by
 * this process does not load the library. NULL where there is no such folder. */
static const volatile int64_t *shared_numbers(const char *file, size_t count) {
  const size_t size = count * sizeof(int64_t);
  const int descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  void *numbers = MAP_FAILED;
  unsetenv("LD_PRELOAD");
  if (descriptor >= 0) {
    if (ftruncate(descriptor, (off_t)size) == 0) {
      numbers = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    }
    close(descriptor);
  }
  return numbers == MAP_FAILED ? NULL : numbers;
}
