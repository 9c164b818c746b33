#include "core/libpq.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>
#include <string>

#include "core/signals_held.hpp"

namespace satchel::core {
namespace {

constexpr const char* kFile = "libpq.so.5";

Error cannot_load() {
  const char* why = dlerror();
  return {Status::kIo,
          std::string(kFile) + " cannot be loaded: " + (why != nullptr ? why : "unknown reason")};
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, LibPq& pq) {
  return find(library, "PQconninfoParse", pq.conninfo_parse) &&
         find(library, "PQconninfoFree", pq.conninfo_free) &&
         find(library, "PQconnectStartParams", pq.connect_start_params) &&
         find(library, "PQconnectPoll", pq.connect_poll) && find(library, "PQfinish", pq.finish) &&
         find(library, "PQstatus", pq.status) && find(library, "PQsocket", pq.socket) &&
         find(library, "PQerrorMessage", pq.error_message) &&
         find(library, "PQsetnonblocking", pq.setnonblocking) &&
         find(library, "PQsetNoticeProcessor", pq.set_notice_processor) &&
         find(library, "PQenterPipelineMode", pq.enter_pipeline_mode) &&
         find(library, "PQpipelineSync", pq.pipeline_sync) &&
         find(library, "PQsendPrepare", pq.send_prepare) &&
         find(library, "PQsendQueryPrepared", pq.send_query_prepared) &&
         find(library, "PQsendQueryParams", pq.send_query_params) &&
         find(library, "PQflush", pq.flush) && find(library, "PQconsumeInput", pq.consume_input) &&
         find(library, "PQisBusy", pq.is_busy) && find(library, "PQgetResult", pq.get_result) &&
         find(library, "PQresultStatus", pq.result_status) &&
         find(library, "PQresultErrorField", pq.result_error_field) &&
         find(library, "PQntuples", pq.ntuples) && find(library, "PQgetvalue", pq.getvalue) &&
         find(library, "PQgetlength", pq.getlength) && find(library, "PQgetisnull", pq.getisnull) &&
         find(library, "PQcmdTuples", pq.cmd_tuples) && find(library, "PQclear", pq.clear);
}

Result<void> load(LibPq& pq) {
  const SignalsHeld held;
  void* library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return cannot_load();
  if (find_all(library, pq)) return Ok{};
  Error failed = cannot_load();
  dlclose(library);
  return failed;
}

}  // namespace

Result<const LibPq*> libpq() {
  static std::mutex loading;
  static LibPq loaded;
  static std::atomic<bool> ready{false};
  if (ready.load(std::memory_order_acquire)) return &loaded;
  const std::lock_guard lock(loading);
  if (!ready.load(std::memory_order_relaxed)) {
    if (Result<void> done = load(loaded); !done) return done.take_error();
    ready.store(true, std::memory_order_release);
  }
  return &loaded;
}

}  // namespace satchel::core
