/* Lines on standard error. */
#ifndef DEMO_HOST_LOG_H
#define DEMO_HOST_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/* With --verbose also what concerns single requests. Call before threads start. */
void log_set_verbose(bool verbose);
bool log_is_verbose(void);

/* One line each, without a newline in the format. Control characters that came from outside are
 * replaced, so that nobody writes lines of their own into the log. */
void log_line(const char* format, ...) __attribute__((format(printf, 1, 2)));
void log_line_va(const char* format, va_list arguments) __attribute__((format(printf, 1, 0)));

#endif
