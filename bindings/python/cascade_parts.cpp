#include "cascade_parts.hpp"

#include <memory>

#include "arguments.hpp"
#include "in_python.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

// ----------------------------------------------------------------------------------------- files

struct FileCallables {
  explicit FileCallables(const py::tuple& all) : read(all[0]), write(all[1]), remove(all[2]) {}

  py::object read, write, remove;
};

py::str name_of(int32_t file) {
  switch (file) {
    case SATCHEL_FILE_USAGE:
      return "usage.json";
    case SATCHEL_FILE_LOCK:
      return "usage.lock";
    default:
      return "satchel-observed.json";
  }
}

satchel_status read_file(void* user, int32_t file, satchel_file_answer* answer) {
  const py::handle callable = static_cast<FileCallables*>(user)->read;
  return in_python(callable, [&]() -> satchel_status {
    const py::object found = call_python(callable, py::make_tuple(name_of(file)));
    if (found.is_none()) return SATCHEL_OK;
    const auto [content, written_at] = found.cast<std::pair<py::object, int64_t>>();
    const Buffer bytes(content);
    return satchel_file_set(answer, bytes.data(), bytes.size(), written_at);
  });
}

satchel_status write_file(void* user, int32_t file, const char* data, size_t len) {
  const py::handle callable = static_cast<FileCallables*>(user)->write;
  return in_python(callable, [&]() -> satchel_status {
    call_python(callable, py::make_tuple(name_of(file), bytes({data, len})));
    return SATCHEL_OK;
  });
}

satchel_status remove_file(void* user, int32_t file) {
  const py::handle callable = static_cast<FileCallables*>(user)->remove;
  return in_python(callable, [&]() -> satchel_status {
    call_python(callable, py::make_tuple(name_of(file)));
    return SATCHEL_OK;
  });
}

// ------------------------------------------------------------------------------- who has the token

satchel_status token(void* user, satchel_token_answer* answer) {
  const py::handle callable = *static_cast<py::object*>(user);
  return in_python(callable, [&]() -> satchel_status {
    const py::object had = call_python(callable, py::tuple());
    if (asks_for_built_in(had)) return SATCHEL_NOT_HANDLED;
    if (had.is_none()) return SATCHEL_OK;
    if (PyLong_Check(had.ptr())) return satchel_token_fail(answer, had.cast<int32_t>());
    const Text secret(had, "the token");
    return satchel_token_set(answer, secret.data(), secret.size());
  });
}

// ------------------------------------------------------------------------------------ what was
// used

satchel_tokens tokens_of(const py::handle& counts) {
  const auto four = py::cast<py::tuple>(counts);
  return {four[0].cast<uint64_t>(), four[1].cast<uint64_t>(), four[2].cast<uint64_t>(),
          four[3].cast<uint64_t>()};
}

satchel_status windows(void* user, int64_t now, satchel_transcripts_answer* answer) {
  const py::handle callable = *static_cast<py::object*>(user);
  return in_python(callable, [&]() -> satchel_status {
    const py::object counted = call_python(callable, py::make_tuple(now));
    if (asks_for_built_in(counted)) return SATCHEL_NOT_HANDLED;
    if (counted.is_none()) return SATCHEL_OK;
    const auto [block, seven_day] = counted.cast<std::pair<py::object, py::object>>();
    if (!block.is_none()) {
      const auto [start, counts] = block.cast<std::pair<int64_t, py::object>>();
      const satchel_tokens tokens = tokens_of(counts);
      const satchel_status status = satchel_transcripts_five_hour_set(answer, start, &tokens);
      if (status != SATCHEL_OK) return status;
    }
    const satchel_tokens tokens = tokens_of(seven_day);
    return satchel_transcripts_seven_day_set(answer, &tokens);
  });
}

}  // namespace

satchel_usage_files usage_files_callbacks(const py::object& callables) {
  satchel_usage_files table = SATCHEL_USAGE_FILES_INIT;
  table.user = new FileCallables(callables.cast<py::tuple>());
  table.release = release_callables<FileCallables>;
  table.read = read_file;
  table.write = write_file;
  table.remove = remove_file;
  return table;
}

satchel_credentials credentials_callbacks(const py::object& token_by) {
  satchel_credentials table = SATCHEL_CREDENTIALS_INIT;
  table.user = std::make_unique<py::object>(token_by).release();
  table.release = release_callables<py::object>;
  table.token = token;
  return table;
}

satchel_transcripts transcripts_callbacks(const py::object& windows_by) {
  satchel_transcripts table = SATCHEL_TRANSCRIPTS_INIT;
  table.user = std::make_unique<py::object>(windows_by).release();
  table.release = release_callables<py::object>;
  table.windows = windows;
  return table;
}

}  // namespace satchel_python
