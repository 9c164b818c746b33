#include "cascade.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "callbacks.hpp"
#include "cascade_parts.hpp"
#include "handle_class.hpp"
#include "http.hpp"

namespace satchel_python {
namespace {

// How long the exit waits for threads that are inside the library, and for callbacks.
constexpr std::chrono::milliseconds kExitPatience{2000};

// Where it looks, and what replaces its parts. The library owns what the tables hold as soon as it
// is called with them, whether that succeeds or not.
class Parts {
 public:
  Parts(const py::object& cache_dir, const py::object& config_dirs)
      : cache_dir_(cache_dir, "cache_dir") {
    table_.cache_dir = cache_dir_.view();
    if (config_dirs.is_none()) return;
    for (const py::handle path : config_dirs) paths_.emplace_back(path, "config_dirs");
    for (const Text& path : paths_) views_.push_back(path.view());
    views_.push_back({});  // so that there is an address, if there are none
    table_.config_dirs = views_.data();
    table_.config_dir_count = paths_.size();
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() = default;

  void replace(const py::object& files, const py::object& credentials,
               const py::object& transcripts) {
    if (!files.is_none()) {
      files_ = usage_files_callbacks(files);
      table_.files = &files_;
    }
    if (!credentials.is_none()) {
      credentials_ = credentials_callbacks(credentials);
      table_.credentials = &credentials_;
    }
    if (!transcripts.is_none()) {
      transcripts_ = transcripts_callbacks(transcripts);
      table_.transcripts = &transcripts_;
    }
  }

  [[nodiscard]] const satchel_cascade_parts& table() const { return table_; }

 private:
  Text cache_dir_;
  std::vector<Text> paths_;
  std::vector<satchel_view> views_;
  satchel_usage_files files_ = SATCHEL_USAGE_FILES_INIT;
  satchel_credentials credentials_ = SATCHEL_CREDENTIALS_INIT;
  satchel_transcripts transcripts_ = SATCHEL_TRANSCRIPTS_INIT;
  satchel_cascade_parts table_ = SATCHEL_CASCADE_PARTS_INIT;
};

std::shared_ptr<Cascade> open(const py::object& config, const py::object& cache_dir,
                              const py::object& config_dirs, const py::object& host_config,
                              const py::object& log, const py::object& clock,
                              const py::object& monotonic, const py::object& http,
                              const py::object& files, const py::object& credentials,
                              const py::object& transcripts) {
  const Buffer json(config);
  Parts parts(cache_dir, config_dirs);
  satchel_library* host = open_library(host_config, host_callbacks(log, clock, monotonic, http));
  parts.replace(files, credentials, transcripts);
  satchel_cascade* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  // The cascade keeps what it needs of the host.
  const satchel_status status = without_lock([&] {
    const satchel_status opened =
        satchel_cascade_open(host, &parts.table(), json.data(), json.size(), &handle, &error);
    satchel_close(&host);
    return opened;
  });
  check(status, error);
  return Cascade::make(handle);
}

py::tuple resolve(const Cascade& cascade) {
  satchel_usage* usage = nullptr;
  cascade.ask(
      [&](auto* handle, auto* error) { return satchel_cascade_resolve(handle, &usage, error); });
  return usage_tuple(usage);
}

// Does not wait; done(usage, None) or done(None, exception) is called on a thread of the library,
// unless this throws.
void resolve_start(const Cascade& cascade, const py::object& done) {
  auto user = std::make_unique<py::object>(done);
  cascade.ask([&](auto* handle, auto* error) {
    // The library's thread may be done with it before this call returns.
    py::object* handed_over = user.release();
    const satchel_status status =
        satchel_cascade_resolve_start(handle, usage_done, handed_over, error);
    if (status != SATCHEL_OK) user.reset(handed_over);
    return status;
  });
}

// False: they say nothing of the quota.
bool observe(const Cascade& cascade, const py::object& pairs) {
  const HttpHeaders headers(pairs);
  return cascade.ask([&](auto* handle, auto* error) {
    return satchel_cascade_observe(handle, headers.data(), headers.size(), error);
  }) == SATCHEL_OK;
}

// JSON. Times in Unix nanoseconds, 0 for no bound.
py::bytes report(const Cascade& cascade, int64_t from, int64_t to, int32_t utc_offset_s) {
  satchel_report_range range = SATCHEL_REPORT_RANGE_INIT;
  range.from = from;
  range.to = to;
  range.utc_offset_s = utc_offset_s;
  OwnedBuffer out;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = cascade.ask(error, [&](auto* handle, auto* /*unused*/) {
    return satchel_cascade_report(handle, &range, out.out(), &error);
  });
  if (status == SATCHEL_NOT_HANDLED) fail(SATCHEL_ERR_STATE, error.message);
  return bytes(out.view());
}

py::bytes metrics(const Cascade& cascade) {
  OwnedBuffer out;
  cascade.ask(
      [&](auto* handle, auto* error) { return satchel_cascade_metrics(handle, out.out(), error); });
  return bytes(out.view());
}

// Runs once, by atexit, before callbacks are shut. A cascade with a thread stuck inside, or in a
// callback, is left to the operating system: its files are whole at any moment.
void close_cascades_at_exit() {
  if (!Cascade::any_open()) return;
  begin_exit();
  if (wait_for_calls(kExitPatience) && wait_for_callbacks(kExitPatience)) Cascade::close_all();
}

}  // namespace

void define_cascade(py::module_& module) {
  py::class_<Cascade, std::shared_ptr<Cascade>> cascade(module, "Cascade");
  made_by_functions_only(cascade);
  cascade.def_property_readonly("closed", &Cascade::closed)
      .def("close", &Cascade::close)
      .def("resolve", &resolve)
      .def("resolve_start", &resolve_start)
      .def("observe", &observe)
      .def("report", &report)
      .def("metrics", &metrics);
  module.def("open_cascade", &open, py::arg("config"), py::kw_only(), py::arg("cache_dir"),
             py::arg("config_dirs"), py::arg("host_config"), py::arg("log"), py::arg("clock"),
             py::arg("monotonic"), py::arg("http"), py::arg("files"), py::arg("credentials"),
             py::arg("transcripts"));
  module.def("close_cascades_at_exit", &close_cascades_at_exit);
}

}  // namespace satchel_python
