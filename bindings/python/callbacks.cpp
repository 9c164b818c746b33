#include "callbacks.hpp"

#include <pybind11/stl.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "failure.hpp"
#include "http.hpp"
#include "in_python.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

struct HostCallables {
  py::object log;
  py::object clock;
  py::object monotonic;
  py::object http;
};

struct TokenizerCallables {
  py::object versions;
  py::object tokenize;
  py::object render;
};

// ------------------------------------------------------------------------------------------ host

constexpr int kLoggingStep = 10;  // logging.DEBUG is 10, INFO 20, WARNING 30, ERROR 40

void log_without_python(int32_t level, std::string_view component, std::string_view message) {
  const char* const names[] = {"debug", "info", "warn", "error"};
  const char* name = level >= 0 && level < 4 ? names[level] : "error";
  std::fprintf(stderr, "satchel %s %.*s: %.*s\n", name, static_cast<int>(component.size()),
               component.data(), static_cast<int>(message.size()), message.data());
}

void log(void* user, int32_t level, const char* component, size_t component_len,
         const char* message, size_t message_len) {
  const py::handle callable = static_cast<HostCallables*>(user)->log;
  bool reached = false;
  in_python(callable, [&]() -> satchel_status {
    reached = true;
    call_python(callable, py::make_tuple((level + 1) * kLoggingStep, text(component, component_len),
                                         text(message, message_len)));
    return SATCHEL_OK;
  });
  if (!reached) log_without_python(level, {component, component_len}, {message, message_len});
}

satchel_status nanoseconds(py::handle callable, int64_t* out) {
  return in_python(callable, [&]() -> satchel_status {
    const py::object answer = call_python(callable, py::tuple());
    if (asks_for_built_in(answer)) return SATCHEL_NOT_HANDLED;
    // Before Python 3.10 PyLong_AsLongLong would take a float.
    const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(answer.ptr()));
    if (!integer) throw py::error_already_set();
    const long long value = PyLong_AsLongLong(integer.ptr());
    if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    *out = value;
    return SATCHEL_OK;
  });
}

satchel_status clock(void* user, int64_t* unix_ns) {
  return nanoseconds(static_cast<HostCallables*>(user)->clock, unix_ns);
}

satchel_status monotonic(void* user, int64_t* ns) {
  return nanoseconds(static_cast<HostCallables*>(user)->monotonic, ns);
}

satchel_status send(void* user, const satchel_http_request* request, satchel_http_answer* answer) {
  return http(static_cast<HostCallables*>(user)->http, *request, answer);
}

// -------------------------------------------------------------------------------- who and what

satchel_status resolve_principal(void* user, const char* api_key, size_t api_key_len,
                                 satchel_principal_answer* answer) {
  const py::handle callable = *static_cast<py::object*>(user);
  return in_python(callable, [&]() -> satchel_status {
    const py::object who = call_python(callable, py::make_tuple(text(api_key, api_key_len)));
    if (asks_for_built_in(who)) return SATCHEL_NOT_HANDLED;
    if (who.is_none()) return SATCHEL_OK;
    const Text id(who, "the principal");
    return satchel_principal_set(answer, id.data(), id.size());
  });
}

satchel_status resolve_model(void* user, const char* model, size_t model_len,
                             satchel_model_answer* answer) {
  const py::handle callable = *static_cast<py::object*>(user);
  return in_python(callable, [&]() -> satchel_status {
    const py::object policy = call_python(callable, py::make_tuple(text(model, model_len)));
    if (asks_for_built_in(policy)) return SATCHEL_NOT_HANDLED;
    if (policy.is_none()) return SATCHEL_OK;
    const auto [enabled, min_prefix_tokens] = policy.cast<std::pair<bool, uint32_t>>();
    return satchel_model_set(answer, enabled ? 1 : 0, min_prefix_tokens);
  });
}

// ------------------------------------------------------------------------------------- tokenizer

satchel_status versions(void* user, const char* model, size_t model_len,
                        satchel_versions_answer* answer) {
  const py::handle callable = static_cast<TokenizerCallables*>(user)->versions;
  return in_python(callable, [&]() -> satchel_status {
    const py::object known = call_python(callable, py::make_tuple(text(model, model_len)));
    if (asks_for_built_in(known)) return SATCHEL_NOT_HANDLED;
    for (const py::handle item : known) {
      const auto row = py::reinterpret_borrow<py::tuple>(item);
      const Text name(row[0], "the model");
      const Text tokenizer_version(row[1], "the tokenizer version");
      const Text template_version(row[2], "the template version");
      const satchel_status status = satchel_versions_add(
          answer, name.data(), name.size(), tokenizer_version.data(), tokenizer_version.size(),
          template_version.data(), template_version.size());
      if (status != SATCHEL_OK) return status;
    }
    return SATCHEL_OK;
  });
}

