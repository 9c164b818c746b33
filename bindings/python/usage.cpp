// What a resolve found, for Python.
#include <array>
#include <charconv>
#include <memory>

#include "arguments.hpp"
#include "cascade.hpp"
#include "failure.hpp"
#include "in_python.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

// Freed without Python's lock, as everything of the library.
struct FreeUsage {
  void operator()(satchel_usage* usage) const {
    without_lock([&usage] { return satchel_usage_free(&usage); });
  }
};

// The library keeps utilisations in single precision: the number that was meant, 42.4 and not
// 42.400001525878906, as the JSON has it.
double shortest(double utilization) {
  std::array<char, 64> digits{};
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<float>(utilization));
  std::from_chars(digits.data(), end.ptr, utilization);
  return utilization;
}

py::tuple tuple_of(const satchel_tokens& tokens) {
  return py::make_tuple(tokens.input, tokens.output, tokens.cache_creation, tokens.cache_read);
}

// The exception that `error` stands for, not raised.
py::object exception_of(const satchel_error& error) {
  try {
    fail(error.status, error);
  } catch (py::error_already_set& raised) {
    return raised.value();
  }
}

}  // namespace

py::tuple usage_tuple(satchel_usage* given) {
  const std::unique_ptr<satchel_usage, FreeUsage> usage(given);
  satchel_usage_summary known = SATCHEL_USAGE_SUMMARY_INIT;
  OwnedBuffer json;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = without_lock([&] {
    const satchel_status got = satchel_usage_summary_get(given, &known, &error);
    return got == SATCHEL_OK ? satchel_usage_json(given, json.out(), &error) : got;
  });
  check(status, error);
  return py::make_tuple(known.source, known.error, known.age, shortest(known.five_hour_utilization),
                        known.five_hour_resets_at, shortest(known.seven_day_utilization),
                        known.seven_day_resets_at, tuple_of(known.five_hour_tokens),
                        tuple_of(known.seven_day_tokens), known.block_start, bytes(json.view()));
}

void usage_done(void* user, satchel_status status, satchel_usage* usage,
                const satchel_error* error) noexcept {
  auto* done = static_cast<py::object*>(user);
  PyGILState_STATE state{};
  if (!enter_python(&state)) {  // the interpreter is gone, and with it whoever waited
    satchel_usage_free(&usage);
    return;
  }
  try {
    guarded_call(*done, [&]() -> satchel_status {
      if (status == SATCHEL_OK) {
        call_python(*done, py::make_tuple(usage_tuple(usage), py::none()));
      } else {
        call_python(*done, py::make_tuple(py::none(), exception_of(*error)));
      }
      return SATCHEL_OK;
    });
    delete done;
    leave_python(state);
  } catch (abi::__forced_unwind&) {
    park_thread();
  }
}

}  // namespace satchel_python
