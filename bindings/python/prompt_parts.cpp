// The steps of a request, one at a time: parse, validate, forward, the query, canonical JSON.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include "arguments.hpp"
#include "failure.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"

namespace satchel_python {
namespace {

// As check(), for calls that find a marker at fault: their REJECTED is an exception too.
void check_markers(satchel_status status, const satchel_error& error) {
  if (status < 0 || status == SATCHEL_REJECTED) fail(status, error);
}

class Prompt {
 public:
  Prompt(const PromptCache& cache, const Buffer& body) {
    satchel_error error = SATCHEL_ERROR_INIT;
    check_markers(call_library([&, opened = cache.handle()] {
                    return satchel_prompt_parse(opened, body.data(), body.size(), &handle_, &error);
                  }),
                  error);
  }
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;
  ~Prompt() {
    without_lock([this] { return satchel_prompt_free(&handle_); });
  }

  // [(role, text, message_index, hash)]
  [[nodiscard]] py::list blocks() const {
    py::list blocks;
    const size_t count = ask(satchel_prompt_block_count);
    for (size_t i = 0; i < count; ++i) {
      satchel_block block = SATCHEL_BLOCK_INIT;
      satchel_error error = SATCHEL_ERROR_INIT;
      check(satchel_prompt_block(handle_, i, &block, &error), error);
      blocks.append(py::make_tuple(text(block.role), text(block.text), block.message_index,
                                   hash(block.hash)));
    }
    return blocks;
  }

  // [(block, candidate_count, tier, tools, message, message_block, tool_call)]
  [[nodiscard]] py::list breakpoints() const {
    py::list breakpoints;
    const size_t count = ask(satchel_prompt_breakpoint_count);
    for (size_t i = 0; i < count; ++i) {
      satchel_breakpoint at = SATCHEL_BREAKPOINT_INIT;
      satchel_error error = SATCHEL_ERROR_INIT;
      check(satchel_prompt_breakpoint(handle_, i, &at, &error), error);
      breakpoints.append(py::make_tuple(at.block, at.candidate_count, at.tier, at.tools, at.message,
                                        at.message_block, at.tool_call));
    }
    return breakpoints;
  }

 private:
  // These only read what parsing has made: not worth giving the lock away for.
  template <class Count>
  [[nodiscard]] size_t ask(Count count_of) const {
    size_t count = 0;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(count_of(handle_, &count, &error), error);
    return count;
  }
  static py::bytes hash(const uint8_t (&digest)[32]) {
    return {reinterpret_cast<const char*>(digest), sizeof digest};
  }

  satchel_prompt* handle_ = nullptr;
};

py::tuple parse(const PromptCache& cache, const py::object& data) {
  const Buffer body(data);
  const Prompt prompt(cache, body);
  return py::make_tuple(prompt.blocks(), prompt.breakpoints());
}

void validate(const PromptCache& cache, const py::object& data) {
  const Buffer body(data);
  satchel_error error = SATCHEL_ERROR_INIT;
  check_markers(call_library([&, opened = cache.handle()] {
                  return satchel_prompt_validate(opened, body.data(), body.size(), &error);
                }),
                error);
}

// (body | None where it is to be forwarded as it is, had_markers)
py::tuple forward(const PromptCache& cache, const py::object& data) {
  const Buffer body(data);
  OwnedBuffer out;
  int32_t had_markers = 0;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = call_library([&, opened = cache.handle()] {
    return satchel_prompt_forward(opened, body.data(), body.size(), out.out(), &had_markers,
                                  &error);
  });
  check(status, error);
  const py::object changed = status == SATCHEL_OK ? py::object(bytes(out.view())) : py::none();
  return py::make_tuple(changed, had_markers != 0);
}

// (status, value, target)
py::tuple query_breakpoint(const py::object& asked) {
  const Text target(asked, "target");
  OwnedBuffer out;
  satchel_view value{nullptr, 0};
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = call_library([&] {
    return satchel_query_breakpoint(target.data(), target.size(), &value, out.out(), &error);
  });
  check(status, error);
  return py::make_tuple(status, text(value), text(out.view()));
}

// The marked body; None where it stays as it is.
py::object query_mark(const py::object& data) {
  const Buffer body(data);
  OwnedBuffer out;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status =
      call_library([&] { return satchel_query_mark(body.data(), body.size(), out.out(), &error); });
  check(status, error);
  if (status == SATCHEL_UNCHANGED) return py::none();
  return bytes(out.view());
}

py::bytes canonical_json(const py::object& data) {
  const Buffer json(data);
  OwnedBuffer out;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library(
            [&] { return satchel_json_canonical(json.data(), json.size(), out.out(), &error); }),
        error);
  return bytes(out.view());
}

}  // namespace

void define_prompt_parts(py::module_& module) {
  module.def("parse", &parse);
  module.def("validate", &validate);
  module.def("forward", &forward);
  module.def("query_breakpoint", &query_breakpoint);
  module.def("query_mark", &query_mark);
  module.def("canonical_json", &canonical_json);
}

}  // namespace satchel_python