satchel_status tokenize(void* user, const char* model, size_t model_len,
                        const satchel_view* segments, size_t segment_count,
                        satchel_counts_answer* answer) {
  const py::handle callable = static_cast<TokenizerCallables*>(user)->tokenize;
  return in_python(callable, [&]() -> satchel_status {
    py::list texts(segment_count);
    for (size_t i = 0; i < segment_count; ++i) texts[i] = text(segments[i]);
    const py::object counted = call_python(callable, py::make_tuple(text(model, model_len), texts));
    if (asks_for_built_in(counted)) return SATCHEL_NOT_HANDLED;
    const auto list = py::reinterpret_borrow<py::list>(counted);
    std::vector<uint32_t> cumulative;
    cumulative.reserve(list.size());
    for (const py::handle count : list) cumulative.push_back(count.cast<uint32_t>());
    return satchel_counts_set(answer, cumulative.data(), cumulative.size());
  });
}

py::object text_or_none(const satchel_view& view) {
  return view.len == 0 ? py::object(py::none()) : py::object(text(view));
}

satchel_status render(void* user, const char* model, size_t model_len,
                      const satchel_render_request* request, satchel_render_answer* answer) {
  const py::handle callable = static_cast<TokenizerCallables*>(user)->render;
  return in_python(callable, [&]() -> satchel_status {
    py::list prefixes(request->prefix_count);
    for (size_t i = 0; i < request->prefix_count; ++i) {
      const satchel_prefix& at = request->prefixes[i];
      prefixes[i] = py::make_tuple(at.tools, at.message, at.message_block, at.tool_call);
    }
    const py::object rendered = call_python(
        callable, py::make_tuple(text(model, model_len), text(request->messages),
                                 text_or_none(request->tools), prefixes, request->timeout_ms));
    if (asks_for_built_in(rendered)) return SATCHEL_NOT_HANDLED;
    if (py::isinstance<py::int_>(rendered)) {
      return satchel_render_fail(answer, rendered.cast<int32_t>());
    }
    const auto [total, counts] = rendered.cast<std::pair<uint32_t, std::vector<int64_t>>>();
    return satchel_render_set(answer, total, counts.data(), counts.size());
  });
}

template <class Table>
void own_one(Table& table, const py::object& callable) {
  table.user = std::make_unique<py::object>(callable).release();
  table.release = release_callables<py::object>;
}

}  // namespace

satchel_host host_callbacks(const py::object& log_to, const py::object& clock_from,
                            const py::object& monotonic_from, const py::object& http_by) {
  satchel_host table = SATCHEL_HOST_INIT;
  table.user = new HostCallables{log_to, clock_from, monotonic_from, http_by};
  table.release = release_callables<HostCallables>;
  if (!log_to.is_none()) table.log = log;
  if (!clock_from.is_none()) table.clock = clock;
  if (!monotonic_from.is_none()) table.monotonic = monotonic;
  if (!http_by.is_none()) table.http = send;
  return table;
}

satchel_library* open_library(const py::object& config, const satchel_host& host) {
  const Buffer json(config);
  satchel_library* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(
      call_library([&] { return satchel_open(&host, json.data(), json.size(), &handle, &error); }),
      error);
  return handle;
}

satchel_principals principal_callbacks(const py::object& resolve) {
  satchel_principals table = SATCHEL_PRINCIPALS_INIT;
  own_one(table, resolve);
  table.resolve = resolve_principal;
  return table;
}

satchel_models model_callbacks(const py::object& resolve) {
  satchel_models table = SATCHEL_MODELS_INIT;
  own_one(table, resolve);
  table.resolve = resolve_model;
  return table;
}

satchel_tokenizer tokenizer_callbacks(const py::object& versions_of, const py::object& tokenize_by,
                                      const py::object& render_by) {
  satchel_tokenizer table = SATCHEL_TOKENIZER_INIT;
  table.user = new TokenizerCallables{versions_of, tokenize_by, render_by};
  table.release = release_callables<TokenizerCallables>;
  table.versions = versions;
  table.tokenize = tokenize;
  if (!render_by.is_none()) table.render = render;
  return table;
}

}  // namespace satchel_python
