#include "log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool be_verbose = false;

void log_set_verbose(bool verbose) { be_verbose = verbose; }
bool log_is_verbose(void) { return be_verbose; }

void log_line_va(const char* format, va_list arguments) {
  char line[1024];
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
  used += (size_t)snprintf(line + used, sizeof line - used,
                           ".%03dZ demo-host: ", (int)(now.tv_nsec / 1000000));
  size_t room = sizeof line - used - 1;
  int wanted = vsnprintf(line + used, room, format, arguments);
  if (wanted < 0) return;
  size_t end = used + ((size_t)wanted < room ? (size_t)wanted : room - 1);
  while (end > used && line[end - 1] == '\n') --end;
  for (size_t i = used; i < end; ++i) {
    if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = ' ';
  }
  line[end++] = '\n';
  /* One write a line: lines of different threads do not mix. A log that cannot be written is no
   * reason to fail a request. */
  ssize_t ignored = write(STDERR_FILENO, line, end);
  (void)ignored;
}

void log_line(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_line_va(format, arguments);
  va_end(arguments);
}
