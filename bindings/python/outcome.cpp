// What classification found for a body, without a response.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"
#include "request_head.hpp"

namespace satchel_python {
namespace {

py::bytes hash(const uint8_t (&digest)[32]) {
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

class Outcome {
 public:
  explicit Outcome(satchel_outcome* handle) : handle_(handle) {}
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  ~Outcome() {
    without_lock([this] { return satchel_outcome_free(&handle_); });
  }

  // (active, degraded, read, creation_5m, creation_1h, creation_24h,
  //  refresh as (hash, expires_at) or None, principal, model, tokenizer_version,
  //  render_total or None)
  [[nodiscard]] py::tuple summary() const {
    const satchel_outcome_summary found = get();
    py::object refresh = py::none();
    if (found.has_refresh != 0) {
      refresh = py::make_tuple(hash(found.refresh_hash), found.refresh_expires_at);
    }
    py::object render_total = py::none();
    if (found.has_render_total != 0) render_total = py::int_(found.render_total);
    return py::make_tuple(found.active != 0, found.degraded != 0, found.read, found.creation_5m,
                          found.creation_1h, found.creation_24h, refresh, text(found.principal),
                          text(found.model), text(found.tokenizer_version), render_total);
  }

  // [(hash, cumulative_token_count, tier, expires_at)]
  [[nodiscard]] py::list entries() const {
    py::list entries;
    const uint64_t count = get().entry_count;
    for (uint64_t i = 0; i < count; ++i) {
      satchel_entry entry = SATCHEL_ENTRY_INIT;
      satchel_error error = SATCHEL_ERROR_INIT;
      check(satchel_outcome_entry(handle_, i, &entry, &error), error);
      entries.append(py::make_tuple(hash(entry.hash), entry.cumulative_token_count, entry.tier,
                                    entry.expires_at));
    }
    return entries;
  }

  void commit() {
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_outcome_commit(handle_, &error); }), error);
  }

 private:
  [[nodiscard]] satchel_outcome_summary get() const {
    satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(satchel_outcome_summary_get(handle_, &summary, &error), error);
    return summary;
  }

  satchel_outcome* handle_;
};

std::unique_ptr<Outcome> classify(const PromptCache& cache, const py::object& model_name,
                                  const py::object& data, const py::object& authorization,
                                  const py::object& api_key, const py::object& principal) {
  const RequestHead who(py::none(), py::none(), authorization, api_key, principal);
  const Text model(model_name, "model");
  const Buffer body(data);
  satchel_outcome* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&, opened = cache.handle()] {
          return satchel_prompt_classify(opened, who.get(), model.data(), model.size(), body.data(),
                                         body.size(), &handle, &error);
        }),
        error);
  return std::make_unique<Outcome>(handle);
}

}  // namespace

void define_outcome(py::module_& module) {
  py::class_<Outcome> outcome(module, "Outcome");
  made_by_functions_only(outcome);
  outcome.def("summary", &Outcome::summary)
      .def("entries", &Outcome::entries)
      .def("commit", &Outcome::commit);
  module.def("classify", &classify);
}

}  // namespace satchel_python
